"""AlexNet on ImageNet: 40.7 % top-1 and 18.2 % top-5 validation error (Krizhevsky et al. 2012, table 2).

    python -m experiments.train --config=configs/imagenet_alexnet.py --data_dir=PREPARED --workdir=runs/imagenet_alexnet
    python -m experiments.train --config=configs/imagenet_alexnet.py:halves --manual_dir=archives --workdir=runs/halves
    python -m experiments.train --config=configs/imagenet_alexnet.py:without_6_7 --data_dir=PREPARED --workdir=runs/without_6_7

Not trained here. As published: batches of 128, momentum 0.9, weight decay 0.0005, the rate 0.01 cut to a tenth three times, 90
epochs, flips, dropout of one half in fc6 and fc7.

`halves` puts half of the net on each of two devices, as the paper has it on two GPUs: the axis `model` of the mesh.
`without_7` and its kin leave layers out (Zeiler & Fergus 2014, table 3).

Deviations: windows of 79 % of the image (227 of 256 pixels, squared) in place of 224 in the central 256 x 256; no shift
of colours along principal components; the centre alone for evaluation, not ten crops; weight decay on weights, not biases;
the rate falls after 30, 60 and 80 epochs, where the paper's fell when the validation error stopped improving.
"""

from ml_collections import ConfigDict

from dl.config import base
from dl.variants import vary

HALVES = (  # which dimension of which parameter is split: the outputs of all layers but the last
    (r"model/conv\d/kernel", (None, None, None, "model")),
    (r"model/fc[67]/kernel", (None, "model")),
    (r"model/(conv\d|fc[67])/bias", ("model",)),
)


def get_config(variant: str = "") -> ConfigDict:
    """The published setting."""
    config = base()
    config.update(epochs=90.0, batch_size=128, log_every=100, eval_every=10_009, checkpoint_every=10_009)
    splits = {"train": "train", "validation": "validation"}
    config.dataset = ConfigDict({**config.dataset.to_dict(), "name": "imagenet2012", "splits": splits, "random_crop": {}})
    config.dataset.update(size=(227, 227), fit="crop", mean=(0.485, 0.456, 0.406), std=(1 / 255, 1 / 255, 1 / 255), workers=8)
    config.dataset.random_crop = ConfigDict({"scale": (0.786, 0.786), "ratio": (1.0, 1.0)})
    config.augmentation = ConfigDict({"flip": {}})
    config.model = ConfigDict({"name": "alexnet", "without": (), "response_norm": "before", "hidden": 4096})
    config.optimizer.update(name="momentum", learning_rate=0.01, momentum=0.9, l2=5e-4)
    config.optimizer.schedule = ConfigDict({"name": "step", "boundaries": (30 / 90, 60 / 90, 80 / 90), "factor": 0.1})
    config.reference.update(metric="validation/error", value=0.407, source="Krizhevsky et al. 2012, table 2")
    return vary(config, VARIANTS, variant)


def halves(config: ConfigDict) -> None:
    """Half of the net on each of two devices."""
    config.mesh.update(data=1, model=2, rules=HALVES)


def without(config: ConfigDict, *layers: int) -> None:
    """Leaves layers out; the published error is not that of this net."""
    config.model.without = layers
    config.reference.update(metric="", value=0.0, source="")


def without_7(config: ConfigDict) -> None:
    """Without the dense layer 7."""
    without(config, 7)


def without_6_7(config: ConfigDict) -> None:
    """Without the dense layers 6 and 7."""
    without(config, 6, 7)


def without_3_4(config: ConfigDict) -> None:
    """Without the convolutions 3 and 4."""
    without(config, 3, 4)


def without_3_4_6_7(config: ConfigDict) -> None:
    """Without the layers 3, 4, 6 and 7."""
    without(config, 3, 4, 6, 7)


def after(config: ConfigDict) -> None:
    """Response normalisation after pooling."""
    config.model.response_norm = "after"
    config.reference.update(metric="", value=0.0, source="")


def one_tower(config: ConfigDict) -> None:
    """Torchvision's form, on 224x224."""
    config.model.name = "alexnet_one_tower"
    config.dataset.update(size=(224, 224), std=(0.229, 0.224, 0.225))
    config.reference.update(metric="", value=0.0, source="")


def smoke(config: ConfigDict) -> None:
    """Seconds: one tower without layers 3, 4, 6 and 7, on the embedded digits."""
    one_tower(config)
    config.update(epochs=0.0, steps=6, batch_size=8, log_every=2, eval_every=3, checkpoint_every=3, eval_batch_size=32)
    config.dataset.update(name="digits", size=(63, 63), fit="resize", mean=(0.0,), std=(1.0,), workers=0)
    config.dataset.random_crop = ConfigDict({})
    config.dataset.splits = ConfigDict({"train": "train", "validation": "test[:32]"})
    config.optimizer.schedule.boundaries = (2, 4, 5)
    config.model.without = (3, 4, 6, 7)


VARIANTS = {
    "halves": halves,
    "without_7": without_7,
    "without_6_7": without_6_7,
    "without_3_4": without_3_4,
    "without_3_4_6_7": without_3_4_6_7,
    "after": after,
    "one_tower": one_tower,
    "smoke": smoke,
}
