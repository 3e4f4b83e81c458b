"""Generative adversarial nets: a game of two players (Goodfellow et al. 2014).

    min over G, max over D of  V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))]                                              (eq. 1)

D(x) is the logistic function of the discriminator's score. Where the generator's distribution is that of the data, the best D
is 1/2 everywhere and V = -log 4 = -1.386 (theorem 1). A step is k steps of the discriminator, then one of the generator
(algorithm 1); the k see the same examples, each with noise of its own.

    discriminator   maximises V; with one-sided label smoothing s, (1 - s) log D(x) + s log(1 - D(x)) stands in place of
                    log D(x) (Salimans et al. 2016, section 3.4)
    generator       saturating: minimises log(1 - D(G(z))); non_saturating: maximises log D(G(z)) (section 3)

Batches hold `image` [B, H, W, C] or `point` [B, d], and `label` [B] where the players are conditional on it.

Batch normalisation: real and generated examples go through the discriminator in batches of their own (Radford et al. 2016).
Each player's running statistics are changed by its own steps alone; the discriminator's see the real, then the generated batch,
so that they average both. Evaluation uses the running statistics, and the averaged parameters where `config.ema` keeps them.
"""

import inspect
from collections.abc import Mapping
from typing import Any

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
from dl.models.gan_mlp import Players
from dl.task import Batch, Evaluation, Evaluator, Metrics, Objective, Phase, Task, Tree, mean, means
from dl.training import optimizers
from dl.transfer import trained_classifier

Scores = Float[Array, " batch"]  # logits of D
LOSSES = ("non_saturating", "saturating")


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


def adversarial(
    players: Players,
    info: Info,
    optimizers: Mapping[str, optax.GradientTransformation],
    steps: int,
    view: Any,
    loss: str = "non_saturating",
    discriminator_steps: int = 1,
    label_smoothing: float = 0.0,
) -> Task:
    """The game between the groups `generator` and `discriminator`.

    Args:
        players: the two nets.
        info: of the data.
        optimizers: of `generator` and `discriminator`.
        steps: of training.
        view: what is measured and shown of the samples: `dl.evaluation.generated_images` or `generated_points`.
        loss: of the generator, "non_saturating" or "saturating".
        discriminator_steps: of the discriminator for each of the generator (k).
        label_smoothing: one-sided.

    Raises:
        UserError: an unknown loss, or a number out of range.
    """
    if loss not in LOSSES:
        raise unknown("loss of the generator", loss, LOSSES)
    if discriminator_steps < 1 or not 0 <= label_smoothing < 1:
        raise UserError(
            f"config.task.discriminator_steps={discriminator_steps} must be at least 1, and "
            f"config.task.label_smoothing={label_smoothing} at least 0 and below 1."
        )
    feature = "image" if "image" in info.shapes else "point"

    def labels(batch: Batch) -> jax.Array | None:
        return batch["label"] if players.conditional else None

    def play(name: str, params: Tree, state: Tree, inputs: jax.Array, label: Any, key: jax.Array | None) -> tuple[Any, Tree]:
        """What one player makes of its inputs, and its state (running statistics) afterwards; without a key, not training."""
        net: nn.Module = getattr(players, name)
        given = {"params": params[name], **state}
        if key is None:
            return net.apply(given, inputs, label, train=False), state
        made, new = net.apply(given, inputs, label, train=True, rngs={"dropout": key}, mutable=list(state))
        return made, {**state, **new}

    def init(key: jax.Array) -> tuple[Tree, Tree]:
        one = jnp.zeros(1, jnp.int32) if players.conditional else None
        inputs = {"generator": jnp.zeros((1, players.latent)), "discriminator": jnp.zeros((1, *info.shapes[feature]))}
        params, variables = {}, {}
        for name, own in zip(inputs, jax.random.split(key), strict=True):
            variables[name] = dict(getattr(players, name).init(own, inputs[name], one))
            params[name] = variables[name].pop("params")
        return params, variables

    def discriminate(params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
        noise, dropout, first, second = jax.random.split(key, 4)
        real, label = batch[feature], labels(batch)
        fake, _ = play("generator", params, variables["generator"], players.draw(noise, len(real)), label, dropout)
        on_real, state = play("discriminator", params, variables["discriminator"], real, label, first)
        on_fake, state = play("discriminator", params, state, fake, label, second)
        losses = discriminator_loss(on_real, on_fake, label_smoothing)
        return mean(losses), ({**variables, "discriminator": state}, standing(on_real, on_fake, None))

    def generate(params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
        noise, dropout, second = jax.random.split(key, 3)
        label = labels(batch)
        fake, state = play(
            "generator", params, variables["generator"], players.draw(noise, len(batch[feature])), label, dropout
        )
        scores, _ = play("discriminator", params, variables["discriminator"], fake, label, second)
        losses = generator_loss(scores, loss)
        return mean(losses), ({**variables, "generator": state}, {"generator_loss": mean(losses)})

    def sample(params: Tree, variables: Tree, z: jax.Array, label: jax.Array | None = None) -> jax.Array:
        return play("generator", params, variables["generator"], z, label, None)[0]

    def evaluate(params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Metrics, dict[str, jax.Array]]:
        real, label, mask = batch[feature], labels(batch), batch["mask"]
        fake = sample(params, variables, players.draw(key, len(real)), label)
        on_real, on_fake = (play("discriminator", params, variables["discriminator"], x, label, None)[0] for x in (real, fake))
        own = {"label": batch["label"]} if "label" in batch else {}
        return standing(on_real, on_fake, mask), {**view.outputs(real, fake), **own}

    def finish(sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        return means(sums, outputs) | view.summarize(outputs, players.conditional)

    def render(params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        make = jax.jit(lambda z, label: sample(params, variables, z, label))
        score = jax.jit(lambda x, label: play("discriminator", params, variables["discriminator"], x, label, None)[0])
        return view.render(players, make, lambda x, label: nn.sigmoid(score(x, label)), evaluation, key)

    objectives = {
        "discriminator": Objective(discriminate, ("discriminator",), optimizers["discriminator"]),
        "generator": Objective(generate, ("generator",), optimizers["generator"]),
    }
    order = ("discriminator",) * discriminator_steps + ("generator",)
    described = {"value": NEITHER, "d_real": NEITHER, "d_fake": NEITHER, **view.metrics(players.conditional)}
    return Task(init, objectives, (Phase(steps, order),), {"game": Evaluator(evaluate, described, finish)}, render)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration.

    `config.task`: `loss`, `discriminator_steps`, `label_smoothing`; `discriminator_optimizer`, a section that replaces settings
    of `config.optimizer` for the discriminator; `classifier`, the workdir of a trained classifier whose features
    measure images (without
    it, fixed random features do); `confident`, the probability from which on it is sure; `parzen`, whether to estimate
    likelihoods.

    Raises:
        UserError: an unknown model, loss or setting, or data that do not fit.
    """
    info = resources.info
    settings: dict[str, Any] = config.task.to_dict()
    settings.pop("name")
    workdir, confident, parzen = (settings.pop(k, v) for k, v in (("classifier", ""), ("confident", 0.9), ("parzen", False)))
    own = {**config.optimizer.to_dict(), **settings.pop("discriminator_optimizer", {})}
    players = build_players(config, info)
    if "image" in info.shapes:
        extractor = trained_classifier.feature_extractor(workdir, info) if workdir else feature_extractor.random()
        mean_, std = np.asarray(config.dataset.mean, np.float32), np.asarray(config.dataset.std, np.float32)
        view: Any = generated_images.View(info, extractor, mean_, std, confident, parzen)
    else:
        view = generated_points.View(info)
    made = {
        "generator": optimizers.build(config.optimizer, steps),
        "discriminator": optimizers.build(own, steps * settings.get("discriminator_steps", 1)),
    }
    given = {"players": players, "info": info, "optimizers": made, "steps": steps, "view": view}
    return registry.call(adversarial, "the task adversarial", settings, **given)


def build_players(config: ConfigDict, info: Info) -> Players:
    """The two nets of `config.model` for these data, computing in `config.dtype`.

    Raises:
        UserError: the model is none of two players, or does not fit the data.
    """
    feature = next((name for name in ("image", "point") if name in info.shapes), None)
    if feature is None:
        raise UserError(f"the task adversarial needs images or points, and the dataset {info.name} has none.")
    rest: dict[str, Any] = config.model.to_dict()
    name = rest.pop("name")
    make = registry.find("dl.models", "model", name)
    given = {"shape": tuple(info.shapes[feature]), "num_classes": info.num_classes, "dtype": jnp.dtype(config.dtype)}
    if not set(given) <= set(inspect.signature(make).parameters):
        raise UserError(f"the task adversarial needs a model of two players, and {name} is none: gan_mlp and dcgan are.")
    return registry.call(make, f"the model {name}", rest, **given)


PUBLIC = {"adversarial": build}
SETTINGS = {
    "adversarial": {
        "loss": "non_saturating",
        "discriminator_steps": 1,
        "label_smoothing": 0.0,
        "discriminator_optimizer": {},
        "classifier": "",
        "confident": 0.9,
        "parzen": False,
    }
}
WITHOUT_FILES = {"adversarial": lambda: {"classifier": ""}}
