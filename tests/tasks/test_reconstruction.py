"""Autoencoders as tasks: what the linear one finds, what the penalties do, and what is refused."""

import jax
import numpy as np
import optax
import pytest
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from dl.artifacts import Images, Scatter, Table
from dl.config import base
from dl.data.load import load
from dl.errors import UserError
from dl.models.autoencoder import DenseAutoencoder
from dl.task import Evaluation
from dl.tasks.reconstruction import Reconstruction
from dl.training.assembly import assemble
from tests.training.tasks import curve, experiment, hashes, image_dataset, run, settings


def config(model=None, optimizer=None, **task):
    """30 steps on the embedded digits."""
    made = base()
    made.update(steps=30, batch_size=32, log_every=10, checkpoint_every=10, steps_per_dispatch=5)
    made.model = {"name": "dense_autoencoder", "hidden": (16,), "tied": True, "kernel_init": "glorot_logistic", **(model or {})}
    made.task = {"name": "reconstruction", "loss": "cross_entropy", **task}
    made.optimizer.update(optimizer or {"name": "adam", "learning_rate": 0.01})
    made.mesh.update(data=1)
    return made


def test_a_linear_autoencoder_spans_the_principal_components(tmp_path):
    data, steps = load(base().dataset), 2000
    images = data.splits["train"].features["image"].reshape(-1, 64) / np.float32(255)
    model = DenseAutoencoder((8, 8, 1), hidden=(3,), activation="identity", output="identity")
    task = Reconstruction(model, data.info).task(optax.adam(optax.cosine_decay_schedule(0.02, steps)), steps)
    whole = settings(steps=steps, batch_size=len(images), log_every=1000, checkpoint_every=0, steps_per_dispatch=250)
    whole.dataset.update(mean=(0.0,))
    trained = run(experiment(task, whole, dataset=data), tmp_path / "run")
    decoder = np.asarray(trained.state.params["layer_0"]["decoder_kernel"])[0].T
    principal = PCA(3).fit(images)
    assert subspace_angles(decoder, principal.components_.T).max() < 1e-3
    least = np.square(principal.inverse_transform(principal.transform(images)) - images).sum(axis=1).mean()
    assert curve(tmp_path / "run", "squared_error")[-1, 0] == pytest.approx(least, rel=1e-3)


def test_a_run_measures_each_image_once_and_learns_from_corrupted_ones(tmp_path):
    """What is corrupted is halved, nothing moves, all 64 training images are one batch; the numbers are NumPy's.

    The 50 test images end in a batch of 2, and 22 that pad.
    """
    data = image_dataset()
    model = DenseAutoencoder((8, 8, 1), hidden=(3,), activation="identity", output="identity")
    task = Reconstruction(model, data.info, corrupt=lambda key, x: x / 2).task(optax.set_to_zero(), 1)
    trained = run(experiment(task, settings(steps=1, batch_size=64), dataset=data), tmp_path / "run")
    layer = {name: np.asarray(value)[0] for name, value in trained.state.params["layer_0"].items()}

    def error(x, seen):
        code = seen.reshape(len(x), 64) @ layer["kernel"] + layer["bias"]
        back = code @ layer["decoder_kernel"] + layer["decoder_bias"]
        return np.square(back - x.reshape(len(x), 64)).sum(-1).mean()

    x, test = (data.splits[name].features["image"].astype(np.float64) / 255 - 0.5 for name in ("train", "test"))
    assert curve(tmp_path / "run", "loss")[0, 0] == pytest.approx(error(x, x / 2), rel=1e-4)
    expected = {"loss": error(test, test), "squared_error": error(test, test), "squared_error_denoised": error(test, test / 2)}
    expected["noise"] = np.square(test / 2).sum((1, 2, 3)).mean()
    measured = trained.evaluated["test"].metrics
    assert {name: measured[name][0] for name in expected} == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_goes_on_bit_for_bit_and_learns_the_same_on_eight_devices(tmp_path):
    noisy = config(noise={"name": "masking", "amount": 0.3})
    made = assemble(noisy)
    whole = run(made, tmp_path / "whole")
    half = made._replace(task=made.task._replace(phases=(made.task.phases[0]._replace(steps=20),)))
    run(half, tmp_path / "half")
    assert hashes(run(made, tmp_path / "half")) == hashes(whole)
    noisy.mesh.data = 8
    eight = run(assemble(noisy), tmp_path / "eight")
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), *jax.device_get((whole.state.params, eight.state.params))
    )


@pytest.mark.slow
def test_denoising_learns_to_take_noise_away(tmp_path):
    learnt = config(noise={"name": "masking", "amount": 0.3}, model={"hidden": (64,)})
    learnt.update(steps=600, steps_per_dispatch=100, log_every=300, checkpoint_every=0)
    metrics = run(assemble(learnt), tmp_path / "run").evaluated["test"].metrics
    images = load(learnt.dataset).splits["test"].features["image"] / 255
    assert metrics["noise"] == pytest.approx(0.3 * np.square(images).sum(axis=(1, 2, 3)).mean(), rel=0.02)
    assert metrics["squared_error"] < metrics["squared_error_denoised"] < 0.5 * metrics["noise"]


@pytest.mark.parametrize(("penalty", "weight"), [("contraction", 1.0), ("sparsity", 1.0)])
def test_a_penalty_lowers_what_it_penalises(penalty, weight, tmp_path):
    reached = []
    for w in (1e-6, weight):
        run(assemble(config(**{penalty: w})), tmp_path / str(w))
        reached.append(curve(tmp_path / str(w), penalty)[-1, 0])
    assert reached[1] < 0.9 * reached[0]


def rendered(made, count=20):
    chosen = assemble(made)
    params = jax.tree.map(lambda x: x[0], jax.device_get(chosen.initial_state().params))
    source = chosen.evaluation("test")
    outputs = {"squared_error": np.zeros(count)}
    return chosen.task.render(params, {}, Evaluation(outputs, source.examples), jax.random.key(0))


def test_what_is_shown():
    shown = rendered(config(model={"hidden": (6, 2), "linear_code": True}, noise={"name": "gaussian", "amount": 0.2}))
    grid = shown["reconstructions"]
    assert isinstance(grid, Images) and grid.pixels.shape == (30, 8, 8, 1) and grid.columns == 10
    assert [grid.captions[i] for i in (0, 10, 20)] == ["original", "corrupted", "reconstruction"]
    test = load(base().dataset).splits["test"].features["image"]
    np.testing.assert_allclose(grid.pixels[0] * test[:20].max(), test[0], atol=1e-3)
    assert shown["first-layer filters"].pixels.shape == (6, 8, 8, 1)
    assert isinstance(shown["the code"], Scatter) and shown["the code"].points.shape == (20, 2)
    assert shown["decoded over the plane of the code"].pixels.shape == (225, 8, 8, 1)
    assert {"PCA of the codes", "MDS of the codes", "t-SNE of the codes"} <= set(shown)
    table = shown["against PCA"]
    assert isinstance(table, Table)
    flat = test[np.unique(np.linspace(0, 19, 20).astype(int))].reshape(20, 64) / 255
    principal = PCA(2).fit(flat)
    least = np.square(principal.inverse_transform(principal.transform(flat)) - flat).sum(axis=1).mean()
    assert table.rows[1][2] == pytest.approx(least, rel=1e-4)
    assert table.rows[0][2] > least


MISTAKES = {
    "model": ({"model": {"name": "mlp"}}, "'mlp' is no autoencoder. Choices: .*conv_autoencoder"),
    "loss": ({"loss": "hinge"}, "unknown loss 'hinge'"),
    "setting": ({"noice": 1}, "unknown setting of the task reconstruction 'noice'. Did you mean 'noise'"),
    "units": ({"model": {"output": "identity"}}, "'cross_entropy' needs logistic units"),
    "penalty": ({"sparsity": -1.0}, "task.sparsity must be a number, 0 or more"),
}


@pytest.mark.parametrize(("changes", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named(changes, message):
    changes = dict(changes)
    made = config(**changes)
    if changes.get("model", {}).get("name"):
        made.model = {"name": "mlp"}
    with pytest.raises(UserError, match=message):
        assemble(made)


def test_cross_entropy_wants_pixels_in_their_range():
    made = config()
    made.dataset.update(mean=(0.5,))
    with pytest.raises(UserError, match="need pixels in 0..1"):
        assemble(made)


def test_a_contraction_of_convolutions_is_refused():
    made = config(contraction=0.1)
    made.model = {"name": "conv_autoencoder", "features": (4,)}
    with pytest.raises(UserError, match="task.contraction is for dense layers"):
        assemble(made)
