"""ImageNet of the ILSVRC 2012 (Russakovsky et al. 2015): 1,281,167 images to train, 50,000 for validation, 1,000 classes.

The original archives are not unpacked: `ILSVRC2012_img_train.tar` holds a tar for each class, `ILSVRC2012_img_val.tar` the
images, and the devkit says which class each of those shows. Where every image lies is found once and kept.
"""

import contextlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from dl.data.decoding import decoded
from dl.data.resizing import check_size, fit_images
from dl.data.slicing import names_in
from dl.data.sources import builders
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, tfds_order, verified
from dl.data.sources.unpacking import kept_arrays, read_tar_gz
from dl.data.stand_in import labelled
from dl.data.streaming import stacked
from dl.dataset import Dataset, Source, labelled_images
from dl.errors import UserError

NAME = "imagenet2012"
# The SHA-256 is torchvision's. SciPy, which reads a part of it, ends the program on some damaged files.
DEVKIT = Archive("ILSVRC2012_devkit_t12.tar.gz", "b59243268c0d266621fd587d2018f69e906fb22875aca0e295b48cafaa927953")
ARCHIVES = {"train": Archive("ILSVRC2012_img_train.tar", ""), "validation": Archive("ILSVRC2012_img_val.tar", "")}
TRUTH, META = "data/ILSVRC2012_validation_ground_truth.txt", "data/meta.mat"
DEVKIT_MEMBER_LIMIT, DEVKIT_LIMIT = 1 << 26, 1 << 28  # bytes; the whole devkit is 2.6 million packed
CLASSES = 1000  # numbers 1 to 1,000 of the devkit; those above are groups of them


class Index(NamedTuple):
    """Where each image lies in its archive: name, first byte, bytes, label; all [N]."""

    names: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray


def load_imagenet(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Splits `train` and `validation`; classes are WordNet's numbers, sorted, as TFDS has them.

    Prepared by TFDS in `data_dir` as ArrayRecord, it is read from there. Otherwise `manual_dir/imagenet2012` (or `manual_dir`)
    holds the archives of the splits that are asked for, and the devkit, for either. Images are of many sizes: set
    `dataset.size=(224,224)` and `dataset.fit="crop"`.

    Raises:
        UserError: neither is there, an archive is corrupt, or `dataset.size` is not set.
    """
    found = builders.prepared(NAME, data_dir) if data_dir or not manual_dir else None
    if found is not None:
        return builders.read(found, settings, data_dir)
    if not manual_dir:
        raise UserError(f"{builders.not_prepared(NAME, data_dir)} Or: {how_to_get(NAME, [*ARCHIVES.values(), DEVKIT])}")
    fit = settings.get("fit", "pad")
    size = check_size(settings.get("size", (0, 0)), fit)
    if size == (0, 0):
        raise UserError("ImageNet has images of many sizes: set dataset.size=(224,224) and dataset.fit='crop'.")
    wanted = names_in(list(settings.splits.values()), list(ARCHIVES))
    archives = [DEVKIT, *(ARCHIVES[split] for split in wanted)]
    folder = folder_of(NAME, manual_dir, [archive.name for archive in archives])
    missing = [archive for archive in archives if not (folder / archive.name).is_file()]
    if missing:
        names = ", ".join(archive.name for archive in missing)
        raise UserError(f"dataset {NAME!r}: {folder} lacks {names}. {how_to_get(NAME, missing, folder)}")
    classes, truth = opened(verified(folder, [DEVKIT], NAME)[DEVKIT.name], _devkit)
    splits: dict[str, Source] = {}
    for split in wanted:
        path = folder / ARCHIVES[split].name
        index = _kept(path, data_dir, split, classes, truth)
        splits[split] = Members(path, index, (0, 0) if fit == "crop" else size, fit)
    return Dataset(labelled_images(NAME, (*size, 3), len(classes), classes), splits)


class Members:
    """JPEGs at known places in an uncompressed tar, decoded when they are asked for."""

    resident, channels = False, 3

    def __init__(self, path: Path, index: Index, size: tuple[int, int], fit: str):
        self.path, self.index, self.size, self.fit = path, index, size, fit
        self._open()

    def _open(self) -> None:
        self.lock, self.file = threading.Lock(), -1

    def __getstate__(self) -> dict[str, Any]:  # sent to the workers, each of which opens the file for itself
        return {name: value for name, value in self.__dict__.items() if name not in ("lock", "file")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def __len__(self) -> int:
        return len(self.index.labels)

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return stacked(self.example(int(i)) for i in indices)

    def column(self, name: str) -> np.ndarray | None:
        return self.index.labels if name == "label" else None

    def stored(self, indices: np.ndarray) -> list[bytes]:
        names = [f"{self.index.names[i]} {self.index.labels[i]} ".encode("utf-8", "surrogateescape") for i in indices]
        return [name + self.encoded(int(i))[0] for name, i in zip(names, indices, strict=True)]

    def example(self, index: int) -> dict[str, np.ndarray]:
        data, name = self.encoded(index)
        return {"image": fit_images(decoded(data, self.channels, name), self.size, self.fit), **self.rest(index)}

    def encoded(self, index: int) -> tuple[bytes, str]:
        with self.lock:
            self.file = self.file if self.file >= 0 else os.open(self.path, os.O_RDONLY)
        # Which several threads may do at once.
        data = os.pread(self.file, int(self.index.sizes[index]), int(self.index.offsets[index]))
        return data, f"{self.path}: {self.index.names[index]}"

    def rest(self, index: int) -> dict[str, np.ndarray]:
        return {"label": self.index.labels[index, ...]}


def _devkit(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """The classes, sorted, and the label of each validation image, in the order of their names."""
    from scipy.io import loadmat

    files = read_tar_gz(path, (TRUTH, META), DEVKIT_MEMBER_LIMIT, DEVKIT_LIMIT)
    synsets = loadmat(io.BytesIO(files[META]), squeeze_me=True, struct_as_record=True)["synsets"]
    named = {int(number): str(name) for number, name in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)}
    classes = tuple(sorted(name for number, name in named.items() if number <= CLASSES))
    labels = {number: classes.index(name) for number, name in named.items() if number <= CLASSES}
    return classes, np.array([labels[int(line)] for line in files[TRUTH].split()], np.int32)


def _kept(path: Path, data_dir: str | None, split: str, classes: Sequence[str], truth: np.ndarray) -> Index:
    """The index of an archive in TFDS's order, kept in `data_dir` for the next run: 1.3 million headers take minutes."""
    stat = path.stat()
    cache = builders.folder(data_dir) / ".arrays" / NAME / f"{split}-{stat.st_size}-{stat.st_mtime_ns}.npz"
    kept = kept_arrays(cache)
    if kept is not None and all(field in kept for field in Index._fields):
        return Index(*(kept[field] for field in Index._fields))
    index = opened(path, lambda p: _train_index(p, classes) if split == "train" else _validation_index(p, truth))
    order = tfds_order(split, index.names.tolist())
    index = Index(*(values[order] for values in index))
    if data_dir:
        with contextlib.suppress(OSError):  # a folder without room or permission: look again next time
            cache.parent.mkdir(parents=True, exist_ok=True)
            partial = cache.with_name(f"{cache.name}.{os.getpid()}.npz")
            np.savez(partial, **index._asdict())
            partial.replace(cache)
    return index


def _files(path: Path, offset: int = 0) -> Iterator[tuple[str, int, int]]:
    """Name, first byte and bytes of each file of the tar that lies at `offset` of a file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(offset)
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if member.isfile() and member.offset_data + member.size > size:
                    raise ValueError(f"{member.name} claims {member.size:,} bytes, which it can't hold")
                if member.isfile():
                    yield member.name, member.offset_data, member.size


def _train_index(path: Path, classes: Sequence[str]) -> Index:
    rows = []
    for archive, offset, _ in _files(path):
        wnid = Path(archive).stem
        if wnid not in classes:
            raise ValueError(f"{archive} is no class of the devkit")
        label = classes.index(wnid)
        rows += [(Path(name).name, start, size, label) for name, start, size in _files(path, offset)]
    return _index(rows)


def _validation_index(path: Path, truth: np.ndarray) -> Index:
    found = sorted((Path(name).name, offset, size) for name, offset, size in _files(path))
    if len(found) != len(truth):
        raise ValueError(f"it has {len(found)} images, and the devkit {len(truth)} labels")
    return _index([(*row, int(label)) for row, label in zip(found, truth, strict=True)])


def _index(rows: list[tuple[str, int, int, int]]) -> Index:
    if not rows:
        raise ValueError("it holds no images")
    names, offsets, sizes, labels = zip(*rows, strict=True)
    return Index(np.array(names), np.array(offsets, np.int64), np.array(sizes, np.int64), np.array(labels, np.int32))


PUBLIC = {"imagenet2012": load_imagenet}


def _known(settings: ConfigDict) -> Dataset:
    size = check_size(settings.get("size", (0, 0)), settings.get("fit", "pad"))
    shape = (*(size if any(size) else (500, 375)), 3)
    return labelled(NAME, shape, {"train": 1_281_167, "validation": 50_000}, CLASSES)


KNOWN = {NAME: _known}
