"""Splits by TFDS's slicing syntax: `"train[:90%]"`, `"train[50000:]"`, `"train[:10%]+train[80%:]"`, `"test"`, `"all"`.

The rules are those of `tfds.core.ReadInstruction` (percentages round to the closest example). TFDS is imported only where a
specification slices or adds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dl.data.ragged import Ragged, in_memory, joined
from dl.dataset import Arrays, Source, column_of, stored_of
from dl.errors import UserError, unknown


class Slices:
    """Consecutive parts of other sources, one after another, without copying anything."""

    def __init__(self, parts: Sequence[tuple[Source, int, int]]):
        self.parts = tuple(parts)
        self.resident = all(source.resident for source, _, _ in parts)
        self.ends = np.cumsum([stop - start for _, start, stop in parts])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def at(self, index: int) -> tuple[Source, int]:
        """The source of an example, and its index there."""
        part = int(np.searchsorted(self.ends, index, side="right"))
        source, _, stop = self.parts[part]
        return source, index - int(self.ends[part]) + stop

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        indices = np.asarray(indices)
        owner = np.searchsorted(self.ends, indices, side="right")
        out: dict[str, np.ndarray] = {}
        for part in np.unique(owner):
            source, start, stop = self.parts[part]
            rows = np.flatnonzero(owner == part)
            first = self.ends[part] - (stop - start)
            for name, values in source.gather(indices[rows] - first + start).items():
                out.setdefault(name, np.empty((len(indices), *values.shape[1:]), values.dtype))[rows] = values
        return out

    def column(self, name: str) -> np.ndarray | None:
        columns = [(column_of(source, name), start, stop) for source, start, stop in self.parts]
        found = [values[start:stop] for values, start, stop in columns if values is not None]
        return np.concatenate(found) if len(found) == len(columns) else None

    def stored(self, indices: np.ndarray) -> list[bytes]:
        owner = np.searchsorted(self.ends, indices, side="right")
        places = [(self.parts[part], index - self.ends[part]) for part, index in zip(owner, indices, strict=True)]
        return [stored_of(source, np.array([stop + back]))[0] for (source, _, stop), back in places]


def located(source: Source, index: int) -> tuple[Source, int]:
    """Where an example of slices, and slices of those, comes from."""
    while isinstance(source, Slices):
        source, index = source.at(index)
    return source, index


def resolve(spec: str, lengths: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """The parts that `spec` names: (split, first example, one past the last), of splits with these `lengths`.

    Raises:
        UserError: a specification that can't be read, a split that does not exist, a slice out of range or an empty result.
    """
    if spec.isidentifier() and spec != "all":
        if spec not in lengths:
            raise unknown("split", spec, lengths)
        parts = [(spec, 0, lengths[spec])]
    else:
        parts = _by_read_instruction(spec, lengths)
    if not any(stop > start for _, start, stop in parts):
        raise UserError(f"split {spec!r} has no examples. Splits: {_listed(lengths)}.")
    return [part for part in parts if part[2] > part[1]]


def _by_read_instruction(spec: str, lengths: Mapping[str, int]) -> list[tuple[str, int, int]]:
    if "shard" in spec:
        raise UserError(f"split {spec!r}: slices by shard are not offered; use examples or percent, e.g. 'train[:10%]'.")
    import tensorflow_datasets as tfds

    try:
        infos = {name: tfds.core.SplitInfo(name=name, shard_lengths=[n], num_bytes=0) for name, n in lengths.items()}
        found = tfds.core.ReadInstruction.from_spec(spec).to_absolute(infos)
    except Exception as error:  # TFDS raises its own wrapper types, whose last line holds the reason
        reason = (str(error).strip().splitlines() or [repr(error)])[-1].rstrip(".")
        raise UserError(
            f"split {spec!r}: {reason}. Write e.g. 'train[:90%]', 'train[500:]'; splits: {_listed(lengths)}."
        ) from error
    return [(part.splitname, part.from_ or 0, lengths[part.splitname] if part.to is None else part.to) for part in found]


def _listed(lengths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({n})" for name, n in lengths.items())


def names_in(specs: Sequence[str], splits: Sequence[str]) -> list[str]:
    """Those of `splits` that the specifications mention, so that a source need not read the others.

    Raises:
        UserError: a specification mentions a split that is not among them.
    """
    words = {part.split("[")[0].strip() for spec in specs for part in spec.split("+")}
    for word in sorted(words - {"all", *splits}):
        raise unknown("split", word, splits)
    return [name for name in splits if name in words or "all" in words]


def take(spec: str, splits: Mapping[str, Source]) -> Source:
    """The examples that `spec` names. Slices of arrays are views of them, not copies, unless several are joined."""
    parts = [(splits[name], start, stop) for name, start, stop in resolve(spec, {k: len(v) for k, v in splits.items()})]
    if len(parts) == 1 and parts[0][1:] == (0, len(parts[0][0])):
        return parts[0][0]
    if all(isinstance(source, Arrays) for source, _, _ in parts):
        pieces = [{k: v[start:stop] for k, v in source.features.items()} for source, start, stop in parts]  # type: ignore[attr-defined]
        if len(pieces) == 1:
            return in_memory(pieces[0])
        return in_memory({name: _joined([piece[name] for piece in pieces]) for name in pieces[0]})
    return Slices(parts)


def _joined(pieces: Sequence[Any]) -> np.ndarray | Ragged:
    return joined(pieces) if isinstance(pieces[0], Ragged) else np.concatenate(pieces)
