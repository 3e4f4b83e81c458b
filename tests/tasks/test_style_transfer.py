import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import style_transfer as config_file
from dl.data.colour_transfer import luminance, match_colours, match_luminance, with_luminance
from dl.errors import UserError
from dl.evaluation import style
from dl.task import Evaluation
from dl.training.assembly import assemble
from dl.training.loop import train
from dl.training.progress import Progress
from dl.training.step import dispatch


def settings(**task):
    """A smoke configuration smaller still: two layers, 32 pixels, Adam."""
    config = config_file.get_config("smoke")
    config.update(steps=4, log_every=2, eval_every=0, checkpoint_every=0)
    config.optimizer.update(name="adam", learning_rate=0.03)
    config.task.update(size=32, content_layers=("fire2",), style_layers=("conv1", "fire2"))
    config.task.update(task)
    return config


def losses(experiment, params, variables):
    measured = evaluated(experiment, params, variables)[0]
    return {name: float(value) for name, (value, _) in measured.items()}


def evaluated(experiment, params, variables):
    step = experiment.task.evaluators["losses"].step
    return jax.jit(step)(params, variables, {"mask": jnp.ones(1, bool)}, jax.random.key(0))


def test_gram_matrix_by_hand():
    features = jnp.array([[[1.0, 2.0], [3.0, 4.0]]])
    np.testing.assert_allclose(style.gram(features, jnp.ones((1, 1, 2))), [[[5, 7], [7, 10]]])


def test_gram_matrices_of_regions_by_hand():
    features = jnp.array([[[1.0, 2.0], [3.0, 4.0]]])
    shares = jnp.array([[[1.0, 0.0]], [[0.5, 0.5]]])
    np.testing.assert_allclose(style.gram(features, shares), [[[1, 2], [2, 4]], [[5, 7], [7, 10]]])


def test_losses_by_hand():
    a, b = jnp.array([[[1.0, 2.0]]]), jnp.array([[[1.0, 4.0]]])
    assert float(style.content_loss(a, b, relative=False)) == 2.0
    assert float(style.content_loss(a, b, relative=True)) == pytest.approx(4 / 17)
    grams, targets, weights = jnp.eye(2)[None], jnp.zeros((1, 1, 2, 2)), jnp.ones((1, 1))
    assert float(style.style_loss(grams, targets, weights, relative=False)) == 2 / (4 * 2**2)
    assert float(style.style_loss(grams, 2 * jnp.eye(2)[None, None], weights, relative=True)) == pytest.approx(2 / 8)


def test_the_paper_s_style_loss_for_equal_sizes():
    """Eq. 4 with Gram matrices that are sums: 1 / (4 N^2 M^2) sum (G - A)^2."""
    f, g = (jax.random.normal(jax.random.key(seed), (3, 4, 5)) for seed in (0, 1))
    sums = [x.reshape(-1, 5).T @ x.reshape(-1, 5) for x in (f, g)]
    expected = float(jnp.square(sums[0] - sums[1]).sum() / (4 * 5**2 * 12**2))
    ones = jnp.ones((1, 3, 4))
    ours = style.style_loss(style.gram(f, ones), style.gram(g, ones)[None], jnp.ones((1, 1)), relative=False)
    assert float(ours) == pytest.approx(expected, rel=1e-5)


def test_total_variation_by_hand():
    pixels = jnp.array([[0.0, 1.0], [3.0, 2.0]])[..., None]
    assert float(style.total_variation(pixels)) == (9 + 1 + 1 + 1) / 4


def test_only_the_image_moves(tmp_path):
    experiment = assemble(settings())
    start = jax.device_get(experiment.initial_state())
    trained = train(experiment, tmp_path, Progress(4, enabled=False))
    assert list(start.params) == ["image"]
    jax.tree.map(np.testing.assert_array_equal, start.variables, jax.device_get(trained.state.variables))
    before, after = (np.asarray(s.params["image"]["pixels"]) for s in (start, trained.state))
    assert np.abs(after - before).max() > 0.01
    assert trained.evaluated["test"].metrics["loss"] < losses(experiment, *jax.tree.map(lambda x: x[0], start[2:4]))["loss"]


def test_replicas_are_the_single_runs():
    def painted(seed, replicas):
        config = settings(init="noise", noise=0.1)
        config.update(seed=seed, replicas=replicas)
        config.optimizer.update(name="sgd", learning_rate=1.0)
        experiment = assemble(config)
        state, task = experiment.initial_state(), experiment.task
        batches = {"step": jnp.arange(2)[:, None]}
        step = dispatch(task, task.phases[0], lambda constants, key, batch: batch, 1, 0.0)
        one = jax.jit(lambda s: step(s, {}, batches, jnp.int32(2))[0].params["image"]["pixels"])
        return [np.asarray(one(jax.tree.map(lambda x: x[r], state))) for r in range(replicas)]  # noqa: B023

    both = painted(0, 2)
    assert np.abs(both[0] - both[1]).max() > 0.05
    np.testing.assert_allclose(both[1], painted(1, 1)[0], atol=1e-5)


def test_content_inversion_from_conv1_with_lbfgs(tmp_path):
    """30 steps from noise bring the loss below a hundredth; it starts near 1, "as far as nothing at all"."""
    config = settings(styles=(), content_layers=("conv1",), init="noise", noise=0.1, total_variation=0.0)
    config.update(steps=30, log_every=10)
    config.optimizer.update(name="lbfgs", learning_rate=1.0)
    experiment = assemble(config)
    start = jax.tree.map(lambda x: x[0], jax.device_get(experiment.initial_state()))
    trained = train(experiment, tmp_path, Progress(30, enabled=False))
    assert trained.evaluated["test"].metrics["content"] < losses(experiment, *start[2:4])["content"] / 100


def test_styles_are_mixed_by_weight():
    state = jax.tree.map(lambda x: x[0], assemble(settings()).initial_state())

    def styled(styles, weights=()):
        experiment = assemble(settings(styles=styles, style_weights=weights))
        _, variables = experiment.task.init(jax.random.key(0))
        return losses(experiment, state.params, variables)["style"]

    flower, china = styled(("flower",)), styled(("china",))
    assert flower > 10 * china  # the start is china
    assert styled(("flower", "china"), (3.0, 1.0)) == pytest.approx(0.75 * flower + 0.25 * china, rel=1e-4)


def test_luminance_alone_keeps_the_colours():
    rgb = np.random.default_rng(0).random((4, 5, 3)).astype(np.float32)
    other = jax.random.uniform(jax.random.key(1), (4, 5, 1))
    made = with_luminance(rgb, other)
    np.testing.assert_allclose(luminance(made), other, atol=1e-6)
    for chrominance in ((0.596, -0.274, -0.322), (0.211, -0.523, 0.312)):  # I and Q
        np.testing.assert_allclose(made @ jnp.array(chrominance), rgb @ np.array(chrominance), atol=2e-6)


def test_matching_moments():
    rng = np.random.default_rng(0)
    a, b = rng.random((8, 9, 3)).astype(np.float32), (rng.random((7, 6, 3)) ** 2).astype(np.float32)
    made = match_colours(a, b)
    np.testing.assert_allclose(made.mean((0, 1)), b.mean((0, 1)), atol=1e-5)
    np.testing.assert_allclose(np.cov(made.reshape(-1, 3).T), np.cov(b.reshape(-1, 3).T), atol=1e-5)
    y = match_luminance(a[..., :1], b[..., :1])
    assert (y.mean(), y.std()) == pytest.approx((b[..., 0].mean(), b[..., 0].std()), abs=1e-6)


def test_a_painted_luminance_is_shown_in_the_content_s_colours():
    experiment = assemble(settings(colour="luminance"))
    params, variables = experiment.task.init(jax.random.key(0))
    assert params["image"]["pixels"].shape == (21, 32, 1)
    outputs = jax.device_get(evaluated(experiment, params, variables)[1])
    evaluation = Evaluation(outputs, lambda indices: {})
    made = experiment.task.render(params, variables, evaluation, jax.random.key(0))
    np.testing.assert_allclose(made["result"].pixels, made["content"].pixels, atol=1e-5)
    assert [row[0] for row in made["losses"].rows][-1] == "loss"


def draw(path, left, right, shape=(43, 64)):
    """A map of two colours, side by side."""
    from PIL import Image

    pixels = np.zeros((*shape, 3), np.uint8)
    pixels[:, : shape[1] // 2], pixels[:, shape[1] // 2 :] = left, right
    Image.fromarray(pixels).save(path)
    return str(path)


def test_a_doodle_s_region_acts_there_alone(tmp_path):
    """The red half's style moves the pixels that a conv1 window of that half sees, all of them, and no others."""
    red, blue = (255, 0, 0), (0, 0, 255)
    content, other = draw(tmp_path / "content.png", red, blue), draw(tmp_path / "style.png", blue, red)
    maps = {"content_map": content, "style_maps": (other,)}
    experiment = assemble(settings(size=64, style_layers=("conv1",), content_weight=0.0, total_variation=0.0, **maps))
    params, variables = experiment.task.init(jax.random.key(0))
    shares = np.asarray(variables["shares"]["conv1"])  # [2, 18, 29]
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-6)
    region = int(shares[1, 0, 0] == 1)  # the label of the left half

    def of_region(pixels):
        only = jnp.arange(2) == region
        one = {name: {"conv1": variables[name]["conv1"] * only[..., None, None]} for name in ("style", "shares")}
        loss = experiment.task.objectives["paint"].value
        return loss({"image": {"pixels": pixels}}, {**variables, **one}, {}, jax.random.key(0))[0]

    gradient = np.abs(np.asarray(jax.jit(jax.grad(of_region))(params["image"]["pixels"]))).max(axis=(0, 2))
    last = np.flatnonzero(shares[region].max(axis=0)).max()  # its last column of cells: windows of 7, two apart
    assert gradient[: 2 * last + 7].min() > 0
    assert gradient[2 * last + 7 :].max() == 0


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"content": "nowhere.jpg"}, "image nowhere.jpg is missing"),
        ({"content": "", "styles": ()}, "needs task.content"),
        ({"style_layers": ("conv2",)}, "unknown layer of squeezenet 'conv2'.*Choices: .*fire9"),
        ({"style_weights": (1.0, 2.0)}, "style_weights must be 1 numbers"),
        ({"content_layer_weights": (-1.0,)}, "content_layer_weights must be 1"),
        ({"colour": "lumiance"}, "Did you mean 'luminance'"),
        ({"init": "style", "styles": ()}, "there is no style given"),
        ({"size": 5}, "7x7 convolution does not fit images of 3x5"),
        ({"size": 16, "style_layers": ("conv1", "fire9")}, "does not fit features|too small"),
        ({"weights": "nowhere.npz"}, "file of weights nowhere.npz is missing"),
        ({"content_map": "flower"}, "maps go together"),
    ],
)
def test_bad_input(task, message):
    with pytest.raises(UserError, match=message):
        assemble(settings(**task)).initial_state()


def test_a_network_that_can_t_be_looked_into():
    config = settings()
    config.model = {"name": "lenet5_modern"}
    with pytest.raises(UserError, match="lenet5_modern can't be looked into"):
        assemble(config)


def test_weights_of_another_network(tmp_path):
    np.savez(tmp_path / "a.npz", **{"conv1/weight": np.zeros((64, 3, 3, 3)), "conv1/bias": np.zeros(96)})
    with pytest.raises(UserError, match=r"wrong shape: features.0.weight is 64x3x3x3 and should be 96x3x7x7"):
        assemble(settings(weights=str(tmp_path / "a.npz")))
    config = settings(weights=str(tmp_path / "a.npz"), content_layers=("conv1_1",), style_layers=("conv1_1",))
    config.model = {"name": "vgg19"}
    with pytest.raises(UserError, match="do not fit vgg19: missing: features.0"):
        assemble(config)


def test_a_layer_without_places():
    config = settings(content_layers=("fc6",), styles=())
    config.model = {"name": "vgg16"}
    with pytest.raises(UserError, match="fc6 of vgg16 has no places"):
        assemble(config)


def test_a_colour_that_no_style_has(tmp_path):
    content = draw(tmp_path / "content.png", (255, 0, 0), (0, 0, 255))
    other = draw(tmp_path / "style.png", (255, 0, 0), (0, 255, 0))
    with pytest.raises(UserError, match=r"colour \(0, 0, 255\) of .* is in no style's map"):
        assemble(settings(content_map=content, style_maps=(other,)))


def test_layers_count_by_their_weights():
    """Content weights 3 and 1 are 3/4 and 1/4, style weights likewise; the whole is what is minimised."""
    task = {"content_layers": ("conv1", "fire2"), "content_layer_weights": (3.0, 1.0), "style_layer_weights": (1.0, 3.0)}
    experiment = assemble(settings(**task, content_weight=2.0, style_weight=5.0, total_variation=0.5))
    state = jax.tree.map(lambda x: x[0], experiment.initial_state())
    other = jax.tree.map(lambda p: p[::-1], state.params)  # upside down, so that nothing is 0
    found = losses(experiment, other, state.variables)
    assert found["content"] == pytest.approx(0.75 * found["content/conv1"] + 0.25 * found["content/fire2"], rel=1e-5)
    assert found["style"] == pytest.approx(0.25 * found["style/conv1"] + 0.75 * found["style/fire2"], rel=1e-5)
    whole = 2 * found["content"] + 5 * found["style"] + 0.5 * found["total_variation"]
    assert found["loss"] == pytest.approx(whole, rel=1e-5) and min(found.values()) > 0
