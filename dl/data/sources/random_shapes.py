"""Discs and squares at random places, with their boxes and masks: detection that needs no files, for trials and tests."""

import numpy as np
from ml_collections import ConfigDict

from dl.data.ragged import in_memory, ragged
from dl.data.sources.boxes import features_of
from dl.dataset import Dataset, Feature, Info, Kind
from dl.errors import UserError

CLASSES = ("disc", "square")
COLOURS = np.array([[200, 60, 60], [60, 90, 200]])  # of a disc, a square
MOST = 3  # shapes on an image
SIDE = (64, 64)


def load_random_shapes(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`examples` (default 64) images a split, uint8 [H, W, 3], with 0 to 3 shapes each; always the same ones.

    Features as those of the dataset "penn_fudan": `boxes`, `boxes_label`, `boxes_ignored`, and `instances`, whose pixels i + 1
    are those of row i. Images are `dataset.size`, or 64 x 64. Splits `train` and `test`.

    Raises:
        UserError: no examples, or images smaller than 32 x 32.
    """
    size, examples = tuple(settings.get("size", (0, 0))), settings.get("examples", 64)
    height, width = size if any(size) else SIDE
    if min(height, width) < 32 or examples < 1:
        raise UserError(f"dataset.size={size} must be 32 x 32 at least, and dataset.examples={examples} 1 at least.")
    features = {**features_of(CLASSES, 3), "instances": Feature(Kind.LABEL_MAP, (height, width), void=0)}
    features["image"] = Feature(Kind.IMAGE, (height, width, 3))
    splits = {}
    for seed, split in enumerate(("train", "test")):
        scenes = [scene(np.random.default_rng((seed, i)), height, width) for i in range(examples)]
        image, instances, boxes, labels = ([part[k] for part in scenes] for k in range(4))
        splits[split] = in_memory(
            {
                "image": np.stack(image),
                "instances": np.stack(instances),
                "boxes": ragged(boxes),
                "boxes_label": ragged(labels),
                "boxes_ignored": ragged([np.zeros_like(one) for one in labels]),
            }
        )
    return Dataset(Info("random_shapes", features), dict(splits))


def scene(random: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """An image uint8, its instances uint8 [H, W], boxes float32 [N, 4] in fractions, and their classes int32 [N].

    A shape that would cover another one is left out.
    """
    y, x = np.mgrid[:height, :width] + 0.5
    pixels, instances = random.normal(128, 20, (height, width, 3)), np.zeros((height, width), np.uint8)
    boxes, labels = [], []
    for _ in range(random.integers(0, MOST + 1)):
        radius = random.uniform(6, min(height, width) / 4)
        cy, cx = random.uniform(radius, height - radius), random.uniform(radius, width - radius)
        label = int(random.integers(2))
        away = np.hypot(y - cy, x - cx) if label == 0 else np.maximum(abs(y - cy), abs(x - cx))
        covered = away < radius
        if instances[covered].any():
            continue
        boxes.append(_box(covered))
        labels.append(label)
        instances[covered] = len(boxes)
        pixels[covered] = COLOURS[label] + random.normal(0, 20, (int(covered.sum()), 3))
    found = np.array(boxes, np.float32).reshape(-1, 4)
    return pixels.clip(0, 255).astype(np.uint8), instances, found, np.array(labels, np.int32)


def _box(covered: np.ndarray) -> list[float]:
    """Around the pixels, in fractions of the image."""
    rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    (height, width) = covered.shape
    return [rows[0] / height, columns[0] / width, (rows[-1] + 1) / height, (columns[-1] + 1) / width]


PUBLIC = {"random_shapes": load_random_shapes}
SETTINGS = {"random_shapes": {"examples": 64}}
