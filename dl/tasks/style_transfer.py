"""Style transfer: the image is the parameter, the network stands still (Gatys, Ecker & Bethge 2016).

    loss = content_weight * sum_l u_l content_l + style_weight * sum_l w_l style_l + total_variation * variation

with the losses of `dl.evaluation.style`. Without styles it is content inversion (Mahendran & Vedaldi 2015), without content
texture synthesis (Gatys et al. 2015), with maps a semantic doodle (Champandard 2016, by guided Gram matrices).

Settings, `config.task`:

    content, styles      images (see `dl.data.image_files`); "" and () for none
    style_weights        of the styles among each other; () for equal ones
    size, style_size     longer side in pixels; style_size 0 is as `size`
    weights              of the network `config.model`, from here or in the folder of archives; "" leaves it untrained
    content_layers, content_layer_weights, style_layers, style_layer_weights          () for equal weights, which add up to 1
    content_weight, style_weight, total_variation                                     see above
    relative             losses relative to their targets, or the paper's
    init, noise          "content", "style" or "noise" (grey), and the deviation of Gaussian noise upon it, of pixels in 0..1
    colour               "style", or the content's kept: "luminance" (only that is painted), "match" (the styles are recoloured)
    content_map, style_maps   images of flat colours: where a colour is on the content, its style is that of the same colour

Batches are empty: the dataset is `nothing`. Parameters: `image/pixels` [H, W, 3] in 0..1, not confined to it; [H, W, 1] where
only the luminance is painted. Variables: the network up to its deepest layer in use, and the targets; a checkpoint holds all.
Metrics: `loss`, `content`, `style`, `total_variation`, and the loss of each layer, `content/conv1`, unweighted.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from dl.artifacts import Artifact, Images, Table
from dl.data import image_files
from dl.data.colour_transfer import with_luminance
from dl.dataset import Resources
from dl.errors import UserError, unknown
from dl.evaluation import style
from dl.interop import published as interop
from dl.interop import weights
from dl.metric import LOWER
from dl.task import Batch, Evaluation, Evaluator, Metrics, Objective, Phase, Task, Tree
from dl.tasks import style_subject
from dl.tasks.style_subject import Subject
from dl.training import optimizers

DEFAULTS: dict[str, Any] = {
    "content": "",
    "styles": (),
    "style_weights": (),
    "size": 512,
    "style_size": 0,
    "weights": "",
    "content_layers": (),
    "content_layer_weights": (),
    "style_layers": (),
    "style_layer_weights": (),
    "content_weight": 1.0,
    "style_weight": 1.0,
    "total_variation": 0.0,
    "relative": True,
    "init": "content",
    "noise": 0.0,
    "colour": "style",
    "content_map": "",
    "style_maps": (),
}
CLASSES = 1000  # of ImageNet, which the networks are made for
INITS = ("content", "style", "noise")
COLOURS = ("style", "luminance", "match")
UNTRAINED = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)  # mean and deviation of the pixels
NETWORK_SEED = 0  # of an untrained network, the same for all replicas
ANY_SIDE = 224  # of an image, large enough for every layer; convolutions have the same parameters at any size

Features = dict[str, Float[Array, "h w c"]]


class Network(NamedTuple):
    """A network that stands still: `(params, pixels [H, W, 3] or [H, W, 1]) -> layer -> features`, and its parameters."""

    features: Callable[[Tree, jax.Array], Features]
    params: Tree


def style_transfer(
    network: Network,
    subject: Subject,
    targets: Tree,
    settings: dict[str, Any],
    optimizer: optax.GradientTransformation,
    steps: int,
) -> Task:
    """An image that is painted.

    Args:
        network: that looks at it.
        subject: what is painted from.
        targets: `content`: layer -> features; `style`: layer -> Gram matrices [S, K, C, C]; `shares`: layer -> [K, h, w].
        settings: the module's, complete.
        optimizer: of the pixels, the group `image`.
        steps: of it.
    """
    content_weights = _layer_weights(settings, "content")
    style_weights = _layer_weights(settings, "style")
    channels = 1 if settings["colour"] == "luminance" else 3
    regions, relative = jnp.asarray(subject.region_weights), settings["relative"]

    def init(key: jax.Array) -> tuple[Tree, Tree]:
        base = jnp.asarray(_start(subject, settings["init"], channels))
        pixels = base + settings["noise"] * jax.random.normal(key, base.shape)
        return {"image": {"pixels": pixels}}, jax.tree.map(jnp.asarray, {"network": network.params, **targets})

    def losses(params: Tree, variables: Tree) -> dict[str, jax.Array]:
        pixels = params["image"]["pixels"]
        found = network.features(variables["network"], pixels)
        one: dict[str, jax.Array] = {}
        for name in content_weights:
            one[f"content/{name}"] = style.content_loss(found[name], variables["content"][name], relative)
        for name in style_weights:
            grams = style.gram(found[name], variables["shares"][name])
            one[f"style/{name}"] = style.style_loss(grams, variables["style"][name], regions, relative)
        whole = {"total_variation": style.total_variation(pixels)}
        if content_weights:
            whole["content"] = sum((u * one[f"content/{name}"] for name, u in content_weights.items()), jnp.float32(0))
        if style_weights:
            whole["style"] = sum((w * one[f"style/{name}"] for name, w in style_weights.items()), jnp.float32(0))
        factors = {"content": "content_weight", "style": "style_weight", "total_variation": "total_variation"}
        total = sum((settings[factors[name]] * value for name, value in whole.items()), jnp.float32(0))
        return {"loss": total, **whole, **one}

    def objective(params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Any:
        measured = losses(params, variables)
        return (measured["loss"], jnp.float32(1)), (variables, _pairs(measured))

    def evaluate(params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> tuple[Metrics, dict[str, jax.Array]]:
        measured = losses(params, variables)
        return _pairs(measured), {name: jnp.full(batch["mask"].shape, value) for name, value in measured.items()}

    def render(params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        pixels = jnp.asarray(params["image"]["pixels"])
        return artifacts(shown(pixels, subject), subject, settings, {k: float(v[0]) for k, v in evaluation.outputs.items()})

    layers = [f"{kind}/{name}" for kind, names in (("content", content_weights), ("style", style_weights)) for name in names]
    described = {name: LOWER for name in ("loss", "content", "style", "total_variation", *layers)}
    objectives = {"paint": Objective(objective, ("image",), optimizer)}
    return Task(init, objectives, (Phase(steps, ("paint",)),), {"losses": Evaluator(evaluate, described)}, render)


def _pairs(measured: dict[str, jax.Array]) -> Metrics:
    return {name: (value.astype(jnp.float32), jnp.float32(1)) for name, value in measured.items()}


def shown(pixels: Float[Array, "h w c"], subject: Subject) -> Float[np.ndarray, "h w 3"]:
    """The painted image, RGB in 0..1; a painted luminance has the content's chrominance."""
    if pixels.shape[-1] == 1 and subject.original is not None:
        pixels = with_luminance(subject.original, pixels)
    return np.clip(np.asarray(jnp.broadcast_to(pixels, (*pixels.shape[:2], 3)), np.float32), 0, 1)


def artifacts(
    result: Float[np.ndarray, "h w 3"], subject: Subject, settings: dict[str, Any], measured: dict[str, float]
) -> dict[str, Artifact]:
    """The image, what it was painted from, and a table of the losses."""
    shown: dict[str, Artifact] = {"result": Images(result[None], columns=1)}
    if subject.original is not None:
        shown["content"] = Images(subject.original[None], columns=1)
    for name, image in zip(settings["styles"], subject.styles, strict=True):
        whole = np.broadcast_to(image, (*image.shape[:2], 3))
        shown[f"style {name.rpartition('/')[2]}"] = Images(np.clip(whole, 0, 1)[None], columns=1)
    rows = []
    for kind in ("content", "style"):
        for name, weight in _layer_weights(settings, kind).items():
            rows.append([kind, name, round(weight, 4), f"{measured[f'{kind}/{name}']:.4g}"])
        if kind in measured:
            rows.append([kind, "all", settings[f"{kind}_weight"], f"{measured[kind]:.4g}"])
    rows.append(["total variation", "", settings["total_variation"], f"{measured['total_variation']:.4g}"])
    rows.append(["loss", "", "", f"{measured['loss']:.4g}"])
    shown["losses"] = Table(["", "layer", "weight", "loss"], rows)
    return shown


def _start(subject: Subject, init: str, channels: int) -> np.ndarray:
    if init == "noise":
        return np.full((*subject.shape, channels), 0.5, np.float32)
    if init == "content" and subject.content is not None:
        return subject.content
    if init == "style" and subject.styles:
        from dl.data.resizing import fit_images

        return fit_images(subject.styles[0], subject.shape, "resize")
    raise UserError(f"task.init={init!r}, and there is no {init} given: set it to one of {', '.join(INITS)}.")


def _layer_weights(settings: dict[str, Any], kind: str) -> dict[str, float]:
    """Layer -> weight; they add up to 1. None where the kind of loss has no target."""
    names, given = settings[f"{kind}_layers"], settings[f"{kind}_layer_weights"]
    if not (settings["content"] if kind == "content" else settings["styles"]):
        return {}
    if given and (len(given) != len(names) or min(given) < 0 or not sum(given)):
        raise UserError(f"task.{kind}_layer_weights must be {len(names)} numbers, one a layer, none negative, not {given}.")
    weights = given or (1.0,) * len(names)
    return {name: float(weight) / sum(weights) for name, weight in zip(names, weights, strict=True)}


# --- what a configuration asks for ---


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; see the module.

    Raises:
        UserError: an image or weights that are missing or do not fit, an unknown setting or layer, an image too small for the
            network, a map of other proportions than its image or with a colour that no style's map has.
    """
    settings = _settings(config.task.to_dict())
    subject = style_subject.read(settings, resources.manual_dir)
    network = build_network(config, resources.manual_dir, settings)
    targets = _targets(network, subject, settings)
    return style_transfer(network, subject, targets, settings, optimizers.build(config.optimizer, steps), steps)


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    given.pop("name")
    for key in given:
        if key not in DEFAULTS:
            raise unknown("setting of style_transfer", key, DEFAULTS)
    settings = {**DEFAULTS, **given}
    for key, choices in (("init", INITS), ("colour", COLOURS)):
        if settings[key] not in choices:
            raise unknown(f"task.{key}", str(settings[key]), choices)
    for key in ("content_weight", "style_weight", "total_variation", "noise", "size", "style_size"):
        if settings[key] < 0:
            raise UserError(f"task.{key} must not be negative, got {settings[key]}.")
    if not settings["content"] and not settings["styles"]:
        raise UserError("style transfer needs task.content, task.styles, or both.")
    for kind, target in (("content", settings["content"]), ("style", settings["styles"])):
        if target and not settings[f"{kind}_layers"]:
            raise UserError(f"task.{kind}_layers names no layer of the network.")
    if settings["colour"] != "style" and not settings["content"]:
        raise UserError(f"task.colour={settings['colour']!r} keeps the content's colours, and there is no task.content.")
    return settings


def build_network(config: ConfigDict, manual_dir: str | None, settings: dict[str, Any]) -> Network:
    """The network of `config.model`, as far as the layers in use, with the weights that are given.

    Raises:
        UserError: a model whose layers can't be looked at, unknown layers, weights that are missing or don't fit.
    """
    own = config.model.to_dict()
    name = own.pop("name")
    arrays: dict[str, np.ndarray] = {}
    published = None
    if settings["weights"]:
        path = image_files.find(settings["weights"], manual_dir, "the file of weights")
        arrays = weights.read(path)
        published = interop.published(name, arrays)
        own = {**published.settings, **own}
    model = interop.build(name, own, CLASSES, config.dtype)
    if not hasattr(model, "features"):
        raise UserError(f"the model {name} can't be looked into: style transfer takes squeezenet, vgg16 or vgg19.")
    wanted = tuple(dict.fromkeys([*_layer_weights(settings, "content"), *_layer_weights(settings, "style")]))
    mean, std = (jnp.asarray(value) for value in ((published.mean, published.std) if published else UNTRAINED))

    def features(params: Tree, pixels: jax.Array) -> Features:
        rgb = jnp.broadcast_to(pixels, (*pixels.shape[:2], 3))
        found: Any = model.apply({"params": params}, ((rgb - mean) / std)[None], wanted, method="features")
        return {layer: values[0].astype(jnp.float32) for layer, values in found.items()}

    def create(key: jax.Array) -> Any:
        return model.init_with_output(key, jnp.zeros((1, ANY_SIDE, ANY_SIDE, 3)), wanted, method="features")

    maps, shapes = jax.eval_shape(create, jax.random.key(NETWORK_SEED))
    for layer, values in maps.items():
        if len(values.shape) != 4:
            raise UserError(f"the layer {layer} of {name} has no places: style transfer takes convolutions and pools.")
    if not published:
        return Network(features, jax.jit(lambda key: create(key)[1]["params"])(jax.random.key(NETWORK_SEED)))
    return Network(features, interop.part(published, model, shapes, arrays, str(path), name)["params"])


def _targets(network: Network, subject: Subject, settings: dict[str, Any]) -> Tree:
    """Features of the content, Gram matrices of the styles, and the shares of the regions, by layer, on the host."""
    see = jax.jit(network.features)
    layers = {kind: tuple(_layer_weights(settings, kind)) for kind in ("content", "style")}
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
SETTINGS = {"style_transfer": DEFAULTS}
WITHOUT_FILES = {"style_transfer": lambda: {"content": "china", "styles": ("flower",), "style_weights": (), "weights": ""}}
