"""What `--set` changes for an evaluation."""

import pytest

from dl.config import base
from dl.errors import UserError
from experiments.evaluate import override


def test_a_new_name_takes_its_own_settings():
    config = base()
    config.model.hidden = (8,)
    said = override(config, ["model.name=resnet_cifar", "model.depth=8", "test_time.augmentation.affine.degrees=3"])
    assert (config.model.name, config.model.depth, "hidden" in config.model) == ("resnet_cifar", 8, False)
    assert config.test_time.augmentation.affine.to_dict() == {"degrees": 3.0}
    assert said == ["config.model.name is 'resnet_cifar', so these settings of 'mlp' are dropped: hidden=(8,)."]
    assert override(config, ["optimizer.b1=0.5", "optimizer.name='adam'", "seed=2"]) == []
    assert (config.optimizer.name, config.optimizer.b1, config.seed) == ("adam", 0.5, 2)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("seed", "--set seed: give KEY=VALUE"),
        ("=3", "--set =3: give KEY=VALUE"),
        ("seed=x", "--set: seed cannot be 'x'"),
        ("model.depth=8", "no such key: model.depth"),
        ("model.name=lenet", "unknown model 'lenet'"),
        ("model=lenet5", "--set: model cannot be 'lenet5'"),
        ("test_time.augmentation.turn.degrees=3", "no such key: test_time.augmentation.turn.degrees"),
        ("mesh.rules[0]=3", "mesh.rules[0] cannot be 3"),
    ],
)
def test_what_cannot_be_set_is_one_line(setting, said):
    with pytest.raises(UserError) as error:
        override(base(), [setting])
    assert said in str(error.value) and "\n" not in str(error.value)
