"""Style transfer: the image is the parameter, the network is frozen (Gatys, Ecker & Bethge 2016).

    loss = content_weight * sum_l u_l content_l + style_weight * sum_l w_l style_l + total_variation * variation

with the losses of `dl.evaluation.style`. Without styles it is content inversion (Mahendran & Vedaldi 2015), without content
texture synthesis (Gatys et al. 2015), with maps a semantic doodle (Champandard 2016, by guided Gram matrices).

Batches are empty: the dataset is `nothing`. Parameters: `image/pixels` [H, W, 3] in 0..1, not confined to it; [H, W, 1] where
only the luminance is painted. Variables: the network up to its deepest layer in use, and the targets; a checkpoint holds all.
Metrics: `loss`, `content`, `style`, `total_variation`, and the loss of each layer, `content/conv1`, unweighted.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Images, Table
from dl.data.colour_transfer import with_luminance
from dl.data.resizing import fit_images
from dl.dataset import Resources
from dl.errors import UserError, unknown
from dl.evaluation import style
from dl.metric import LOWER
from dl.task import Batch, Evaluation, Evaluator, Measurement, Metrics, Objective, Outcome, Phase, Task, Tree
from dl.tasks import style_subject
from dl.tasks.style_subject import Settings, Subject
from dl.training import optimizers
from dl.transfer import feature_network
from dl.transfer.feature_network import Network

INITS = ("content", "style", "noise")
COLOURS = ("style", "luminance", "match")


@dataclass(frozen=True)
class StyleTransfer:
    """An image that is painted, the parameter group `image`.

    network: frozen network that gives the features.
    subject: what is painted from.
    targets: `content`: layer -> features; `style`: layer -> Gram matrices [S, K, C, C]; `shares`: layer -> [K, h, w].
    settings: weights of the losses, and how the image starts.
    """

    network: Network
    subject: Subject
    targets: Tree
    settings: Settings

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """The pixels; the network and the targets are variables."""
        base = jnp.asarray(_start(self.subject, self.settings))
        pixels = base + self.settings.noise * jax.random.normal(key, base.shape)
        return {"image": {"pixels": pixels}}, jax.tree.map(jnp.asarray, {"network": self.network.params, **self.targets})

    def layer_losses(self, variables: Tree, pixels: jax.Array) -> dict[str, jax.Array]:
        """The content and style losses of each layer, unweighted."""
        regions, relative = jnp.asarray(self.subject.region_weights), self.settings.relative
        found = self.network.features(variables["network"], pixels)
        losses: dict[str, jax.Array] = {}
        for name in self.settings.layer_weights("content"):
            losses[f"content/{name}"] = style.content_loss(found[name], variables["content"][name], relative)
        for name in self.settings.layer_weights("style"):
            grams = style.gram(found[name], variables["shares"][name])
            losses[f"style/{name}"] = style.style_loss(grams, variables["style"][name], regions, relative)
        return losses

    def losses(self, params: Tree, variables: Tree) -> dict[str, jax.Array]:
        """The loss that is minimised, its parts, and those of each layer."""
        pixels = params["image"]["pixels"]
        one = self.layer_losses(variables, pixels)
        whole = {"total_variation": style.total_variation(pixels)}
        for kind in ("content", "style"):
            weights = self.settings.layer_weights(kind)
            if weights:
                whole[kind] = sum((w * one[f"{kind}/{name}"] for name, w in weights.items()), jnp.float32(0))
        total = sum((self.settings.weight_of(name) * value for name, value in whole.items()), jnp.float32(0))
        return {"loss": total, **whole, **one}

    def paint(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The loss that is minimised."""
        measured = self.losses(params, variables)
        return (measured["loss"], jnp.float32(1)), (variables, _pairs(measured))

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """All losses of the image as it is."""
        measured = self.losses(params, variables)
        return _pairs(measured), {name: jnp.full(batch["mask"].shape, value) for name, value in measured.items()}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """See `artifacts`."""
        image = painted(jnp.asarray(params["image"]["pixels"]), self.subject)
        return artifacts(image, self.subject, self.settings, {k: float(v[0]) for k, v in evaluation.outputs.items()})

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """The task: so many `steps` of the `optimizer`."""
        layers = [f"{kind}/{name}" for kind in ("content", "style") for name in self.settings.layer_weights(kind)]
        described = dict.fromkeys(("loss", "content", "style", "total_variation", *layers), LOWER)
        objectives = {"paint": Objective(self.paint, ("image",), optimizer)}
        evaluators = {"losses": Evaluator(self.evaluate, described)}
        return Task(self.init, objectives, (Phase(steps, ("paint",)),), evaluators, self.render)


def _pairs(measured: dict[str, jax.Array]) -> Metrics:
    return {name: (value.astype(jnp.float32), jnp.float32(1)) for name, value in measured.items()}


def painted(pixels: Float[Array, "h w c"], subject: Subject) -> Float[np.ndarray, "h w 3"]:
    """The painted image, RGB in 0..1; a painted luminance has the content's chrominance."""
    if pixels.shape[-1] == 1 and subject.original is not None:
        pixels = with_luminance(subject.original, pixels)
    return np.clip(np.asarray(jnp.broadcast_to(pixels, (*pixels.shape[:2], 3)), np.float32), 0, 1)


def artifacts(
    result: Float[np.ndarray, "h w 3"], subject: Subject, settings: Settings, measured: dict[str, float]
) -> dict[str, Artifact]:
    """The image, what it was painted from, and a table of the losses."""
    shown: dict[str, Artifact] = {"result": Images(result[None], columns=1)}
    if subject.original is not None:
        shown["content"] = Images(subject.original[None], columns=1)
    for name, image in zip(settings.styles, subject.styles, strict=True):
        whole = np.broadcast_to(image, (*image.shape[:2], 3))
        shown[f"style {name.rpartition('/')[2]}"] = Images(np.clip(whole, 0, 1)[None], columns=1)
    rows = []
    for kind in ("content", "style"):
        for name, weight in settings.layer_weights(kind).items():
            rows.append([kind, name, round(weight, 4), f"{measured[f'{kind}/{name}']:.4g}"])
        if kind in measured:
            rows.append([kind, "all", settings.weight_of(kind), f"{measured[kind]:.4g}"])
    rows.append(["total variation", "", settings.total_variation, f"{measured['total_variation']:.4g}"])
    rows.append(["loss", "", "", f"{measured['loss']:.4g}"])
    shown["losses"] = Table(["", "layer", "weight", "loss"], rows)
    return shown


def _start(subject: Subject, settings: Settings) -> np.ndarray:
    """The image before noise is added to it."""
    if settings.init == "noise":
        return np.full((*subject.shape, 1 if settings.colour == "luminance" else 3), 0.5, np.float32)
    if settings.init == "content" and subject.content is not None:
        return subject.content
    if settings.init == "style" and subject.styles:
        return fit_images(subject.styles[0], subject.shape, "resize")
    raise UserError(f"task.init={settings.init!r}, and there is no {settings.init} given: set it to one of {', '.join(INITS)}.")


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: an image or weights that are missing or do not fit, an unknown setting or layer, an image too small for the
            network, a map of other proportions than its image or with a colour that no style's map has.
    """
    settings = registry.read(Settings, "the task style_transfer", config.task)
    _check(settings)
    subject = style_subject.read(settings, resources.manual_dir)
    layers = tuple(dict.fromkeys([*settings.layer_weights("content"), *settings.layer_weights("style")]))
    network = feature_network.build(config, settings.weights, layers, resources.manual_dir)
    targets = _targets(network, subject, settings)
    return StyleTransfer(network, subject, targets, settings).task(optimizers.build(config.optimizer, steps), steps)


def _check(settings: Settings) -> None:
    for key, choices in (("init", INITS), ("colour", COLOURS)):
        if getattr(settings, key) not in choices:
            raise unknown(f"task.{key}", getattr(settings, key), choices)
    for key in ("content_weight", "style_weight", "total_variation", "noise", "size", "style_size"):
        if getattr(settings, key) < 0:
            raise UserError(f"task.{key} must not be negative, got {getattr(settings, key)}.")
    if not settings.content and not settings.styles:
        raise UserError("style transfer needs task.content, task.styles, or both.")
    for kind, target in (("content", settings.content), ("style", settings.styles)):
        if target and not getattr(settings, f"{kind}_layers"):
            raise UserError(f"task.{kind}_layers names no layer of the network.")
    if settings.colour != "style" and not settings.content:
        raise UserError(f"task.colour={settings.colour!r} keeps the content's colours, and there is no task.content.")


def _targets(network: Network, subject: Subject, settings: Settings) -> Tree:
    """Features of the content, Gram matrices of the styles, and the shares of the regions, by layer, on the host."""
    see = jax.jit(network.features)
    layers = {kind: tuple(settings.layer_weights(kind)) for kind in ("content", "style")}
    targets: dict[str, dict[str, np.ndarray]] = {}
    if layers["content"]:
        found = see(network.params, jnp.asarray(subject.content))
        targets["content"] = {layer: np.asarray(found[layer]) for layer in layers["content"]}
    if not layers["style"]:
        return targets
    grams: dict[str, list[np.ndarray]] = {layer: [] for layer in layers["style"]}
    for image, shares in zip(subject.styles, subject.style_shares, strict=True):
        found = see(network.params, jnp.asarray(image))
        for layer in layers["style"]:
            grams[layer].append(np.asarray(style.gram(found[layer], jnp.asarray(shares(*found[layer].shape[:2])))))
    sizes = jax.eval_shape(network.features, network.params, jax.ShapeDtypeStruct((*subject.shape, 3), jnp.float32))
    targets["style"] = {layer: np.stack(g) for layer, g in grams.items()}
    targets["shares"] = {layer: subject.shares(*sizes[layer].shape[:2]) for layer in layers["style"]}
    return targets


PUBLIC = {"style_transfer": build}
SETTINGS = {"style_transfer": Settings()._asdict()}
WITHOUT_FILES = {"style_transfer": lambda: {"content": "china", "styles": ("flower",), "style_weights": (), "weights": ""}}
