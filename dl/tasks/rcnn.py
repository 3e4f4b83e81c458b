"""R-CNN: regions with CNN features (Girshick, Donahue, Darrell & Malik 2014).

Batches hold `image` [B, H, W, C] with `boxes` [B, N, 4] (fractions of the image), `boxes_label`, `boxes_ignored`, and
`proposals` [B, P, 4], where there may be objects (the dataset `region_proposals`); `boxes_mask` and `proposals_mask` say which
rows are any. A region is warped to a square with some of what is around it, and described by a network. Two phases:

    finetune  the network learns which class a region is of, or that it is background (section 2.3)
    machines  on its features as they are then, a linear support vector machine for each class, and a linear regression
              from a region's box to the object's (appendix C)

At the end every proposal is scored by the machines, moved by the regression, and suppressed by better ones that overlap it.

Both fits are convex and done by gradients: that of the machine is scikit-learn's `LinearSVC` (squared hinge, C = 1 / (l2 N)),
that of the boxes ridge regression. No hard negatives are mined: each step draws others, and in the end all were seen.
Regions are drawn on each image of a batch, as Girshick 2015 has it, not over the whole dataset.

Metrics: of drawn regions `loss` and `error` of the fine-tuning; by pycocotools `map`, `map50`, `map75`; and `proposal_recall`,
the share of the objects that a proposal overlaps by an IoU of 0.5: more cannot be found but by the regression.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

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
from dl.evaluation.average_precision import average_precision, of_rows
from dl.evaluation.found_objects import Finds, precision_table, shown
from dl.layers import regions
from dl.layers.boxes import clip, decode, encode, iou, to_pixels
from dl.metric import ERROR, HIGHER, LOWER
from dl.models import build as models
from dl.models.rcnn import RCNN
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Pair, Phase, Task, Tree, mean
from dl.tasks.rcnn_losses import hinge, signs, warped
from dl.training import optimizers
from dl.transfer import frozen, initial_weights

BACKBONE = "model/backbone"
PRECISIONS = ("map", "map50", "map75")
CHUNK = 64  # proposals that are described at once, after the training
HIT = 0.5  # IoU from which a proposal has found an object


class Settings(NamedTuple):
    """`config.task`.

    weights: published for the backbone, to start from; "": none.
    finetuned: share of the steps in which the network learns; 0: it stays as it is.
    regions, region_share: drawn on an image, and the share of them that may be objects.
    positive: IoU from which a region is an object to the fine-tuning.
    negative: IoU below which it is background to the machines; what is between is left out, true boxes alone are objects.
    near: IoU from which the regression learns from it.
    context: of a warped region's side, what lies around the box on each side (16 of 227 pixels in the paper).
    rate: learning rate of machines and regression.
    machine_l2, box_l2: their penalties, l2 / 2 |w|^2.
    regress: whether boxes are moved.
    most, suppression: so many finds an image at most; above this IoU one of two of a class goes.
    """

    weights: str = ""
    finetuned: float = 0.5
    regions: int = 64
    region_share: float = 0.25
    positive: float = 0.5
    negative: float = 0.3
    near: float = 0.6
    context: float = 16 / 227
    rate: float = 0.003
    machine_l2: float = 1e-3
    box_l2: float = 1e-3
    regress: bool = True
    most: int = 100
    suppression: float = 0.3

    def check(self) -> None:
        """Raises UserError where one is out of range."""
        for name, value in self._asdict().items():
            if isinstance(value, float) and not 0 <= value <= 1:
                raise UserError(f"task.{name}={value:g} must be between 0 and 1.")
        if self.regions < 1 or self.most < 1 or self.context >= 0.5:
            raise UserError("task.regions and task.most must be at least 1, and task.context below 0.5.")


class Truth(NamedTuple):
    """Of images: boxes [B, N, 4] in pixels, labels, which rows are objects, and which of these are ignored."""

    boxes: Array
    labels: Array
    there: Array
    ignored: Array


class Drawn(NamedTuple):
    """Regions of images: boxes [B, R, 4] in pixels, which count, which were drawn as objects, and which are true boxes."""

    boxes: Array
    counted: Array
    positive: Array
    true: Array


@dataclass(frozen=True)
class Learner:
    """R-CNN; parameters are the groups `model`, `machines` and `boxes`."""

    model: RCNN
    info: Info
    settings: Settings
    pixels: Callable[[np.ndarray], np.ndarray]  # of standardised images, in 0..1
    is_frozen: frozen.Frozen = frozen.nothing

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the images."""
        height, width = self.info.shapes["image"][:2]
        return height, width

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        label = self.info.features["boxes_label"]
        return label.class_names or tuple(f"class {i}" for i in range(label.num_classes))

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters; machines and regression start at 0."""
        region = jnp.zeros((1, self.model.side, self.model.side, self.info.shapes["image"][2]))
        variables = self.model.init(key, region)
        width = jax.eval_shape(lambda v: self.model.apply(v, region, method="describe"), variables).shape[1]
        count = len(self.classes)
        machines = {"kernel": jnp.zeros((width, count)), "bias": jnp.zeros(count)}
        boxes = {"kernel": jnp.zeros((width, 4 * count)), "bias": jnp.zeros(4 * count)}
        return {"model": variables.get("params", {}), "machines": machines, "boxes": boxes}, {}

    def truth(self, batch: Batch) -> Truth:
        """The annotations of a batch."""
        there = batch["boxes_mask"]
        ignored = batch["boxes_ignored"] > 0 if "boxes_ignored" in batch else jnp.zeros_like(there)
        return Truth(to_pixels(batch["boxes"], *self.shape), batch["boxes_label"], there, ignored)

    def draw(self, batch: Batch, key: jax.Array, least: float) -> tuple[Drawn, Array]:
        """Regions to learn from, among them the true boxes, and the row of the object that each is nearest to, [B, R]."""
        truth, settings = self.truth(batch), self.settings
        proposed = to_pixels(batch["proposals"], *self.shape)

        def one(key: jax.Array, proposed: Array, mask: Array, truth: Truth) -> Any:
            real = truth.there & ~truth.ignored
            boxes, there = jnp.concatenate([truth.boxes, proposed]), jnp.concatenate([real, mask])
            true = jnp.arange(len(boxes)) < len(truth.boxes)
            found = regions.matched(boxes, truth.boxes, truth.there, truth.ignored)
            positive = there & (found.overlap >= least)
            negative = there & ~positive & ~found.covered
            drawn = regions.sampled(key, positive, negative, settings.regions, settings.region_share)
            at = drawn.indices
            return Drawn(boxes[at], drawn.counted, drawn.positive, true[at] & drawn.positive), found.which[at]

        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(len(proposed)))
        return jax.vmap(one)(keys, proposed, batch["proposals_mask"], truth)

    def regions(self, images: Array, boxes: Array) -> Array:
        """Warped regions of all images, [B R, side, side, C]."""
        found = warped(images, boxes, self.model.side, self.settings.context)
        return found.reshape(-1, *found.shape[2:])

    def scored(self, params: Tree, batch: Batch, key: jax.Array, train: bool) -> tuple[Array, Array, Array]:
        """Scores [B R, K + 1] of drawn regions, the class of each, 0 the background, and which count."""
        choose, drop = jax.random.split(key)
        drawn, which = self.draw(batch, choose, self.settings.positive)
        labels = jnp.where(drawn.positive, 1 + jnp.take_along_axis(batch["boxes_label"], which, 1), 0).reshape(-1)
        crops = self.regions(batch["image"], drawn.boxes)
        scores = self.model.apply({"params": params["model"]}, crops, train=train, rngs={"dropout": drop})
        return scores, labels, drawn.counted.reshape(-1)  # type: ignore[return-value]

    def finetune(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """Cross-entropy of a region's class (section 2.3)."""
        scores, labels, counted = self.scored(frozen.constant(params, self.is_frozen), batch, key, train=True)
        value = mean(optax.softmax_cross_entropy_with_integer_labels(scores, labels), counted)
        return value, (variables, {"loss": value, "error": mean(scores.argmax(-1) != labels, counted)})

    def fit(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The machines' loss and the regression's, the network left as it is."""
        drawn, which = self.draw(batch, key, self.settings.near)
        described = self.described(params, self.regions(batch["image"], drawn.boxes))
        described = jax.lax.stop_gradient(described.reshape(*which.shape, -1))
        truth = self.truth(batch)
        machine = self.machine_loss(params, described, drawn, truth)
        moved = self.box_loss(params, described, drawn, truth, which)
        total = (machine[0] / jnp.maximum(machine[1], 1) + moved[0] / jnp.maximum(moved[1], 1), jnp.float32(1))
        return total, (variables, {"hinge": machine, "box_error": moved})

    def machine_loss(self, params: Tree, described: Float[Array, "b r d"], drawn: Drawn, truth: Truth) -> Pair:
        """The squared hinge loss of a region, summed over the classes, and the penalty."""
        scores = described @ params["machines"]["kernel"] + params["machines"]["bias"]
        real = truth.there & ~truth.ignored
        of = real[..., None] & (truth.labels[..., None] == jnp.arange(len(self.classes)))
        sign = jax.vmap(partial(signs, negative=self.settings.negative))(drawn.boxes, drawn.true, truth.boxes, of)
        total, count = mean(hinge(scores, sign).sum(-1), drawn.counted)
        return total + count * self.settings.machine_l2 / 2 * jnp.square(params["machines"]["kernel"]).sum(), count

    def box_loss(
        self, params: Tree, described: Float[Array, "b r d"], drawn: Drawn, truth: Truth, which: Int[Array, "b r"]
    ) -> Pair:
        """The squared error of (t_y, t_x, t_h, t_w) of the object's class, and the penalty (appendix C, eq. 5)."""
        own = jnp.take_along_axis(truth.boxes, which[..., None], 1)
        labels = jnp.take_along_axis(truth.labels, which, 1)
        deltas = self.deltas(params, described)
        said = jnp.take_along_axis(deltas, labels[..., None, None], -2)[..., 0, :]
        errors = jnp.square(said - encode(own, drawn.boxes)).sum(-1)
        total, count = mean(errors, drawn.positive & drawn.counted)
        return total + count * self.settings.box_l2 / 2 * jnp.square(params["boxes"]["kernel"]).sum(), count

    def described(self, params: Tree, crops: Array) -> Array:
        """Features of warped regions, [N, D]."""
        found: Any = self.model.apply({"params": params["model"]}, crops, method="describe")
        return found

    def described_all(self, params: Tree, image: Array, boxes: Float[Array, "p 4"]) -> Float[Array, "p d"]:
        """Features of all proposals of an image, a few at a time, which bounds the memory."""
        padded = jnp.pad(boxes, ((0, -len(boxes) % CHUNK), (0, 0))).reshape(-1, CHUNK, 4)
        found = jax.lax.map(lambda some: self.described(params, self.regions(image[None], some[None])), padded)
        return found.reshape(-1, found.shape[-1])[: len(boxes)]

    def deltas(self, params: Tree, described: Array) -> Array:
        """The regression for every class, [..., K, 4]."""
        found = described @ params["boxes"]["kernel"] + params["boxes"]["bias"]
        return found.reshape(*found.shape[:-1], -1, 4)

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """Loss and error of the fine-tuning, over drawn regions."""
        scores, labels, counted = self.scored(params, batch, key, train=False)
        counted &= jnp.repeat(batch["mask"], len(counted) // len(batch["mask"]))
        losses = optax.softmax_cross_entropy_with_integer_labels(scores, labels)
        return {"loss": mean(losses, counted), "error": mean(scores.argmax(-1) != labels, counted)}, {}

    def find(self, params: Tree, image: Array, proposed: Array, there: Array) -> dict[str, Array]:
        """What is on one image: boxes [M, 4] in fractions, scores 1 / (1 + exp(-2 s)) of machines' s, labels, mask."""
        described = self.described_all(params, image, proposed)
        scores = described @ params["machines"]["kernel"] + params["machines"]["bias"]
        likely = jnp.where(there[:, None], jax.nn.sigmoid(2 * scores), 0)
        wide = jnp.broadcast_to(proposed[:, None], (*scores.shape, 4))
        boxes = clip(decode(self.deltas(params, described), wide), *self.shape) if self.settings.regress else wide
        found = regions.detections(boxes, likely, 0.0, self.settings.most, self.settings.suppression)
        height, width = self.shape
        return dict(
            zip(("boxes", "scores", "labels", "mask"), (found[0] / jnp.array([height, width] * 2), *found[1:]), strict=True)
        )

    def detect(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """What is found, one image after another, what is there, and which objects a proposal has found."""
        truth, proposed = self.truth(batch), to_pixels(batch["proposals"], *self.shape)
        found = jax.lax.map(lambda each: self.find(params, *each), (batch["image"], proposed, batch["proposals_mask"]))
        masked = jnp.where(batch["proposals_mask"][..., None], proposed, 0)
        hit = iou(truth.boxes, masked).max(-1) >= HIT
        real = truth.there & ~truth.ignored & batch["mask"][:, None]
        known = {"boxes": batch["boxes"], "labels": truth.labels, "mask": truth.there, "ignored": truth.ignored}
        outputs = {f"found_{name}": values for name, values in found.items()}
        return {"proposal_recall": mean(hit, real)}, outputs | {f"truth_{name}": values for name, values in known.items()}

    def finish(self, sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Average precision over the split, and the proposals' recall."""
        total, count = sums["proposal_recall"]
        recall = {"proposal_recall": float(total / count)} if count else {}
        return self.finds(outputs).metrics() | recall

    def finds(self, outputs: Mapping[str, np.ndarray]) -> Finds:
        """What is there and what was found."""
        truth, found = ([of_rows(outputs, i, name) for i in range(len(outputs["found_mask"]))] for name in ("truth", "found"))
        return Finds(truth, found, average_precision(truth, found, len(self.classes)), False)

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """Images with what was found on them, the worst ones, and the precision of each class."""
        if "found_mask" not in evaluation.outputs:
            return {}
        finds = self.finds(evaluation.outputs)
        return {**shown(finds, evaluation.examples, self.pixels, self.classes), **precision_table([finds], self.classes)}

    def task(self, config: ConfigDict, steps: int) -> Task:
        """The phases; of histograms the second alone."""
        first = round(steps * self.settings.finetuned) if self.model.learned else 0
        linear = ConfigDict({"name": "adam", "learning_rate": self.settings.rate, "schedule": {"name": "cosine"}})
        objectives = {
            "machines": Objective(self.fit, ("machines", "boxes"), optimizers.build(linear, max(steps - first, 1)), True)
        }
        metrics = {**dict.fromkeys(PRECISIONS, HIGHER), "proposal_recall": HIGHER}
        evaluators = {"detect": Evaluator(self.detect, metrics, self.finish, every=0)}
        phases = [Phase(steps - first, ("machines",))] if steps > first else []
        if first:
            objectives["finetune"] = Objective(self.finetune, ("model",), optimizers.build(config.optimizer, first))
            phases = [Phase(first, ("finetune",)), *phases]
        if self.model.learned:
            evaluators["finetune"] = Evaluator(self.evaluate, {"loss": LOWER, "error": ERROR})
        return Task(self.init, objectives, tuple(phases), evaluators, self.render)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` holds what `Settings` lists.

    Raises:
        UserError: data without boxes or proposals, another model, settings out of range, or weights that do not fit.
    """
    settings: Settings = registry.read(Settings, "the task rcnn", config.task)
    settings.check()
    info = resources.info
    label = info.features.get("boxes_label")
    if "image" not in info.features or "proposals" not in info.features or label is None or not label.num_classes:
        raise UserError(
            f"rcnn needs images with boxes and proposals, and the dataset {info.name} has {', '.join(info.features)}: take "
            "dataset.name='region_proposals' with dataset.of.name."
        )
    if config.model.name != "rcnn":
        raise UserError(f"the task rcnn takes the model 'rcnn', not {config.model.name!r}.")
    model = models.build(config, num_classes=label.num_classes)
    mean_, std = np.float32(config.dataset.mean), np.float32(config.dataset.std)
    is_frozen = frozen.frozen(config.optimizer.get("rules", ()))
    task = Learner(model, info, settings, lambda images: images * std + mean_, is_frozen).task(config, steps)
    if not settings.weights or not model.learned:
        return task
    backbone = ConfigDict({"model": {"name": "squeezenet"}, "dataset": config.dataset})
    given = initial_weights.read(backbone, settings.weights, resources.manual_dir, BACKBONE)
    return initial_weights.started(task, given, rf"(?!{BACKBONE}/).*")


PUBLIC = {"rcnn": build}
SETTINGS = {"rcnn": Settings()._asdict()}
WITHOUT_FILES = {"rcnn": lambda: {"weights": ""}}
