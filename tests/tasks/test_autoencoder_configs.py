"""The variants of the autoencoders' configurations: each can be traced, and says what its name says."""

import runpy

import pytest

from dl.errors import UserError
from dl.training.assembly import assemble
from dl.training.explain import explain
from tests.conftest import REPOSITORY

SMOKE = {  # on the embedded digits, so without any data
    "mnist_autoencoder": ["smoke", "smoke_conv"],
    "mnist_denoising_autoencoder": [
        "smoke",
        "smoke_plain",
        "smoke_gaussian",
        "smoke_salt",
        "smoke_contractive",
        "smoke_sparse",
    ],
    "mnist_rbm": ["smoke"],
    "mnist_sda": ["smoke", "smoke_scratch"],
    "mnist_dbn": ["smoke", "smoke_scratch"],
    "usps_adaptation": ["smoke", "smoke_source", "smoke_scratch"],
}


def get_config(name, variant=""):
    return runpy.run_path(str(REPOSITORY / "configs" / f"{name}.py"))["get_config"](variant)


@pytest.mark.parametrize(("name", "variant"), [(n, v) for n, variants in SMOKE.items() for v in variants])
def test_every_variant_can_be_traced(name, variant):
    config = get_config(name, variant)
    config.mesh.data = 1
    explained = explain(assemble(config))
    assert explained.parameters > 0 and all(phase.flops_per_step > 0 for phase in explained.phases)
    assert len(explained.phases) == (1 if "scratch" in variant or "pretraining" not in config.task else 3)


@pytest.mark.parametrize("name", ["mnist_sda", "mnist_dbn"])
def test_few_labels_leave_all_images_to_pretraining(name):
    config = get_config(name, "labels100")
    assert dict(config.dataset.splits) == {"train": "train[:100]", "unlabelled": "train", "test": "test"}
    assert config.task.pretraining.stream == "unlabelled" and config.reference.metric == ""
    assert get_config(name).reference.metric == "test/error"
    assert get_config(name, "quick_labels1000_scratch").task.pretraining.steps == 0


def test_source_only_sees_no_target():
    assert get_config("usps_adaptation").dataset.splits.unlabelled == "mnist_train+usps_train"
    assert get_config("usps_adaptation", "source").dataset.splits.unlabelled == "mnist_train"


@pytest.mark.parametrize("name", SMOKE)
def test_an_unknown_variant_is_named(name):
    with pytest.raises(UserError, match="unknown variant 'quik'. Did you mean 'quick'"):
        get_config(name, "quik")
