"""Generative adversarial nets: a game of two players (Goodfellow et al. 2014).

    min over G, max over D of  V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))]                                              (eq. 1)

D(x) is the logistic function of the discriminator's score. Where the generator's distribution is that of the data, the best D
is 1/2 everywhere and V = -log 4 = -1.386 (theorem 1). A step is k steps of the discriminator, then one of the generator
(algorithm 1); the k see the same examples, each with noise of its own.

    discriminator   maximises V; with one-sided label smoothing s, (1 - s) log D(x) + s log(1 - D(x)) stands in place of
                    log D(x) (Salimans et al. 2016, section 3.4)
    generator       saturating: minimises log(1 - D(G(z))); non_saturating: maximises log D(G(z)) (section 3)

Batches hold `image` [B, H, W, C] or `point` [B, d], and `label` [B] where the players are conditional on it. What the generator
starts from is not the game's affair (`Game`): noise here, a small image in `super_resolution`.

Batch normalisation: real and generated examples go through the discriminator in batches of their own (Radford et al. 2016).
Each player's running statistics are changed by its own steps alone; the discriminator's see the real, then the generated batch,
so that they average both. Evaluation uses the running statistics, and the averaged parameters where `config.ema` keeps them.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact
from dl.dataset import Info, Resources
from dl.errors import UserError, unknown
from dl.evaluation import feature_extractor, generated_images, generated_points
from dl.metric import NEITHER
from dl.models import build as models
from dl.models.gan_mlp import Players
from dl.task import Batch, Evaluation, Evaluator, Measurement, Metrics, Objective, Outcome, Phase, Task, Tree, mean, means
from dl.training import optimizers
from dl.transfer import trained_classifier

Scores = Float[Array, " batch"]  # logits of D
LOSSES = ("non_saturating", "saturating")


class Settings(NamedTuple):
    """`config.task`.

    loss: name of the generator's loss, "non_saturating" or "saturating".
    discriminator_steps: number of the discriminator's steps for each of the generator (k).
    label_smoothing: one-sided label smoothing, at least 0 and below 1.
    discriminator_optimizer: settings that replace those of `config.optimizer` for the discriminator.
    classifier: workdir of a trained classifier whose features measure images; without one, fixed random features do.
    confident: probability above which the classifier counts as sure.
    parzen: whether likelihoods are estimated with Parzen windows.
    """

    loss: str = "non_saturating"
    discriminator_steps: int = 1
    label_smoothing: float = 0.0
    discriminator_optimizer: Mapping[str, Any] = {}
    classifier: str = ""
    confident: float = 0.9
    parzen: bool = False


def value(real: Scores, fake: Scores) -> Float[Array, " batch"]:
    """The mean of this is V(D, G): log D(x) + log(1 - D(G(z)))."""
    return jax.nn.log_sigmoid(real) + jax.nn.log_sigmoid(-fake)


def discriminator_loss(real: Scores, fake: Scores, smoothing: float = 0.0) -> Float[Array, " batch"]:
    """-V, with the target 1 - smoothing for real examples."""
    kept = (1 - smoothing) * jax.nn.log_sigmoid(real) + smoothing * jax.nn.log_sigmoid(-real)
    return -kept - jax.nn.log_sigmoid(-fake)


def generator_loss(fake: Scores, kind: str = "non_saturating") -> Float[Array, " batch"]:
    """-log D(G(z)), or, saturating, log(1 - D(G(z)))."""
    return -jax.nn.log_sigmoid(fake) if kind == "non_saturating" else jax.nn.log_sigmoid(-fake)


def standing(real: Scores, fake: Scores, mask: jax.Array | None) -> Metrics:
    """How the game stands: V(D, G), and the mean of D(x) on real and of D(G(z)) on generated examples."""
    return {
        "value": mean(value(real, fake), mask),
        "d_real": mean(nn.sigmoid(real), mask),
        "d_fake": mean(nn.sigmoid(fake), mask),
    }


class Dealt(NamedTuple):
    """What the players are given: `inputs` of the generator, `real` examples, and the `label` that both see, or None."""

    inputs: jax.Array
    real: jax.Array
    label: jax.Array | None


def alone(variables: Tree, batch: Batch, made: jax.Array) -> tuple[jax.Array | float, Metrics]:
    """The generator minimises nothing but the game's loss."""
    return 0.0, {}


@dataclass(frozen=True)
class Game:
    """The game between the parameter groups `generator` and `discriminator`, whatever the generator starts from.

    generator, discriminator: modules, called with `(inputs, label, train)`.
    deal: `(batch, key)` -> what the players are given.
    beside: `(variables, batch, made)` -> what the generator minimises besides, [B], and metrics of it.
    loss, smoothing, weight: the generator's loss, the discriminator's label smoothing, and the factor of the generator's loss.
    """

    generator: nn.Module
    discriminator: nn.Module
    deal: Callable[[Batch, jax.Array], Dealt]
    beside: Callable[[Tree, Batch, jax.Array], tuple[jax.Array | float, Metrics]] = alone
    loss: str = "non_saturating"
    smoothing: float = 0.0
    weight: float = 1.0

    def play(
        self, name: str, params: Tree, state: Tree, inputs: jax.Array, label: jax.Array | None, key: jax.Array
    ) -> tuple[Any, Tree]:
        """The output of one player in training, and its state (running statistics) afterwards."""
        net: nn.Module = getattr(self, name)
        variables = {"params": params[name], **state}
        made, new = net.apply(variables, inputs, label, train=True, rngs={"dropout": key}, mutable=list(state))
        return made, {**state, **new}

    def discriminate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The loss of the discriminator."""
        noise, dropout, first, second = jax.random.split(key, 4)
        inputs, real, label = self.deal(batch, noise)
        fake, _ = self.play("generator", params, variables["generator"], inputs, label, dropout)
        on_real, state = self.play("discriminator", params, variables["discriminator"], real, label, first)
        on_fake, state = self.play("discriminator", params, state, fake, label, second)
        losses = discriminator_loss(on_real, on_fake, self.smoothing)
        return mean(losses), ({**variables, "discriminator": state}, standing(on_real, on_fake, None))

    def generate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The loss of the generator."""
        noise, dropout, second = jax.random.split(key, 3)
        inputs, _, label = self.deal(batch, noise)
        fake, state = self.play("generator", params, variables["generator"], inputs, label, dropout)
        scores, _ = self.play("discriminator", params, variables["discriminator"], fake, label, second)
        losses = generator_loss(scores, self.loss)
        more, metrics = self.beside(variables, batch, fake)
        found = {"generator_loss": mean(losses), **metrics}
        return mean(self.weight * losses + more), ({**variables, "generator": state}, found)


@dataclass(frozen=True)
class Adversarial:
    """The game between the parameter groups `generator`, which starts from noise, and `discriminator`.

    players: the two nets.
    info: description of the data.
    samples: what is measured and shown of the samples: `dl.evaluation.generated_images` or `generated_points`.
    settings: losses and number of steps.
    """

    players: Players
    info: Info
    samples: Any
    settings: Settings

    @property
    def game(self) -> Game:
        """What is played."""
        nets, own = self.players, self.settings
        return Game(nets.generator, nets.discriminator, self.deal, loss=own.loss, smoothing=own.label_smoothing)

    def deal(self, batch: Batch, key: jax.Array) -> Dealt:
        """Noise, as many examples, and their labels."""
        real = batch[self.feature]
        return Dealt(self.players.draw(key, len(real)), real, self.labels(batch))

    @property
    def feature(self) -> str:
        """What is generated, `image` or `point`."""
        return "image" if "image" in self.info.shapes else "point"

    def labels(self, batch: Batch) -> jax.Array | None:
        """The labels that the players see."""
        return batch["label"] if self.players.conditional else None

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters and running statistics of both players."""
        one = jnp.zeros(1, jnp.int32) if self.players.conditional else None
        inputs = {
            "generator": jnp.zeros((1, self.players.latent)),
            "discriminator": jnp.zeros((1, *self.info.shapes[self.feature])),
        }
        params, variables = {}, {}
        for name, own in zip(inputs, jax.random.split(key), strict=True):
            variables[name] = dict(getattr(self.players, name).init(own, inputs[name], one))
            params[name] = variables[name].pop("params")
        return params, variables

    def apply(self, name: str, params: Tree, variables: Tree, inputs: jax.Array, label: jax.Array | None) -> Any:
        """The output of one player after training."""
        net: nn.Module = getattr(self.players, name)
        return net.apply({"params": params[name], **variables[name]}, inputs, label, train=False)

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """How the game stands on examples that were not trained on, and what is needed to measure the samples."""
        real, label = batch[self.feature], self.labels(batch)
        fake = self.apply("generator", params, variables, self.players.draw(key, len(real)), label)
        on_real, on_fake = (self.apply("discriminator", params, variables, x, label) for x in (real, fake))
        own = {"label": batch["label"]} if "label" in batch else {}
        return standing(on_real, on_fake, batch["mask"]), {**self.samples.outputs(real, fake), **own}

    def finish(self, sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The standing of the game and the measures of the samples."""
        return means(sums, outputs) | self.samples.summarize(outputs, self.players.conditional)

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """What is shown of the samples."""
        make = jax.jit(lambda z, label: self.apply("generator", params, variables, z, label))
        score = jax.jit(lambda x, label: self.apply("discriminator", params, variables, x, label))
        return self.samples.render(self.players, make, lambda x, label: nn.sigmoid(score(x, label)), evaluation, key)

    def task(self, optimizers: Mapping[str, optax.GradientTransformation], steps: int) -> Task:
        """The task: `optimizers` of `generator` and `discriminator`, `steps` of the generator."""
        objectives = {
            "discriminator": Objective(self.game.discriminate, ("discriminator",), optimizers["discriminator"]),
            "generator": Objective(self.game.generate, ("generator",), optimizers["generator"]),
        }
        order = ("discriminator",) * self.settings.discriminator_steps + ("generator",)
        described = {"value": NEITHER, "d_real": NEITHER, "d_fake": NEITHER, **self.samples.metrics(self.players.conditional)}
        evaluators = {"game": Evaluator(self.evaluate, described, self.finish)}
        return Task(self.init, objectives, (Phase(steps, order),), evaluators, self.render)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: an unknown model, loss or setting, a number out of range, or data that do not fit.
    """
    settings = registry.read(Settings, "the task adversarial", config.task)
    if settings.loss not in LOSSES:
        raise unknown("loss of the generator", settings.loss, LOSSES)
    if settings.discriminator_steps < 1 or not 0 <= settings.label_smoothing < 1:
        raise UserError(
            f"config.task.discriminator_steps={settings.discriminator_steps} must be at least 1, and "
            f"config.task.label_smoothing={settings.label_smoothing} at least 0 and below 1."
        )
    players = build_players(config, resources.info)
    own = {**config.optimizer.to_dict(), **settings.discriminator_optimizer}
    made = {
        "generator": optimizers.build(config.optimizer, steps),
        "discriminator": optimizers.build(own, steps * settings.discriminator_steps),
    }
    return Adversarial(players, resources.info, _samples(config, resources.info, settings), settings).task(made, steps)


def _samples(config: ConfigDict, info: Info, settings: Settings) -> Any:
    """What is measured and shown of generated images or points."""
    if "image" not in info.shapes:
        return generated_points.GeneratedPoints(info)
    given = settings.classifier
    extractor = trained_classifier.feature_extractor(given, info) if given else feature_extractor.random()
    center, scale = np.asarray(config.dataset.mean, np.float32), np.asarray(config.dataset.std, np.float32)
    return generated_images.GeneratedImages(info, extractor, center, scale, settings.confident, settings.parzen)


def build_players(config: ConfigDict, info: Info) -> Players:
    """The two nets of `config.model` for these data, computing in `config.dtype`.

    Raises:
        UserError: the model is none of two players, or does not fit the data.
    """
    feature = next((name for name in ("image", "point") if name in info.shapes), None)
    if feature is None:
        raise UserError(f"the task adversarial needs images or points, and the dataset {info.name} has none.")
    given = {"shape": tuple(info.shapes[feature]), "num_classes": info.num_classes}
    if not set(given) <= set(inspect.signature(models.find(config)).parameters):
        name = config.model.name
        raise UserError(f"the task adversarial needs a model of two players, and {name} is none: gan_mlp and dcgan are.")
    players: Players = models.build(config, **given)
    return players


PUBLIC = {"adversarial": build}
SETTINGS = {"adversarial": Settings()._asdict()}
WITHOUT_FILES = {"adversarial": lambda: {"classifier": ""}}
