"""Detection of objects by Faster R-CNN (Ren et al. 2015), and of their masks by Mask R-CNN (He et al. 2017).

Batches hold `image` [B, H, W, C] with `boxes` [B, N, 4] (fractions of the image), `boxes_label` and `boxes_ignored` [B, N], and
`boxes_mask`, which rows are boxes; for masks also `instances` [B, H, W], whose pixels i + 1 are those of row i. Both stages are
trained together (Ren et al., section 3.2, "approximate joint training"): proposals are constants to the gradient. An image
without objects teaches what the background is.

Metrics: the losses, each the mean over images (`dl.tasks.detection_losses`), and by pycocotools `map`, `map50`, `map75` and, of
masks, `mask_map`, `mask_map50`, `mask_map75`.

Transfer: `config.task.weights` is a file of weights published for the backbone, or a run of this task.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact
from dl.dataset import Info, Kind, Resources
from dl.errors import UserError
from dl.evaluation.average_precision import average_precision, of_rows
from dl.evaluation.found_objects import Finds, precision_table, shown
from dl.layers import regions
from dl.layers.boxes import clip, decode, to_pixels
from dl.layers.regions import Truth
from dl.metric import HIGHER, LOWER
from dl.models import build as models
from dl.models.faster_rcnn import MASK_SIDE
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Phase, Task, Tree, mean, means
from dl.tasks import detection_losses as losses
from dl.training import optimizers
from dl.transfer import frozen, initial_weights

PRECISIONS = ("map", "map50", "map75")
BACKBONE = "model/body"


class Settings(NamedTuple):
    """`config.task`.

    weights: of the backbone, or a run, to start from; "": none. reinitialise: of a run's, those that are not taken.
    anchors, anchor_share: anchors of an image that are learned from, and the share of them that may be objects.
    anchor_positive, anchor_negative: IoU from which an anchor is an object, and below which it is background.
    proposals_before, proposals: of each map before non-maximum suppression, of all maps after it; its threshold.
    regions, region_share, region_positive: of the second stage, likewise; what is not an object is background.
    least_score, most, suppression: what is found has this score at least; so many at most; above this IoU one of two goes.
    precision_every: at every so many evaluations average precision is measured, and at the end; 0: only at the end.
    """

    weights: str = ""
    reinitialise: str = ""
    anchors: int = 256
    anchor_share: float = 0.5
    anchor_positive: float = 0.7
    anchor_negative: float = 0.3
    proposals_before: int = 500
    proposals: int = 200
    proposal_suppression: float = 0.7
    regions: int = 128
    region_share: float = 0.25
    region_positive: float = 0.5
    least_score: float = 0.05
    most: int = 100
    suppression: float = 0.5
    precision_every: int = 1

    def check(self) -> None:
        """Raises UserError where one is out of range."""
        for name, value in self._asdict().items():
            least = 0 if name == "precision_every" else 1
            if isinstance(value, float) and not 0 <= value <= 1:
                raise UserError(f"task.{name}={value:g} must be between 0 and 1.")
            if isinstance(value, int) and value < least:
                raise UserError(f"task.{name}={value} must be {least} at least.")


@dataclass(frozen=True)
class Detection:
    """A two-stage detector; its parameters are the group `model`."""

    model: Any
    info: Info
    classes: tuple[str, ...]  # their names
    settings: Settings
    pixels: Callable[[np.ndarray], np.ndarray]  # of standardised images, in 0..1
    is_frozen: frozen.Frozen = frozen.nothing

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the images."""
        height, width = self.info.shapes["image"][:2]
        return height, width

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters; there are no variables."""
        return {"model": self.model.init(key, jnp.zeros((1, *self.info.shapes["image"])))["params"]}, {}

    def call(self, params: Tree, method: str, *inputs: Any) -> Any:
        """A part of the model."""
        return self.model.apply({"params": params["model"]}, *inputs, method=method)

    def truth(self, batch: Batch) -> Truth:
        """The annotations of a batch."""
        boxes, there = to_pixels(batch["boxes"], *self.shape), batch["boxes_mask"]
        ignored = batch["boxes_ignored"] > 0 if "boxes_ignored" in batch else jnp.zeros_like(there)
        return Truth(boxes, batch["boxes_label"], there, ignored)

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The sum of all losses, and each as a metric."""
        parts = self.losses(frozen.constant(params, self.is_frozen), batch, key)
        metrics = {name: mean(values) for name, values in parts.items()}
        return metrics["loss"], (variables, metrics)

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """The same losses; anchors and regions are sampled as in training."""
        parts = self.losses(params, batch, key)
        return {name: mean(values, batch["mask"]) for name, values in parts.items()}, {}

    def losses(self, params: Tree, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Of each image [B]: their sum `loss`, and the parts."""
        truth, (first, second) = self.truth(batch), jax.random.split(key)
        maps = self.call(params, "pyramid", batch["image"])
        parts, proposed = self.first_stage(params, maps, truth, first)
        parts |= self.second_stage(params, maps, truth, proposed, batch.get("instances"), second)
        return {**parts, "loss": sum(parts.values(), start=jnp.zeros(len(batch["image"])))}

    def first_stage(self, params: Tree, maps: Any, truth: Truth, key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        """The losses of the anchors, and the proposals with their mask."""
        settings = self.settings
        objectness, deltas = self.call(params, "propose", maps)
        levels = [jnp.asarray(level) for level in self.model.anchors(maps)]
        anchors = jnp.concatenate(levels)

        def one(key: jax.Array, objectness: jax.Array, deltas: jax.Array, truth: Truth) -> Any:
            found = regions.matched(anchors, truth.boxes, truth.there, truth.ignored)
            positive = (found.overlap >= settings.anchor_positive) | found.nearest
            negative = (found.overlap < settings.anchor_negative) & ~positive & ~found.covered
            drawn = regions.sampled(key, positive, negative, settings.anchors, settings.anchor_share)
            at, own = drawn.indices, truth.boxes[found.which[drawn.indices]]
            return losses.anchor_losses(objectness[at], deltas[at], anchors[at], own, drawn.positive, drawn.counted)

        named = zip(("objectness", "anchor_boxes"), jax.vmap(one)(self.keys(key, maps), objectness, deltas, truth), strict=True)
        return dict(named), self.proposed(objectness, deltas, levels)

    def proposed(self, objectness: jax.Array, deltas: jax.Array, levels: list[jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Proposals [B, P, 4] and which rows are some."""
        settings = self.settings
        numbers = (settings.proposals_before, settings.proposals, settings.proposal_suppression)
        return jax.vmap(lambda o, d: regions.proposals(o, d, levels, self.shape, *numbers))(objectness, deltas)

    def second_stage(
        self, params: Tree, maps: Any, truth: Truth, proposed: Any, instances: jax.Array | None, key: jax.Array
    ) -> dict[str, jax.Array]:
        """The losses of regions; true boxes are among the proposals, so that there is something to learn from at first."""
        settings = self.settings
        counted = truth.there & ~truth.ignored
        boxes, there = (jnp.concatenate(pair, 1) for pair in zip(proposed, (truth.boxes, counted), strict=True))

        def draw(key: jax.Array, boxes: jax.Array, there: jax.Array, truth: Truth) -> Any:
            found = regions.matched(boxes, truth.boxes, truth.there, truth.ignored)
            positive = there & (found.overlap >= settings.region_positive)
            negative = there & ~positive & ~found.covered
            drawn = regions.sampled(key, positive, negative, settings.regions, settings.region_share)
            return drawn, boxes[drawn.indices], found.which[drawn.indices]

        drawn, chosen, which = jax.vmap(draw)(self.keys(key, maps), boxes, there, truth)
        own = jnp.take_along_axis(truth.boxes, which[..., None], 1)
        labels = jnp.take_along_axis(truth.labels, which, 1)
        scores, deltas = self.call(params, "classify", maps, chosen)
        given = (scores, deltas, chosen, own, labels, drawn.positive, drawn.counted)
        parts = dict(zip(("classes", "boxes"), jax.vmap(losses.box_losses)(*given), strict=True))
        if not self.model.masks:
            return parts
        assert instances is not None
        most = max(int(chosen.shape[1] * settings.region_share), 1)  # the positive ones come first
        boxes, labels, positive = chosen[:, :most], labels[:, :most], drawn.positive[:, :most]
        wanted = jax.vmap(partial(losses.mask_targets, side=MASK_SIDE))(instances, which[:, :most] + 1, boxes)
        logits = self.call(params, "mask", maps, boxes)
        return {**parts, "masks": jax.vmap(losses.mask_loss)(logits, wanted, labels, positive)}

    def keys(self, key: jax.Array, maps: Any) -> jax.Array:
        """One for each image."""
        return jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(len(maps[0])))

    def find(self, params: Tree, images: jax.Array) -> dict[str, jax.Array]:
        """What is on images: `found_boxes` [B, M, 4] in fractions, `_scores`, `_labels`, `_mask` [B, M]; `_masks`, uint8."""
        settings, maps = self.settings, self.call(params, "pyramid", images)
        levels = [jnp.asarray(level) for level in self.model.anchors(maps)]
        objectness, deltas = self.call(params, "propose", maps)
        proposed, there = self.proposed(objectness, deltas, levels)
        scores, deltas = self.call(params, "classify", maps, proposed)
        likely = jnp.where(there[..., None], jax.nn.softmax(scores)[..., 1:], 0)
        wide = jnp.broadcast_to(proposed[:, :, None], deltas.shape)
        boxes = clip(decode(deltas / jnp.array(losses.WEIGHTS), wide), *self.shape)
        numbers = (settings.least_score, settings.most, settings.suppression)
        boxes, scores, labels, mask = jax.vmap(lambda b, s: regions.detections(b, s, *numbers))(boxes, likely)
        height, width = self.shape
        found = {"boxes": boxes / jnp.array([height, width, height, width]), "scores": scores, "labels": labels, "mask": mask}
        if self.model.masks:
            soft = jax.nn.sigmoid(self.call(params, "mask", maps, boxes))
            own = jnp.take_along_axis(soft, labels[:, :, None, None, None], -1)[..., 0]
            found["masks"] = jnp.round(255 * own).astype(jnp.uint8)
        return {f"found_{name}": values for name, values in found.items()}

    def detect(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """What is found and what is there."""
        truth = {"boxes": batch["boxes"], "labels": batch["boxes_label"], "mask": batch["boxes_mask"]}
        truth["ignored"] = self.truth(batch).ignored
        outputs = {**self.find(params, batch["image"]), **{f"truth_{name}": values for name, values in truth.items()}}
        return {}, {**outputs, "instances": batch["instances"]} if self.model.masks else outputs

    def measure(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """`evaluate` and `detect` in one program, which makes the pyramid once."""
        sums, _ = self.evaluate(params, variables, batch, key)
        return sums, self.detect(params, variables, batch, key)[1]

    def finish(self, sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Average precision over the split, and the means of the losses, if they were summed."""
        found = {name: value for finds in self.finds(outputs) for name, value in finds.metrics().items()}
        return {**means(sums, outputs), **found}

    def finds(self, outputs: Mapping[str, np.ndarray]) -> list[Finds]:
        """What is there and what was found, boxes first, then masks."""
        shape, count = (self.shape if self.model.masks else None), len(outputs["found_mask"])
        truth, found = ([of_rows(outputs, i, name, shape) for i in range(count)] for name in ("truth", "found"))
        kinds = (False, True) if self.model.masks else (False,)
        return [Finds(truth, found, average_precision(truth, found, len(self.classes), kind), kind) for kind in kinds]

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """Images with what was found on them, the worst ones, and the precision of each class."""
        if "found_mask" not in evaluation.outputs:
            return {}
        finds = self.finds(evaluation.outputs)
        return {**shown(finds[0], evaluation.examples, self.pixels, self.classes), **precision_table(finds, self.classes)}

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """All of it together."""
        parts = ("loss", "objectness", "anchor_boxes", "classes", "boxes", *("masks",) * self.model.masks)
        names = [f"{prefix}{name}" for prefix in ("", "mask_")[: 1 + self.model.masks] for name in PRECISIONS]
        measured, found, every = dict.fromkeys(parts, LOWER), dict.fromkeys(names, HIGHER), self.settings.precision_every
        if every == 1:
            evaluators = {"detect": Evaluator(self.measure, {**measured, **found}, self.finish)}
        else:
            evaluators = {"losses": Evaluator(self.evaluate, measured)}
            evaluators["detect"] = Evaluator(self.detect, found, self.finish, every)
        objectives = {"detect": Objective(self.loss, ("model",), optimizer)}
        return Task(self.init, objectives, (Phase(steps, ("detect",)),), evaluators, self.render)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: data without boxes, or without instances for masks; a model that proposes no regions; settings out of range,
            or weights that do not fit.
    """
    settings: Settings = registry.read(Settings, "the task detection", config.task)
    settings.check()
    info = resources.info
    label = info.features.get("boxes_label")
    if "image" not in info.features or "boxes" not in info.features or label is None or not label.num_classes:
        raise UserError(
            f"detection needs images with boxes, and the dataset {info.name} has {', '.join(info.features)}: take "
            "dataset.name='coco' or 'voc' with dataset.path."
        )
    if not hasattr(models.find(config), "propose"):
        raise UserError(f"the model {config.model.name!r} proposes no regions: take 'faster_rcnn'.")
    model = models.build(config, num_classes=label.num_classes)
    instances = info.features.get("instances")
    if model.masks and (instances is None or instances.kind is not Kind.LABEL_MAP):
        raise UserError(f"model.masks needs the pixels of every object, and the dataset {info.name} has none: set it to False.")
    mean_, std = np.float32(config.dataset.mean), np.float32(config.dataset.std)
    names = label.class_names or tuple(f"class {i}" for i in range(label.num_classes))
    is_frozen = frozen.frozen(config.optimizer.get("rules", ()))
    learner = Detection(model, info, names, settings, lambda images: images * std + mean_, is_frozen)
    task = learner.task(optimizers.build(config.optimizer, steps), steps)
    return started(task, config, settings, resources.manual_dir) if settings.weights else task


def started(task: Task, config: ConfigDict, settings: Settings, manual_dir: str | None) -> Task:
    """The task, started from a run of its own, or its backbone from published weights."""
    if (Path(settings.weights).expanduser() / "config.json").is_file():
        given = initial_weights.read(config, settings.weights, manual_dir)
        return initial_weights.started(task, given, settings.reinitialise)
    backbone = ConfigDict({"model": {"name": "squeezenet"}, "dataset": config.dataset})
    given = initial_weights.read(backbone, settings.weights, manual_dir, BACKBONE)
    return initial_weights.started(task, given, rf"(?!{BACKBONE}/).*")


PUBLIC = {"detection": build}
SETTINGS = {"detection": Settings()._asdict()}
WITHOUT_FILES = {"detection": lambda: {"weights": "", "reinitialise": ""}}
