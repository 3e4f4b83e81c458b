"""Super-resolution: the losses, what is measured, the phases, the snapshot of the first one, and that a net learns."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict
from skimage.metrics import peak_signal_noise_ratio

from configs import set5_srcnn, set5_srgan
from dl.dataset import Resources
from dl.errors import UserError
from dl.evaluation.image_quality import luminance
from dl.layers import bicubic
from dl.models.srresnet import Discriminator, SRResNet
from dl.tasks import adversarial, super_resolution
from dl.tasks.super_resolution import Settings, SuperResolution, squared_error
from dl.training.assembly import assemble
from dl.transfer.feature_network import Network


def test_the_error_is_that_of_the_middle_where_less_was_made():
    original = jnp.arange(36.0).reshape(1, 6, 6, 1)
    middle = original[:, 2:4, 2:4]
    made = middle + jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    np.testing.assert_allclose(squared_error(made, original), [30 / 4])
    np.testing.assert_allclose(squared_error(original + 2, original), [4.0])


def learner(**task) -> SuperResolution:
    net = SRResNet(channels=3, width=4, blocks=1)
    network = Network(Twice(), ("fire4",), jnp.zeros(3), jnp.ones(3), {})
    return SuperResolution(net, Discriminator(width=2, stages=1, dense=8), network, 4, 32, Settings(**task))


class Twice:
    """A network whose features are the pixels twice over."""

    def apply(self, variables, pixels, layers, method):
        return {"fire4": 2 * pixels}


def batch(count: int = 4) -> dict[str, jax.Array]:
    random = np.random.default_rng(0)
    images = random.random((count, 32, 32, 3)).astype(np.float32)
    low = np.stack([bicubic.resized(image.astype(np.float64), (8, 8)) for image in images]).astype(np.float32)
    return {"image": jnp.asarray(images), "low": jnp.asarray(low)}


def test_the_generators_loss_is_the_weighted_sum_of_the_papers_equation():
    chosen = learner(adversarial=0.5, perceptual=3.0, pixel=2.0)
    params, variables = jax.jit(chosen.init)(jax.random.key(0))

    @jax.jit
    def both(params, variables, data):
        net = {"params": params["generator"], **variables["generator"]}
        made, _ = chosen.generator.apply(net, data["low"], train=True, mutable=["batch_stats"])
        opponent = {"params": params["discriminator"], **variables["discriminator"]}
        scores, _ = chosen.discriminator.apply(opponent, made, train=True, mutable=["batch_stats"])
        return chosen.game.generate(params, variables, data, jax.random.key(1)), made, scores

    data = batch()
    ((total, count), (after, metrics)), made, scores = both(params, variables, data)
    values = {name: float(pair[0] / pair[1]) for name, pair in metrics.items()}
    assert values["perceptual"] == pytest.approx(4 * values["squared_error"], rel=1e-5)
    expected = 0.5 * values["generator_loss"] + 3 * values["perceptual"] + 2 * values["squared_error"]
    assert float(total / count) == pytest.approx(expected, rel=1e-5)
    assert values["squared_error"] == pytest.approx(float(np.square(made - data["image"]).mean()), rel=1e-4)
    assert values["generator_loss"] == pytest.approx(float(adversarial.generator_loss(scores).mean()), rel=1e-4)
    jax.tree.map(np.testing.assert_array_equal, after["discriminator"], variables["discriminator"])
    jax.tree.map(np.testing.assert_array_equal, after["pixels"], variables["pixels"])


def test_what_is_measured_is_the_luminance_without_the_rim_in_images_of_several_sizes():
    net = SRResNet(channels=3, width=4, blocks=1, direct=True)
    chosen = SuperResolution(net, None, None, 4, 32, Settings())
    params, variables = jax.jit(chosen.init)(jax.random.key(0))
    data = batch(2)
    sizes = jnp.array([[8, 6], [7, 8]], jnp.int32)
    given = {**data, "size": sizes, "grey": jnp.array([False, True]), "mask": jnp.array([True, True])}
    sums, outputs = jax.jit(chosen.evaluate)(params, variables, given, jax.random.key(0))
    for row, (height, width) in enumerate((4 * sizes).tolist()):
        low = np.asarray(data["low"])[row, : height // 4, : width // 4].astype(np.float64)
        made = np.clip(bicubic.resized(low, (height, width)), 0, 1).astype(np.float32)
        original = np.asarray(data["image"])[row, :height, :width]
        y = [x[..., :1] if row else np.asarray(luminance(jnp.asarray(x))) for x in (original, made)]
        inner = [x[4:-4, 4:-4] for x in y]
        expected = peak_signal_noise_ratio(*inner, data_range=1)
        assert float(outputs["bicubic_psnr"][row]) == pytest.approx(expected, abs=1e-3)
    total, count = sums["psnr"]
    assert count == 2 and float(total) == pytest.approx(float(outputs["psnr"].sum()), rel=1e-6)
    assert not np.allclose(outputs["psnr"], outputs["bicubic_psnr"])


def test_colours_of_a_net_of_the_luminance_are_bicubic():
    task = Settings(colour="luminance")
    net = SRResNet(channels=1, width=4, blocks=1, norm=False, direct=True, skip=True)
    chosen = SuperResolution(net, None, None, 4, 32, task)
    low = batch(1)["low"]

    @jax.jit
    def enlarge(low):
        params, variables = chosen.init(jax.random.key(0))
        return chosen.enlarge({"params": params["generator"], **variables["generator"]}, low)

    expected = bicubic.resized(np.asarray(low[0], np.float64), (32, 32)).clip(0, 1)
    np.testing.assert_allclose(enlarge(low)[0], expected, atol=2e-4)  # it begins as bicubic


def test_three_phases_of_one_run_the_last_at_a_tenth_of_the_rate():
    config = set5_srgan.get_config("smoke")
    config.task.phases = (0.5, 0.25, 0.25)
    task = assemble(config).task
    assert [(phase.steps, phase.objectives) for phase in task.phases] == [(4, ("pixels",)), (4, ("discriminator", "generator"))]
    metrics = {f"{way}{name}" for way in ("", "bicubic_", "pixels_") for name in ("psnr", "ssim")}
    assert set(task.evaluators["quality"].metrics) == metrics
    params = {"generator": {"kernel": jnp.ones(2)}}
    optimizer = task.objectives["generator"].optimizer
    state, rates = optimizer.init(params), []
    for _ in range(4):
        _, state = optimizer.update(params, state, params)
        rates.append(float(state.learning_rate))
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5])


def test_what_the_first_phase_ends_with_is_kept():
    chosen = learner()
    params, variables = jax.jit(chosen.init)(jax.random.key(0))
    _, (after, _) = jax.jit(chosen.loss)(params, variables, batch(), jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, after["pixels"]["params"], params["generator"])
    jax.tree.map(np.testing.assert_array_equal, after["pixels"]["batch_stats"], after["generator"]["batch_stats"])
    changed = jax.tree.map(lambda a, b: np.abs(a - b).max(), after["pixels"]["batch_stats"], variables["pixels"]["batch_stats"])
    assert min(jax.tree.leaves(changed)) > 0


def test_a_net_learns_to_be_better_than_bicubic_interpolation():
    """The skip begins as bicubic; edges of an image of stripes are then sharpened."""
    columns = (np.arange(64) // 7) % 2
    image = np.broadcast_to(columns[None, None, :, None], (1, 64, 64, 1)).astype(np.float32) * 0.8 + 0.1
    low = bicubic.resized(image[0].astype(np.float64), (16, 16))[None].astype(np.float32)
    net = SRResNet(channels=1, width=8, blocks=1, norm=False, direct=True, skip=True)
    params, optimizer = jax.jit(net.init)(jax.random.key(0), jnp.asarray(low)), optax.adam(5e-3)

    def loss(params):
        return squared_error(net.apply(params, jnp.asarray(low), train=True), jnp.asarray(image)).mean()

    @jax.jit
    def step(params, state):
        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    state, values = jax.jit(optimizer.init)(params), []
    for _ in range(60):
        params, state, value = step(params, state)
        values.append(float(value))
    before = np.square(bicubic.resized(low[0].astype(np.float64), (64, 64)) - image[0]).mean()
    assert values[0] == pytest.approx(before, rel=1e-4)
    assert values[-1] < 0.5 * before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": {"colour": "green"}}, "colour"),
        ({"task": {"phases": (0.5, 0.0, 0.0)}}, "three shares of the steps"),
        ({"task": {"phases": (0.5, 0.0, 0.5)}}, "no game"),
        ({"task": {"phases": (0.5, 0.5, 0.0)}}, "no adversary"),
        ({"task": {"border": -1}}, "must not be negative"),
        ({"model": {"name": "mlp"}}, "does not enlarge"),
        ({"task": {"border": 40}}, "has 76x80 pixels; to be measured it needs 91"),
        ({"dataset": {"size": (64, 64)}}, "keep their sizes"),
    ],
)
def test_mistakes_are_clear_lines(change, message):
    config = set5_srcnn.get_config("smoke")
    for section, values in change.items():
        if "name" in values:
            config[section] = ConfigDict(values)
        config[section].update(values)
    with pytest.raises(UserError, match=message) as error:
        assemble(config)
    assert "\n" not in str(error.value)


def test_other_data_are_refused():
    config = set5_srcnn.get_config("smoke")
    info = assemble(config).dataset.info._replace(features={})
    with pytest.raises(UserError, match="images beside smaller ones"):
        super_resolution.build(config, Resources(info), 3)
