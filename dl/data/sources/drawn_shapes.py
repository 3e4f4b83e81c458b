"""Discs, squares and triangles on noise, with the class of each pixel: segmentation that needs no files."""

import numpy as np
from ml_collections import ConfigDict

from dl.dataset import Arrays, Dataset, Feature, Info, Kind
from dl.errors import UserError

CLASSES = ("background", "disc", "square", "triangle")
COLOURS = np.array([[90, 90, 90], [200, 80, 60], [70, 180, 90], [70, 90, 200]])
VOID = 255
SPLITS = ("train", "validation", "test")
OBJECTS = 3  # an image


def load_drawn_shapes(settings: ConfigDict, data_dir: str | None, manual_dir: str | None) -> Dataset:
    """`examples` (default 64) of each split, `train`, `validation` and `test`, of `shape` (48, 64); always the same ones.

    Images uint8 [H, W, 3] and `label_map` uint8 [H, W]; the pixels around each object are void. Classes have colours of their
    own, and noise over them.

    Args:
        settings: `shape`, `examples`.
        data_dir: not used.
        manual_dir: not used.

    Raises:
        UserError: images smaller than 16 x 16, or no examples.
    """
    shape, examples = tuple(settings.get("shape", (48, 64))), settings.get("examples", 64)
    if len(shape) != 2 or min(shape) < 16 or examples < 1:
        raise UserError(f"dataset.shape={shape} must be (H, W), 16 or more each, and dataset.examples={examples} at least 1.")
    labels = Feature(Kind.LABEL_MAP, shape, num_classes=len(CLASSES), class_names=CLASSES, void=VOID)
    features = {"image": Feature(Kind.IMAGE, (*shape, 3)), "label_map": labels}
    splits = {name: _split(np.random.default_rng(seed), shape, examples) for seed, name in enumerate(SPLITS)}
    return Dataset(Info("drawn_shapes", features), splits)


def _split(random: np.random.Generator, shape: tuple[int, int], examples: int) -> Arrays:
    maps = np.stack([_scene(random, shape) for _ in range(examples)])
    flat = COLOURS[np.where(maps == VOID, 0, maps)] + random.normal(0, 20, (*maps.shape, 3))
    return Arrays({"image": flat.clip(0, 255).astype(np.uint8), "label_map": maps})


def _scene(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A label map [H, W]: later objects lie over earlier ones."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    out = np.zeros(shape, np.uint8)
    for _ in range(OBJECTS):
        kind, radius = int(random.integers(1, len(CLASSES))), random.uniform(0.12, 0.22) * min(shape)
        down, right = rows - random.uniform(0, shape[0]), columns - random.uniform(0, shape[1])
        far = {
            1: np.hypot(down, right),
            2: np.maximum(abs(down), abs(right)),
            3: np.maximum(down, (2 * abs(right) - down) / 2),
        }[kind]
        out[far < radius + 1] = VOID
        out[far < radius] = kind
    return out


PUBLIC = {"drawn_shapes": load_drawn_shapes}
SETTINGS = {"drawn_shapes": {"shape": (48, 64), "examples": 64}}
