"""The game of Goodfellow et al. 2014: its value, its losses, who moves when; and that it finds all modes of a mixture."""

import shutil

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from dl.data.load import load
from dl.dataset import Resources
from dl.errors import UserError
from dl.models.gan_mlp import Players
from dl.tasks import adversarial
from dl.training.assembly import Experiment, assemble
from dl.training.step import descend
from tests.training.tasks import experiment, hashes, image_dataset, run, settings


def toy(**task) -> ConfigDict:
    """A small game on eight Gaussians."""
    config = settings(steps=3, batch_size=16, eval_batch_size=2000, checkpoint_every=0)
    config.dataset = ConfigDict(
        {
            **config.dataset.to_dict(),
            "name": "gaussian_mixture",
            "layout": "ring",
            "components": 8,
            "radius": 2.0,
            "deviation": 0.1,
        }
    )
    config.model = ConfigDict({"name": "gan_mlp", "latent": 4, "generator": (16,), "discriminator": (16,), "pieces": 1})
    config.model.update(output="identity", generator_scale=0.0, discriminator_scale=0.0, dropout=0.0, input_dropout=0.0)
    config.task = ConfigDict({"name": "adversarial", **task})
    config.optimizer = ConfigDict({"name": "adam", "learning_rate": 1e-3, "b1": 0.5})
    return config


def images(**model) -> ConfigDict:
    """A tiny DCGAN, conditional on the class, on the embedded digits of 8x8 pixels."""
    config = toy(label_smoothing=0.1)
    config.dataset.update(name="digits", mean=(0.5,), std=(0.5,))
    config.dataset.splits = ConfigDict({"train": "train", "test": "test[:50]"})
    config.model = ConfigDict({"name": "dcgan", "width": 4, "latent": 8, "conditional": True, **model})
    config.eval_batch_size = 24
    return config


def test_the_value_is_minus_log_4_where_the_discriminator_can_only_guess():
    np.testing.assert_allclose(adversarial.value(jnp.zeros(3), jnp.zeros(3)), -np.log(4), rtol=1e-6)


def test_the_best_discriminator_measures_the_jensen_shannon_divergence():
    # Proposition 1 and the proof of theorem 1: D* = p / (p + q) and V(D*, G) = -log 4 + 2 JSD(p, q).
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    scores = jnp.asarray(np.log(p / q), jnp.float32)  # the logits of D*

    def game(scores):
        return (p * jax.nn.log_sigmoid(scores) + q * jax.nn.log_sigmoid(-scores)).sum()

    m = (p + q) / 2
    divergence = 0.5 * (p * np.log(p / m)).sum() + 0.5 * (q * np.log(q / m)).sum()
    losses_of_real, losses_of_fake = (adversarial.value(scores, jnp.zeros(3)), adversarial.value(jnp.zeros(3), scores))
    expected = (p * (losses_of_real + np.log(2))).sum() + (q * (losses_of_fake + np.log(2))).sum()
    np.testing.assert_allclose(expected, -np.log(4) + 2 * divergence, rtol=1e-5)
    np.testing.assert_allclose(jax.grad(game)(scores), 0, atol=1e-6)


def test_the_saturating_loss_has_no_gradient_where_the_discriminator_is_sure():
    score = jnp.array([-5.0])  # D(G(z)) = 0.0067
    gradient = {k: jax.grad(lambda s, k=k: adversarial.generator_loss(s, k).sum())(score)[0] for k in adversarial.LOSSES}
    d = 1 / (1 + np.exp(5))
    assert gradient["saturating"] == pytest.approx(-d, rel=1e-5)
    assert gradient["non_saturating"] == pytest.approx(-(1 - d), rel=1e-5)


def test_one_sided_smoothing_moves_the_best_answer_for_real_examples_alone():
    d = 0.9
    score = jnp.log(jnp.array([d / (1 - d)]))
    gradient = jax.grad(lambda s: adversarial.discriminator_loss(s, jnp.zeros(1), 0.1).sum())(score)
    assert gradient[0] == pytest.approx(0, abs=1e-6)
    plain, smooth = (adversarial.discriminator_loss(jnp.zeros(2), jnp.array([-1.0, 2.0]), s) for s in (0.0, 0.1))
    np.testing.assert_allclose(plain, smooth, rtol=1e-6)  # at D(x) = 1/2 both targets cost log 2


def test_the_discriminators_loss_by_hand():
    """D(x) = 3/4 and D(G(z)) = 1/5: -log 3/4 - log 4/5; smoothed by 0.1, -0.9 log 3/4 - 0.1 log 1/4 - log 4/5."""
    real, fake = jnp.log(jnp.array([3.0])), jnp.log(jnp.array([1 / 4]))
    assert float(adversarial.discriminator_loss(real, fake)[0]) == pytest.approx(-np.log(3 / 4 * 4 / 5), rel=1e-5)
    smoothed = -0.9 * np.log(3 / 4) - 0.1 * np.log(1 / 4) - np.log(4 / 5)
    assert float(adversarial.discriminator_loss(real, fake, 0.1)[0]) == pytest.approx(smoothed, rel=1e-5)


class Ones(nn.Module):
    """A generator that makes ones of everything, normalised: nothing in training, something by its running statistics."""

    @nn.compact
    def __call__(self, z, label=None, train=False):
        x = nn.Dense(64, kernel_init=nn.initializers.zeros, bias_init=nn.initializers.ones)(z)
        return nn.BatchNorm(use_running_average=not train, momentum=0.9)(x).reshape(-1, 8, 8, 1)


class NormalisedDiscriminator(nn.Module):
    @nn.compact
    def __call__(self, x, label=None, train=False):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x.reshape(len(x), -1))
        return nn.Dense(1)(x)[:, 0]


class Nothing:
    """A view that measures nothing."""

    def outputs(self, real, fake):
        return {"real": real}

    def metrics(self, conditional):
        return {}

    def summarize(self, outputs, conditional):
        return {}


def test_statistics_see_real_then_fake_and_a_run_measures_with_them_each_image_once(tmp_path):
    """Only running statistics move; the numbers are NumPy's. The 50 test images end in a batch of 2, and 22 that pad."""
    data, frozen = image_dataset(), {name: optax.set_to_zero() for name in ("generator", "discriminator")}
    task = adversarial.Adversarial(
        Players(Ones(), NormalisedDiscriminator(), 3), data.info, Nothing(), adversarial.Settings()
    ).task(frozen, 1)
    trained = run(experiment(task, settings(steps=1, batch_size=64), dataset=data), tmp_path / "run")
    params, variables = jax.tree.map(lambda x: np.asarray(x)[0], (trained.state.params, trained.state.variables))
    real, test = (data.splits[name].features["image"].reshape(-1, 64) / 255 - 0.5 for name in ("train", "test"))
    seen = variables["discriminator"]["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(seen["mean"], 0.9 * (0.1 * real.mean(0)) + 0.1 * 0, atol=1e-6)  # of the fake ones it is 0
    made = variables["generator"]["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(made["mean"], 0.1, rtol=1e-5)

    def chance(x):
        dense = params["discriminator"]["Dense_0"]
        scores = (x - seen["mean"]) / np.sqrt(seen["var"] + 1e-5) @ dense["kernel"] + dense["bias"]
        return (1 / (1 + np.exp(-scores))).mean()

    measured = {name: values[0] for name, values in trained.evaluated["test"].metrics.items()}
    assert measured["d_real"] == pytest.approx(chance(test), rel=1e-4)
    assert measured["d_fake"] == pytest.approx(chance((1 - made["mean"]) / np.sqrt(made["var"] + 1e-5)), rel=1e-4)


@pytest.mark.parametrize("steps", [1, 3])
def test_so_many_steps_of_the_discriminator_for_one_of_the_generator(steps, tmp_path):
    trained = run(assemble(toy(discriminator_steps=steps)), tmp_path / "run")
    assert int(trained.state.opt_state["discriminator"].count[0]) == 3 * steps
    assert int(trained.state.opt_state["generator"].count[0]) == 3


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("mover", ["generator", "discriminator"])
def test_a_player_moves_nothing_of_the_other(mover, spectral_norm):
    config = images(spectral_norm=spectral_norm)
    config.dataset.update(size=(16, 16), fit="resize")  # two stages, the second of which is normalised
    chosen = assemble(config)
    state = jax.tree.map(lambda x: x[0], chosen.initial_state())
    digits = chosen.dataset.splits["train"].gather(np.arange(8))
    batch = {"image": jnp.float32(digits["image"] / 127.5 - 1), "label": jnp.asarray(digits["label"])}
    move = jax.jit(lambda s, k: descend(chosen.task.objectives[mover], mover, s, batch, k, 1)[0])
    after = move(state, jax.random.key(1))
    other = "discriminator" if mover == "generator" else "generator"
    for tree in ("params", "variables"):
        before, now = getattr(state, tree), getattr(after, tree)
        jax.tree.map(np.testing.assert_array_equal, before[other], now[other])
        moved = jax.tree.map(lambda a, b: not np.array_equal(a, b), before[mover], now[mover])
        assert any(jax.tree.leaves(moved)) and (tree == "variables" or all(jax.tree.leaves(moved)))


def test_images_are_learned_the_same_on_eight_devices_and_after_a_stop(tmp_path):
    def on(devices: int) -> Experiment:
        config = images()
        config.checkpoint_every = 2
        assembled = assemble(config)
        return experiment(assembled.task, config, devices, assembled.dataset)

    one, eight = run(on(1), tmp_path / "one"), run(on(8), tmp_path / "eight")
    for a, b in zip(jax.tree.leaves(one.state.params), jax.tree.leaves(eight.state.params), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=2e-5)
    metrics = {name: values[0] for name, values in one.evaluated["test"].metrics.items()}
    assert {"value", "frechet_random", "nearest", "nearest_real", "neighbour_error"} <= set(metrics)
    assert metrics["nearest"] > 0 and 0.5 < metrics["neighbour_error"] <= 1  # nothing was learned yet
    np.testing.assert_allclose(metrics["value"], eight.evaluated["test"].metrics["value"][0], atol=1e-4)
    shutil.rmtree(tmp_path / "one" / "checkpoints" / "3")
    (tmp_path / "one" / "metrics.jsonl").write_text("")
    assert hashes(run(on(1), tmp_path / "one")) == hashes(one)


@pytest.mark.slow
def test_the_mixture_is_learned_with_all_its_modes(tmp_path):
    config = toy(discriminator_steps=2)
    config.update(steps=2500, batch_size=256, steps_per_dispatch=100, log_every=500, ema=0.99)
    config.model.update(latent=8, generator=(64, 64), discriminator=(64, 64))
    config.optimizer.schedule = ConfigDict({"name": "cosine"})
    metrics = {k: float(v[0]) for k, v in run(assemble(config), tmp_path / "run").evaluated["test"].metrics.items()}
    assert metrics["modes"] == 8 and metrics["inside"] > 0.75
    assert metrics["value"] == pytest.approx(-np.log(4), abs=0.15)  # 0 where the discriminator tells them apart
    assert metrics["mixture_modes"] == 8 and metrics["mixture_inside"] > 0.97


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": {"loss": "wasserstein"}}, "unknown loss of the generator 'wasserstein'.*saturating"),
        ({"task": {"discriminator_steps": 0}}, "discriminator_steps=0 must be at least 1"),
        ({"task": {"label_smoothing": 1.0}}, "label_smoothing=1.0 at least 0 and below 1"),
        ({"task": {"temperature": 1.0}}, "unknown setting of the task adversarial 'temperature'"),
        ({"model": {"name": "mlp"}}, "needs a model of two players, and mlp is none"),
        ({"model": {"prior": "cauchy"}}, "unknown prior 'cauchy'"),
        ({"model": {"name": "dcgan"}}, "square images with a side of 4 to 7 times a power of two .*, got 2"),
    ],
)
def test_mistakes_are_clear_lines(change, message):
    config = toy()
    for section, values in change.items():
        config[section] = ConfigDict({**config[section].to_dict(), **values})
        if section == "model" and values.get("name", "gan_mlp") != "gan_mlp":
            config.model = ConfigDict(values)
    with pytest.raises(UserError, match=message):
        assemble(config)


def test_a_feature_extractor_that_is_no_classifier_of_these_data_is_a_clear_line(tmp_path):
    config = images()
    config.task.classifier = str(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"config.task.classifier=.*nothing: .*holds no run"):
        assemble(config)


def test_a_conditional_game_needs_labels(shared_data):
    config = images()
    config.dataset.update(name="celeba", size=(8, 8))
    config.dataset.splits = ConfigDict({"train": "test", "test": "test"})
    dataset = load(config.dataset, manual_dir=str(shared_data))
    with pytest.raises(UserError, match="a conditional GAN needs labelled data"):
        adversarial.build(config, Resources(dataset.info), 3)
