"""The ImageNet configuration on a small folder of images of many sizes: the mesh does not change what is seen and learned."""

import runpy

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.training.assembly import assemble
from dl.training.loop import train
from dl.training.progress import Progress
from dl.training.workdir import read_metrics
from tests.experiments.programs import REPOSITORY


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes, told apart by their colour, of 8 images to train and 3 for validation, each of a size of its own."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for split, count in (("train", 8), ("validation", 3)):
        for channel, name in enumerate(("red", "green", "blue")):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 128, (rng.integers(30, 60), rng.integers(30, 60), 3), np.uint8)
                pixels[..., channel] += 100
                Image.fromarray(pixels).save(root / split / name / f"{i}.JPEG")
    return root


def run(folder, workdir, **mesh):
    config = runpy.run_path(str(REPOSITORY / "configs" / "imagenet_resnet50.py"))["get_config"]("folder")
    config.update(epochs=0.0, steps=6, batch_size=8, log_every=1, eval_every=0, checkpoint_every=0, eval_batch_size=8)
    config.dataset.update(path=str(folder), size=(24, 24), workers=0)
    config.model = ConfigDict({"name": "mlp", "hidden": (64,)})  # residual nets on meshes have tests of their own
    config.optimizer.update(learning_rate=0.01)
    config.optimizer.schedule.warmup_steps = 2
    config.mesh.update(replica=1, **mesh)
    workdir.mkdir()
    trained = train(assemble(config), workdir, Progress(0, enabled=False))
    losses = [line["loss"]["mean"] for line in read_metrics(workdir) if line["split"] == "train"]
    return trained, losses


def test_data_parallel_and_fsdp_learn_what_one_device_does(folder, tmp_path):
    one, expected = run(folder, tmp_path / "one", data=1)
    eight, losses = run(folder, tmp_path / "eight", data=2, fsdp=4)
    assert len(expected) == 6
    np.testing.assert_allclose(losses, expected, rtol=2e-4)
    kernel = eight.state.params["model"]["dense1"]["kernel"]
    assert kernel.addressable_shards[0].data.size == kernel.size // 4
    for a, b in zip(jax.tree.leaves(one.state.params), jax.tree.leaves(eight.state.params), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=2e-3)
    loss, expected_loss = (trained.evaluated["validation"].metrics["loss"] for trained in (eight, one))
    assert loss == pytest.approx(expected_loss, rel=5e-3)
