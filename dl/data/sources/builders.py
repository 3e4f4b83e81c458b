"""Datasets that TFDS has prepared as ArrayRecord: finding, reading and preparing them, without TensorFlow."""

import contextlib
import dataclasses
import functools
import hashlib
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from ml_collections import ConfigDict

from dl.data.ragged import Ragged, in_memory, joined, ragged
from dl.data.resizing import Change, check_size, fitting
from dl.data.slicing import names_in
from dl.data.sources.archives import opened
from dl.data.sources.tfds_features import Field, checked_lengths, fields, tokenised
from dl.data.sources.unpacking import kept_arrays
from dl.dataset import Dataset, Info, Kind
from dl.errors import UserError

MEMORY_LIMIT = 2 * 2**30  # bytes; a larger dataset is read as it is needed
CHUNK = 4096  # examples decoded at a time when a dataset is read into memory
IMAGES = (Kind.IMAGE, Kind.LABEL_MAP)
OFFSETS = ".offsets"  # of a ragged feature, in a file of kept arrays
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
            lengths that it is padded to, or those of all; by default that of the longest example) and `level` of texts ("word"
            or "character").
        data_dir: the folder of prepared datasets, where decoded arrays are kept for the next run.
        channels: number of an image's channels that are kept, the first ones; 0 keeps all.

    Raises:
        UserError: not stored as ArrayRecord; no such image or split; images of several sizes and no `dataset.size`; texts, or
            ragged features without `lengths`, that do not fit in memory.
    """
    info, root, fit = builder.info, folder(data_dir), settings.get("fit", "pad")
    format_ = info.file_format.value if info.file_format else "unknown"
    if format_ != "array_record":
        raise UserError(
            f"dataset {info.full_name!r} in {builder.data_dir} is stored as {format_}, which gives no random access. "
            "Prepare it again with file_format='array_record'."
        )
    found = fields(builder, settings, channels)
    described = Info(settings.name, {name: field.feature for name, field in found.items()})
    cropped = fit == "crop"  # `dl.data.load` crops the images as they are
    several = any(None in feature.shape[:2] for feature in described.features.values() if feature.kind in IMAGES)
    size = check_size(settings.get("size", (0, 0)), fit) if several or cropped else (0, 0)
    if several and size == (0, 0):
        raise UserError(f"dataset {info.full_name!r} has images of several sizes; set dataset.size=(H,W) and dataset.fit.")
    if size != (0, 0):
        described = _at(described, size)
    lengths = checked_lengths([name for name, field in found.items() if field.ragged], settings.to_dict().get("lengths", {}))
    sources = opened(Path(builder.data_path), lambda _: builder.as_data_source())
    wanted = names_in(list(settings.splits.values()), list(info.splits))
    texts = [name for name, feature in described.features.items() if feature.kind is Kind.TOKENS]
    needed = [split for split in info.splits if split in wanted or (texts and split == "train")]
    change = fitting(size, fit) if size != (0, 0) and not cropped else None
    records = {split: Records(sources[split], found, change, lengths) for split in needed}
    if not cropped and _size(builder, found, described, records) <= settings.get("memory_limit", MEMORY_LIMIT):
        kept = root / ".arrays" / Path(builder.data_path).relative_to(root)
        fingerprint = _fingerprint(builder, found, described, fit)
        read = {split: _in_memory_of(source, kept / f"{split}.npz", fingerprint) for split, source in records.items()}
        described, read = tokenised(described, read, texts, settings.get("level", "") or "word", lengths)
        return Dataset(described, {split: in_memory(read[split]) for split in wanted})
    if texts or any(not lengths[name] for name in lengths):
        raise UserError(
            f"dataset {info.full_name!r} has texts or ragged features ({', '.join(lengths)}) and is not read into memory: "
            "raise dataset.memory_limit (and take no dataset.fit='crop'), or give dataset.lengths for what is no text."
        )
    return Dataset(described, {split: records[split] for split in wanted})


def _at(info: Info, size: tuple[int, int]) -> Info:
    for name, feature in info.features.items():
        if feature.kind in IMAGES:
            info = info.changed(name, shape=(*size, *feature.shape[2:]))
    return info


def _size(builder: Any, found: Mapping[str, Field], info: Info, splits: Mapping[str, "Records"]) -> int:
    """About how many bytes the splits take in memory; ragged features as many as all of an example does on the disk."""
    fixed = [feature for name, feature in info.features.items() if not found[name].ragged]
    each = sum(int(np.prod(cast(Any, f.shape))) * (1 if f.kind in IMAGES else 4) for f in fixed)
    ragged = len(fixed) < len(found)
    return sum(each * len(source) + ragged * builder.info.splits[split].num_bytes for split, source in splits.items())


class Records:
    """The examples of a TFDS data source, read and decoded one by one.

    Args:
        records: records of a split.
        found: our feature name -> where it is in an example.
        change: what brings images of several sizes to one.
        lengths: ragged feature -> the lengths that it is padded to; the last is taken here.
    """

    resident = False

    def __init__(self, records: Any, found: Mapping[str, Field], change: Change | None, lengths: Mapping[str, tuple[int, ...]]):
        self.records, self.found, self.change, self.lengths = records, dict(found), change, dict(lengths)
        self.features = {name: field.feature for name, field in found.items()}

    def __len__(self) -> int:
        return len(self.records)

    def examples(self, indices: np.ndarray) -> list[dict[str, np.ndarray]]:
        """The examples, each feature at its own length."""
        _without_advice()
        rows = [{name: field.of(row) for name, field in self.found.items()} for row in self._rows(self.records, indices)]
        return [self.change(row, self.features) for row in rows] if self.change else rows

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        rows = self.examples(np.asarray(indices))
        whole = {name: [row[name] for row in rows] for name in self.found}
        read = {name: ragged(v, self.lengths[name]) if name in self.lengths else np.stack(v) for name, v in whole.items()}
        return in_memory(read).gather(np.arange(len(rows)))

    def column(self, name: str) -> np.ndarray | None:
        if name not in self.found or name in self.lengths or self.features[name].kind in IMAGES:
            return None
        import tensorflow_datasets as tfds

        images = {f.path[0]: tfds.decode.SkipDecoding() for f in self.found.values() if f.feature.kind in IMAGES}
        records = dataclasses.replace(self.records, decoders=images)
        chunks = [np.arange(i, min(i + CHUNK, len(self))) for i in range(0, len(self), CHUNK)]
        return np.stack([self.found[name].of(row) for chunk in chunks for row in self._rows(records, chunk)])

    def stored(self, indices: np.ndarray) -> list[bytes]:
        return [bytes(record) for record in self._rows(self.records.data_source, indices)]

    def _rows(self, records: Any, indices: np.ndarray) -> Sequence[Any]:
        return opened(Path(self.records.dataset_info.data_dir), lambda _: records.__getitems__(indices.tolist()))


def _in_memory_of(source: Records, cache: Path, fingerprint: str) -> dict[str, np.ndarray | Ragged]:
    arrays, lengths = decoded_once(cache, fingerprint, functools.partial(_decoded, source)), source.lengths
    whole = {name: values for name, values in arrays.items() if not name.endswith(OFFSETS)}
    return {n: Ragged(v, arrays[n + OFFSETS], lengths[n]) if n in lengths else v for n, v in whole.items()}


def decoded_once(cache: Path, fingerprint: str, decode: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What `decode` gives; later runs with the same fingerprint read the arrays that are kept in the file `cache`."""
    kept = kept_arrays(cache) or {}
    if str(kept.pop("fingerprint", "")) == fingerprint:
        return kept
    arrays = decode()
    with contextlib.suppress(OSError):  # a folder without room or permission: decode again next time
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial = cache.with_name(f"{cache.name}.{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **(arrays | {"fingerprint": np.array(fingerprint)}))
            partial.replace(cache)
        finally:
            partial.unlink(missing_ok=True)
    return arrays


def _decoded(source: Records) -> dict[str, np.ndarray]:
    """All examples: feature -> [N, ...], or where it is ragged its values and, as `NAME` + OFFSETS, where examples begin."""
    arrays: dict[str, np.ndarray] = {}
    parts: dict[str, list[Ragged]] = {name: [] for name in source.lengths}
    for start in range(0, len(source), CHUNK):
        indices = np.arange(start, min(start + CHUNK, len(source)))
        rows = source.examples(indices)
        for name, found in parts.items():
            found.append(ragged([row[name] for row in rows]))
        for name in (name for name in source.found if name not in parts):
            values = np.stack([row[name] for row in rows])
            arrays.setdefault(name, np.empty((len(source), *values.shape[1:]), values.dtype))[indices] = values
    for name, found in parts.items():
        whole = joined(found)
        arrays |= {name: whole.values, name + OFFSETS: whole.offsets}
    return arrays


def _fingerprint(builder: Any, found: Mapping[str, Field], info: Info, fit: str) -> str:
    """What must be the same for kept arrays to be used again: the prepared files, the features and their shapes."""
    home = Path(builder.data_path)
    files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(home.iterdir()) if path.is_file()]
    read = [(name, found[name].path, feature.kind.value, feature.shape) for name, feature in sorted(info.features.items())]
    return hashlib.sha256(repr((files, read, fit)).encode()).hexdigest()


@functools.cache
def _without_advice() -> None:
    """TFDS advises OpenCV once a process, as a warning; Pillow does here."""
    logging.getLogger("absl").addFilter(lambda record: "OpenCV is not installed" not in record.getMessage())


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
