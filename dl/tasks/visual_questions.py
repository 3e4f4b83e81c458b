"""Questions about images, each with one answer of a few (Andreas et al. 2016, "Neural module networks").

Batches hold `image` [B, H, W, C], `question` [B, L], words padded with 0, `layout` [B, M, 2], the module and the argument of
each step, `form` [B], how many relations it has, and `label` [B], the answer (`dl.data.sources.shapes`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Images, Table
from dl.data.shape_scenes import ARGUMENTS, MODULES
from dl.dataset import Info, Resources
from dl.errors import UserError
from dl.metric import LOWER, Metric
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Phase, Task, Tree, mean, means
from dl.training import optimizers

SHOWN, LOOKED = 16, 6  # mistakes in the report, and questions with what each module looks at
ACCURACY = Metric("higher", format=".2%")


class Settings(NamedTuple):
    """`config.task` holds no settings."""


def answer_losses(scores: Float[Array, "b k"], answer: Int[Array, " b"]) -> Float[Array, " b"]:
    """-log softmax(scores)[answer], in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(scores, answer)


@dataclass(frozen=True)
class Answering:
    """What a model learns of questions; it is called as `dl.models.module_network.ModuleNetwork`."""

    model: nn.Module
    info: Info

    def init(self, key: Array) -> tuple[Tree, Tree]:
        """Parameters by the shapes of the data; no variables."""
        shapes = self.info.shapes
        given = [
            jnp.zeros((1, *shapes[n]), jnp.float32 if n == "image" else jnp.int32) for n in ("image", "question", "layout")
        ]
        return {"model": self.model.init(key, *given)["params"]}, {}

    def answer(self, params: Tree, batch: Batch, train: bool = False) -> tuple[Array, Array]:
        """Scores [B, K] and maps [B, M, y, x]."""
        given = batch["image"], batch["question"].astype(jnp.int32), batch["layout"].astype(jnp.int32)
        found: Any = self.model.apply({"params": params["model"]}, *given, train)
        return found

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: Array) -> Outcome:
        """Of a training batch."""
        scores, _ = self.answer(params, batch, train=True)
        losses, mask = answer_losses(scores, batch["label"]), batch.get("mask")
        metrics = {"loss": mean(losses, mask), "accuracy": mean(scores.argmax(-1) == batch["label"], mask)}
        return metrics["loss"], (variables, metrics)

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: Array) -> Measurement:
        """Sums of loss and accuracy, also of each form of question, and all that the report shows."""
        scores, maps = self.answer(params, batch)
        losses, right = answer_losses(scores, batch["label"]), scores.argmax(-1) == batch["label"]
        sums = {"loss": mean(losses, batch["mask"]), "accuracy": mean(right, batch["mask"])}
        for number, name in enumerate(self.info.features["form"].class_names):
            sums[f"accuracy/{name}"] = mean(right, batch["mask"] & (batch["form"] == number))
        outputs = {"answer": scores.argmax(-1).astype(jnp.int32), "losses": losses, "maps": maps}
        return sums, {**outputs, "label": batch["label"]}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: Array) -> dict[str, Artifact]:
        """What the modules look at, of some questions, and the worst mistakes."""
        out, shown = evaluation.outputs, dict[str, Artifact]()
        if out["maps"].shape[1]:
            chosen = np.linspace(0, len(out["label"]) - 1, min(LOOKED, len(out["label"]))).astype(int)
            batch = evaluation.examples(chosen)
            for n, i in enumerate(chosen):
                example = {name: values[n] for name, values in batch.items()}
                shown[f"modules {n + 1}: {self.said(example, int(out['answer'][i]))}"] = looks(example, out["maps"][i])
        wrong = np.flatnonzero(out["answer"] != out["label"])
        worst = wrong[np.argsort(-out["losses"][wrong], kind="stable")][:SHOWN]
        if len(worst):
            batch = evaluation.examples(worst)
            rows = [{name: values[n] for name, values in batch.items()} for n in range(len(worst))]
            texts = [self.said(row, int(out["answer"][i])) for row, i in zip(rows, worst, strict=True)]
            shown["mistakes"] = Images(batch["image"], texts, 4)
            shown["worst mistakes"] = Table(
                ("question", "loss"), [(t, round(float(out["losses"][i]), 2)) for t, i in zip(texts, worst, strict=True)]
            )
        return shown

    def said(self, example: Mapping[str, np.ndarray], answer: int) -> str:
        """A question with its answer, and with what was said where that is another."""
        vocabulary, names = self.info.features["question"].vocabulary, self.info.class_names
        assert vocabulary is not None
        asked = " ".join(vocabulary.names[word] for word in example["question"] if word)
        right = names[int(example["label"])]
        return f"{asked}? {right}" + ("" if answer == example["label"] else f" (said: {names[int(answer)]})")

    def task(self, optimizer: optax.GradientTransformation, steps: int) -> Task:
        """The engine's."""
        forms = {f"accuracy/{name}": ACCURACY for name in self.info.features["form"].class_names}
        evaluators = {"answers": Evaluator(self.evaluate, {"loss": LOWER, "accuracy": ACCURACY, **forms}, means)}
        objectives = {"answer": Objective(self.loss, ("model",), optimizer)}
        return Task(self.init, objectives, (Phase(steps, ("answer",)),), evaluators, self.render)


def looks(example: Mapping[str, np.ndarray], maps: Float[np.ndarray, "m y x"]) -> Images:
    """The scene, then what lies on top after each step, over the scene: bright where the map is near 1."""
    image, pictures, captions = example["image"].clip(0, 1), [], [""]
    pictures.append(image)
    for (module, argument), seen in zip(example["layout"], maps, strict=True):
        if MODULES[module] not in ("find", "transform", "and"):
            continue
        light = np.kron(seen, np.ones((image.shape[0] // seen.shape[0], image.shape[1] // seen.shape[1])))[..., None]
        pictures.append((0.25 * image + light * (0.35 + 0.4 * image)).clip(0, 1))
        captions.append(f"{MODULES[module]} {ARGUMENTS[argument]}" if argument else MODULES[module])
    return Images(np.stack(pictures).astype(np.float32), captions, len(pictures))


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration.

    Raises:
        UserError: an unknown model or setting, or data without questions and layouts.
    """
    info = resources.info
    registry.read(Settings, "the task visual_questions", config.task)
    if not {"image", "question", "layout", "form", "label"} <= set(info.features):
        raise UserError(
            f"visual questions need images with questions and layouts, and the dataset {info.name} has "
            f"{', '.join(info.features)}: take 'shapes' or 'shape_scenes'."
        )
    model = models.build(config, num_classes=info.num_classes)
    return Answering(model, info).task(optimizers.build(config.optimizer, steps), steps)


PUBLIC = {"visual_questions": build}
SETTINGS: dict[str, dict[str, Any]] = {"visual_questions": {}}
