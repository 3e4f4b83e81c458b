"""Layer-wise pretraining: a classifier whose layers first learn, one after another and without labels, to represent what the
layer below them says. What a layer learns from is said by `dl.tasks.stacked_autoencoder` and `dl.tasks.deep_belief_net`.

    phase      moves      minimises
    layer_i    layer_i    stacked autoencoder: the loss of reconstructing the code below from its corrupted copy
                          deep belief net: contrastive divergence, the code below being the visible units
    finetune   all, or    cross-entropy of the labels
               `output`

Sources: Hinton, Osindero & Teh 2006; Bengio et al. 2007; Vincent et al. 2010, section 3.4. The phases `layer_i` may be fed by
a stream of their own, `config.task.pretraining.stream`: unlabelled images, or those of another domain (Glorot, Bordes & Bengio
2011). Batches hold `image`, and in the phase `finetune` and in evaluation `label` [B].
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact
from dl.dataset import Info
from dl.errors import UserError, unknown
from dl.evaluation import image_mistakes
from dl.evaluation.embedding import chosen, embeddings
from dl.layers.corruption import Corruption
from dl.metric import ERROR, LOWER
from dl.models.autoencoder import Stack
from dl.task import Batch, Evaluation, Evaluator, Measurement, Metrics, Objective, Outcome, Pair, Phase, Task, Tree, mean
from dl.tasks import classification
from dl.tasks.reconstruction import (
    EXAMINED,
    SHOWN,
    coder,
    reconstructions,
    squared_error,
)
from dl.training import optimizers

# (params, layer, code below [B, ...], key) -> (what is minimised, metrics)
LayerLoss = Callable[[Tree, int, Array, Array], tuple[Pair, Metrics]]

FINETUNE = ("all", "output")
PRETRAINING: Mapping[str, Any] = {"steps": 0, "stream": "train", "optimizer": {"name": "sgd", "learning_rate": 0.1}}


class Pretraining(NamedTuple):
    """`config.task.pretraining`.

    steps: number of training steps for each layer; 0 is no pretraining.
    stream: name of the stream of batches.
    optimizer: optimizer of the layers, as `config.optimizer`; {} is that one.
    """

    steps: int = 0
    stream: str = "train"
    optimizer: Mapping[str, Any] = {}


class Output(nn.Module):
    """The classifier on top of the code [B, ...]: one affine map, which starts at zero, as logistic regression does."""

    num_classes: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, code: Float[Array, "b ..."]) -> Float[Array, "b k"]:
        dense = nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=nn.initializers.zeros, name="dense")
        return dense(code.reshape(len(code), -1)).astype(jnp.float32)


@dataclass(frozen=True)
class LayerByLayer:
    """A classifier whose layers, the groups `layer_0`, ..., learn one after another, then all together with labels.

    model: stack of layers.
    output: classifier on top of them, the group `output`.
    info: description of the data.
    layer_loss: loss of a layer in pretraining.
    corrupt: corruption of the images that the report shows corrupted; None for none.
    dropout: share of the pixels dropped in fine-tuning.
    """

    model: Stack
    output: Output
    info: Info
    layer_loss: LayerLoss
    corrupt: Corruption | None = None
    dropout: float = 0.0

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters of the layers and the output; there are no variables."""
        below, top = jax.random.split(key)
        image = jnp.zeros((1, *self.info.shapes["image"]))
        layers = self.model.init(below, image)["params"]
        return {**layers, "output": self.output.init(top, self.encode(layers, image))["params"]}, {}

    def encode(self, params: Tree, x: jax.Array, stop: int | None = None) -> Any:
        """The code that the layers below `stop`, or all of them, make of images."""
        return self.model.apply({"params": params}, x, 0, stop, method="encode")

    def scores(self, params: Tree, x: jax.Array) -> Any:
        """Scores [B, num_classes] of images."""
        return self.output.apply({"params": params["output"]}, self.encode(params, x))

    def pretrain(self, i: int, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The loss of layer i, given the code below it."""
        value, metrics = self.layer_loss(params, i, self.encode(params, batch["image"], i), key)
        return value, (variables, metrics)

    def finetune(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The cross-entropy of the labels."""
        dropout = nn.Dropout(self.dropout, deterministic=not self.dropout)
        seen: Any = dropout.apply({}, batch["image"], rngs={"dropout": key})
        logits = self.scores(params, seen)
        losses = classification.cross_entropy(logits, batch["label"])
        return mean(losses), (variables, {"loss": mean(losses), "error": mean(logits.argmax(-1) != batch["label"])})

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """As of any classifier, and the squared error of what the decoders make of the top code."""
        x, label, mask = batch["image"], batch["label"], batch["mask"]
        logits = self.scores(params, x)
        losses, prediction = classification.cross_entropy(logits, label), logits.argmax(-1).astype(jnp.int32)
        back: Any = self.model.apply({"params": params}, self.encode(params, x), method="decode")
        metrics = {"loss": mean(losses, mask), "error": mean(prediction != label, mask)}
        metrics["squared_error"] = mean(squared_error(self.model, 0, back, x), mask)
        probability = jax.nn.softmax(logits).max(-1)
        return metrics, {"label": label, "prediction": prediction, "probability": probability, "loss": losses}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """See `artifacts`."""
        return artifacts(self.model, self.info, params, evaluation, key, self.corrupt)

    def task(
        self,
        pretraining: Pretraining,
        layer_optimizer: optax.GradientTransformation,
        optimizer: optax.GradientTransformation,
        steps: int,
        finetuned: str = "all",
    ) -> Task:
        """The task.

        Args:
            pretraining: number of steps for each layer, and the stream that feeds them.
            layer_optimizer: optimizer of each layer in pretraining.
            optimizer: optimizer of the fine-tuning.
            steps: number of training steps of the fine-tuning.
            finetuned: what fine-tuning moves, "all" or "output".
        """
        groups = tuple(jax.eval_shape(self.init, jax.random.key(0))[0])
        layers = [group for group in groups if group != "output"] if pretraining.steps else []
        objectives = {n: Objective(partial(self.pretrain, i), (n,), layer_optimizer) for i, n in enumerate(layers)}
        objectives["finetune"] = Objective(self.finetune, groups if finetuned == "all" else ("output",), optimizer)
        phases = [Phase(pretraining.steps, (name,), pretraining.stream) for name in layers]
        evaluators = {"classify": Evaluator(self.evaluate, {"loss": LOWER, "error": ERROR, "squared_error": LOWER})}
        return Task(self.init, objectives, (*phases, Phase(steps, ("finetune",))), evaluators, self.render)


def artifacts(
    model: Stack, info: Info, params: Tree, evaluation: Evaluation, key: jax.Array, corrupt: Corruption | None
) -> dict[str, Artifact]:
    """What any classifier shows, then what the layers still know of the image, and their code in the plane."""
    shown = image_mistakes.artifacts(info, params, evaluation)
    encode, decode = coder(model, params)
    batch = evaluation.examples(chosen(len(evaluation.outputs["label"]), EXAMINED))
    shown["reconstructions"] = reconstructions(batch["image"][:SHOWN], encode, decode, key, corrupt)
    codes = encode(batch["image"])
    return shown | embeddings(codes.reshape(len(codes), -1), batch["label"], info.class_names)


def build_classifier(
    config: ConfigDict,
    info: Info,
    steps: int,
    settings: Any,
    model: Stack,
    loss: LayerLoss,
    corrupt: Corruption | None = None,
) -> Task:
    """The task of a configuration, whatever the layers learn from.

    Args:
        config: the configuration.
        info: description of the data.
        steps: number of training steps of the fine-tuning.
        settings: those of the task, `pretraining`, `finetune` and `dropout` among them.
        model: stack of layers.
        loss: loss of a layer in pretraining.
        corrupt: corruption of the images that the report shows corrupted; None for none.

    Raises:
        UserError: a setting out of range, or data without labels.
    """
    pretraining = registry.call(Pretraining, "task.pretraining", settings.pretraining)
    if pretraining.steps < 0:
        raise UserError(f"task.pretraining.steps, of each layer, must be a whole number, 0 or more, not {pretraining.steps!r}.")
    if "label" not in info.shapes or not info.num_classes:
        raise UserError(f"fine-tuning needs labels, and the dataset {info.name} has none: use the task 'reconstruction'.")
    if settings.finetune not in FINETUNE:
        raise unknown("value of task.finetune", settings.finetune, FINETUNE)
    if not 0 <= settings.dropout < 1:
        raise UserError(
            f"task.dropout, of the pixels in fine-tuning, must be at least 0 and below 1, not {settings.dropout!r}."
        )
    learner = LayerByLayer(model, Output(info.num_classes, jnp.dtype(config.dtype)), info, loss, corrupt, settings.dropout)
    layer_optimizer = optimizers.build(pretraining.optimizer or config.optimizer, pretraining.steps)
    return learner.task(pretraining, layer_optimizer, optimizers.build(config.optimizer, steps), steps, settings.finetune)
