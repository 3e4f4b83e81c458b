"""What is written in images: of words that are cut out, by a trained reader; of words in scenes, by a detector before it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dl.data import image_files
from dl.data.image_files import LUMINANCE
from dl.errors import UserError
from dl.evaluation.boxes_drawn import RIGHT, with_boxes
from dl.evaluation.error_rates import texts
from dl.evaluation.turned_boxes import suppressed
from dl.task import Tree
from dl.training.assembly import Experiment

LEAST_HEIGHT, LEAST_WIDTH = 8, 4  # pixels of an image of a word
STEP = 32  # pixels: the sides of a scene are multiples of it
SIDE = 1024  # pixels of a scene's longer side, at most


class Run(NamedTuple):
    """A trained run: its experiment, and the parameters and variables of one replica."""

    experiment: Experiment
    params: Tree
    variables: Tree


def reads_words(experiment: Experiment) -> bool:
    """Whether a run reads words in images."""
    return "read" in experiment.task.evaluators and "image" in experiment.dataset.info.features


def read_files(run: Run, paths: Sequence[Path], beam: bool = False) -> list[str]:
    """The word in each image file.

    Args:
        run: that has learned to read.
        paths: of images with one word each, cut out.
        beam: by beam search, as wide as `task.beam` of the run.

    Raises:
        UserError: an image that can't be read or is too small, or a run that reads nothing or keeps no beam.
    """
    greys = [image_files.read(str(path)) @ LUMINANCE for path in paths]
    for path, grey in zip(paths, greys, strict=True):
        check_size(grey, path)
    return read(run, greys, beam)


def check_size(grey: np.ndarray, path: object) -> None:
    """Raises UserError where an image is too small for a word, or shows nothing."""
    height, width = grey.shape
    if height < LEAST_HEIGHT or width < LEAST_WIDTH:
        raise UserError(
            f"{path} is {width}x{height} pixels; a word needs {LEAST_WIDTH}x{LEAST_HEIGHT} at least: give a larger image of it."
        )
    if np.ptp(grey) == 0:
        raise UserError(f"{path} is empty: all of its pixels have one colour.")


def read(run: Run, greys: Sequence[np.ndarray], beam: bool = False) -> list[str]:
    """The word in each image, grey [H, W] in 0..1, of any size."""
    from PIL import Image

    evaluator = run.experiment.task.evaluators.get("search" if beam else "read")
    if evaluator is None or not reads_words(run.experiment):
        raise UserError(f"this run cannot do that: it needs {'task.beam above 0' if beam else 'the task reading'}.")
    if not greys:
        return []
    features = run.experiment.dataset.info.features
    height, width, _ = features["image"].shape
    vocabulary = features["text"].vocabulary
    assert height and width and vocabulary is not None  # or the task would not have been built
    images = [
        Image.fromarray((g * 255).round().astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR) for g in greys
    ]
    pixels = np.stack([np.asarray(image)[:, :, None] for image in images])
    rows, longest = len(pixels), features["text"].shape[0] or 1
    nothing = {"text": jnp.zeros((rows, longest), jnp.int32), "text_length": jnp.zeros(rows, jnp.int32)}
    batch = run.experiment.prepare({"image": jnp.asarray(pixels), **nothing, "mask": jnp.ones(rows, bool)})
    _, outputs = jax.jit(evaluator.step)(run.params, run.variables, batch, jax.random.key(0))
    suffix = "_beam" if beam else ""
    found = [np.asarray(outputs[f"{name}{suffix}"]) for name in ("heard", "heard_length")]
    return texts(found[0], found[1], vocabulary)


class Found(NamedTuple):
    """A word in a scene: its box (y, x, height, width in pixels, angle), how sure the detector is, and the word, if read."""

    box: np.ndarray
    score: float
    text: str = ""


def find_in(run: Run, grey: np.ndarray, reader: Run | None = None) -> list[Found]:
    """The words in a scene, from top to bottom.

    Args:
        run: that has learned to find words.
        grey: the scene [H, W] in 0..1.
        reader: reads what was found, if given.

    Raises:
        UserError: the run has not learned it.
    """
    from dl.tasks.text_detection import Settings

    evaluator, config = run.experiment.task.evaluators.get("detect"), run.experiment.config
    if evaluator is None or "words" not in run.experiment.dataset.info.features:
        raise UserError("this run finds no words: it needs the task text_detection.")
    settings = Settings(**{name: config.task[name] for name in Settings._fields if name in config.task})
    scaled, times = fitted(grey)
    pixels = jnp.asarray((scaled[None, :, :, None] * 255).round().astype(np.uint8))
    nothing = {"words": jnp.zeros((1, 1, 5)), "words_length": jnp.zeros(1, jnp.int32), "mask": jnp.ones(1, bool)}
    batch = run.experiment.prepare({"image": pixels, **nothing})
    _, outputs = jax.jit(evaluator.step)(run.params, run.variables, batch, jax.random.key(0))
    boxes, scores = np.asarray(outputs["boxes"][0]), np.asarray(outputs["scores"][0])
    likely = scores >= settings.threshold
    boxes, scores = suppressed(boxes[likely], scores[likely], settings.overlap)
    boxes[:, :4] /= times
    order = np.argsort(boxes[:, 0], kind="stable")
    words = read(reader, [cut_out(grey, boxes[i]) for i in order]) if reader is not None else [""] * len(order)
    return [Found(boxes[i], float(scores[i]), word) for i, word in zip(order, words, strict=True)]


def fitted(grey: np.ndarray) -> tuple[np.ndarray, float]:
    """A scene on a canvas whose sides are multiples of `STEP`, made smaller where it is large, and by how much."""
    from PIL import Image

    times = min(1.0, SIDE / max(grey.shape))
    height, width = (max(round(side * times), 1) for side in grey.shape)
    small = np.asarray(Image.fromarray(grey.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
    canvas = np.full([-(-side // STEP) * STEP for side in (height, width)], small.mean(), np.float32)
    canvas[:height, :width] = small
    return canvas.clip(0, 1), times


def cut_out(grey: np.ndarray, box: np.ndarray, margin: float = 0.1) -> np.ndarray:
    """What is within a turned box and a little around it, [H, W], its line horizontal."""
    from PIL import Image

    y, x, height, width, angle = (float(v) for v in box)
    height, width = max(height, 1.0) * (1 + 2 * margin), max(width, 1.0) + 2 * margin * max(height, 1.0)
    rows, columns = max(round(height), LEAST_HEIGHT), max(round(width), LEAST_WIDTH)
    right, down = width / columns, height / rows
    cosine, sine = math.cos(angle), math.sin(angle)
    left = x - width / 2 * cosine - height / 2 * sine
    top = y + width / 2 * sine - height / 2 * cosine
    matrix = (right * cosine, down * sine, left, -right * sine, down * cosine, top)
    image = Image.fromarray(grey.astype(np.float32))
    turned = image.transform((columns, rows), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(turned).clip(0, 1)


def drawn(grey: np.ndarray, found: Sequence[Found]) -> Any:
    """The scene with boxes and words, as Pillow's image, twice as large."""
    from PIL import Image

    boxes = [(word.box, RIGHT, "") for word in found]
    names = [(word.box, RIGHT, word.text) for word in found if word.text]
    return Image.fromarray(with_boxes(grey[:, :, None], boxes, names))
