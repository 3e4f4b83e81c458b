"""LeNet-5 against the paper: table I, subsampling, distances to the bitmaps; and that both forms learn real digits."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl.models.lenet5 import TABLE_I, LeNet5, SparseConv, Subsampling, prototypes
from dl.models.lenet5_modern import LeNet5Modern

# Table I as printed: a row for each map of S2, a column for each map of C3.
PRINTED = """
X...XXX..XXXX.XX
XX...XXX..XXXX.X
XXX...XXX..X.XXX
.XXX..XXXX..X.XX
..XXX..XXXX.XX.X
...XXX..XXXX.XXX
"""


def test_table_i():
    printed = np.array([[mark == "X" for mark in row] for row in PRINTED.split()])
    ours = np.array([[i in row for row in TABLE_I] for i in range(6)])
    np.testing.assert_array_equal(ours, printed)
    assert ours.sum() == 60
    assert [len(row) for row in TABLE_I] == [3] * 6 + [4] * 9 + [6]


def test_c3_sees_the_maps_of_its_table_only():
    x = jax.random.normal(jax.random.key(0), (1, 5, 5, 6))
    layer = SparseConv(TABLE_I)
    params = jax.jit(layer.init)(jax.random.key(1), x)
    assert jax.tree.map(jnp.shape, params["params"]) == {"kernel": (5, 5, 60), "bias": (16,)}
    jacobian = jax.jit(jax.jacobian(lambda x: layer.apply(params, x)[0, 0, 0]))(x)  # [16, 1, 5, 5, 6]
    seen = np.abs(jacobian).sum((1, 2, 3)) > 0
    np.testing.assert_array_equal(seen.T, [[i in row for row in TABLE_I] for i in range(6)])
    # Map 5 is the sum over the 16th to 18th connection, of the maps 0, 1 and 5.
    kernel = params["params"]["kernel"][:, :, 15:18]
    expected = (x[0][:, :, np.array([0, 1, 5])] * kernel).sum() + params["params"]["bias"][5]
    np.testing.assert_allclose(layer.apply(params, x)[0, 0, 0, 5], expected, rtol=1e-5)


def test_parameters_start_within_the_published_bounds():
    params = jax.jit(LeNet5().init)(jax.random.key(0), jnp.zeros((1, 32, 32, 1)))["params"]
    for layer, fan_in in {"C1": 25, "S2": 4, "S4": 4, "C5": 400, "F6": 120}.items():
        values = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(params[layer])])
        assert 0.5 * 2.4 / fan_in < jnp.abs(values).max() <= 2.4 / fan_in, layer
    connections = np.repeat([25 * len(row) for row in TABLE_I], [len(row) for row in TABLE_I])
    reach = np.abs(params["C3"]["kernel"]).max((0, 1)) * connections / 2.4
    assert (reach <= 1.0001).all()
    assert (reach > 0.5).all()


def test_subsampling_worked_example():
    x = jnp.array([[1.0, 2.0, 0.0, 1.0], [3.0, 4.0, 0.0, 0.0]]).reshape(1, 2, 4, 1)
    params = {"params": {"coefficient": jnp.array([0.5]), "bias": jnp.array([-1.0])}}
    np.testing.assert_allclose(Subsampling().apply(params, x).ravel(), [0.5 * 10 - 1, 0.5 * 1 - 1])


def test_bitmaps():
    weights = prototypes(10)
    assert weights.shape == (10, 84)
    assert set(np.unique(weights)) == {-1.0, 1.0}
    one = (weights[1].reshape(12, 7) > 0).sum(1)
    np.testing.assert_array_equal(one, [2, 3, 4, 2, 2, 2, 2, 2, 2, 2, 6, 6])
    many = prototypes(200)
    np.testing.assert_array_equal(many[:10], weights)
    distances = (many[:, None] != many).sum(-1) + 84 * np.eye(200)
    assert distances.min() >= 16


def test_scores_are_negative_squared_distances():
    # With all parameters of F6 zero its outputs are zero: each place of a bitmap is 1 away.
    model, x = LeNet5(num_classes=12), jnp.ones((2, 32, 32, 1))
    apply = jax.jit(lambda params: model.apply({"params": params}, x))
    params = jax.jit(model.init)(jax.random.key(0), x)["params"]
    params = params | {"F6": jax.tree.map(jnp.zeros_like, params["F6"])}
    np.testing.assert_allclose(apply(params), np.full((2, 12), -84.0))
    # And with the bias that makes F6 the bitmap of a 3, scaled tanh(1) = 1: distance 0 to it, 4 a differing place to others.
    params["F6"]["bias"] = jnp.arctanh(prototypes(10)[3] / 1.7159) * 1.5
    differing = (prototypes(12) != prototypes(12)[3]).sum(1)
    np.testing.assert_allclose(apply(params), np.tile(-4.0 * differing, (2, 1)), atol=1e-3)


def digits(side):
    """The 1,797 digits of scikit-learn, each pixel repeated 3 times, in a frame, background -0.1 and ink up to 1.175."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = np.kron(data.images / 16.0, np.ones((1, 3, 3)))
    margin = (side - 24) // 2
    images = np.pad(images, ((0, 0), (margin, margin), (margin, margin)))[..., None]
    return jnp.asarray(images * 1.275 - 0.1, jnp.float32), jnp.asarray(data.target)


def published_loss(scores, labels):
    """Equation 9 with j = 1: one more class, whose penalty is constant."""
    rubbish = jnp.full((len(scores), 1), -1.0)
    return optax.softmax_cross_entropy_with_integer_labels(jnp.concatenate([scores, rubbish], 1), labels)


@pytest.mark.parametrize(
    ("model", "side", "criterion"),
    [(LeNet5(), 32, published_loss), (LeNet5Modern(), 28, optax.softmax_cross_entropy_with_integer_labels)],
    ids=["1998", "modern"],
)
def test_learns_digits(model, side, criterion):
    images, labels = digits(side)
    held_out = np.arange(len(images)) % 6 == 0
    x, y = images[~held_out], labels[~held_out]
    optimizer = optax.adam(0.003)
    params = jax.jit(model.init)(jax.random.key(0), x[:1])

    def loss(params, rows):
        return criterion(model.apply(params, x[rows], True), y[rows]).mean()

    @jax.jit
    def train(params):
        def step(carry, key):
            params, state = carry
            rows = jax.random.randint(key, (50,), 0, len(x))
            updates, state = optimizer.update(jax.grad(loss)(params, rows), state)
            return (optax.apply_updates(params, updates), state), None

        keys = jax.random.split(jax.random.key(1), 200)
        return jax.lax.scan(step, (params, optimizer.init(params)), keys)[0][0]

    @jax.jit
    def error(params):
        return (model.apply(params, images[held_out]).argmax(1) != labels[held_out]).mean()

    assert error(params) > 0.5
    assert error(train(params)) < 0.06
