"""IIIT 5K-words (Mishra, Alahari & Jawahar 2012): words cut out of photographs of streets and of scanned pages."""

import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.decoding import decoded
from dl.data.rendering.sources import HEIGHT, Rendering, features, rendered, width_of
from dl.data.rendering.sources import SETTINGS as RENDERED_SETTINGS
from dl.data.rendering.vocabulary import LONGEST, padded
from dl.data.slicing import names_in
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.unpacking import zip_member
from dl.data.stand_in import StandIn
from dl.dataset import Arrays, Dataset, Info, Source
from dl.errors import UserError

ARCHIVE = Archive("IIIT5K_h32.zip", "d24e8e71216df00c29b94bd0dbb451e23caa7fedefcde1636204f39321ef0d94")
COUNTS = {"train": 2000, "test": 3000}
RENDERED = "rendered"  # the split of rendered words beside them
LIMIT = 1 << 20  # bytes of a member


def load_iiit5k(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`image` uint8 [32, W, 1], squeezed or stretched to `dataset.width`, `text` and `text_length`.

    `train` (2,000 words) and `test` (3,000) in the order of the archive's lists; letters and digits count, capitals or not, as
    in the published evaluations. `rendered` are drawn words without end, see `rendered_words`. Read from `manual_dir/iiit5k`
    (or `manual_dir`) alone.

    Raises:
        UserError: no `manual_dir`, the archive is missing or corrupt, or a setting of the rendered words is wrong.
    """
    wanted = names_in(list(settings.splits.values()), [*COUNTS, RENDERED])
    width = width_of(settings)
    splits: dict[str, Source] = {}
    if RENDERED in wanted:
        splits[RENDERED] = rendered(settings, manual_dir, 0)
    real = [split for split in wanted if split != RENDERED]
    if real and not manual_dir:
        raise UserError(f"the dataset 'iiit5k' is read from its archive. {how_to_get('iiit5k', [ARCHIVE])}")
    if real and manual_dir:
        path = verified(folder_of("iiit5k", manual_dir, [ARCHIVE.name]), [ARCHIVE], "iiit5k")[ARCHIVE.name]
        splits |= opened(path, partial(read, wanted=real, width=width))
    return Dataset(Info("iiit5k", features(width)), splits)


def read(path: Path, wanted: list[str], width: int) -> dict[str, Source]:
    """The splits that are wanted."""
    splits: dict[str, Source] = {}
    with zipfile.ZipFile(path) as archive:
        for split in wanted:
            lines = zip_member(archive, f"{split}.tags", LIMIT).decode().splitlines()
            names, texts = zip(*(line.split(" ", 1) for line in lines), strict=True)
            images = [pixels(zip_member(archive, name.replace(".png", ".jpg"), LIMIT), width) for name in names]
            rows, lengths = padded(list(texts))
            splits[split] = Arrays({"image": np.stack(images), "text": rows, "text_length": lengths})
    return splits


def pixels(content: bytes, width: int) -> np.ndarray:
    """An image file of a word as uint8 [32, width, 1], grey."""
    from PIL import Image

    grey = Image.fromarray(decoded(content, 1, "a word of iiit5k")[:, :, 0])
    return np.asarray(grey.resize((width, HEIGHT), Image.Resampling.BILINEAR))[:, :, None]


def _known(settings: ConfigDict) -> Dataset:
    width = width_of(settings)
    counts = {**COUNTS, RENDERED: Rendering().examples}
    splits: dict[str, Source] = {
        split: StandIn((HEIGHT, width, 1), count, {"text": _blank((count, LONGEST)), "text_length": _blank((count,))})
        for split, count in counts.items()
    }
    return Dataset(Info("iiit5k", features(width)), splits)


def _blank(shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(np.ones((), np.int32), shape)


PUBLIC = {"iiit5k": load_iiit5k}
KNOWN = {"iiit5k": _known}
SETTINGS: Mapping[str, Mapping[str, object]] = {"iiit5k": RENDERED_SETTINGS}
