"""Random bytes as images with random labels, for benchmarks and trials of large models: nothing can be learned from them."""

import numpy as np
from ml_collections import ConfigDict

from dl.dataset import Arrays, Dataset, labelled_images
from dl.errors import UserError


def load_random_images(settings: ConfigDict, data_dir: str | None, manual_dir: str | None) -> Dataset:
    """`examples` (default 4096) a split of `shape` (H, W, C), with `num_classes` (default 10); always the same ones.

    Args:
        settings: `shape`, `examples`, `num_classes`.
        data_dir: not used.
        manual_dir: not used.

    Raises:
        UserError: a shape or number of examples that is none.
    """
    shape, examples = tuple(settings.get("shape", (28, 28, 1))), settings.get("examples", 4096)
    if len(shape) != 3 or min(shape) < 1 or examples < 1:
        raise UserError(f"dataset.shape={shape} must be (H, W, C), and dataset.examples={examples} at least 1.")
    classes = settings.get("num_classes", 0) or 10  # 0 is the default of every configuration

    def split(seed: int) -> Arrays:
        random = np.random.default_rng(seed)
        images = random.integers(0, 256, (examples, *shape), dtype=np.uint8)
        return Arrays({"image": images, "label": random.integers(0, classes, examples, dtype=np.int32)})

    return Dataset(labelled_images("random_images", shape, classes), {"train": split(0), "test": split(1)})


PUBLIC = {"random_images": load_random_images}
SETTINGS = {"random_images": {"shape": (28, 28, 1), "examples": 4096}}
