"""Any images with boxes, and where there may be objects in them: what R-CNN looks at. See `dl.data.selective_search`."""

import contextlib
import functools
import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dl import registry
from dl.data.ragged import Ragged, in_memory, ragged
from dl.data.selective_search import Settings, selective_search
from dl.data.sources import builders
from dl.data.stand_in import StandIn
from dl.data.streaming import processors
from dl.dataset import Arrays, Dataset, Feature, Kind, Source
from dl.errors import UserError

OF = {"name": "", "path": "", "images": "", "classes": "", "empty": "error", "variant": ""}  # settings that a flag may give
FEW = 64  # images for which no processes are started
KEPT = "region_proposals"


def load_region_proposals(
    settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None, known: bool = False
) -> Dataset:
    """The dataset `dataset.of` (its settings, at least `name`) with one more feature, `proposals`: boxes [N, 4] that selective
    search finds in each image at the size that it has here, by the settings `dataset.proposals`.

    `size`, `fit` and what else the dataset does not say itself are those of the whole. A second or two an image; what was found
    is kept in `data_dir` (TFDS's own, if none is given) for the next run. With `known`, as in `dl.data.load.load_unread`.

    Raises:
        UserError: no dataset is named, its images are not in memory or not uint8, or a setting is out of range.
    """
    from dl.data.load import load_unread  # it imports the sources by their names, this one too

    of = settings.get("of", ConfigDict())
    if not of.get("name", ""):
        raise UserError("the dataset 'region_proposals' needs dataset.of.name, such as 'bccd', 'coco' or 'voc'.")
    search: Settings = registry.read(Settings, "dataset.proposals", settings.get("proposals", ConfigDict()))
    search.check()
    common = {
        key: value for key, value in settings.items() if key not in ("of", "proposals", "splits", "name", "path", "margin")
    }
    wanted = {part.split("[")[0].strip() for spec in settings.splits.values() for part in spec.split("+")}
    section = {**common, **of.to_dict(), "splits": {split: split for split in sorted(wanted)}}
    if known and of.name.split("/")[0] in registry.public("dl.data.sources", "KNOWN"):
        section["size"] = (0, 0)  # stand-ins are brought to size with their proposals
    info, splits = load_unread(ConfigDict(section), data_dir, manual_dir, known)
    feature = Feature(Kind.BOXES, (None, 4))
    keep = builders.folder(data_dir) / ".arrays" / KEPT
    sources = {name: _with_proposals(source, search, keep, info.name) for name, source in splits.items()}
    return Dataset(info._replace(features={**info.features, "proposals": feature}), sources)


def _with_proposals(source: Source, search: Settings, keep: Path, name: str) -> Source:
    if isinstance(source, StandIn):
        nothing = ragged([np.zeros((search.most, 4), np.float32)] * len(source))
        return StandIn(source.shape, source.count, {**source.features, "proposals": nothing})
    images = source.features.get("image") if isinstance(source, Arrays) else None
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        raise UserError(
            f"region proposals are found in images uint8 in memory, which those of {name} are not: set dataset.memory_limit."
        )
    assert isinstance(source, Arrays)
    features: Mapping[str, Any] = {**source.features, "proposals": _kept(images, search, keep)}
    return in_memory(features)


def _kept(images: np.ndarray, search: Settings, folder: Path) -> Ragged:
    """The proposals of images, from a file if they were found before."""
    digest = hashlib.sha256(repr(search).encode() + np.ascontiguousarray(images).tobytes()).hexdigest()
    path = folder / f"{digest[:32]}.npz"
    with contextlib.suppress(OSError, ValueError, KeyError), np.load(path, allow_pickle=False) as file:
        if len(file["offsets"]) == len(images) + 1:
            return Ragged(file["values"], file["offsets"])
    found = ragged(_found(images, search))
    temporary = folder / f".{digest[:32]}.{os.getpid()}.npz"
    with contextlib.suppress(OSError):  # a folder that cannot be written costs time and nothing else
        if len(images) > FEW:
            folder.mkdir(parents=True, exist_ok=True)
            np.savez(temporary, values=found.values, offsets=found.offsets)
            os.replace(temporary, path)
    return found


def _found(images: np.ndarray, search: Settings) -> list[np.ndarray]:
    find = functools.partial(selective_search, settings=search)
    if len(images) <= FEW or processors() == 1:
        return [find(image) for image in images]
    with ProcessPoolExecutor(processors(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(find, images, chunksize=4))


PUBLIC = {KEPT: load_region_proposals}
KNOWN = {KEPT: functools.partial(load_region_proposals, known=True)}
SETTINGS: Mapping[str, Mapping[str, object]] = {KEPT: {"of": OF, "proposals": Settings()._asdict(), "memory_limit": 2 * 2**30}}
