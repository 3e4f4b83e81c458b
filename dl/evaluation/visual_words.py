"""Bags of visual words: classification without a learned network (Csurka, Dance, Fan, Willamowski & Bray 2004).

    1. local descriptors at every place of a grid: histograms of the gradients' directions, 4x4 cells of 8 directions, as SIFT
       describes a keypoint (Lowe 2004, section 6.1), in several sizes;
    2. a dictionary of `words`: the means that k-means (on batches: Sculley 2010) finds among the training images' descriptors;
    3. of an image, how often each word occurs in it: in the whole and in its quarters (the spatial pyramid of Lazebnik, Schmid
       & Ponce 2006, all levels weighted alike), square roots taken, so that the SVM's product is the Hellinger kernel;
    4. a linear support vector machine, one class against the others, its C by cross-validation on the training images.

Deviations of the descriptor from SIFT: no window of Gaussian weights, no interpolation between cells, and no turning to a main
direction; of the colours the one with the largest gradient counts, as Dalal & Triggs 2005 (section 6.2) have it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dl.errors import UserError

DIRECTIONS, SIDE = 8, 4  # of a cell; cells of a descriptor in each direction
CLIP = 0.2  # of a normalised descriptor's entries, against single strong edges
BATCH = 256  # images described at once


class Describer(NamedTuple):
    """Where descriptors are taken. cells: sides of a cell in pixels, one a scale; stride: pixels between descriptors."""

    cells: tuple[int, ...]
    stride: int


class Classifier(NamedTuple):
    """A trained one. dictionary [words, 128]; weights [histogram, classes] and bias [classes] of the SVM."""

    describer: Describer
    levels: tuple[int, ...]
    dictionary: Float[np.ndarray, "words d"]
    weights: Float[np.ndarray, "h classes"]
    bias: Float[np.ndarray, " classes"]


def directions(images: np.ndarray) -> Float[np.ndarray, "n h w 8"]:
    """The gradient's length at each pixel, shared between the two nearest of 8 directions (0, 45, ... degrees).

    Args:
        images: [N, H, W, C], uint8 or float. 0 degrees is brighter to the right, 90 brighter downwards.
    """
    pixels = images.astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
    down, right = np.gradient(pixels, axis=(1, 2))
    strongest = np.expand_dims((down**2 + right**2).argmax(-1), -1)
    down, right = (np.take_along_axis(g, strongest, -1)[..., 0] for g in (down, right))
    place = np.arctan2(down, right) / (2 * np.pi) * DIRECTIONS
    apart = (place[..., None] - np.arange(DIRECTIONS) + DIRECTIONS / 2) % DIRECTIONS - DIRECTIONS / 2
    return np.hypot(down, right)[..., None] * np.maximum(1 - np.abs(apart), 0).astype(np.float32)


def descriptors(images: np.ndarray, describer: Describer) -> tuple[Float[np.ndarray, "n p 128"], Float[np.ndarray, "p 2"]]:
    """Descriptors of each image, of length 1 (0 where there is no gradient), and their centres in 0..1 (row, column).

    Raises:
        UserError: images that are smaller than a descriptor.
    """
    height, width = images.shape[1:3]
    sums = np.pad(directions(images), ((0, 0), (1, 0), (1, 0), (0, 0))).cumsum(1, dtype=np.float64).cumsum(2)
    found, centres = [], []
    for cell in describer.cells:
        reach = SIDE * cell
        if min(height, width) < reach:
            raise UserError(f"visual words: cells of {cell} need images of {reach}x{reach}, and these are {height}x{width}.")
        starts = [np.arange(0, size - reach + 1, describer.stride) for size in (height, width)]
        rows, columns = (s[:, None] + cell * np.arange(SIDE) for s in starts)  # [places, 4]
        boxes = sums[:, cell:, cell:] - sums[:, :-cell, cell:] - sums[:, cell:, :-cell] + sums[:, :-cell, :-cell]
        boxes = boxes.astype(np.float32)[:, rows[:, None, :, None], columns[None, :, None, :]]  # [N, y, x, 4, 4, 8]
        found.append(boxes.reshape(len(images), -1, SIDE * SIDE * DIRECTIONS))
        middle = np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, 2) + reach / 2
        centres.append(middle / (height, width))
    raw = normalised(np.concatenate(found, axis=1))
    return normalised(np.minimum(raw, CLIP)), np.concatenate(centres).astype(np.float32)


def normalised(values: Float[np.ndarray, "n p d"]) -> Float[np.ndarray, "n p d"]:
    """Vectors of length 1, along the last axis; what is about 0 stays there."""
    values = np.maximum(values, 0)  # sums of boxes may be a rounding below 0
    return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-6)


def histograms(
    words: Int[np.ndarray, "n p"], centres: Float[np.ndarray, "p 2"], count: int, levels: Sequence[int]
) -> Float[np.ndarray, "n h"]:
    """Square roots of the words' shares in each of level x level parts of an image, level by level."""
    parts = []
    for level in levels:
        cell = np.minimum((centres * level).astype(int), level - 1) @ (level, 1)
        index = np.arange(len(words))[:, None] * level**2 * count + cell * count + words
        counts = np.bincount(index.ravel(), minlength=len(words) * level**2 * count).reshape(len(words), -1)
        parts.append(np.sqrt(counts / words.shape[1]))
    return np.concatenate(parts, axis=1).astype(np.float32)


def learn(
    images: np.ndarray,
    labels: Int[np.ndarray, " n"],
    seed: int,
    words: int = 500,
    cells: tuple[int, ...] = (2, 4),
    stride: int = 2,
    levels: tuple[int, ...] = (1, 2),
    sample: int = 50_000,
    penalties: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0),
) -> Classifier:
    """A classifier of images [N, H, W, C].

    Args:
        images: uint8, or float in 0..1.
        labels: their classes, each at least three times.
        seed: seed of the sample, of k-means and of the SVM's order.
        words: in the dictionary.
        cells: see `Describer`.
        stride: see `Describer`.
        levels: number of levels of the pyramid.
        sample: about as many descriptors, equally many of each image, are clustered.
        penalties: values of the SVM's C, of which three-fold cross-validation takes the best.

    Raises:
        UserError: images that are too small, or fewer descriptors than words.
    """
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import LinearSVC

    describer, generator = Describer(cells, stride), np.random.default_rng(seed)
    per_image = -(-sample // len(images))
    chosen = []
    for batch in _batches(images):
        found = descriptors(batch, describer)[0]
        order = generator.permuted(np.tile(np.arange(found.shape[1]), (len(found), 1)), axis=1)[:, :per_image]
        chosen.append(np.take_along_axis(found, order[..., None], axis=1).reshape(-1, found.shape[-1]))
    described = np.concatenate(chosen)
    if len(described) < words:
        raise UserError(f"visual words: there are {len(described)} descriptors, too few for task.words={words}.")
    means = MiniBatchKMeans(words, batch_size=4096, n_init=3, random_state=seed).fit(described)
    dictionary = means.cluster_centers_.astype(np.float32)
    search = GridSearchCV(LinearSVC(random_state=seed), {"C": list(penalties)}, cv=3)
    machine = search.fit(bags(images, describer, dictionary, levels), labels).best_estimator_
    classes = np.unique(labels)
    weights = np.zeros((machine.coef_.shape[1], labels.max() + 1), np.float32)
    bias = np.full(labels.max() + 1, -np.inf, np.float32)  # a class that never occurred is never chosen
    two = len(classes) == 2  # of which scikit-learn gives the second alone
    weights[:, classes] = np.stack([-machine.coef_[0], machine.coef_[0]], 1) if two else machine.coef_.T
    bias[classes] = [-machine.intercept_[0], machine.intercept_[0]] if two else machine.intercept_
    return Classifier(describer, tuple(levels), dictionary, weights, bias)


def bags(
    images: np.ndarray, describer: Describer, dictionary: Float[np.ndarray, "words d"], levels: Sequence[int]
) -> Float[np.ndarray, "n h"]:
    """The histograms of images, each descriptor counted for the word that is nearest."""
    out, lengths = [], 0.5 * np.square(dictionary).sum(1)
    for batch in _batches(images):
        found, centres = descriptors(batch, describer)
        words = (found.reshape(-1, found.shape[-1]) @ dictionary.T - lengths).argmax(1).reshape(found.shape[:2])
        out.append(histograms(words, centres, len(dictionary), levels))
    return np.concatenate(out)


def scores(classifier: Classifier, images: np.ndarray) -> Float[np.ndarray, "n classes"]:
    """The SVM's score of each class; the largest is the prediction."""
    bag = bags(images, classifier.describer, classifier.dictionary, classifier.levels)
    return bag @ classifier.weights + classifier.bias


def _batches(images: np.ndarray) -> list[np.ndarray]:
    return [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
