"""Selective search: boxes where there may be objects, of any class (Uijlings, van de Sande, Gevers & Smeulders 2013).

An image is cut into small regions (Felzenszwalb & Huttenlocher 2004), and the two neighbours that are most alike become one,
until one is left. Every region on the way gives its bounding box. How much two are alike is the sum of (section 3.2)

    colour   sum_k min(c_i^k, c_j^k), of histograms of 25 bins a channel                                             eq. 1
    texture  the same of histograms of 10 bins of the Gaussian derivative in 8 directions a channel                  eq. 3
    size     1 - (size_i + size_j) / size of the image: small ones go first                                          eq. 4
    fill     1 - (size of the box around both - size_i - size_j) / size of the image: what fits goes first           eq. 5

It is done in several colour spaces and from several segmentations, and the boxes of all are mixed: those of late, large regions
first, each place times a random number (section 4.2), which is drawn from the image's own bytes. So the result is a function of
the image.
"""

import hashlib
import heapq
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from dl.errors import UserError, unknown

COLOURS, DIRECTIONS, SLOPES = 25, 8, 10  # bins of a channel; directions of a derivative, and bins of each
SPACES = ("rgb", "hsv", "lab")


class Settings(NamedTuple):
    """`dataset.proposals`.

    scales: of the segmentations: larger ones give larger regions to begin with.
    spaces: colour spaces: rgb, hsv, lab.
    smoothing: deviation in pixels of the Gaussian before the segmentation.
    smallest: pixels of a region to begin with.
    least: pixels of a box on each side.
    most: boxes of an image.
    """

    scales: tuple[float, ...] = (50.0, 100.0)
    spaces: tuple[str, ...] = ("hsv", "lab")
    smoothing: float = 0.8
    smallest: int = 20
    least: int = 8
    most: int = 300

    def check(self) -> None:
        """Raises UserError where one is out of range."""
        for space in self.spaces:
            if space not in SPACES:
                raise unknown("colour space of dataset.proposals", space, SPACES)
        if not self.spaces or not self.scales or min(self.scales) <= 0 or self.smoothing < 0:
            raise UserError("dataset.proposals needs a colour space, scales above 0, and a smoothing of at least 0.")
        if min(self.smallest, self.least, self.most) < 1:
            raise UserError("dataset.proposals: smallest, least and most must be at least 1.")


class Regions(NamedTuple):
    """Regions of an image, those that it was cut into first. sizes: in pixels; boxes: ymin, xmin, ymax, xmax in pixels."""

    colours: Float[np.ndarray, "n c"]
    textures: Float[np.ndarray, "n t"]
    sizes: Int[np.ndarray, " n"]
    boxes: Int[np.ndarray, "n 4"]


def selective_search(image: UInt8[np.ndarray, "h w c"], settings: Settings) -> Float[np.ndarray, "n 4"]:
    """Boxes in fractions of the image, float32: ymin, xmin, ymax, xmax, the likeliest first; none twice."""
    from skimage.segmentation import felzenszwalb

    height, width, _ = image.shape
    rgb = np.broadcast_to(image, (height, width, 3))
    seed = int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8])
    rng, boxes, places = np.random.default_rng(seed), [], []
    for space in settings.spaces:
        pixels = _in_space(rgb, space)
        slopes = _slopes(pixels)
        for scale in settings.scales:
            labels = felzenszwalb(pixels, scale, settings.smoothing, settings.smallest, channel_axis=-1)
            found = grouped(regions(pixels, slopes, labels), neighbours(labels), height * width)
            boxes.append(found)
            places.append(np.arange(len(found), 0, -1) * rng.random(len(found)))
    order = np.argsort(np.concatenate(places), kind="stable")
    every = np.concatenate(boxes)[order]
    large = (every[:, 2:] - every[:, :2]).min(1) >= settings.least
    every = every[large]
    _, first = np.unique(every, axis=0, return_index=True)
    chosen = every[np.sort(first)][: settings.most]
    return (chosen / np.array([height, width, height, width])).astype(np.float32)


def _in_space(rgb: UInt8[np.ndarray, "h w 3"], space: str) -> Float[np.ndarray, "h w 3"]:
    """Every channel in about 0..1."""
    from skimage import color

    if space == "hsv":
        return color.rgb2hsv(rgb)
    if space == "lab":
        return (color.rgb2lab(rgb) + np.array([0, 128, 128])) / np.array([100, 255, 255])
    return rgb / 255.0


def _slopes(pixels: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w c d"]:
    """The Gaussian derivative (a deviation of 1 pixel) in 8 directions, 0 where it falls."""
    from scipy.ndimage import gaussian_filter

    down, right = (gaussian_filter(pixels, (1, 1, 0), order) for order in ((1, 0, 0), (0, 1, 0)))
    angle = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    return np.maximum(right[..., None] * np.cos(angle) + down[..., None] * np.sin(angle), 0)


def regions(
    pixels: Float[np.ndarray, "h w c"], slopes: Float[np.ndarray, "h w c d"], labels: Int[np.ndarray, "h w"]
) -> Regions:
    """What the regions of a segmentation, numbered from 0, look like; histograms add up to 1."""
    count, flat = int(labels.max()) + 1, labels.ravel()
    sizes = np.bincount(flat, minlength=count)
    channels = pixels.reshape(len(flat), -1)
    directions = slopes.reshape(len(flat), -1)
    steepest = max(float(directions.max(initial=0)), 1e-12)
    colours = [_histogram(flat, channels[:, c], COLOURS, count) for c in range(channels.shape[1])]
    textures = [_histogram(flat, directions[:, d] / steepest, SLOPES, count) for d in range(directions.shape[1])]
    rows, columns = (grid.ravel() for grid in np.indices(labels.shape))
    boxes = np.empty((count, 4), np.int64)
    for side, of in enumerate((rows, columns)):
        low, high = np.full(count, labels.size), np.full(count, -1)
        np.minimum.at(low, flat, of)
        np.maximum.at(high, flat, of)
        boxes[:, side], boxes[:, side + 2] = low, high + 1
    shares = [np.concatenate(parts, axis=1) / (len(parts) * sizes[:, None]) for parts in (colours, textures)]
    return Regions(shares[0], shares[1], sizes, boxes)


def _histogram(labels: np.ndarray, values: np.ndarray, bins: int, count: int) -> np.ndarray:
    at = np.clip((values * bins).astype(np.int64), 0, bins - 1)
    return np.bincount(labels * bins + at, minlength=count * bins).reshape(count, bins)


def neighbours(labels: Int[np.ndarray, "h w"]) -> list[tuple[int, int]]:
    """The pairs of regions that touch each other, each once, the smaller number first."""
    down = np.stack([labels[:-1].ravel(), labels[1:].ravel()], 1)
    right = np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], 1)
    pairs = np.sort(np.concatenate([down, right]), axis=1)
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    return [(int(a), int(b)) for a, b in pairs]


def similarity(found: Regions, one: int, others: Int[np.ndarray, " k"], area: int) -> Float[np.ndarray, " k"]:
    """How much a region is like each of the others, 0..4 (eq. 1 to 6, all weights 1)."""
    colour = np.minimum(found.colours[one], found.colours[others]).sum(1)
    texture = np.minimum(found.textures[one], found.textures[others]).sum(1)
    both = found.sizes[one] + found.sizes[others]
    sides = np.maximum(found.boxes[one, 2:], found.boxes[others, 2:]) - np.minimum(
        found.boxes[one, :2], found.boxes[others, :2]
    )
    return colour + texture + (1 - both / area) + (1 - (sides.prod(1) - both) / area)


def grouped(begin: Regions, pairs: list[tuple[int, int]], area: int) -> Int[np.ndarray, "n 4"]:
    """The boxes of all regions, those of the segmentation first, then each that two made, the whole image last.

    Args:
        begin: regions of the segmentation.
        pairs: which of them touch.
        area: pixels of the image.
    """
    count = len(begin.sizes)
    most = 2 * count - 1
    found = Regions(*(np.concatenate([values, np.zeros((most - count, *values.shape[1:]), values.dtype)]) for values in begin))
    beside: dict[int, set[int]] = {i: set() for i in range(count)}
    for a, b in pairs:
        beside[a].add(b)
        beside[b].add(a)
    heap = [(-float(similarity(found, a, np.array([b]), area)[0]), a, b) for a, b in pairs]
    heapq.heapify(heap)
    new = count
    while heap:
        _, a, b = heapq.heappop(heap)
        if a not in beside or b not in beside:  # one of them has become part of another
            continue
        sizes = found.sizes[[a, b]]
        for values in (found.colours, found.textures):
            values[new] = sizes @ values[[a, b]] / sizes.sum()
        found.sizes[new] = sizes.sum()
        found.boxes[new, :2] = found.boxes[[a, b], :2].min(0)
        found.boxes[new, 2:] = found.boxes[[a, b], 2:].max(0)
        around = (beside.pop(a) | beside.pop(b)) - {a, b}
        for other in around:
            beside[other] -= {a, b}
            beside[other].add(new)
        beside[new] = around
        if around:
            others = np.array(sorted(around))
            for other, alike in zip(others.tolist(), similarity(found, new, others, area).tolist(), strict=True):
                heapq.heappush(heap, (-alike, other, new))
        new += 1
    return found.boxes[:new]
