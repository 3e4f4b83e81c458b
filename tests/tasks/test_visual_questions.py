"""Questions about scenes: the loss, metrics of each form of question, and modules that learn what they are for."""

import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.data.load import load
from dl.dataset import Resources
from dl.errors import UserError
from dl.tasks import visual_questions
from dl.training.assembly import assemble
from dl.training.loop import train
from dl.training.progress import Progress
from dl.training.workdir import read_metrics
from tests.conftest import REPOSITORY


def config(variant="smoke"):
    return runpy.run_path(str(REPOSITORY / "configs" / "shapes_modules.py"))["get_config"](variant)


def test_the_accuracy_of_each_form_adds_up():
    chosen = config()
    dataset = load(chosen.dataset)
    task = visual_questions.build(chosen, Resources(dataset.info), 10)
    params, variables = task.init(jax.random.key(0))
    batch = {name: jnp.asarray(values) for name, values in dataset.splits["test"].gather(np.arange(64)).items()}
    batch |= {"image": batch["image"].astype(jnp.float32) / 255, "mask": jnp.arange(64) < 50}
    sums, outputs = jax.jit(task.evaluators["answers"].step)(params, variables, batch, jax.random.key(0))
    right = np.asarray(outputs["answer"] == batch["label"])[:50]
    assert sums["accuracy"] == (right.sum(), 50)
    forms = np.asarray(batch["form"])[:50]
    for number, name in enumerate(("no relation", "one relation", "two relations")):
        assert sums[f"accuracy/{name}"] == (right[forms == number].sum(), (forms == number).sum())


def test_modules_learn_to_answer(tmp_path):
    """New questions about new scenes: much better than to say no (about two thirds)."""
    chosen = config()
    chosen.update(steps=600, batch_size=64, steps_per_dispatch=100, log_every=600, eval_every=0, checkpoint_every=0)
    chosen.dataset.update(generated=8192)
    chosen.dataset.splits = {"train": "train", "test": "test"}
    chosen.model.update(channels=64, hidden=32)
    chosen.optimizer.learning_rate = 3e-3
    workdir = tmp_path / "run"
    workdir.mkdir()
    train(assemble(chosen), workdir, Progress(600, enabled=False))
    reached = next(line for line in read_metrics(workdir) if line["split"] == "test")
    assert reached["accuracy"]["mean"] > 0.85


def test_what_the_modules_look_at_is_drawn():
    example = {"image": np.ones((30, 30, 3), np.float32), "layout": np.array([[1, 1], [2, 7], [3, 0], [4, 0], [0, 0]])}
    maps = np.zeros((5, 3, 3), np.float32)
    maps[0, 0, 2] = 1.0
    shown = visual_questions.looks(example, maps)
    assert list(shown.captions) == ["", "find red", "transform left_of", "and"]
    assert shown.pixels.shape == (4, 30, 30, 3)
    assert shown.pixels[1, :10, 20:].min() == 1.0 and shown.pixels[1, 10:].max() == 0.25


def test_other_data_are_refused_in_one_line():
    chosen = config()
    chosen.dataset.name = "digits"
    chosen.dataset.splits = {"train": "train"}
    with pytest.raises(UserError, match="visual questions need images with questions and layouts"):
        visual_questions.build(chosen, Resources(load(chosen.dataset).info), 10)
