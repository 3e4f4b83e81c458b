"""Finding words in scenes (EAST: Zhou et al. 2017): at every place a score and the turned box that the place is in.

Batches hold `image` [B, H, W, C], `words` [B, N, 5] (y, x, height, width in pixels, angle in radians) and `words_length` [B].
The loss of an image is L_s + geometry * (L_box + 10 L_angle), with their eqs. 3 to 10:

    L_s = -b Y* log Y - (1 - b) (1 - Y*) log(1 - Y),  b = 1 - mean of Y*
    L_box = -log(intersection / union of the two boxes),  L_angle = 1 - cos(angle - angle*)

L_s is a mean over all places, L_box and L_angle over those within a word's box, shrunk by `shrink` of its shorter side at each
side. In L_box 1 is added to intersection and union, in square pixels, so that a place without overlap has a gradient.

Metrics: `loss`; `precision`, `recall` and `f1` of the boxes left by non-maximum suppression, at an intersection over union of
0.5 with the words that are there, all images together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact
from dl.dataset import Info, Resources
from dl.errors import UserError
from dl.evaluation.boxes_drawn import scenes_with_boxes
from dl.evaluation.turned_boxes import precision_and_recall, suppressed
from dl.metric import LOWER, Metric
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Phase, Task, Tree, mean, means, valid
from dl.training import optimizers
from dl.vocabulary import Vocabulary

ANGLE = 10.0  # weight of the angle (section 3.4.2)
SHOWN = 12  # scenes in the report
SHARE = Metric("higher", format=".2%")
Map = Float[Array, "b y x"]


class Settings(NamedTuple):
    """`config.task`.

    geometry: weight of the boxes in the loss.
    shrink: part of a word's shorter side that is cut off at each side before places count as within it.
    threshold: score from which on a place says a box.
    overlap: intersection over union from which on two boxes are the same word.
    candidates: places that say a box in an image, at most.
    """

    geometry: float = 1.0
    shrink: float = 0.3
    threshold: float = 0.8
    overlap: float = 0.2
    candidates: int = 256


class Targets(NamedTuple):
    """What is to be said at each place: whether it is within a word; the distances from its sides; its angle."""

    inside: Map
    distances: Float[Array, "b y x 4"]
    angle: Map


def targets(
    words: Float[Array, "b n 5"], count: Int[Array, " b"], shape: tuple[int, int], stride: int, shrink: float
) -> Targets:
    """The maps of `shape` whose places are `stride` pixels apart (section 3.3). Where words meet, the nearest centre counts."""
    rows, columns = ((jnp.arange(size) + 0.5) * stride for size in shape)
    y, x, height, width, angle = (v[:, :, None, None] for v in jnp.moveaxis(words, -1, 0))
    dy, dx = rows[:, None] - y, columns - x
    right, down = dx * jnp.cos(angle) - dy * jnp.sin(angle), dx * jnp.sin(angle) + dy * jnp.cos(angle)
    cut = shrink * jnp.minimum(height, width)
    inside = (jnp.abs(right) <= width / 2 - cut) & (jnp.abs(down) <= height / 2 - cut)
    inside = inside & valid(count, words.shape[1])[:, :, None, None]
    nearest = jnp.where(inside, jnp.hypot(dy, dx), jnp.inf).argmin(axis=1)
    sides = jnp.stack([height / 2 + down, width / 2 - right, height / 2 - down, width / 2 + right], axis=-1)
    chosen = jnp.take_along_axis(sides, nearest[:, None, :, :, None], axis=1)[:, 0]
    turned = jnp.take_along_axis(jnp.broadcast_to(angle, inside.shape), nearest[:, None], axis=1)[:, 0]
    return Targets(inside.any(axis=1).astype(jnp.float32), jnp.maximum(chosen, 0), turned)


def score_loss(logits: Map, inside: Map) -> Float[Array, " b"]:
    """Balanced cross-entropy of each image (eqs. 4 and 5)."""
    balance = 1 - inside.mean((1, 2), keepdims=True)
    each = -balance * inside * jax.nn.log_sigmoid(logits) - (1 - balance) * (1 - inside) * jax.nn.log_sigmoid(-logits)
    return each.mean((1, 2))


def box_loss(distances: Float[Array, "*b 4"], wanted: Float[Array, "*b 4"]) -> Float[Array, "*b"]:
    """-log of intersection over union of two boxes around one place, given by their distances from it (eqs. 7 to 9)."""
    height, width = (jnp.minimum(distances, wanted)[..., k] + jnp.minimum(distances, wanted)[..., k + 2] for k in (0, 1))
    ours, theirs = ((d[..., 0] + d[..., 2]) * (d[..., 1] + d[..., 3]) for d in (distances, wanted))
    both = height * width
    return -jnp.log((both + 1) / (ours + theirs - both + 1))


def boxes_of(maps: Float[Array, "b y x 6"], stride: int, count: int) -> tuple[Float[Array, "b k 5"], Float[Array, "b k"]]:
    """The boxes of the `count` places with the highest scores, and these scores in 0..1: the inverse of `targets`."""
    batch, rows, columns, _ = maps.shape
    flat = maps.reshape(batch, rows * columns, 6)
    score, place = jax.lax.top_k(jax.nn.sigmoid(flat[..., 0]), min(count, rows * columns))
    top, right, low, left, angle = jnp.moveaxis(jnp.take_along_axis(flat, place[..., None], axis=1)[..., 1:], -1, 0)
    y, x = (place // columns + 0.5) * stride, (place % columns + 0.5) * stride
    across, down = (right - left) / 2, (low - top) / 2  # from the place to the centre, as the box is turned
    y, x = y - across * jnp.sin(angle) + down * jnp.cos(angle), x + across * jnp.cos(angle) + down * jnp.sin(angle)
    return jnp.stack([y, x, top + low, left + right, angle], axis=-1), score


@dataclass(frozen=True)
class TextDetector:
    """A network of score and geometry; its parameters are the group `model`."""

    model: nn.Module
    info: Info
    settings: Settings

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Of the words, where the data say what they are."""
        return self.info.features["text"].vocabulary if "text" in self.info.features else None

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters, and running statistics."""
        variables = dict(self.model.init(key, jnp.zeros((1, *self.info.shapes["image"]))))
        return {"model": variables.pop("params")}, variables

    def maps(self, params: Tree, variables: Tree, images: jax.Array) -> jax.Array:
        """What the network says after training."""
        found: Any = self.model.apply({"params": params["model"], **variables}, images, train=False)
        return found

    def losses(self, maps: jax.Array, batch: Batch) -> jax.Array:
        """The loss of each image [B]."""
        stride = batch["image"].shape[1] // maps.shape[1]
        shape = (maps.shape[1], maps.shape[2])
        wanted = targets(batch["words"], batch["words_length"], shape, stride, self.settings.shrink)
        box = box_loss(maps[..., 1:5], wanted.distances) + ANGLE * (1 - jnp.cos(maps[..., 5] - wanted.angle))
        inside = wanted.inside
        geometry = (box * inside).sum((1, 2)) / jnp.maximum(inside.sum((1, 2)), 1)
        return score_loss(maps[..., 0], inside) + self.settings.geometry * geometry

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The mean over the images."""
        inputs = {"params": params["model"], **variables}
        maps, new = self.model.apply(inputs, batch["image"], train=True, mutable=list(variables))
        losses = self.losses(maps, batch)
        return mean(losses), ({**variables, **new}, {"loss": mean(losses)})

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """The loss, and the boxes of the likeliest places."""
        maps = self.maps(params, variables, batch["image"])
        boxes, scores = boxes_of(maps, batch["image"].shape[1] // maps.shape[1], self.settings.candidates)
        losses = self.losses(maps, batch)
        outputs = {"boxes": boxes, "scores": scores, "words": batch["words"], "words_length": batch["words_length"]}
        return {"loss": mean(losses, batch["mask"])}, {"loss": losses, **outputs}

    def found(self, outputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The boxes [n, 5] that are left of each image, the likeliest first."""
        kept = []
        for boxes, scores in zip(outputs["boxes"], outputs["scores"], strict=True):
            likely = scores >= self.settings.threshold
            kept.append(suppressed(boxes[likely], scores[likely], self.settings.overlap)[0])
        return kept

    def finish(self, sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Precision and recall of the whole split."""
        return {**means(sums, outputs), **precision_and_recall(self.found(outputs), there(outputs))}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """The scenes with the largest loss, then some others, with what was found, missed and wrongly found."""
        outputs = evaluation.outputs
        worst = np.argsort(-outputs["loss"], kind="stable")[: SHOWN // 2]
        others = np.linspace(0, len(outputs["loss"]) - 1, SHOWN // 2).astype(np.int64)
        indices = np.unique(np.concatenate([worst, others]), return_index=True)[0]
        indices = indices[np.argsort(-outputs["loss"][indices], kind="stable")]
        batch, some = evaluation.examples(indices), {name: outputs[name][indices] for name in outputs}
        names = [self.said(batch, i) for i in range(len(indices))]
        return {"scenes": scenes_with_boxes(batch["image"], self.found(some), there(some), names)}

    def said(self, batch: Mapping[str, np.ndarray], index: int) -> list[str]:
        """The words of a scene."""
        if self.vocabulary is None:
            return []
        rows = zip(batch["text"][index], batch["text_length"][index], strict=True)
        return [self.vocabulary.decode(row[:size]) for row, size in rows][: int(batch["words_length"][index])]

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """All of it together."""
        objectives = {"detect": Objective(self.loss, ("model",), optimizer)}
        described = {"loss": LOWER, **dict.fromkeys(("precision", "recall", "f1"), SHARE)}
        evaluators = {"detect": Evaluator(self.evaluate, described, self.finish)}
        return Task(self.init, objectives, (Phase(steps, ("detect",)),), evaluators, self.render)


def there(outputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The boxes [n, 5] of the words of each image."""
    return [boxes[:count] for boxes, count in zip(outputs["words"], outputs["words_length"], strict=True)]


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration.

    Raises:
        UserError: an unknown model or setting, data without boxes of words, or a number out of range.
    """
    info = resources.info
    settings: Settings = registry.read(Settings, "the task text_detection", config.task)
    if not {"image", "words", "words_length"} <= set(info.features):
        raise UserError(f"text_detection needs scenes with boxes of words: take 'rendered_scenes', not {info.name!r}.")
    if not 0 <= settings.shrink < 0.5 or not 0 < settings.overlap <= 1 or settings.candidates < 1:
        raise UserError(
            f"task.shrink={settings.shrink:g} must be below 0.5, task.overlap={settings.overlap:g} in 0..1, and "
            f"task.candidates={settings.candidates} at least 1."
        )
    return TextDetector(models.build(config), info, settings).task(optimizers.build(config.optimizer, steps), steps)


PUBLIC = {"text_detection": build}
SETTINGS = {"text_detection": Settings()._asdict()}
