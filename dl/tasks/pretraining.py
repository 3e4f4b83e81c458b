"""A classifier whose layers first learn, one after another and without labels, to represent what the layer below them says.

    phase      moves      minimises
    layer_i    layer_i    stacked autoencoder: the loss of reconstructing the code below from its corrupted copy
                          deep belief net: contrastive divergence, the code below being the visible units
    finetune   all, or    cross-entropy of the labels
               `output`

Sources: Hinton, Osindero & Teh 2006; Bengio et al. 2007; Vincent et al. 2010, section 3.4. The phases `layer_i` may be fed by
a stream of their own, `config.task.pretraining.stream`: unlabelled images, or those of another domain (Glorot, Bordes & Bengio
2011). Batches hold `image`, and in the phase `finetune` and in evaluation `label` [B].
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from dl.artifacts import Artifact
from dl.dataset import Info, Resources
from dl.errors import UserError, unknown
from dl.evaluation.embedding import chosen, embeddings
from dl.layers.corruption import Corruption, corruption
from dl.metric import ERROR, LOWER
from dl.models.autoencoder import Stack
from dl.models.rbm import DeepBeliefNet
from dl.task import Batch, Evaluation, Evaluator, Metrics, Objective, Pair, Phase, Task, Tree, mean
from dl.tasks import boltzmann, classification
from dl.tasks.reconstruction import (
    EXAMINED,
    NOISE,
    SHOWN,
    build_stack,
    check_pixels,
    coder,
    find_loss,
    reconstructions,
    squared_error,
    weight,
)
from dl.training import optimizers

# (params, layer, code below [B, ...], key) -> (what is minimised, metrics)
LayerLoss = Callable[[Tree, int, Array, Array], tuple[Pair, Metrics]]


class Pretraining(NamedTuple):
    """How the layers learn before the labels come. `steps` a layer (0: not at all), from the batches of `stream`."""

    loss: LayerLoss
    optimizer: optax.GradientTransformation
    steps: int
    stream: str = "train"


class Output(nn.Module):
    """The classifier on top of the code [B, ...]: one affine map, which starts at zero, as logistic regression does."""

    num_classes: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, code: Float[Array, "b ..."]) -> Float[Array, "b k"]:
        dense = nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=nn.initializers.zeros, name="dense")
        return dense(code.reshape(len(code), -1)).astype(jnp.float32)


def pretrained(
    model: Stack,
    output: Output,
    info: Info,
    pretraining: Pretraining,
    optimizer: optax.GradientTransformation,
    steps: int,
    frozen: bool = False,
    corrupt: Corruption | None = None,
    dropout: float = 0.0,
) -> Task:
    """Layer after layer, then all together with labels.

    Args:
        model: the layers, groups `layer_0`, ...
        output: the classifier on top of them, the group `output`.
        info: of the data.
        pretraining: of the layers.
        optimizer: of the fine-tuning.
        steps: of the fine-tuning.
        frozen: whether fine-tuning leaves the layers as they are.
        corrupt: of the images that the report shows corrupted.
        dropout: the share of the pixels that fine-tuning does not see (Srivastava et al. 2014).
    """
    image = jnp.zeros((1, *info.shapes["image"]))

    def init(key: jax.Array) -> tuple[Tree, Tree]:
        below, top = jax.random.split(key)
        layers = model.init(below, image)["params"]
        return {**layers, "output": output.init(top, encode(layers, image))["params"]}, {}

    def encode(params: Tree, x: jax.Array, stop: int | None = None) -> Any:
        return model.apply({"params": params}, x, 0, stop, method="encode")

    def layer(i: int) -> Callable[..., Any]:
        def objective(params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
            value, metrics = pretraining.loss(params, i, encode(params, batch["image"], i), key)
            return value, (variables, metrics)

        return objective

    def scores(params: Tree, x: jax.Array) -> Any:
        return output.apply({"params": params["output"]}, encode(params, x))

    def finetune(params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
        seen: Any = nn.Dropout(dropout, deterministic=not dropout).apply({}, batch["image"], rngs={"dropout": key})
        logits = scores(params, seen)
        losses = classification.cross_entropy(logits, batch["label"])
        return mean(losses), (variables, {"loss": mean(losses), "error": mean(logits.argmax(-1) != batch["label"])})

    def evaluate(params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Metrics, dict[str, jax.Array]]:
        x, label, mask = batch["image"], batch["label"], batch["mask"]
        logits = scores(params, x)
        losses, prediction = classification.cross_entropy(logits, label), logits.argmax(-1).astype(jnp.int32)
        back: Any = model.apply({"params": params}, encode(params, x), method="decode")
        metrics = {"loss": mean(losses, mask), "error": mean(prediction != label, mask)}
        metrics["squared_error"] = mean(squared_error(model, 0, back, x), mask)
        probability = jax.nn.softmax(logits).max(-1)
        return metrics, {"label": label, "prediction": prediction, "probability": probability, "loss": losses}

    def render(params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        return artifacts(model, info, params, evaluation, key, corrupt)

    groups = tuple(jax.eval_shape(init, jax.random.key(0))[0])
    layers = [group for group in groups if group != "output"] if pretraining.steps else []
    objectives = {name: Objective(layer(i), (name,), pretraining.optimizer) for i, name in enumerate(layers)}
    objectives["finetune"] = Objective(finetune, ("output",) if frozen else groups, optimizer)
    phases = [Phase(pretraining.steps, (name,), pretraining.stream) for name in layers]
    evaluators = {"classify": Evaluator(evaluate, {"loss": LOWER, "error": ERROR, "squared_error": LOWER})}
    return Task(init, objectives, (*phases, Phase(steps, ("finetune",))), evaluators, render)


def artifacts(
    model: Stack, info: Info, params: Tree, evaluation: Evaluation, key: jax.Array, corrupt: Corruption | None
) -> dict[str, Artifact]:
    """What any classifier shows, then what the layers still know of the image, and their code in the plane."""
    shown = classification.artifacts(info, params, evaluation)
    encode, decode = coder(model, params)
    batch = evaluation.examples(chosen(len(evaluation.outputs["label"]), EXAMINED))
    shown["reconstructions"] = reconstructions(batch["image"][:SHOWN], encode, decode, key, corrupt)
    codes = encode(batch["image"])
    return shown | embeddings(codes.reshape(len(codes), -1), batch["label"], info.class_names)


def autoencoder_loss(
    model: Stack, loss: Callable[..., Array], corrupts: Sequence[Corruption | None], contraction: float
) -> LayerLoss:
    """Each layer as a denoising, and where asked for contractive, autoencoder of the code below it."""

    def layer_loss(params: Tree, i: int, below: jax.Array, key: jax.Array) -> tuple[Pair, Metrics]:
        corrupt = corrupts[i]
        seen = corrupt(key, below) if corrupt else below
        code: Any = model.apply({"params": params}, seen, i, i + 1, method="encode")
        net: Any = model.apply({"params": params}, code, i, i + 1, method="decode")
        losses = loss(model, i, net, below)
        metrics = {f"layer_{i}_reconstruction": mean(losses)}
        if contraction:
            penalty: Any = model.apply({"params": params}, below, i, i + 1, method="contraction")
            metrics[f"layer_{i}_contraction"] = mean(penalty)
            losses = losses + contraction * penalty
        return mean(losses), metrics

    return layer_loss


def divergence_loss(model: Stack, k: int) -> LayerLoss:
    """Each layer as a restricted Boltzmann machine of the code below it, by CD-k."""

    def layer_loss(params: Tree, i: int, below: jax.Array, key: jax.Array) -> tuple[Pair, Metrics]:
        value, _ = boltzmann.divergence(model, params, i, below, below, key, k)
        return (value, jnp.float32(1)), {f"layer_{i}_reconstruction": mean(boltzmann.one_step(model, params, i, below))}

    return layer_loss


def _build(
    config: ConfigDict, info: Info, steps: int, model: Stack, loss: LayerLoss, corrupt: Corruption | None = None
) -> Task:
    """What both kinds share: `pretraining` (`steps`, `stream`, `optimizer`), `finetune` (all, output) and `dropout` in it."""
    settings: dict[str, Any] = config.task.pretraining.to_dict() if "pretraining" in config.task else {}
    for key in settings:
        if key not in ("steps", "stream", "optimizer"):
            raise unknown("setting of task.pretraining", key, ("steps", "stream", "optimizer"))
    count = settings.get("steps", 0)
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise UserError(f"task.pretraining.steps, of each layer, must be a whole number, 0 or more, not {count!r}.")
    if "label" not in info.shapes or not info.num_classes:
        raise UserError(f"fine-tuning needs labels, and the dataset {info.name} has none: use the task 'reconstruction'.")
    what = config.task.get("finetune", "all")
    if what not in ("all", "output"):
        raise unknown("value of task.finetune", str(what), ("all", "output"))
    dropout = config.task.get("dropout", 0.0)
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise UserError(f"task.dropout, of the pixels in fine-tuning, must be at least 0 and below 1, not {dropout!r}.")
    return pretrained(
        model,
        Output(info.num_classes, jnp.dtype(config.dtype)),
        info,
        Pretraining(
            loss, optimizers.build(settings.get("optimizer", config.optimizer), count), count, settings.get("stream", "train")
        ),
        optimizers.build(config.optimizer, steps),
        steps,
        what == "output",
        corrupt,
        dropout,
    )


def _check(config: ConfigDict) -> dict[str, Any]:
    settings: dict[str, Any] = config.task.to_dict()
    allowed = SETTINGS[settings["name"]]
    for key in settings:
        if key != "name" and key not in allowed:
            raise unknown(f"setting of the task {settings['name']!r}", key, allowed)
    return settings


def build_autoencoder(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """A stacked autoencoder; `steps` are those of the fine-tuning.

    `config.task`: `pretraining`, `finetune`, `dropout` (see `_build`), `loss` (squared_error, cross_entropy), `noise` (`name`
    and `amount`, one for all layers or one each), `contraction`.

    Raises:
        UserError: an unknown model, loss, noise or setting, as many amounts as there are no layers, data without labels.
    """
    info = resources.info
    settings = _check(config)
    model = build_stack(config, info)
    image = jnp.zeros((1, *info.shapes["image"]))
    layers = len(jax.eval_shape(lambda key: model.init(key, image), jax.random.key(0))["params"])
    noise = dict(settings.get("noise", {}))
    amount = noise.get("amount", 0.0)
    amounts = list(amount) if isinstance(amount, tuple | list) else [amount] * layers
    if len(amounts) != layers:
        raise UserError(f"task.noise.amount gives {len(amounts)} numbers for {layers} layers: give one, or one each.")
    corrupts = [corruption({**noise, "amount": a}) for a in amounts]
    loss = find_loss(settings.get("loss", "squared_error"), model, config, layers)
    return _build(
        config, info, steps, model, autoencoder_loss(model, loss, corrupts, weight(settings, "contraction")), corrupts[0]
    )


def build_belief_net(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """A deep belief net; `steps` are those of the fine-tuning. `config.task`: `pretraining`, `finetune`,
    `dropout`, `k` (of CD-k).

    Raises:
        UserError: another model than a deep belief net, an unknown setting, data without labels, pixels that are not in 0..1.
    """
    info = resources.info
    settings = _check(config)
    model = build_stack(config, info)
    if not isinstance(model, DeepBeliefNet):
        raise UserError(f"the task 'deep_belief_net' needs the model of that name, not {config.model.name!r}.")
    check_pixels(config)
    return _build(config, info, steps, model, divergence_loss(model, boltzmann.sweeps_of(settings)))


_SHARED = {
    "pretraining": {"steps": 0, "stream": "train", "optimizer": {"name": "sgd", "learning_rate": 0.1}},
    "finetune": "all",
    "dropout": 0.0,
}
SETTINGS = {
    "stacked_autoencoder": {**_SHARED, "loss": "squared_error", "noise": NOISE, "contraction": 0.0},
    "deep_belief_net": {**_SHARED, "k": 1},
}
PUBLIC = {"stacked_autoencoder": build_autoencoder, "deep_belief_net": build_belief_net}
