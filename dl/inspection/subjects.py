"""What is looked at: images from files, or examples of a run's dataset."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from dl.data import image_files
from dl.errors import UserError, unknown
from dl.inspection.network import Network


class Subject(NamedTuple):
    """An image as the network takes it: `pixels` [H, W, C] in 0..1. `label`: its class, where it is known."""

    title: str
    pixels: Float[np.ndarray, "h w c"]
    label: int | None = None


def from_file(name: str, network: Network, resize: int, manual_dir: str | None = None) -> Subject:
    """The middle of an image (JPEG, PNG, PNM, BMP) of any mode, as the network takes it; see `image_files.central`.

    Raises:
        UserError: it is missing or can't be decoded.
    """
    pixels = image_files.central(image_files.read(name, manual_dir=manual_dir), network.shape, resize)
    return Subject(Path(name).name, np.clip(pixels, 0, 1).astype(np.float32))


def from_split(
    config: ConfigDict, split: str, count: int, data_dir: str | None = None, manual_dir: str | None = None
) -> list[Subject]:
    """The first `count` examples of a split of a run's dataset.

    Raises:
        UserError: no such split; images that are no pixels in 0..1.
    """
    from dl.data.load import load

    dataset = load(config.dataset, data_dir, manual_dir)
    if split not in dataset.splits:
        raise unknown("split of the run", split, dataset.splits)
    source = dataset.splits[split]
    batch = source.gather(np.arange(min(count, len(source))))
    images = batch["image"] / np.float32(255) if batch["image"].dtype == np.uint8 else batch["image"].astype(np.float32)
    if images.min(initial=0) < 0 or images.max(initial=0) > 1:
        raise UserError(f"the images of {config.dataset.name} are no pixels in 0..1: name images in files.")
    labels: Sequence[int] = batch["label"].tolist()
    return [Subject(f"{split} {i}", image, label) for i, (image, label) in enumerate(zip(images, labels, strict=True))]
