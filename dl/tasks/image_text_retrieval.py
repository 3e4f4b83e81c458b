"""Images and texts in one space, where a caption lies nearer to its image than to others (Karpathy & Fei-Fei 2015, section
3.1.3; Kiros, Salakhutdinov & Zemel 2014).

Batches hold `image_features` [B, y, x, D], `captions` [B, T + 1, R], the captions of each image as columns, and `references`
(`dl.data.captioned`). In training one caption of each image is drawn, and all other images of the batch are the wrong ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from ml_collections import ConfigDict

from dl import registry
from dl.artifacts import Artifact, Images, Table
from dl.data.captioned import Words, read_back
from dl.dataset import Resources
from dl.errors import UserError
from dl.evaluation.image_text_retrieval import FIRST, nearest, ranks, recalls
from dl.metric import Metric
from dl.models import build as models
from dl.task import Batch, Evaluation, Evaluator, Measurement, Objective, Outcome, Phase, Task, Tree, mean, means
from dl.training import optimizers

ASKED, FOUND = 5, 5  # queries in the report, and what is found for each


class Settings(NamedTuple):
    """`config.task`.

    margin: by which the right one is to be nearer. hardest: only the nearest wrong one counts (Faghri et al. 2018, eq. 6).
    """

    margin: float = 0.2
    hardest: bool = False


def ranking(
    likeness: Float[Array, "b b"], margin: float, there: Bool[Array, " b"], hardest: bool = False
) -> Float[Array, " b"]:
    """sum_j max(0, m + s_ij - s_ii) + sum_j max(0, m + s_ji - s_ii), j not i, for each pair i (Karpathy & Fei-Fei 2015, eq. 9);
    with `hardest` the largest of each sum alone. Pairs that are not `there` have no part in it.
    """
    right = jnp.diagonal(likeness)
    wrong = there[:, None] & there[None, :] & ~jnp.eye(len(likeness), dtype=bool)
    texts, images = (jnp.where(wrong, jnp.maximum(0, margin + s - right[:, None]), 0) for s in (likeness, likeness.T))
    if hardest:
        return texts.max(1) + images.max(1)
    return texts.sum(1) + images.sum(1)


@dataclass(frozen=True)
class Retrieval:
    """A model of images and sentences, as `dl.models.visual_semantic`."""

    model: Any
    words: Words
    settings: Settings
    shape: tuple[int, ...]

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters; there are no variables."""
        symbols = jnp.zeros((1, 2), jnp.int32)
        return {"model": self.model.init(key, jnp.zeros((1, *self.shape)), symbols, jnp.ones(1, jnp.int32))["params"]}, {}

    def image(self, params: Tree, batch: Batch, **how: Any) -> Float[Array, "b s"]:
        """The images in the space."""
        found: Array = self.model.apply(
            {"params": params["model"]}, batch["image_features"].astype(jnp.float32), method="image", **how
        )
        return found

    def sentence(self, params: Tree, symbols: Int[Array, "n t"], **how: Any) -> Float[Array, "n s"]:
        """Captions from <s> to </s>, padded, in the space."""
        length = (symbols > 0).sum(1).astype(jnp.int32)
        found: Array = self.model.apply({"params": params["model"]}, symbols, length, method="sentence", **how)
        return found

    def loss(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Outcome:
        """The ranking loss of the images and one caption of each, drawn among those that it has."""
        draw, one, other = jax.random.split(key, 3)
        columns = batch["captions"].astype(jnp.int32)
        has = (columns > 0).any(1)
        chosen = jax.random.categorical(draw, jnp.where(has, 0.0, -jnp.inf), axis=-1)
        symbols = jnp.take_along_axis(columns, chosen[:, None, None], axis=2)[:, :, 0]
        images = self.image(params, batch, train=True, rngs={"dropout": one})
        texts = self.sentence(params, symbols, train=True, rngs={"dropout": other})
        there = batch["mask"] if "mask" in batch else jnp.ones(len(images), bool)
        losses = ranking(images @ texts.T, self.settings.margin, there, self.settings.hardest)
        return mean(losses, there), (variables, {"loss": mean(losses, there)})

    def evaluate(self, params: Tree, variables: Tree, batch: Batch, key: jax.Array) -> Measurement:
        """Images and captions in the space; how near they are to each other."""
        columns = batch["captions"].astype(jnp.int32)
        symbols = columns.swapaxes(1, 2).reshape(-1, columns.shape[1])
        images = self.image(params, batch)
        texts = self.sentence(params, symbols).reshape(*columns.shape[::2], -1)
        there = (columns > 0).any(1)
        likeness = mean(jnp.einsum("bs,brs->br", images, texts), there & batch["mask"][:, None])
        return {"likeness": likeness}, {"images": images, "texts": texts, "there": there, "references": batch["references"]}

    def finish(self, sums: Any, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Recalls of the whole split, both ways."""
        return {**means(sums, outputs), **recalls(ranks(outputs["images"], outputs["texts"], outputs["there"]))}

    def render(self, params: Tree, variables: Tree, evaluation: Evaluation, key: jax.Array) -> dict[str, Artifact]:
        """What is found for some captions and for some images."""
        out = evaluation.outputs
        lines = [line for row in out["references"] for line in read_back(row)]
        texts, shown = out["texts"][out["there"]], dict[str, Artifact]()
        asked = np.linspace(0, len(out["images"]) - 1, min(ASKED, len(out["images"]))).astype(int)
        rows = []
        for number, i in enumerate(asked):
            query = out["texts"][i, np.argmax(out["there"][i])]
            found = nearest(query, out["images"], FOUND)
            said = read_back(out["references"][i])[0]
            pixels = evaluation.examples(np.array(found))["image"].clip(0, 1)
            shown[f"search {number + 1}: {said}"] = Images(pixels, ["right" if j == i else "" for j in found], FOUND)
            captions = nearest(out["images"][i], texts, FOUND)
            rows.append((f"image {number + 1}", " / ".join(lines[j] for j in captions)))
        shown["images"] = Images(evaluation.examples(asked)["image"].clip(0, 1), [row[0] for row in rows], ASKED)
        shown["nearest captions"] = Table(("image", "captions, the nearest first"), rows)
        return shown

    def task(self, config: ConfigDict, steps: int) -> Task:
        """The engine's."""
        share, rank = Metric("higher", format=".1%"), Metric("lower", format=".1f")
        metrics = {f"{prefix}recall_at_{k}": share for prefix in ("", "search_") for k in FIRST}
        metrics |= {"median_rank": rank, "search_median_rank": rank, "likeness": Metric("", format=".3f")}
        optimizer = optimizers.build(config.optimizer, steps)
        objectives = {"rank": Objective(self.loss, ("model",), optimizer, whole_batch=True)}
        evaluators = {"retrieval": Evaluator(self.evaluate, metrics, self.finish)}
        return Task(self.init, objectives, (Phase(steps, ("rank",)),), evaluators, self.render)


def build(config: ConfigDict, resources: Resources, steps: int) -> Task:
    """The task of a configuration; `config.task` is read as `Settings`.

    Raises:
        UserError: an unknown model or setting, or data that are no images with captions and features.
    """
    settings, features = registry.read(Settings, "the task image_text_retrieval", config.task), resources.info.features
    words = features["captions"].vocabulary if "captions" in features else None
    if not isinstance(words, Words) or "image_features" not in features:
        raise UserError(
            f"retrieval needs captions and features of images, and the dataset {resources.info.name} has "
            f"{', '.join(features)}: take 'flickr8k' or 'captions', with dataset.network='squeezenet'."
        )
    model = models.build(config, num_classes=len(words))
    shape = tuple(size for size in features["image_features"].shape if size is not None)
    return Retrieval(model, words, settings, shape).task(config, steps)


PUBLIC = {"image_text_retrieval": build}
SETTINGS = {"image_text_retrieval": Settings()._asdict()}
