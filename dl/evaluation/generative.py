"""How good samples are, measured on many of them: on the host, in NumPy."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

PART = 1000  # queries whose distances are in memory at once
COVERED = 0.1  # a class or mode is covered that gets at least this part of its share


def frechet_distance(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """The squared Frechet (Wasserstein-2) distance of the Gaussians with the moments of two sets of features.

    |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)) (Dowson & Landau 1982; as a measure of samples, Heusel et al. 2017, eq. 6),
    with A and B the covariances. The trace of the root is the sum of the roots of the eigenvalues of A^(1/2) B A^(1/2), which
    is symmetric, so nothing complex arises where a covariance is singular.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ cov_b @ root)
    distance = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(cov_a) + np.trace(cov_b)
    return max(float(distance - 2 * np.sqrt(np.maximum(product, 0)).sum()), 0.0)


def class_coverage(classes: Int[np.ndarray, " n"], num_classes: int) -> float:
    """The part of the classes that get at least a tenth of an equal share of the samples."""
    counts = np.bincount(classes, minlength=num_classes)
    return float((counts >= max(COVERED * len(classes) / num_classes, 1)).mean())


def squared_distances(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """|a_i - b_j|^2 by a matrix product, to float32's precision of the squares."""
    return np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2 * a @ b.T


def parzen_log_likelihood(
    samples: Float[np.ndarray, "n d"], real: Float[np.ndarray, "m d"], widths: Float[np.ndarray, " w"]
) -> tuple[float, float]:
    """Mean log-likelihood, in nats, of real examples under a Gaussian window around every sample, and the window's width.

    As Goodfellow et al. 2014, section 5 (after Breuleux, Bengio & Vincent 2011): the width is the best of `widths` on the first
    tenth of the real examples, the likelihood that of the others. A noisy measure in many dimensions, kept to compare by.
    """
    samples, real = np.asarray(samples, np.float32), np.asarray(real, np.float32)

    def mean_log(part: np.ndarray, width: float) -> float:
        total = 0.0
        for start in range(0, len(part), PART):
            exponent = squared_distances(part[start : start + PART], samples) / (-2 * width**2)
            top = exponent.max(1, keepdims=True)
            total += float((top[:, 0] + np.log(np.exp(exponent - top).mean(1))).sum())
        return total / len(part) - real.shape[1] * np.log(width * np.sqrt(2 * np.pi))

    held = max(len(real) // 10, 1)
    width = float(max(widths, key=lambda w: mean_log(real[:held], float(w))))
    return mean_log(real[held:], width), width


class Nearest(NamedTuple):
    """For each query the index of the nearest example, and the root mean square difference of the two over the features."""

    index: Int[np.ndarray, " n"]  # type: ignore[assignment]  # a tuple has a method of that name
    distance: Float[np.ndarray, " n"]


def nearest(
    queries: Float[np.ndarray, "n d"], examples: Float[np.ndarray, "m d"], own: Int[np.ndarray, " n"] | None = None
) -> Nearest:
    """The nearest example of each query, by the Euclidean distance.

    Args:
        queries: such as generated images, flattened.
        examples: such as training images.
        own: where the queries are examples themselves, their indices among them; they do not count as their own neighbours.
    """
    queries, examples = np.asarray(queries, np.float32), np.asarray(examples, np.float32)
    index = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), PART):
        part = slice(start, start + PART)
        squared = squared_distances(queries[part], examples)
        if own is not None:
            squared[np.arange(len(squared)), own[part]] = np.inf
        index[part] = squared.argmin(1)
    # Once more and exactly: the difference of large sums loses what is small.
    return Nearest(index, np.sqrt(np.square(queries - examples[index]).mean(1)))


class Modes(NamedTuple):
    """Of samples from a mixture: how many of its modes they cover, and the part of them that lies at one.

    A sample lies at the nearest mode, if it is within three standard deviations of its centre. A mode is covered if at least a
    tenth of the samples that belong there lie at it. `counts` are the samples at each.
    """

    covered: int
    inside: float
    counts: Int[np.ndarray, " k"]


def modes(samples: Float[np.ndarray, "n d"], real: Float[np.ndarray, "m d"], label: Int[np.ndarray, " m"], count: int) -> Modes:
    """Counts the modes that samples cover; their centres, deviations (over all dimensions) and shares are the real points'."""
    centres = np.stack([real[label == k].mean(0) for k in range(count)])
    deviations = np.stack([np.sqrt(np.square(real[label == k] - centres[k]).mean()) for k in range(count)])
    distance = np.sqrt(np.square(samples[:, None] - centres).sum(-1)) / deviations
    at, inside = distance.argmin(1), distance.min(1) <= 3
    counts = np.bincount(at[inside], minlength=count)
    expected = np.bincount(label, minlength=count) / len(label) * len(samples)
    return Modes(int((counts >= np.maximum(COVERED * expected, 1)).sum()), float(inside.mean()), counts)


def slerp(a: Float[np.ndarray, "d"], b: Float[np.ndarray, "d"], parts: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
    """Points on the way from a to b along the great circle (Shoemake 1985): in between they are as long as normal noise is.

    Straight where the two are parallel.
    """
    cosine = np.clip(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12), -1, 1)
    angle = np.arccos(cosine)
    if np.sin(angle) < 1e-6:
        return lerp(a, b, parts)
    weights = np.sin(np.stack([(1 - parts) * angle, parts * angle], axis=1)) / np.sin(angle)
    return (weights @ np.stack([a, b])).astype(a.dtype)


def lerp(a: Float[np.ndarray, "d"], b: Float[np.ndarray, "d"], parts: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
    """Points on the straight line from a to b."""
    return ((1 - parts)[:, None] * a + parts[:, None] * b).astype(a.dtype)


def expectation_maximisation(
    real: Float[np.ndarray, "m d"], components: int, count: int
) -> tuple[Float[np.ndarray, "n d"], float]:
    """What maximum likelihood makes of the same points: `count` samples of a Gaussian mixture fitted by EM (scikit-learn).

    Also the mean log-likelihood of the points under it, in nats.
    """
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # so little work is only delayed by threads
        fitted = GaussianMixture(components, random_state=0).fit(np.asarray(real, np.float64))
    samples, _ = fitted.sample(count)
    return samples.astype(np.float32), float(fitted.score(real))


def flat(images: np.ndarray) -> Float[np.ndarray, "n d"]:
    """uint8 images as rows of pixels in 0..1."""
    return images.reshape(len(images), -1).astype(np.float32) / 255
