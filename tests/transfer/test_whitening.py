"""A first layer that whitens the patches of the data, and the fast net that begins with it."""

import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from dl.data import pipeline
from dl.errors import UserError
from dl.layers.convolution import convolve
from dl.models.cifar_speed import CifarSpeed, partial_identity
from dl.training.assembly import assemble
from dl.transfer import whitening
from tests.experiments.programs import REPOSITORY
from tests.pytorch import draw, recorded


def correlated(count=40, side=12):
    """Images whose neighbouring pixels and channels are alike."""
    noise = np.random.default_rng(0).normal(size=(count, side + 2, side + 2, 3))
    smooth = noise[:, 2:, 2:] + noise[:, 1:-1, 1:-1] + noise[:, :-2, 2:]
    return (smooth + smooth.mean(-1, keepdims=True) + 0.5).astype(np.float32)


def smoke():
    config = runpy.run_path(str(REPOSITORY / "configs" / "cifar10_fast.py"))["get_config"]("smoke")
    config.mesh.update(replica=1, data=1)
    return config


def test_what_the_filters_give_is_white():
    images = correlated()
    kernel = whitening.filters(images, 2, epsilon=1e-9)
    assert kernel.shape == (2, 2, 3, 24) and kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel[..., 12:], -kernel[..., :12])
    given = np.asarray(convolve(jnp.asarray(images), jnp.asarray(kernel), padding="VALID"), float).reshape(-1, 24)[:, :12]
    np.testing.assert_allclose(given.T @ given / len(given), np.eye(12), atol=2e-3)
    raw = np.cov(images[:, :-1, :-1].reshape(-1, 3).T)
    assert abs(raw[0, 1] / raw[0, 0]) > 0.3  # they were not


def test_no_mean_is_subtracted_as_in_airbench():
    """By hand, 1x1 patches of two channels with mean (3, 0) and covariance diag(1, 4): E[x x^T] = diag(10, 4)."""
    points = [(3 + a, b) for a in (-1, 1) for b in (-2, 2)]
    kernel = whitening.filters(np.array(points, np.float32).reshape(1, 2, 2, 2), 1, epsilon=0.0)
    np.testing.assert_allclose(kernel[0, 0, :, :2], np.diag([10**-0.5, 4**-0.5]), atol=1e-6)


def test_filters_are_those_of_pytorch_by_airbench_s_recipe():
    """Patches by `unfold`, the eigenvectors of X^T X / n by falling eigenvalue, over sqrt(eigenvalue + 5e-4), and negatives."""
    theirs = recorded.arrays("layers", "whitening")["filters"]
    ours = whitening.filters(draw.correlated(), 2).reshape(12, 24)
    signs = np.sign((ours[:, :12] * theirs).sum(0))
    np.testing.assert_allclose(ours, np.concatenate([theirs * signs, -theirs * signs], axis=1), rtol=1e-3, atol=1e-4)


def test_epsilon_holds_back_directions_without_variance():
    """Grey images have one channel's variance in three: 8 of 12 eigenvalues are 0, and their filters 1 / sqrt(epsilon) long."""
    grey = np.repeat(correlated()[..., :1], 3, axis=-1)
    lengths = np.linalg.norm(whitening.filters(grey, 2, epsilon=1e-2).reshape(12, 24)[:, :12], axis=0)
    assert lengths[4:] == pytest.approx(10.0, rel=1e-3) and (lengths[:4] < 10).all()


def test_the_task_starts_from_the_data_and_leaves_the_layer_alone():
    experiment = assemble(smoke())
    init = jax.jit(experiment.task.init)
    params, _ = init(jax.random.key(0))
    images = experiment.evaluation("test").examples(np.arange(3))["image"]
    info, splits = experiment.dataset
    settings = experiment.config.dataset.to_dict()
    first = pipeline.first_examples(settings, info.features, splits["train"], whitening.IMAGES)["image"]
    assert first.shape == (1442, 26, 26, 1) and first.dtype == np.float32 and images.shape[1:] == first.shape[1:]
    kernel = params["model"]["whiten"]["kernel"]
    np.testing.assert_array_equal(kernel, whitening.filters(first, 2))
    again, _ = init(jax.random.key(1))
    np.testing.assert_array_equal(again["model"]["whiten"]["kernel"], kernel)
    assert not np.array_equal(again["model"]["fc"]["kernel"], params["model"]["fc"]["kernel"])

    objective = experiment.task.objectives["classify"]
    state = objective.optimizer.init({"model": params["model"]})
    gradients = jax.tree.map(jnp.ones_like, {"model": params["model"]})
    moves, _ = objective.optimizer.update(gradients, state, {"model": params["model"]})
    flat = flatten_dict(moves["model"], sep="/")
    frozen = {path for path, move in flat.items() if not np.asarray(move).any()}
    assert frozen == {"whiten/kernel"}
    bias, weight = (abs(float(flat[path].mean())) for path in ("block1_norm1/bias", "fc/kernel"))
    assert bias / weight == pytest.approx(64, rel=0.01)


def test_a_layer_that_cannot_be_whitened_is_said():
    config = smoke()
    config.task.whitened = "fc"
    with pytest.raises(UserError, match="'fc' is unknown|unknown.*fc"):
        assemble(config)
    config.task.whitened = "block1_conv1"
    with pytest.raises(UserError, match="two for each input"):
        assemble(config)


def test_published_count():
    shapes = jax.eval_shape(CifarSpeed().init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    assert sum(x.size for x in jax.tree.leaves(shapes["params"])) == 1_971_640  # "1.97 M"


def test_the_first_filters_pass_a_channel_on():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 5, 5, 4)), jnp.float32)
    kernel = partial_identity(jax.random.key(0), (3, 3, 4, 10))
    y = convolve(x, kernel, padding=1)
    np.testing.assert_allclose(y[..., :4], x, atol=1e-6)
    assert float(jnp.abs(kernel[..., 4:]).max()) <= 36**-0.5


def test_small_images_are_refused():
    with pytest.raises(UserError, match="at least, got 24x24"):
        jax.eval_shape(CifarSpeed().init, jax.random.key(0), jnp.zeros((1, 24, 24, 3)))
