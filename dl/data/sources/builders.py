"""Sets that TFDS has prepared as ArrayRecord: finding, reading and preparing them, without TensorFlow."""

import contextlib
import dataclasses
import functools
import hashlib
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dl.data.resizing import check_size, fit_images
from dl.data.slicing import names_in
from dl.data.sources.archives import opened
from dl.data.sources.unpacking import kept_arrays
from dl.dataset import Arrays, Dataset, Feature, Info, Kind, Source
from dl.errors import UserError

MEMORY_LIMIT = 2 * 2**30  # bytes; a larger set is read as it is needed
CHUNK = 4096  # examples decoded at a time when a set is read into memory
DEFAULT_DATA_DIR = "~/tensorflow_datasets"


def folder(data_dir: str | None) -> Path:
    """The folder of prepared sets."""
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
    """Splits of a prepared builder (those that `settings.splits` mention): images, labels and other numbers of fixed shape.

    `dataset.image` and `dataset.label` name the features where they are called otherwise than in TFDS's `supervised_keys`. In
    memory where these splits take less than `dataset.memory_limit` bytes (default 2 GiB), otherwise read as needed.

    Args:
        builder: prepared, as `prepared` gives it.
        settings: the section `dataset`.
        data_dir: the folder of prepared sets, where decoded arrays are kept for the next run.
        channels: of an image, only the first so many are kept; 0 keeps all.

    Raises:
        UserError: not stored as ArrayRecord; no such image or split; images of several sizes and no `dataset.size`.
    """
    info, root, fit = builder.info, folder(data_dir), settings.get("fit", "pad")
    format_ = info.file_format.value if info.file_format else "unknown"
    if format_ != "array_record":
        raise UserError(
            f"dataset {info.full_name!r} in {builder.data_dir} is stored as {format_}, which gives no random access. "
            "Prepare it again with file_format='array_record'."
        )
    renamed, classes = _features(builder, settings)
    shapes = {ours: tuple(info.features[theirs].shape) for ours, theirs in renamed.items()}
    cropped = fit == "crop"  # `dl.data.load` crops the images as they are
    size = check_size(settings.get("size", (0, 0)), fit) if None in shapes["image"] or cropped else (0, 0)
    if None in shapes["image"] and size == (0, 0):
        raise UserError(f"dataset {info.full_name!r} has images of several sizes; set dataset.size=(H,W) and dataset.fit.")
    shapes["image"] = (*(size if any(size) else shapes["image"][:2]), channels or shapes["image"][2])
    given = (0, 0, shapes["image"][2]) if cropped else shapes["image"]
    sources = opened(Path(builder.data_path), lambda _: builder.as_data_source())
    wanted = names_in(list(settings.splits.values()), list(info.splits))
    splits: dict[str, Source] = {split: Records(sources[split], renamed, given, fit) for split in wanted}
    bytes_each = sum(int(np.prod(shape)) * (1 if key == "image" else 4) for key, shape in shapes.items())
    if not cropped and bytes_each * sum(len(source) for source in splits.values()) <= settings.get(
        "memory_limit", MEMORY_LIMIT
    ):
        kept = root / ".arrays" / Path(builder.data_path).relative_to(root)
        fingerprint = _fingerprint(builder, renamed, shapes, fit)
        splits = {split: Arrays(_in_memory(source, kept / f"{split}.npz", fingerprint)) for split, source in splits.items()}
    features = {name: Feature(Kind.NUMBER, shape) for name, shape in shapes.items()}
    features["image"] = Feature(Kind.IMAGE, shapes["image"])
    if classes:
        features["label"] = Feature(Kind.CLASS, shapes["label"], num_classes=len(classes), class_names=classes)
    return Dataset(Info(settings.name, features), splits)


def _features(builder: Any, settings: ConfigDict) -> tuple[dict[str, str], tuple[str, ...]]:
    """Our feature name -> the builder's, and the class names."""
    import tensorflow_datasets as tfds

    known = dict(builder.info.features.items())
    supervised = builder.info.supervised_keys or ("image", "label")
    image, label = settings.get("image", supervised[0]), settings.get("label", supervised[1])
    if not isinstance(known.get(image), tfds.features.Image):
        raise UserError(
            f"dataset {builder.info.full_name!r} has no image feature {image!r}; name one by dataset.image. "
            f"Features: {', '.join(known)}."
        )
    renamed = {"image": image}
    for name, feature in known.items():
        number = isinstance(feature, tfds.features.Tensor) and np.dtype(feature.np_dtype).kind in "biuf"
        if number and name != image and None not in feature.shape:  # labels are numbers; texts and lists are left out
            renamed["label" if name == label else name] = name
    names = known[label].names if isinstance(known.get(label), tfds.features.ClassLabel) else ()
    return renamed, tuple(names)


class Records:
    """The examples of a TFDS data source, read and decoded one by one, their images brought to `shape`.

    Whole numbers that are not images become int32.
    """

    resident = False

    def __init__(self, records: Any, renamed: dict[str, str], shape: tuple[int, ...], fit: str):
        self.records, self.renamed, self.shape, self.fit = records, renamed, shape, fit

    def __len__(self) -> int:
        return len(self.records)

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        _without_advice()
        rows = self._rows(self.records, indices)
        for row in rows:
            image = row[self.renamed["image"]][..., : self.shape[2]]
            row[self.renamed["image"]] = fit_images(image, (self.shape[0], self.shape[1]), self.fit)
        batch = {ours: np.stack([row[theirs] for row in rows]) for ours, theirs in self.renamed.items()}
        return {name: values if name == "image" else _small(values) for name, values in batch.items()}

    def column(self, name: str) -> np.ndarray | None:
        if name not in self.renamed or name == "image":
            return None
        import tensorflow_datasets as tfds

        records = dataclasses.replace(self.records, decoders={self.renamed["image"]: tfds.decode.SkipDecoding()})
        chunks = [np.arange(i, min(i + CHUNK, len(self))) for i in range(0, len(self), CHUNK)]
        return _small(np.stack([row[self.renamed[name]] for chunk in chunks for row in self._rows(records, chunk)]))

    def stored(self, indices: np.ndarray) -> list[bytes]:
        return [bytes(record) for record in self._rows(self.records.data_source, indices)]

    def _rows(self, records: Any, indices: np.ndarray) -> Sequence[Any]:
        return opened(Path(self.records.dataset_info.data_dir), lambda _: records.__getitems__(indices.tolist()))


def _small(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int32) if values.dtype.kind in "iu" else values


def _in_memory(source: Source, cache: Path, fingerprint: str) -> dict[str, np.ndarray]:
    """The whole of a split, decoded once: later runs read the arrays that are kept in the file `cache`."""
    kept = kept_arrays(cache) or {}
    if str(kept.pop("fingerprint", "")) == fingerprint:
        return kept
    arrays: dict[str, np.ndarray] = {}
    for start in range(0, len(source), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(source)))
        for name, values in source.gather(rows).items():
            arrays.setdefault(name, np.empty((len(source), *values.shape[1:]), values.dtype))[rows] = values
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


def _fingerprint(builder: Any, renamed: dict[str, str], shapes: dict[str, tuple[int, ...]], fit: str) -> str:
    """What must be the same for kept arrays to be used again: the prepared files, the features and their shapes."""
    home = Path(builder.data_path)
    files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(home.iterdir()) if path.is_file()]
    return hashlib.sha256(repr((files, sorted(renamed.items()), sorted(shapes.items()), fit)).encode()).hexdigest()


@functools.cache
def _without_advice() -> None:
    """TFDS advises OpenCV once a process, as a warning; Pillow does here."""
    logging.getLogger("absl").addFilter(lambda record: "OpenCV is not installed" not in record.getMessage())


SETTINGS = {"tfds": {"image": "", "label": "", "memory_limit": MEMORY_LIMIT}}  # of any set that TFDS has prepared
