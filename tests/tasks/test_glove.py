"""GloVe: its weights and loss by hand, and that products become logarithms of counts."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl.data.word_similarity import Benchmarks
from dl.errors import UserError
from dl.models.word_vectors import GloVe
from dl.tasks import glove
from dl.training.assembly import assemble
from dl.vocabulary import Vocabulary
from tests.tasks.test_similarity import config


def learner(size=6, width=4):
    return glove.Learner(GloVe(size, width), Vocabulary([f"w{i}" for i in range(size)]), glove.Settings(), Benchmarks({}, {}))


def test_the_weight_of_a_pair():
    """Equation 9 with x_max 100 and a 3/4: (1/16)^(3/4) = 1/8."""
    weights = glove.weight(jnp.array([0.0, 6.25, 50.0, 100.0, 1000.0]), 100.0, 0.75)
    assert np.asarray(weights) == pytest.approx([0, 1 / 8, 0.5**0.75, 1, 1], rel=1e-5)


def test_the_loss_of_a_pair():
    losses = glove.weighted_squares(jnp.array([3.0, 0.0, 5.0]), jnp.array([100.0, 6.25, 0.0]), 100.0, 0.75)
    expected = [(3 - np.log(100)) ** 2, np.log(6.25) ** 2 / 8, 0]
    assert np.asarray(losses) == pytest.approx(expected, rel=1e-5)


def test_a_prediction_is_the_product_and_both_biases():
    rng, made = np.random.default_rng(0), learner()
    params = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), made.init(jax.random.key(0))[0])
    assert sum(x.size for x in jax.tree.leaves(params)) == 2 * 6 * (4 + 1)
    table, first, second = params["model"], np.array([0, 3]), np.array([5, 3])
    expected = (
        (table["input"][first] * table["output"][second]).sum(1) + table["input_bias"][first] + table["output_bias"][second]
    )
    np.testing.assert_allclose(made.model.apply({"params": table}, jnp.array(first), jnp.array(second)), expected, rtol=1e-5)
    np.testing.assert_array_equal(made.vectors(params, jnp.array([2])), (table["input"] + table["output"])[2:3])


def test_padding_counts_nowhere():
    made = learner()
    params = made.init(jax.random.key(0))[0]
    words, times = jnp.array([[0, 1, 0], [2, 3, 0]], jnp.uint8), jnp.array([[3.0, 1.0, 0], [9.0, 1.0, 0]])
    whole = jax.device_get(made.loss(params, {}, {"first": words, "second": words[::-1], "times": times}, jax.random.key(0))[0])
    cut = {"first": words[:, :2], "second": words[::-1, :2], "times": times[:, :2]}
    without = jax.device_get(made.loss(params, {}, cut, jax.random.key(0))[0])
    assert whole[0] == pytest.approx(without[0]) and whole[1] == without[1] == 4


def test_products_become_logarithms_of_counts():
    """Counts whose logarithms are products of vectors of 3 numbers are found again, where all pairs are seen."""
    rng, made = np.random.default_rng(1), learner(6, 4)
    one, other = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    log = one @ other.T
    first, second = (jnp.array(values.ravel()[None]) for values in np.indices((6, 6)))
    batch = {"first": first, "second": second, "times": jnp.exp(log).ravel()[None] * 100}
    optimizer = optax.adam(0.03)
    params = made.init(jax.random.key(0))[0]

    @jax.jit
    def step(params, state):
        (total, count), gradient = jax.value_and_grad(lambda p: made.loss(p, {}, batch, jax.random.key(0))[0], has_aux=True)(
            params
        )
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, total / count

    state, losses = optimizer.init(params), []
    for _ in range(600):
        params, state, loss = step(params, state)
        losses.append(float(loss))
    assert losses[0] > 5 and losses[-1] < 0.01


@pytest.mark.parametrize("changes, says", [({"most": 0.0}, "most=0.0 must be above 0"), ({"power": -1.0}, "at least 0")])
def test_settings_out_of_range(changes, says):
    chosen = config("imdb_glove")
    chosen.task.update(changes)
    with pytest.raises(UserError, match=says):
        assemble(chosen)


def test_it_needs_pairs():
    chosen = config("imdb_glove")
    chosen.dataset.batches = "contexts"
    with pytest.raises(UserError, match=r"dataset\.batches='cooccurrences'"):
        assemble(chosen)
