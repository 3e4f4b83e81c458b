"""Datasets that TFDS has prepared as ArrayRecord: finding, reading and preparing them, without TensorFlow."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from ml_collections import ConfigDict

from dl.data.ragged import in_memory
from dl.data.resizing import Change, check_size, fitting
from dl.data.slicing import names_in
from dl.data.sources.archives import opened
from dl.data.sources.records import IMAGES, Records, in_memory_of, index_of
from dl.data.sources.tfds_features import Field, checked_lengths, fields, readable_audio, tokenised
from dl.dataset import Dataset, Info, Kind
from dl.errors import UserError

MEMORY_LIMIT = 2 * 2**30  # bytes; a larger dataset is read as it is needed
DEFAULT_DATA_DIR = "~/tensorflow_datasets"


def folder(data_dir: str | None) -> Path:
    """The folder of prepared datasets."""
    return Path(data_dir or DEFAULT_DATA_DIR).expanduser()


def prepared(name: str, data_dir: str | None) -> Any:
    """The read-only builder of `name` ("builder", "builder/config", each with ":version" or not) in `data_dir`, or None.

    TFDS is imported only where the folder of that name exists.
    """
    path, _, version = name.partition(":")
    root = folder(data_dir) / path
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path) or not root.is_dir():
        return None
    homes = [info.parent for info in root.glob("*/dataset_info.json")] or [
        info.parent for info in root.glob("*/*/dataset_info.json")
    ]
    if version:
        homes = [home for home in homes if home.name == version]
    homes = [home for home in homes if re.fullmatch(r"\d+\.\d+\.\d+", home.name)]
    if not homes:
        return None
    import tensorflow_datasets as tfds

    newest = max(homes, key=lambda home: tuple(int(part) for part in home.name.split(".")))
    with readable_audio():
        return opened(newest, tfds.builder_from_directory)


def exists(name: str) -> bool:
    """Whether TFDS knows a builder of that name, prepared or not."""
    base = re.split("[/:]", name)[0]
    if not re.fullmatch(r"\w+", base):
        return False
    import tensorflow_datasets as tfds

    return base in tfds.list_builders(with_community_datasets=False)


def not_prepared(name: str, data_dir: str | None) -> UserError:
    """The error for a builder that TFDS knows and nobody has prepared."""
    return UserError(
        f"dataset {name!r} is not prepared in {folder(data_dir)}. Prepare it where there is a network (and TensorFlow, if its "
        f"builder needs that) by tfds.load({name!r}, data_dir=DIR, builder_kwargs={{'file_format': 'array_record'}}), "
        "then give --data_dir=DIR."
    )


def read(builder: Any, settings: ConfigDict, data_dir: str | None, channels: int = 0) -> Dataset:
    """Splits of a prepared builder (those that `settings.splits` mention), with the features that `tfds_features` tells.

    In memory where these splits take less than `dataset.memory_limit` bytes (default 2 GiB), otherwise read as needed.

    Args:
        builder: prepared, as `prepared` gives it.
        settings: the section `dataset`: besides what `tfds_features.fields` reads, `lengths` (ragged feature -> the
            lengths that it is padded to, or those of all; by default that of the longest example) and `level` of texts
            ("word" or "character"). Of a larger dataset texts are held in memory all the same, and so are the lengths of what
            is ragged.
        data_dir: the folder of prepared datasets, where decoded arrays are kept for the next run.
        channels: number of an image's channels that are kept, the first ones; 0 keeps all.

    Raises:
        UserError: not stored as ArrayRecord; no such image or split; images of several sizes and no `dataset.size`.
    """
    _check_random_access(builder)
    found = fields(builder, settings, channels)
    described, change = _described(builder.info.full_name, settings, found)
    lengths = checked_lengths([name for name, field in found.items() if field.ragged], settings.to_dict().get("lengths", {}))
    with readable_audio():
        sources = opened(Path(builder.data_path), lambda _: builder.as_data_source())
    wanted = names_in(list(settings.splits.values()), list(builder.info.splits))
    texts = [name for name, feature in described.features.items() if feature.kind is Kind.TOKENS]
    needed = [split for split in builder.info.splits if split in wanted or (texts and split == "train")]
    records = {split: Records(sources[split], found, change) for split in needed}
    root, fit = folder(data_dir), settings.get("fit", "pad")
    kept, level = root / ".arrays" / Path(builder.data_path).relative_to(root), settings.get("level", "") or "word"
    fingerprint = _fingerprint(builder, found, described, fit)
    if fit != "crop" and _size(builder, found, described, records) <= settings.get("memory_limit", MEMORY_LIMIT):
        read = {split: in_memory_of(source, lengths, kept / f"{split}.npz", fingerprint) for split, source in records.items()}
        described, read = tokenised(described, read, texts, level, lengths)
        return Dataset(described, {split: in_memory(read[split]) for split in wanted})
    if not lengths:
        return Dataset(described, {split: records[split] for split in wanted})
    index = {split: index_of(source, kept / f"{split}.index.npz", fingerprint) for split, source in records.items()}
    described, index = tokenised(described, index, texts, level, dict.fromkeys(texts, ()))
    return Dataset(described, {split: records[split].with_index(index[split]) for split in wanted})


def _check_random_access(builder: Any) -> None:
    format_ = builder.info.file_format.value if builder.info.file_format else "unknown"
    if format_ != "array_record":
        raise UserError(
            f"dataset {builder.info.full_name!r} in {builder.data_dir} is stored as {format_}, which gives no random access. "
            "Prepare it again with file_format='array_record'."
        )


def _described(full_name: str, settings: ConfigDict, found: Mapping[str, Field]) -> tuple[Info, Change | None]:
    """What is known of the data as they are read, and what is done to images for that; crops are for `dl.data.load` to make."""
    info, fit = Info(settings.name, {name: field.feature for name, field in found.items()}), settings.get("fit", "pad")
    several = any(None in feature.shape[:2] for feature in info.features.values() if feature.kind in IMAGES)
    size = check_size(settings.get("size", (0, 0)), fit) if several or fit == "crop" else (0, 0)
    if size == (0, 0):
        if several:
            raise UserError(f"dataset {full_name!r} has images of several sizes; set dataset.size=(H,W) and dataset.fit.")
        return info, None
    return _at(info, size), fitting(size, fit) if fit != "crop" else None


def _at(info: Info, size: tuple[int, int]) -> Info:
    for name, feature in info.features.items():
        if feature.kind in IMAGES:
            info = info.changed(name, shape=(*size, *feature.shape[2:]))
    return info


def _size(builder: Any, found: Mapping[str, Field], info: Info, splits: Mapping[str, Records]) -> int:
    """About how many bytes the splits take in memory; ragged features as many as all of an example does on the disk."""
    fixed = [feature for name, feature in info.features.items() if not found[name].ragged]
    each = sum(int(np.prod(cast(Any, f.shape))) * (1 if f.kind in IMAGES else 4) for f in fixed)
    ragged = len(fixed) < len(found)
    return sum(each * len(source) + ragged * builder.info.splits[split].num_bytes for split, source in splits.items())


def _fingerprint(builder: Any, found: Mapping[str, Field], info: Info, fit: str) -> str:
    """What must be the same for kept arrays to be used again: the prepared files, the features and their shapes."""
    home = Path(builder.data_path)
    files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(home.iterdir()) if path.is_file()]
    read = [(name, found[name].path, feature.kind.value, feature.shape) for name, feature in sorted(info.features.items())]
    return hashlib.sha256(repr((files, read, fit)).encode()).hexdigest()


SETTINGS: Mapping[str, Mapping[str, Any]] = {  # of any dataset that TFDS has prepared
    "tfds": {
        "image": "",
        "label": "",
        "label_maps": (),
        "texts": (),
        "level": "",
        "lengths": {},
        "memory_limit": MEMORY_LIMIT,
    }
}
