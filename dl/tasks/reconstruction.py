"""Reconstruction: a code from which the input can be had again.

Batches hold `image` [B, H, W, C] float32; labels, where there are any, only colour the images of the report. With corruption
T, encoder f and decoder g, the loss of one example is

    L(g(f(T(x))), x) + contraction ||df/dx||_F^2 + sparsity sum_j |f_j(x)|

L is squared_error, sum_i (z_i - x_i)^2, or cross_entropy, -sum_i x_i log z_i + (1 - x_i) log(1 - z_i), for x in 0..1.

Sources: Vincent et al. 2010, section 2.2 (losses), 3 (denoising); Rifai et al. 2011, eq. 4 (contractive; of each layer with
respect to its own input, where there are several).

Metrics are of one image, summed over its pixels: `loss` and `squared_error` of clean images, and with corruption `noise`, the
squared error of the corrupted ones, beside `squared_error_denoised`, that of what is made of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Images, Scatter
from dl.dataset import Info, Resources
from dl.errors import UserError, unknown
from dl.evaluation.embedding import chosen, embeddings
from dl.evaluation.filters import first_layer_filters
from dl.evaluation.reconstruction import Map, against_pca, comparison, decoded_plane
from dl.layers.corruption import Corruption, corruption
from dl.metric import LOWER, NEITHER
from dl.models import build as models
from dl.models.autoencoder import Stack, visible
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Phase, Task, Tree, mean
from dl.training import optimizers

Loss = Callable[[Stack, int, Array, Array], Array]  # (model, layer, net input of its output units, target) -> [B]

SHOWN = 10  # examples reconstructed in the report
EXAMINED = 2000  # examples whose codes are
NOISE: Mapping[str, Any] = {"name": "none", "amount": 0.0}


class Settings(NamedTuple):
    """`config.task`.

    loss: name of the loss, "squared_error" or "cross_entropy".
    noise: name ("gaussian", "masking", "salt_and_pepper", "none") and amount of the corruption (`dl.layers.corruption`).
    contraction: weight of the contractive penalty; dense layers alone have it.
    sparsity: weight of the absolute values of the code.
    """

    loss: str = "squared_error"
    noise: Mapping[str, Any] = NOISE
    contraction: float = 0.0
    sparsity: float = 0.0


def _sum(values: Float[Array, "b ..."]) -> Float[Array, " b"]:
    return values.reshape(len(values), -1).sum(axis=1)


def squared_error(model: Stack, i: int, net: Float[Array, "b ..."], target: Float[Array, "b ..."]) -> Float[Array, " b"]:
    """||g(net) - target||^2."""
    return _sum(jnp.square(visible(model, i)(net) - target))


def cross_entropy(model: Stack, i: int, net: Float[Array, "b ..."], target: Float[Array, "b ..."]) -> Float[Array, " b"]:
    """In nats, of independent binary units of logistic(net)."""
    return _sum(optax.sigmoid_binary_cross_entropy(net, target))


LOSSES: dict[str, Loss] = {"squared_error": squared_error, "cross_entropy": cross_entropy}


@dataclass(frozen=True)
class Reconstruction:
    """An autoencoder, all of whose layers, the groups `layer_0`, ..., learn together.

    model: autoencoder of `dl.models.autoencoder`.
    info: description of the data.
    loss: loss of the reconstruction.
    corrupt: corruption of the input in training; None for none.
    contraction: weight of the contractive penalty.
    sparsity: weight of the absolute values of the code.
    """

    model: Stack
    info: Info
    loss: Loss = squared_error
    corrupt: Corruption | None = None
    contraction: float = 0.0
    sparsity: float = 0.0

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters of the layers; there are no variables."""
        return dict(self.model.init(key, jnp.zeros((1, *self.info.shapes["image"])))["params"]), {}

    def through(self, params: Tree, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The code, and the net input of the output units."""
        code: Any = self.model.apply({"params": params}, x, method="encode")
        net: Any = self.model.apply({"params": params}, code, method="decode")
        return code, net

    def reconstruct(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The loss of what the model makes of corrupted images, with the penalties."""
        x = batch["image"]
        code, net = self.through(params, self.corrupt(key, x) if self.corrupt else x)
        losses = self.loss(self.model, 0, net, x)
        metrics = {"loss": mean(losses), "squared_error": mean(squared_error(self.model, 0, net, x))}
        if self.contraction:
            penalty: Any = self.model.apply({"params": params}, x, method="contraction")
            metrics["contraction"] = mean(penalty)
            losses = losses + self.contraction * penalty
        if self.sparsity:
            absolute = _sum(jnp.abs(code))
            metrics["sparsity"] = mean(absolute)
            losses = losses + self.sparsity * absolute
        return mean(losses), (variables, metrics)

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """The loss of clean images, and the squared errors before and after denoising."""
        x, mask = batch["image"], batch["mask"]
        _, net = self.through(params, x)
        error = squared_error(self.model, 0, net, x)
        metrics = {"loss": mean(self.loss(self.model, 0, net, x), mask), "squared_error": mean(error, mask)}
        if self.corrupt:
            noisy = self.corrupt(key, x)
            metrics["noise"] = mean(_sum(jnp.square(noisy - x)), mask)
            denoised = squared_error(self.model, 0, self.through(params, noisy)[1], x)
            metrics["squared_error_denoised"] = mean(denoised, mask)
        return metrics, {"squared_error": error}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """See `artifacts`."""
        return artifacts(self.model, self.info, params, evaluation, key, self.corrupt)

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """The task: so many `steps` of the `optimizer`, which moves all layers."""
        groups = tuple(jax.eval_shape(self.init, jax.random.key(0))[0])
        objectives = {"reconstruct": Objective(self.reconstruct, groups, optimizer)}
        described = dict.fromkeys(("loss", "squared_error", "squared_error_denoised"), LOWER) | {"noise": NEITHER}
        evaluators = {"reconstruct": Evaluator(self.evaluate, described)}
        return Task(self.init, objectives, (Phase(steps, ("reconstruct",)),), evaluators, self.render)


def coder(model: Stack, params: Tree) -> tuple[Map, Map]:
    """The encoder and the decoder with these parameters, of batches on the host; of `params` the model's groups are taken."""
    own = {group: values for group, values in params.items() if group.startswith("layer_")}

    @jax.jit
    def encode(x: jax.Array) -> Any:
        return model.apply({"params": own}, x, method="encode")

    @jax.jit
    def decode(code: jax.Array) -> jax.Array:
        net: Any = model.apply({"params": own}, code, method="decode")
        return visible(model, 0)(net)

    return lambda x: np.asarray(encode(jnp.asarray(x))), lambda code: np.asarray(decode(jnp.asarray(code)))


def reconstructions(x: np.ndarray, encode: Map, decode: Map, key: jax.Array, corrupt: Corruption | None) -> Images:
    """Originals, what the encoder saw where that is something else, and what came back."""
    seen = np.asarray(corrupt(key, jnp.asarray(x))) if corrupt else x
    rows = {"original": x} | ({"corrupted": seen} if corrupt else {}) | {"reconstruction": decode(encode(seen))}
    return comparison(rows, (float(x.min()), float(x.max())))


def artifacts(
    model: Stack, info: Info, params: Tree, evaluation: Evaluation, key: jax.Array, corrupt: Corruption | None
) -> dict[str, Artifact]:
    """Reconstructions, the first layer's filters, the code in the plane, and PCA with a code of the same size."""
    encode, decode = coder(model, params)
    batch = evaluation.examples(chosen(len(evaluation.outputs["squared_error"]), EXAMINED))
    images = batch["image"]
    shown: dict[str, Artifact] = {"reconstructions": reconstructions(images[:SHOWN], encode, decode, key, corrupt)}
    filters = first_layer_filters(params, info.shapes["image"])
    if filters is not None:
        shown["first-layer filters"] = filters
    shown["against PCA"] = against_pca(images, encode, decode)
    codes = encode(images)
    labels = batch.get("label", np.zeros(len(codes), np.int32))
    if codes.shape[1:] == (2,):
        shown["the code"] = Scatter(codes, labels, info.class_names)
        shown["decoded over the plane of the code"] = decoded_plane(codes, decode)
    return shown | embeddings(codes.reshape(len(codes), -1), labels, info.class_names)


def build_stack(config: ConfigDict, info: Info) -> Stack:
    """The autoencoder of `config.model` for the images of the data, computing in `config.dtype`.

    Raises:
        UserError: no images; an unknown model or setting, or a model that is no autoencoder.
    """
    if "image" not in info.shapes:
        raise UserError(f"an autoencoder needs images, and the dataset {info.name} has none.")
    make = models.find(config)
    if not (isinstance(make, type) and issubclass(make, Stack)):
        public = registry.public("dl.models")
        stacks = sorted(n for n, model in public.items() if isinstance(model, type) and issubclass(model, Stack))
        raise UserError(f"the model {config.model.name!r} is no autoencoder. Choices: {', '.join(stacks)}.")
    return models.build(config, shape=tuple(info.shapes["image"]))


def find_loss(name: str, model: Stack, config: ConfigDict, layers: int = 1) -> Loss:
    """The loss of that name, for the first `layers` layers of the model.

    Raises:
        UserError: no such loss; cross-entropy of what does not lie in 0..1.
    """
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    if name == "cross_entropy":
        if model.output != "logistic" or (layers > 1 and model.activation != "logistic"):
            raise UserError(
                "the loss 'cross_entropy' needs logistic units: set model.output and model.activation to 'logistic'."
            )
        check_pixels(config)
    return LOSSES[name]


def check_pixels(config: ConfigDict) -> None:
    """Raises UserError where pixels are standardised, and so do not lie in 0..1."""
    if any(config.dataset.mean) or any(s != 1 for s in config.dataset.std):
        raise UserError("binary units and cross-entropy need pixels in 0..1: set dataset.mean=(0.0,) and dataset.std=(1.0,).")


def check_weights(**weights: float) -> None:
    """Raises UserError where the weight of a penalty, a setting of `config.task`, is negative."""
    for name, weight in weights.items():
        if weight < 0:
            raise UserError(f"task.{name} must be a number, 0 or more, not {weight!r}.")


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: an unknown model, loss, noise or setting, or data without images.
    """
    info = resources.info
    settings = registry.read(Settings, "the task reconstruction", config.task)
    check_weights(contraction=settings.contraction, sparsity=settings.sparsity)
    model = build_stack(config, info)
    loss = find_loss(settings.loss, model, config)
    learner = Reconstruction(model, info, loss, corruption(settings.noise), settings.contraction, settings.sparsity)
    layers = jax.eval_shape(learner.init, jax.random.key(0))[0]
    if settings.contraction and any("kernel" not in layer for layer in layers.values()):
        raise UserError("task.contraction is for dense layers: use the model 'dense_autoencoder', or set it to 0.")
    return learner.task(optimizers.build(config.optimizer, steps), steps)


PUBLIC = {"reconstruction": build}
SETTINGS = {"reconstruction": Settings()._asdict()}
