"""What one calls from Python."""

import ast
import json
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image

import dl
from dl.data.load import load
from dl.generation.predictions import fitted, pixels, with_channels
from dl.interop import classifier
from experiments import predict
from tests.conftest import REPOSITORY

CONFIG = str(REPOSITORY / "tests" / "experiments" / "digits.py")


def test_importing_it_imports_nothing_else():
    code = "import sys, dl; print([m for m in ('jax', 'numpy', 'flax') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_is_there_and_known_to_type_checkers():
    for name in dl.__all__:
        assert getattr(dl, name) is not None
    tree = ast.parse((REPOSITORY / "dl" / "__init__.py").read_text())
    typed = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(dl.__all__) <= typed and set(dl.__all__) == set(dl._MODULE_OF)
    with pytest.raises(AttributeError):
        _ = dl.list_model


def test_lists():
    assert {"lenet5", "resnet50", "vgg16"} <= set(dl.list_models())
    assert dl.list_models("vgg1*") == sorted(name for name in dl.list_models() if name.startswith("vgg1"))
    assert "classification" in dl.list_tasks() and "digits" in dl.list_datasets()


def test_a_model_begins_with_parameters_for_its_inputs():
    model = dl.create_model("mlp", num_classes=10, hidden=(7,))
    with pytest.raises(dl.UserError, match="no parameters yet"):
        model(np.zeros((2, 4, 4, 1)))
    begun = model.init(np.zeros((2, 4, 4, 1), np.float32), seed=3)
    assert begun.parameters == 16 * 7 + 7 + 7 * 10 + 10
    assert begun(np.ones((2, 4, 4, 1), np.float32), train=False).shape == (2, 10)
    with pytest.raises(dl.UserError, match="depth"):
        dl.create_model("mlp", num_classes=10, depth=3)
    with pytest.raises(dl.UserError, match="without weights"):
        begun.predict(np.zeros((4, 4)))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = dl.load_config(CONFIG, {"steps": 20, "eval_every": 0, "checkpoint_every": 0, "dataset.size": (12, 12), "seed": 2})
    config.mesh.update(replica=1, data=1)
    return dl.train(config, tmp_path_factory.mktemp("api") / "run")


def test_a_run_says_what_it_was_and_what_it_reached(run):
    assert (run.config.steps, run.config.seed, run.step) == (20, 2, 20)
    assert run.metrics == json.loads((run.workdir / "result.json").read_text())["metrics"]
    assert run.history[-1]["split"] == "test" and "classify" in run.task.objectives
    assert run.evaluate("test")["error"].tolist() == run.metrics["test"]["error"]["values"]
    with pytest.raises(dl.UserError, match=r"no split 'tests'. Choices: test, train"):
        run.evaluate("tests")
    with pytest.raises(dl.UserError, match="holds no run"):
        dl.load_run(run.workdir.parent)
    with pytest.raises(dl.UserError, match="generator for the task"):
        run.generate()


def test_a_run_predicts_what_its_evaluation_says(run, tmp_path):
    raw = load(run.config.dataset.copy_and_resolve_references(), None, None).splits["test"]
    config = run.config.dataset.copy_and_resolve_references()
    config.size = (0, 0)
    images = load(config, None, None).splits["test"].gather(np.arange(len(raw)))["image"]
    assert images.shape[1:3] == (8, 8)
    found = run.predict(images)
    wrong = found.classes != raw.gather(np.arange(len(raw)))["label"]
    assert wrong.mean() == pytest.approx(run.metrics["test"]["error"]["mean"])
    assert found.probabilities.sum(1) == pytest.approx(1, abs=1e-5)
    (first,) = run.predict(images[0]).top(2)
    assert first[0][0] == found.labels[0] and first[0][1] > first[1][1]
    Image.fromarray(images[0].squeeze()).save(tmp_path / "digit.png")
    for given in (tmp_path / "digit.png", [str(tmp_path / "digit.png")], Image.open(tmp_path / "digit.png")):
        assert np.allclose(run.predict(given).probabilities[0], found.probabilities[0], atol=1e-5)


def test_weights_predict_as_the_program_does(run, tmp_path):
    file = classifier.save(classifier.of_run(run.workdir), tmp_path)
    model = dl.create_model(weights=file)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    (expected,) = predict.predict(classifier.load(file), [str(tmp_path / "a.png")], top=3)
    (found,) = model.predict(tmp_path / "a.png").top(3)
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert [p for _, p in found] == pytest.approx([p for _, p in expected], rel=1e-5)


@pytest.mark.parametrize(("fit", "size"), [("pad", (11, 12)), ("resize", (5, 9)), ("crop", (6, 6))])
def test_images_are_brought_to_size_as_for_the_training(fit, size):
    config = dl.load_config(CONFIG).dataset
    raw = load(config, None, None).splits["test"].gather(np.arange(3))["image"]
    config.update(size=size, fit=fit)
    expected = load(config, None, None).splits["test"].gather(np.arange(3))["image"]
    for image, wanted in zip(pixels(raw), expected, strict=True):
        assert np.array_equal(fitted(image, (*size, 1), fit), np.float32(wanted) / np.float32(255))


def test_images_are_given_in_many_ways():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert [image.shape for image in pixels([grey, np.zeros((4, 2, 3, 3))])] == [(2, 3, 1), *[(2, 3, 3)] * 4]
    assert with_channels(grey[..., None], 3)[1, 2].tolist() == [5, 5, 5]
    assert with_channels(np.float32([[[1, 0, 0, 0.5]]]), 1)[0, 0] == pytest.approx(0.299)
    with pytest.raises(dl.UserError, match=r"not \[4\]"):
        pixels(np.zeros(4))
    with pytest.raises(dl.UserError, match="not 3"):
        pixels(3)


def test_a_step_of_a_task_made_by_hand():
    """Least squares by gradient descent: w <- w - rate * mean(2 x (w x - y))."""

    def loss(params, variables, batch, key):
        error = dl.mean(jnp.square(params["line"] * batch["x"] - batch["y"]))
        return error, (variables, {"squared error": error})

    task = dl.Task(
        init=lambda key: ({"line": jnp.float32(1.0)}, {}),
        objectives={"fit": dl.Objective(loss, ("line",), optax.sgd(0.1))},
        phases=(dl.Phase(100, ("fit",)),),
    )
    state, step = dl.initial_state(task), dl.make_step(task)
    batch = {"x": jnp.array([1.0, 2.0]), "y": jnp.array([3.0, 6.0])}
    state, metrics = step(state, batch)
    assert float(metrics["squared error"]) == pytest.approx((2**2 + 4**2) / 2)
    assert float(state.params["line"]) == pytest.approx(1.0 + 0.1 * (2 * 1 * 2 + 2 * 2 * 4) / 2)
    for _ in range(20):
        state, metrics = step(state, batch)
    assert float(state.params["line"]) == pytest.approx(3.0, abs=1e-3) and int(state.step) == 21


def test_a_configuration_by_name_and_changes():
    config = dl.load_config(str(REPOSITORY / "configs" / "mnist_lenet5.py"), {"optimizer.learning_rate": 0.5})
    assert config.optimizer.learning_rate == 0.5 and config.reference.setting == "optimizer.learning_rate=0.5"
    assert dl.explain(config).parameters == 60_000
    with pytest.raises(dl.UserError, match="no such key: optimizer.rate"):
        dl.load_config(CONFIG, {"optimizer.rate": 0.5})
