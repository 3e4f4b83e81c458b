"""Super-resolution: small images made large, by the mean squared error, then against an adversary (Ledig et al. 2017).

Three phases of one task, of which each takes a share of the steps (`Settings.phases`):

    pixels    mean over pixels of (I - G(low))^2                                   (Dong et al. 2014, eq. 4; Ledig, eq. 4)
    game      the discriminator tells G(low) from I; the generator minimises       (eq. 2, 3 and 6)
                  perceptual * distance of features + adversarial * -log D(G(low)) + pixel * squared error
    fine      the same at a tenth of the learning rate                             (section 3.2)

The distance of features is the mean squared difference of what a layer of a frozen classifier of ImageNet gives (eq. 5).
Batches of training hold `image` [B, P, P, 3] and `low` [B, p, p, 3], those of evaluation whole images
(`dl.data.low_resolution`). What the first phase ends with is kept as `pixels` in the variables, so that one run shows both. A
net works in RGB, or on the luminance alone; colours are then enlarged by bicubic interpolation.

Metrics of a split: `psnr` and `ssim` of the luminance with the rim left out, and the same of bicubic enlargement
(`bicubic_psnr`) and, where there is a game, of the first phase's end (`pixels_psnr`).
"""

import inspect
from collections.abc import Mapping
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
from dl.artifacts import Artifact, Images, Table
from dl.dataset import Resources, Source, column_of
from dl.errors import UserError, unknown
from dl.evaluation import image_quality
from dl.evaluation.image_quality import LEAST, chrominance, coloured, levels, luminance
from dl.layers.bicubic import enlarged
from dl.metric import HIGHER, NEITHER
from dl.models import build as models
from dl.models.srresnet import Opponents
from dl.task import Batch, Evaluation, Evaluator, Measurement, Metrics, Objective, Outcome, Phase, Task, Tree, mean
from dl.tasks.adversarial import Dealt, Game
from dl.training import optimizers
from dl.transfer import feature_network
from dl.transfer.feature_network import Network

COLOURS = {"rgb": 3, "luminance": 1}
SHOWN, WINDOW = 5, 144  # images of a split in the figure, and the side of the part that is shown
NAMES = {"bicubic": "bicubic", "pixels": "squared error", "": "made"}


class Settings(NamedTuple):
    """`config.task`.

    colour: what the net sees and makes, "rgb" or "luminance".
    border: pixels of the rim that are not measured.
    phases: shares of the steps of pixels, game and fine; they add up to 1.
    adversarial, perceptual, pixel: weights of the generator's losses in the game.
    features: file of the frozen classifier's weights; "" leaves it untrained.
    feature_network, feature_layer: the frozen classifier, and the layer whose features are compared.
    game_optimizer: settings that replace those of `config.optimizer` for both players.
    """

    colour: str = "rgb"
    border: int = 4
    phases: tuple[float, float, float] = (1.0, 0.0, 0.0)
    adversarial: float = 1e-3
    perceptual: float = 1.0
    pixel: float = 0.0
    features: str = ""
    feature_network: str = "squeezenet"
    feature_layer: str = "fire4"
    game_optimizer: Mapping[str, Any] = {}


def squared_error(made: Float[Array, "b y x c"], original: Float[Array, "b h w c"]) -> Float[Array, " b"]:
    """The mean over an image's pixels of the squared difference; of the middle of the original, where less was made."""
    cut = [(n - m) // 2 for n, m in zip(original.shape[1:3], made.shape[1:3], strict=True)]
    middle = original[:, cut[0] : cut[0] + made.shape[1], cut[1] : cut[1] + made.shape[2]]
    return jnp.square(made - middle).mean((1, 2, 3))


@dataclass(frozen=True)
class SuperResolution:
    """The net `generator`, and where there is a game, the `discriminator` and the frozen `network` of its features."""

    generator: nn.Module
    discriminator: nn.Module | None
    network: Network | None
    scale: int
    patch: int
    settings: Settings

    def colours(self, rgb: Float[Array, "b h w 3"]) -> Float[Array, "b h w c"]:
        """What the net sees of images in 0..1."""
        return luminance(rgb) if self.settings.colour == "luminance" else rgb

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters and running statistics; with a game, the frozen network and what the first phase ends with."""
        first, second = jax.random.split(key)
        side, channels = self.patch // self.scale, COLOURS[self.settings.colour]
        variables = {"generator": dict(self.generator.init(first, jnp.zeros((1, side, side, channels))))}
        if self.discriminator and self.network:
            whole = jnp.zeros((1, self.patch, self.patch, channels))
            variables["discriminator"] = dict(self.discriminator.init(second, whole))
        params = {name: own.pop("params") for name, own in variables.items()}
        if self.network:
            variables["network"] = jax.tree.map(jnp.asarray, self.network.params)
            # Copies, because an array may stand in the state only once.
            variables["pixels"] = jax.tree.map(jnp.copy, {"params": params["generator"], **variables["generator"]})
        return params, variables

    @property
    def game(self) -> Game:
        """What is played in the second and third phase."""
        assert self.discriminator is not None
        return Game(self.generator, self.discriminator, self.deal, self.beside, weight=self.settings.adversarial)

    def deal(self, batch: Batch, key: jax.Array) -> Dealt:
        """Small images, and the originals; there is no noise."""
        return Dealt(self.colours(batch["low"]), self.colours(batch["image"]), None)

    def beside(self, variables: Tree, batch: Batch, made: jax.Array) -> tuple[jax.Array, Metrics]:
        """The weighted distances of features and of pixels, [B]."""
        assert self.network is not None
        real, own = self.colours(batch["image"]), self.settings
        ours, theirs = (self.network.of_batch(variables["network"], x)[own.feature_layer] for x in (made, real))
        perceptual, pixels = jnp.square(ours - theirs).mean((1, 2, 3)), squared_error(made, real)
        return own.perceptual * perceptual + own.pixel * pixels, {"perceptual": mean(perceptual), "squared_error": mean(pixels)}

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The squared error of the first phase."""
        state = variables["generator"]
        inputs = {"params": params["generator"], **state}
        made, new = self.generator.apply(inputs, self.colours(batch["low"]), train=True, mutable=list(state))
        errors, after = squared_error(made, self.colours(batch["image"])), {**variables, "generator": {**state, **new}}
        if "pixels" in variables:
            after["pixels"] = {"params": jax.lax.stop_gradient(params["generator"]), **after["generator"]}
        return mean(errors), (after, {"squared_error": mean(errors)})

    def enlarge(self, net: Tree, low: Float[Array, "b h w 3"], size: jax.Array | None = None) -> Float[Array, "b y x 3"]:
        """RGB images in 0..1 by the generator with the parameters and statistics `net`."""
        made: Any = self.generator.apply(net, self.colours(low), size, train=False)
        if self.settings.colour == "luminance":
            made = coloured(made, enlarged(chrominance(low), self.scale, size))
        return made.clip(0, 1)

    def ways(self, params: Tree, variables: Tree, batch: Batch) -> dict[str, Float[Array, "b y x 3"]]:
        """The images that are compared: those made ("", and of the first phase) and bicubic ones."""
        low, size = batch["low"], batch["size"]
        nets = {"": {"params": params["generator"], **variables["generator"]}}
        nets |= {"pixels": variables["pixels"]} if "pixels" in variables else {}
        # One after another in a loop, so that the net is compiled once.
        made = jax.lax.map(lambda net: self.enlarge(net, low, size), jax.tree.map(lambda *x: jnp.stack(x), *nets.values()))
        return {"bicubic": enlarged(low, self.scale, size).clip(0, 1), **dict(zip(nets, made, strict=True))}

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """PSNR and SSIM of each image, by each way."""
        original, size = levels(batch["image"], batch["grey"]), self.scale * batch["size"]
        found = {}
        for way, made in self.ways(params, variables, batch).items():
            y = levels(made, batch["grey"])
            for name, measure in (("psnr", image_quality.psnr), ("ssim", image_quality.ssim)):
                found[f"{way}_{name}".lstrip("_")] = measure(y, original, size, self.settings.border)
        return {name: mean(values, batch["mask"]) for name, values in found.items()}, found

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """Bicubic, made and original side by side with PSNR and SSIM, the middle of some images; and the numbers of all."""
        ways = jax.jit(self.ways)
        names = [name for name in NAMES if f"{name}_psnr".lstrip("_") in evaluation.outputs]
        count = len(evaluation.outputs["psnr"])
        window = self.window(evaluation, min(count, SHOWN))
        pixels, captions = [], []
        for row in range(min(count, SHOWN)):
            batch = evaluation.examples(np.array([row]))
            made = ways(params, variables, {name: jnp.asarray(values) for name, values in batch.items()})
            for name, image in (*((name, made[name]) for name in names), ("original", batch["image"])):
                top, left = ((self.scale * n - window) // 2 for n in batch["size"][0].tolist())
                pixels.append(np.asarray(image)[0, top : top + window, left : left + window])
                captions.append(name if name == "original" else f"{NAMES[name]} {_numbers(evaluation, name, row)}")
        header = ["image", *(f"{NAMES[name]} {what}" for name in names for what in ("PSNR", "SSIM"))]
        rows = [
            [str(row), *(f for name in names for f in _numbers(evaluation, name, row).split(" / "))] for row in range(count)
        ]
        return {"side by side": Images(np.stack(pixels), captions, len(names) + 1), "images": Table(header, rows)}

    def window(self, evaluation: Evaluation, count: int) -> int:
        """The side of what is shown: no image is smaller."""
        sides = [int(evaluation.examples(np.array([row]))["size"].min()) for row in range(count)]
        return min(WINDOW, self.scale * min(sides))

    def check(self, split: str, source: Source) -> None:
        """Raises UserError where an image is too small to be measured."""
        sizes = column_of(source, "size")
        if sizes is None:
            raise UserError("the task super_resolution needs images beside smaller ones: dataset.name='super_resolution'.")
        least = 2 * self.settings.border + LEAST
        if (self.scale * sizes.min(1) < least).any():
            row = int(sizes.min(1).argmin())
            height, width = (self.scale * sizes[row]).tolist()
            raise UserError(
                f"image {row} of the split {split!r} has {height}x{width} pixels; to be measured it needs {least} on each side "
                "(config.task.border): take it out, or a larger one."
            )

    def task(self, made: Mapping[str, optax.GradientTransformation], steps: tuple[int, int, int]) -> Task:
        """The task: `made` are the optimizers of the objectives, `steps` those of the phases."""
        objectives = {"pixels": Objective(self.loss, ("generator",), made["pixels"])}
        names = ["psnr", "ssim"]
        if self.discriminator:
            objectives["discriminator"] = Objective(self.game.discriminate, ("discriminator",), made["discriminator"])
            objectives["generator"] = Objective(self.game.generate, ("generator",), made["generator"])
        described = {f"bicubic_{name}": NEITHER for name in names}
        described |= {f"pixels_{name}": NEITHER for name in names} if self.discriminator else {}
        evaluators = {"quality": Evaluator(self.evaluate, described | dict.fromkeys(names, HIGHER))}
        # The last two differ in the rate alone, which falls by its schedule: one program.
        planned = (Phase(steps[0], ("pixels",)), Phase(steps[1] + steps[2], ("discriminator", "generator")))
        phases = tuple(phase for phase in planned if phase.steps)
        used = {name for phase in phases for name in phase.objectives}
        kept = {name: objective for name, objective in objectives.items() if name in used}
        return Task(self.init, kept, phases, evaluators, self.render, self.check)


def _numbers(evaluation: Evaluation, way: str, row: int) -> str:
    psnr, ssim = (evaluation.outputs[f"{way}_{name}".lstrip("_")][row] for name in ("psnr", "ssim"))
    return f"{psnr:.2f} dB / {ssim:.3f}"


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: an unknown setting, shares that are none, a model that does not enlarge or lacks an adversary.
    """
    settings = registry.read(Settings, "the task super_resolution", config.task)
    counts = _phases(settings, steps)
    if "low" not in resources.info.features:
        raise UserError("the task super_resolution needs images beside smaller ones: dataset.name='super_resolution'.")
    generator, discriminator = _nets(config, settings)
    scale, patch = config.dataset.get("scale", 4), config.dataset.get("patch", 96)
    game, network = sum(counts[1:]), None
    if game and not discriminator:
        raise UserError(
            f"task.phases={settings.phases} has a game, and {config.model.name} no adversary: take the model srgan."
        )
    if game:
        frozen = ConfigDict({"model": {"name": settings.feature_network}, "dtype": config.dtype})
        network = feature_network.build(frozen, settings.features, (settings.feature_layer,), resources.manual_dir)
    learner = SuperResolution(generator, discriminator if game else None, network, scale, patch, settings)
    return learner.task(_optimizers(config, settings, counts), counts)


def enlarger(config: ConfigDict) -> SuperResolution:
    """What a run of this configuration enlarges with, without what it was trained by."""
    settings = registry.read(Settings, "the task super_resolution", config.task)
    return SuperResolution(_nets(config, settings)[0], None, None, config.dataset.get("scale", 4), 0, settings)


def _nets(config: ConfigDict, settings: Settings) -> tuple[nn.Module, nn.Module | None]:
    """The net that enlarges, and its adversary, where the model has one."""
    if settings.colour not in COLOURS:
        raise unknown("task.colour", settings.colour, COLOURS)
    if not {"channels", "scale"} <= set(inspect.signature(models.find(config)).parameters):
        raise UserError(f"the model {config.model.name} does not enlarge images: srcnn, srresnet and srgan do.")
    made = models.build(config, channels=COLOURS[settings.colour], scale=config.dataset.get("scale", 4))
    return (made.generator, made.discriminator) if isinstance(made, Opponents) else (made, None)


def _phases(settings: Settings, steps: int) -> tuple[int, int, int]:
    """The steps of each phase."""
    if settings.border < 0 or min(settings.adversarial, settings.perceptual, settings.pixel) < 0:
        raise UserError("task.border and the weights of the losses must not be negative.")
    if min(settings.phases) < 0 or abs(sum(settings.phases) - 1) > 1e-6:
        raise UserError(f"task.phases={settings.phases} must be three shares of the steps that add up to 1.")
    if settings.phases[2] and not settings.phases[1]:
        raise UserError(f"task.phases={settings.phases} has the end of a game and no game: give the second phase a share too.")
    first, second = (round(share * steps) for share in settings.phases[:2])
    return first, second, steps - first - second


def _optimizers(
    config: ConfigDict, settings: Settings, counts: tuple[int, int, int]
) -> dict[str, optax.GradientTransformation]:
    """Of `pixels`, with the schedule of the configuration, and of both players, whose rate falls to a tenth once."""
    own = {**config.optimizer.to_dict(), **settings.game_optimizer}
    if "schedule" not in settings.game_optimizer:
        fine = {"name": "step", "boundaries": (counts[1],), "factor": 0.1}
        own["schedule"] = fine if counts[1] and counts[2] else {"name": "constant"}
    players = {name: optimizers.build(own, max(sum(counts[1:]), 1)) for name in ("discriminator", "generator")}
    return {"pixels": optimizers.build(config.optimizer, max(counts[0], 1)), **players}


PUBLIC = {"super_resolution": build}
SETTINGS = {"super_resolution": Settings()._asdict()}
WITHOUT_FILES = {"super_resolution": lambda: {"features": ""}}
