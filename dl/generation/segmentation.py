"""What a trained segmentation network sees on images of any size: a label map, and the image with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer, UInt8

from dl import registry
from dl.data.image_files import LUMINANCE
from dl.errors import UserError
from dl.evaluation import label_maps
from dl.files import advice
from dl.layers.upsampling import resized
from dl.task import Tree
from dl.tasks import segmentation

LEAST = 0.005  # part of the image from which a class is told of


class Shown(NamedTuple):
    """Of one image: a line for each class on it, the largest first, the picture, and the class of every pixel."""

    lines: list[str]
    picture: UInt8[np.ndarray, "h w 3"]
    labels: Integer[np.ndarray, "h w"]


def pictures(experiment: Any, params: Tree, variables: Tree, images: Sequence[Float[np.ndarray, "_ _ 3"]]) -> list[Shown]:
    """What the run sees on each image, at the image's own size.

    The network sees it at the scale of its training: with as many pixels as the run's images have, in its own proportion.

    Args:
        experiment: of the run, of the task "segmentation".
        params: its parameters.
        variables: its running statistics.
        images: RGB in 0..1, of any size.
    """
    config, info = experiment.config, experiment.dataset.info
    settings = registry.read(segmentation.Settings, "the task segmentation", config.task)
    height, width, channels = info.shapes["image"]
    count = info.features["label_map"].num_classes
    learner = segmentation.learner(config, info, settings, (1.0,) * count)
    mean, std = np.float32(config.dataset.mean), np.float32(config.dataset.std)

    def labels(image: jax.Array, size: tuple[int, int]) -> jax.Array:
        pixels = ((image - mean) / std)[None]
        scores = learner.refine(learner.predict(params, variables, pixels), pixels)
        return resized(jax.nn.log_softmax(scores), size)[0].argmax(-1)

    find = jax.jit(labels, static_argnums=1)
    out = []
    for image in images:  # one after the other: a long list needs no more memory than a short one
        seen = scaled(image, height * width)
        seen = seen if channels == 3 else (seen @ LUMINANCE)[..., None]
        found = np.asarray(find(jnp.asarray(seen), image.shape[:2]))
        out.append(Shown(lines(found, learner.names), label_maps.overlaid(image, found, count), found))
    return out


def scaled(image: Float[np.ndarray, "_ _ 3"], area: int) -> Float[np.ndarray, "_ _ 3"]:
    """The image with about `area` pixels, in its own proportion; Pillow's antialiased bilinear filter, as in the training."""
    from PIL import Image

    rows, columns = image.shape[:2]
    factor = (area / (rows * columns)) ** 0.5
    size = (max(round(columns * factor), 1), max(round(rows * factor), 1))
    planes = [
        Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR) for plane in np.moveaxis(image.astype(np.float32), -1, 0)
    ]
    return np.stack([np.asarray(plane) for plane in planes], -1)


def lines(labels: Integer[np.ndarray, "h w"], names: Sequence[str]) -> list[str]:
    """The part of the image and the name of each class on it."""
    share = np.bincount(labels.ravel(), minlength=len(names)) / labels.size
    return [f"  {share[i]:7.2%}  {names[i]}" for i in np.argsort(-share, kind="stable") if share[i] >= LEAST]


def save(path: Path, labels: Integer[np.ndarray, "h w"]) -> Path:
    """Writes a label map as PNG: the numbers of the classes, with a palette of their colours.

    Raises:
        UserError: it can't be written.
    """
    from PIL import Image

    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette([*label_maps.colours(256)[1:].ravel().tolist(), 0, 0, 0])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}. {advice(error)}.") from error
    return path


PICTURES = {"segmentation": pictures}
