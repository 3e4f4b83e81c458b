"""What a trained detector finds on images of any size, and the images with it drawn over them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, UInt8

from dl.data.image_files import LUMINANCE
from dl.data.resizing import fit_images
from dl.evaluation.average_precision import Objects, of_rows
from dl.evaluation.drawn_objects import drawn
from dl.evaluation.found_objects import sure
from dl.task import Tree


class Shown(NamedTuple):
    """Of one image: a line for each object, the surest first, and the picture."""

    lines: list[str]
    picture: UInt8[np.ndarray, "h w 3"]


def pictures(
    experiment: Any, params: Tree, variables: Tree, images: Sequence[Float[np.ndarray, "_ _ 3"]], least: float = 0.5
) -> list[Shown]:
    """What the run finds on each image, on the image as it is.

    Args:
        experiment: of the run, of the task "detection".
        params: its parameters.
        variables: none.
        images: RGB in 0..1, of any size; brought to that of the run, in proportion where `dataset.fit` is "pad".
        least: score from which an object is told of.
    """
    settings, info = experiment.config.dataset, experiment.dataset.info
    height, width, channels = info.shapes["image"]
    mean, std = np.float32(settings.mean), np.float32(settings.std)
    find = jax.jit(experiment.task.evaluators["detect"].step)
    names = info.features["boxes_label"].class_names
    nothing = {"boxes": np.zeros((1, 1, 4), np.float32), "boxes_label": np.zeros((1, 1), np.int32)}
    nothing |= {"boxes_mask": np.zeros((1, 1), bool), "boxes_ignored": np.zeros((1, 1), np.int32)}
    nothing["instances"] = np.zeros((1, height, width), np.uint8)
    out = []
    for image in images:  # one after the other: a long list needs no more memory than a short one
        fitted, window = seen(image, (height, width), settings.get("fit", "pad"))
        pixels = fitted if channels == 3 else (fitted @ LUMINANCE)[..., None]
        batch = {**nothing, "image": ((pixels - mean) / std)[None].astype(np.float32)}
        rows = jax.device_get(find(params, variables, batch, jax.random.key(0))[1])
        rows["found_boxes"] = ((rows["found_boxes"] - np.tile(window[:2], 2)) / np.tile(window[2:], 2)).clip(0, 1)
        found = sure(of_rows(rows, 0, "found", image.shape[:2]), least)
        out.append(Shown(lines(found, names, image.shape[:2]), drawn(image, found, names)))
    return out


def seen(image: Float[np.ndarray, "_ _ 3"], shape: tuple[int, int], fit: str) -> tuple[np.ndarray, np.ndarray]:
    """An image as the network sees it, and where in that it lies: top, left, height and width as fractions."""
    rows, columns = image.shape[:2]
    factor = min(shape[0] / rows, shape[1] / columns)
    inner = (max(round(rows * factor), 1), max(round(columns * factor), 1)) if fit == "pad" else shape
    padded = fit_images(fit_images(image[None].astype(np.float32), inner, "resize"), shape, "pad")[0]
    top, left = ((side - own) // 2 for side, own in zip(shape, inner, strict=True))
    return padded, np.array([top / shape[0], left / shape[1], inner[0] / shape[0], inner[1] / shape[1]])


def lines(found: Objects, names: Sequence[str], shape: tuple[int, int]) -> list[str]:
    """Score, class and corners in pixels of each object."""
    out = []
    for box, label, score in zip(found.boxes, found.labels, found.scores, strict=True):
        top, left, bottom, right = (box * np.tile(shape, 2)).round().astype(int).tolist()
        out.append(f"{score:7.2%}  {names[int(label)]}  ({left}, {top}) to ({right}, {bottom})")
    return out


PICTURES = {"detection": pictures}
