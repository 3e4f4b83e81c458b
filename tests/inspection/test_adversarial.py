import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.inspection import adversarial
from dl.inspection.adversarial import accuracy_curve, fgsm, pgd
from dl.inspection.class_maximisation import Ascent, maximise
from dl.inspection.gradients import scores_and_gradient
from tests.inspection.nets import Linear, Pooled, images, network

LABELS = jnp.array([2, 0])
INNER = 0.25 + 0.5 * images()  # epsilons up to 0.25 meet no bound


def loss_gradient(net):
    both = net.compiled(scores_and_gradient)
    return lambda images, labels: both(images, labels, True)[1]


def test_fgsm_moves_every_pixel_by_epsilon():
    net = network(Pooled())
    moved = fgsm(loss_gradient(net), INNER, LABELS, 0.1)
    np.testing.assert_allclose(np.abs(moved - INNER), 0.1, atol=1e-6)
    at_the_edge = fgsm(loss_gradient(net), jnp.ones_like(INNER), LABELS, 0.1)
    assert at_the_edge.max() == 1 and at_the_edge.min() == pytest.approx(0.9)


def test_a_linear_score_changes_by_epsilon_times_the_weights_l1_norm():
    """Goodfellow et al. 2015, section 3: w . sign(w) = |w|_1, with the logistic loss of two classes."""
    net = network(Linear(2))
    weights = net.variables["params"]["dense"]["kernel"] @ jnp.array([1.0, -1.0])
    labels = jnp.array([0, 0])

    def margin(images):
        return net.scores(net.variables, images) @ jnp.array([1.0, -1.0])

    moved = fgsm(loss_gradient(net), INNER, labels, 0.05)
    np.testing.assert_allclose(margin(INNER) - margin(moved), 0.05 * jnp.abs(weights).sum(), rtol=1e-4)


@pytest.mark.parametrize("epsilon", [0.03, 0.4])
def test_pgd_stays_in_the_ball_and_in_0_to_1(epsilon):
    net = network(Pooled())
    moved = pgd(loss_gradient(net), images(), LABELS, epsilon, jax.random.key(0), 5)
    assert float(jnp.abs(moved - images()).max()) <= epsilon + 1e-6
    assert float(moved.min()) >= 0 and float(moved.max()) <= 1


def test_pgd_is_at_least_as_bad_as_fgsm_and_reaches_the_corner_of_a_linear_net():
    linear, net = network(Linear(2)), network(Pooled())
    far, near = (f(loss_gradient(linear), INNER, jnp.array([0, 0]), 0.1) for f in (_pgd, fgsm))
    np.testing.assert_allclose(far, near, atol=1e-6)  # there the gradient's sign is the same everywhere

    def loss(x):
        return -jnp.take_along_axis(jax.nn.log_softmax(net.scores(net.variables, x)), LABELS[:, None], axis=1)[:, 0]

    moved = {f: f(loss_gradient(net), INNER, LABELS, 0.2) for f in (_pgd, fgsm)}
    assert (loss(moved[_pgd]) >= loss(moved[fgsm]) - 1e-6).all()
    assert (loss(moved[fgsm]) > loss(INNER)).all()


def _pgd(gradient, images, labels, epsilon):
    return pgd(gradient, images, labels, epsilon, jax.random.key(0), 20)


@pytest.fixture(scope="module")
def digits():
    """A small net with a ReLU, trained on scikit-learn's digits by plain gradient descent; images and labels not learned."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x, y = jnp.asarray(data.images[..., None] / 16, jnp.float32), jnp.asarray(data.target)
    keys = jax.random.split(jax.random.key(0))
    params = [
        jax.random.normal(key, shape) * (2 / shape[0]) ** 0.5 for key, shape in zip(keys, ((64, 32), (32, 10)), strict=True)
    ]

    def scores(params, images):
        return jax.nn.relu(images.reshape(len(images), -1) @ params[0]) @ params[1]

    def loss(params):
        return -jnp.take_along_axis(jax.nn.log_softmax(scores(params, x[:1400])), y[:1400, None], axis=1).mean()

    descend = jax.jit(lambda _, params: jax.tree.map(lambda p, g: p - 0.5 * g, params, jax.grad(loss)(params)))
    params = jax.lax.fori_loop(0, 300, descend, params)
    return lambda images: scores(params, images), x[1400:], y[1400:]


def test_accuracy_falls_with_epsilon_and_pgd_is_the_stronger(digits):
    scores, x, y = digits
    gradient = jax.jit(lambda images, labels: scores_and_gradient(scores, images, labels, True)[1])
    epsilons = (0.0, 0.02, 0.05, 0.1, 0.2)
    found = accuracy_curve(scores, gradient, x, y, epsilons, jax.random.key(0))
    assert found.accuracy["fgsm"][0] == found.accuracy["pgd"][0] == float((scores(x).argmax(-1) == y).mean()) > 0.85
    for method in ("fgsm", "pgd"):
        assert (np.diff(found.accuracy[method]) < 0).all() and (np.diff(found.probability[method]) < 0).all()
        assert found.accuracy[method][-1] < 0.1
    assert (found.accuracy["pgd"] <= found.accuracy["fgsm"]).all()
    assert [len(found.images["pgd"]), found.images["pgd"][1].shape] == [5, x.shape]


def test_class_maximisation_of_a_linear_net_drives_every_pixel_to_its_bound():
    """The score is largest where each pixel is 1 or 0 by the sign of its weight."""
    net = network(Linear(), (6, 6, 1))
    both = net.compiled(scores_and_gradient)
    settings = Ascent(steps=30, rate=0.1, decay=0.0, jitter=0, blur=0.0)
    found, own = maximise(
        lambda x, labels: both(x, labels, False), LABELS, (6, 6, 1), jnp.array([0.5]), jax.random.key(0), settings
    )
    weights = net.variables["params"]["dense"]["kernel"].T[LABELS].reshape(2, 6, 6, 1)
    clear = np.abs(weights) > 0.1
    assert clear.mean() > 0.4
    np.testing.assert_array_equal(np.asarray(found)[clear], (np.asarray(weights) > 0)[clear])
    np.testing.assert_allclose(own, net.scores(net.variables, found)[jnp.arange(2), LABELS], rtol=1e-5)


def test_class_maximisation_raises_the_score_by_much():
    net = network(Pooled(), (16, 16, 3))
    both = net.compiled(scores_and_gradient)
    mean = jnp.full(3, 0.5)
    found, own = maximise(
        lambda x, labels: both(x, labels, False), LABELS, (16, 16, 3), mean, jax.random.key(0), Ascent(steps=20, jitter=2)
    )
    before = net.scores(net.variables, jnp.broadcast_to(mean, (2, 16, 16, 3)))[jnp.arange(2), LABELS]
    assert (own > before + 0.1).all() and found.min() >= 0 and found.max() <= 1


def test_no_method_changes_the_images_that_it_is_given():
    net, before = network(Pooled()), np.array(INNER)
    assert adversarial.fgsm(loss_gradient(net), INNER, LABELS, 0.0).tolist() == before.tolist()
    pgd(loss_gradient(net), INNER, LABELS, 0.1, jax.random.key(0), 2)
    np.testing.assert_array_equal(INNER, before)
