"""A short name for what a dataset holds, to notice when its files were replaced."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dl.data.ragged import Ragged
from dl.dataset import Arrays, Source, stored_of
from dl.errors import UserError

SAMPLE = 64  # examples of a split that is not in memory, spread over it, whose bytes count
BLOCK = 1 << 20  # bytes
LANES = 1 << 12  # bytes: the numbers of a block that are so far apart are added
WHOLE = 1 << 24  # bytes of a feature that are hashed; of a larger one a part, and sums of all


def fingerprint(splits: Mapping[str, Source], class_names: Sequence[str] = ()) -> str:
    """SHA-256, in hexadecimal, of what the splits hold: the same in every process and on every machine.

    Of arrays in memory every value counts. Above 16 MB most blocks of a megabyte count by sums alone, so that some values which
    change places within a block go unnoticed. Of files that are read as they are needed, the names
    and bytes of `SAMPLE` examples count, from the first to the last, not the times of the files. Images of a folder that is
    decoded into memory count as decoded, which another version of Pillow may do otherwise.

    Args:
        splits: name -> the split; cheap for any size: below 50 ms for MNIST, below a second for ImageNet.
        class_names: names of the classes of the dataset, where they matter.

    Raises:
        UserError: a file can't be read.
    """
    digest = hashlib.sha256()
    _add(digest, "classes", *class_names)
    for name in sorted(splits):
        source = splits[name]
        _add(digest, "split", name, len(source))
        if isinstance(source, Arrays):
            for feature in sorted(source.features):
                values: np.ndarray | Ragged = source.features[feature]
                if isinstance(values, Ragged):
                    _add_array(digest, feature, values.whole)
                    _add_array(digest, f"{feature}_length", values.sizes)
                else:
                    _add_array(digest, feature, values)
        else:
            _add_sample(digest, source)
    return digest.hexdigest()


def _add(digest: Any, *parts: object) -> None:
    """Adds the parts, each with its length, so that no two lists of them are the same bytes."""
    for part in parts:
        content = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogateescape")
        digest.update(b"%d:" % len(content) + content)


def _add_sample(digest: Any, source: Source) -> None:
    count = min(SAMPLE, len(source))
    indices = np.arange(count) * (len(source) - 1) // max(count - 1, 1)
    try:
        _add(digest, *stored_of(source, indices))
    except OSError as error:
        raise UserError(f"{error.filename} can't be read: {error.strerror}.") from error


def _add_array(digest: Any, name: str, values: np.ndarray) -> None:
    _add(digest, name, values.dtype.str, values.shape)
    rows = max(1, BLOCK // max(values[:1].nbytes, 1))  # of a block
    starts = range(0, len(values), rows)
    every = -(-values.nbytes // WHOLE)  # so many blocks, one is hashed
    for number, start in enumerate(starts):
        block = np.ascontiguousarray(values[start : start + rows]).reshape(-1).view(np.uint8)
        if number % every == 0 or number == len(starts) - 1:
            digest.update(block.data)
        else:
            even = len(block) // LANES * LANES
            sums = block[:even].view(np.uint64).reshape(-1, LANES // 8).sum(axis=0, dtype=np.uint64)
            digest.update(sums.tobytes() + block[even:].tobytes())
