"""Examples of a set that TFDS has prepared: read one by one, or decoded once and kept as arrays."""

import contextlib
import dataclasses
import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dl.data.checks import check_map
from dl.data.ragged import Ragged, in_memory, joined, ragged
from dl.data.resizing import Change
from dl.data.sources.archives import opened
from dl.data.sources.tfds_features import Field
from dl.data.sources.unpacking import kept_arrays
from dl.dataset import Kind

CHUNK = 4096  # examples decoded at a time when a set is read into memory
IMAGES = (Kind.IMAGE, Kind.LABEL_MAP)
OFFSETS = ".offsets"  # of a ragged feature, in a file of kept arrays


class Records:
    """The examples of a TFDS data source, read and decoded one by one.

    Args:
        records: of a split.
        found: our feature name -> where it is in an example.
        change: of images of several sizes, to one.
        index: ragged feature -> how long it is in each example, int64 [N], or of a text the tokens themselves.
    """

    resident = False

    def __init__(
        self,
        records: Any,
        found: Mapping[str, Field],
        change: Change | None,
        index: Mapping[str, np.ndarray | Ragged] | None = None,
    ):
        self.records, self.found, self.change, self.index = records, dict(found), change, dict(index or {})
        self.features = {name: field.feature for name, field in found.items()}
        self.ragged = [name for name, field in found.items() if field.ragged]

    def __len__(self) -> int:
        return len(self.records)

    def with_index(self, index: Mapping[str, np.ndarray | Ragged]) -> "Records":
        """The same, with what is known of the ragged features."""
        return Records(self.records, self.found, self.change, index)

    def examples(self, indices: np.ndarray) -> list[dict[str, np.ndarray]]:
        """The examples, each feature at its own length, texts as bytes."""
        _without_advice()
        rows = [{name: field.of(row) for name, field in self.found.items()} for row in self._rows(self.records, indices)]
        for row, index in zip(rows, indices, strict=True):
            for name in (name for name, feature in self.features.items() if feature.kind is Kind.LABEL_MAP):
                check_map(self.features[name], row[name], f"{self.records.dataset_info.full_name}: {name} of example {index}")
        return [self.change(row, self.features) for row in rows] if self.change else rows

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        rows = self.examples(np.asarray(indices))
        read: dict[str, np.ndarray | Ragged] = {}
        for name in self.found:
            known = self.index.get(name)
            if isinstance(known, Ragged):
                read[name] = ragged([known.one(i) for i in np.asarray(indices).tolist()], known.lengths)
            elif name in self.ragged:
                read[name] = ragged([row[name] for row in rows], () if known is None else (max(int(known.max(initial=0)), 1),))
            else:
                read[name] = np.stack([row[name] for row in rows])
        return in_memory(read).gather(np.arange(len(rows)))

    def column(self, name: str) -> np.ndarray | None:
        known = self.index.get(name.removesuffix("_length"))
        if name.endswith("_length") and known is not None:
            return known.sizes if isinstance(known, Ragged) else known
        if name not in self.found or name in self.ragged or self.features[name].kind in IMAGES:
            return None
        return np.stack([row[name] for row in self.without_images([name])])

    def without_images(self, names: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
        """Some features of all examples, one after another; images are not decoded."""
        import tensorflow_datasets as tfds

        images = {f.path[0]: tfds.decode.SkipDecoding() for f in self.found.values() if f.feature.kind in IMAGES}
        records = dataclasses.replace(self.records, decoders=images)
        for start in range(0, len(self), CHUNK):
            for row in self._rows(records, np.arange(start, min(start + CHUNK, len(self)))):
                yield {name: self.found[name].of(row) for name in names}

    def stored(self, indices: np.ndarray) -> list[bytes]:
        return [bytes(record) for record in self._rows(self.records.data_source, indices)]

    def _rows(self, records: Any, indices: np.ndarray) -> Sequence[Any]:
        return opened(Path(self.records.dataset_info.data_dir), lambda _: records.__getitems__(indices.tolist()))


def in_memory_of(
    source: Records, lengths: Mapping[str, tuple[int, ...]], cache: Path, fingerprint: str
) -> dict[str, np.ndarray | Ragged]:
    """All examples decoded, feature -> its values; ragged ones are padded to their `lengths`. See `decoded_once`."""
    arrays = decoded_once(cache, fingerprint, functools.partial(_decoded, source))
    whole = {name: values for name, values in arrays.items() if not name.endswith(OFFSETS)}
    return {n: Ragged(v, arrays[n + OFFSETS], lengths[n]) if n in lengths else v for n, v in whole.items()}


def index_of(source: Records, cache: Path, fingerprint: str) -> dict[str, np.ndarray | Ragged]:
    """Ragged feature -> how long it is in each example, int64 [N]; of a text its UTF-8 bytes. See `decoded_once`."""
    arrays = decoded_once(cache, fingerprint, functools.partial(_indexed, source))
    whole = {name: values for name, values in arrays.items() if not name.endswith(OFFSETS)}
    return {n: Ragged(v, arrays[n + OFFSETS]) if n + OFFSETS in arrays else v for n, v in whole.items()}


def _indexed(source: Records) -> dict[str, np.ndarray]:
    texts = [name for name in source.ragged if source.features[name].kind is Kind.TOKENS]
    sizes: dict[str, list[int]] = {name: [] for name in source.ragged}
    values: dict[str, list[np.ndarray]] = {name: [] for name in texts}
    for row in source.without_images(source.ragged):
        for name in source.ragged:
            sizes[name].append(len(row[name]))
        for name in texts:
            values[name].append(row[name])
    arrays = {name: np.array(found, np.int64) for name, found in sizes.items()}
    for name in texts:
        whole = ragged(values[name])
        arrays |= {name: whole.values, name + OFFSETS: whole.offsets}
    return arrays


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
    parts: dict[str, list[Ragged]] = {name: [] for name in source.ragged}
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


@functools.cache
def _without_advice() -> None:
    """TFDS advises OpenCV once a process, as a warning; Pillow does here."""
    logging.getLogger("absl").addFilter(lambda record: "OpenCV is not installed" not in record.getMessage())
