"""What is measured of generated images, and shown."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dl.artifacts import Artifact, Images, Table
from dl.dataset import Info
from dl.evaluation.feature_extractor import FeatureExtractor
from dl.evaluation.generative import class_coverage, frechet_distance, nearest, parzen_log_likelihood, slerp
from dl.metric import ERROR, HIGHER, LOWER, NEITHER, Metric
from dl.models.gan_mlp import Players
from dl.task import Evaluation

COMPARED = 500  # samples whose nearest image is looked for
WINDOWS = np.array([0.1, 0.13, 0.16, 0.2, 0.25, 0.3])  # widths tried for the Parzen window
ROWS, COLUMNS = 6, 10  # of the grids


class GeneratedImages(NamedTuple):
    """Images that were standardised by `mean` and `std`; `confident` is the probability from which on the classifier is sure.

    Metrics, of as many samples as the split has images:

        frechet, frechet_random     squared Frechet distance of the extractor's features of samples and of the split's images
        nearest                     mean distance (root mean square over pixels in 0..1) of 500 samples to the nearest image of
                                    the split; on a split of training images it shows copying, if it is less than on unseen ones
        nearest_real                the same of 500 of the split's own images to the others
        confident, confident_real   the part of the samples, and of the images, that the classifier is sure of
        coverage                    the part of the classes that get a tenth of an equal share of the samples or more
        class_error                 conditional: the part of the samples that the classifier takes for another class
        neighbour_error             conditional: the error on the split of the nearest neighbour among the labelled samples
                                    (Radford et al. 2016, appendix)
        parzen                      mean log-likelihood of the split's images by Parzen windows (Goodfellow et al. 2014)
    """

    info: Info
    extractor: FeatureExtractor
    mean: np.ndarray
    std: np.ndarray
    confident: float = 0.9
    parzen: bool = False

    def pixels(self, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Standardised images as pixels in 0..1."""
        return jnp.clip(images * self.std + self.mean, 0, 1)

    def outputs(self, real: Array, fake: Array) -> dict[str, Array]:
        """What the measures need, for each example: traced."""
        made: dict[str, Array] = {}
        for name, images in (("real", real), ("sample", fake)):
            pixels = self.pixels(images)
            features, probabilities = self.extractor.extract(pixels)
            made |= {name: jnp.round(255 * pixels).astype(jnp.uint8), f"{name}_features": features}
            if probabilities is not None:
                made[f"{name}_class"] = probabilities.argmax(-1).astype(jnp.int32)
                made[f"{name}_confidence"] = probabilities.max(-1)
        return made

    def metrics(self, conditional: bool) -> dict[str, Metric]:
        """What is known of the metrics."""
        described = {self.extractor.name: LOWER, "nearest": NEITHER, "nearest_real": NEITHER, "confident": HIGHER}
        described |= {"confident_real": NEITHER, "coverage": HIGHER, "parzen": HIGHER}
        return described | ({"class_error": ERROR, "neighbour_error": ERROR} if conditional else {})

    def summarize(self, outputs: Mapping[str, np.ndarray], conditional: bool) -> dict[str, float]:
        """The metrics."""
        real, samples = flat(outputs["real"]), flat(outputs["sample"])
        few = np.arange(min(COMPARED, len(real)))
        numbers = {
            self.extractor.name: frechet_distance(outputs["real_features"], outputs["sample_features"]),
            "nearest": float(nearest(samples[few], real).distance.mean()),
            "nearest_real": float(nearest(real[few], real, own=few).distance.mean()),
        }
        if "sample_class" in outputs:
            numbers["confident"] = float((outputs["sample_confidence"] >= self.confident).mean())
            numbers["confident_real"] = float((outputs["real_confidence"] >= self.confident).mean())
            numbers["coverage"] = class_coverage(outputs["sample_class"], self.info.num_classes)
            if conditional:
                numbers["class_error"] = float((outputs["sample_class"] != outputs["label"]).mean())
        if conditional:
            neighbours = outputs["label"][nearest(real, samples).index]
            numbers["neighbour_error"] = float((neighbours != outputs["label"]).mean())
        if self.parzen:
            numbers["parzen"], _ = parzen_log_likelihood(samples, real, WINDOWS)
        return numbers

    def render(
        self, players: Players, make: Callable[..., Array], score: Callable[..., Array], evaluation: Evaluation, key: Array
    ) -> dict[str, Artifact]:
        """Samples, interpolations, neighbours, and how the classes are shared out.

        Args:
            players: the nets.
            make: latent points and labels (or None) to standardised images.
            score: not used.
            evaluation: evaluation of a split.
            key: random key of the latent points shown: the same for all splits and runs of a seed.
        """
        out = evaluation.outputs
        shown: dict[str, Artifact] = {
            "samples": self.grid(players, make, key),
            "interpolation": self.interpolation(players, make, key),
            "samples and the nearest image of this split": neighbours(out),
        }
        if "sample_class" in out:
            names = self.info.class_names or tuple(str(c) for c in range(self.info.num_classes))
            shares = [
                np.bincount(out[f"{kind}_class"], minlength=len(names)) / len(out["sample"]) for kind in ("real", "sample")
            ]
            sure = [self._sure(out, c) for c in range(len(names))]
            rows = [(name, f"{a:.1%}", f"{b:.1%}", c) for name, a, b, c in zip(names, *shares, sure, strict=True)]
            shown["classes"] = Table(("class", "of the images", "of the samples", "of these confident"), rows)
        return shown

    def _sure(self, out: Mapping[str, np.ndarray], label: int) -> str:
        own = out["sample_confidence"][out["sample_class"] == label]
        return f"{(own >= self.confident).mean():.1%}" if len(own) else "-"

    def grid(self, players: Players, make: Callable[..., Array], key: Array, count: int = 0) -> Images:
        """Samples of fixed latent points; of a conditional generator a column a class, a row a latent point."""
        if not players.conditional:
            images = make(players.draw(key, count or 8 * COLUMNS), None)
            return Images(self.shown(images), columns=COLUMNS)
        classes = self.info.num_classes
        rows = max(count // classes, 1) if count else 8
        z = jnp.repeat(players.draw(key, rows), classes, axis=0)
        return Images(self.shown(make(z, jnp.tile(jnp.arange(classes, dtype=jnp.int32), rows))), columns=classes)

    def interpolation(
        self, players: Players, make: Callable[..., Array], key: Array, rows: int = ROWS, way: Callable[..., np.ndarray] = slerp
    ) -> Images:
        """In each row the samples on the way from one latent point to another."""
        ends = np.asarray(players.draw(jax.random.fold_in(key, 1), 2 * rows))
        parts = np.linspace(0, 1, COLUMNS)
        z = np.concatenate([way(a, b, parts) for a, b in zip(ends[::2], ends[1::2], strict=True)])
        label = np.repeat(np.arange(rows, dtype=np.int32) % max(self.info.num_classes, 1), COLUMNS)
        return Images(self.shown(make(z, label if players.conditional else None)), columns=COLUMNS)

    def shown(self, images: Any) -> np.ndarray:
        """Standardised images as uint8."""
        return np.array(jnp.round(255 * self.pixels(jnp.asarray(images))).astype(jnp.uint8))


def neighbours(outputs: Mapping[str, np.ndarray], count: int = 20) -> Images:
    """The first samples, each beside the image of the split that is nearest to it, with their distance."""
    samples = outputs["sample"][:count]
    found = nearest(flat(samples), flat(outputs["real"]))
    pairs = np.stack([samples, outputs["real"][found.index]], axis=1).reshape(-1, *samples.shape[1:])
    captions = [text for d in found.distance for text in ("sample", f"nearest ({d:.2f})")]
    return Images(pairs, captions, columns=8)


def flat(images: np.ndarray) -> Float[np.ndarray, "n d"]:
    """Images uint8 [N, H, W, C] as rows of pixels in 0..1."""
    return images.reshape(len(images), -1).astype(np.float32) / 255
