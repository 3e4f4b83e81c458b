"""One's own boxes in COCO's JSON (Lin et al. 2014, "Microsoft COCO: Common Objects in Context"; cocodataset.org)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from dl.data.slicing import names_in
from dl.data.sources.annotated import MEMORY_LIMIT, Paths, Split, check_channels, dataset_of
from dl.data.sources.boxes import Objects, features_of, kept, small_features
from dl.data.sources.folder import SPLITS
from dl.data.sources.own_files import class_list, held_out, path_of, sizes_of
from dl.dataset import Dataset
from dl.errors import UserError, unknown

LISTS = ("images", "annotations", "categories")


class Coco(NamedTuple):
    """A file: its classes in the order of their ids, and file of an image -> what is on it, and its (height, width) if told."""

    classes: tuple[str, ...]
    images: Mapping[str, tuple[Objects, tuple[int, int] | None]]


def load_coco(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`dataset.path`, a JSON of COCO's with boxes, and `dataset.images`, the folder of its images.

    Features: `image`, and for each object a row of `boxes`, `boxes_label` and `boxes_ignored` (`dl.data.sources.boxes`; crowds
    are ignored). Classes are the file's categories in the order of their ids, or those of the list `dataset.classes`. Polygons
    and masks are not read.

    `dataset.holdout` cuts the splits, as for the dataset "folder", by `file_name`. Where `dataset.path` is a folder, its
    train.json, validation.json and test.json are the splits. `dataset.empty`: whether an image without objects is an "error",
    or one to "keep" or to "skip".

    Raises:
        UserError: no such file or folder, a JSON that is not COCO's, a class that is not in the list, an image that is missing
            or of another size than the file says, a box that is empty or outside of its image, an image without objects.
    """
    path = path_of(settings, "path", "a JSON file in COCO's format", folder=False)
    folder = path_of(settings, "images", "the folder of its images")
    given = class_list(settings, path if path.is_dir() else path.parent)
    if path.is_dir():
        files = {split: path / f"{split}.json" for split in SPLITS if (path / f"{split}.json").is_file()}
        if not files:
            raise UserError(f"dataset.path: {path} has no train.json, validation.json or test.json: give one, or a JSON file.")
        read = {split: parse(files[split], given) for split in names_in(list(settings.splits.values()), list(files))}
        found = {split: coco.images for split, coco in read.items()}
        classes = {coco.classes for coco in read.values()}
        if len(classes) > 1:
            raise UserError(f"the JSON files in {path} differ in their categories: give them the same, in the same order.")
    else:
        whole = parse(path, given)
        cut, classes = held_out(sorted(whole.images), settings), {whole.classes}
        wanted = names_in(list(settings.splits.values()), list(cut))
        found = {split: {name: whole.images[name] for name in cut[split]} for split in wanted}
    splits = {split: _split(images, folder, settings.get("empty", "error")) for split, images in found.items()}
    return dataset_of("coco", splits, features_of(classes.pop(), check_channels(settings)), settings)


def _split(images: Mapping[str, tuple[Objects, tuple[int, int] | None]], folder: Path, empty: str) -> Split:
    names = list(images)
    names = [names[i] for i in kept([images[name][0] for name in names], names, empty)]
    paths = [folder / name for name in names]
    missing = next((path for path in paths if not path.is_file()), None)
    if missing:
        raise UserError(f"dataset.images: {folder} lacks {missing.name}, which the JSON names: add it, or give another folder.")
    shapes = sizes_of(paths)
    for path, name, shape in zip(paths, names, shapes, strict=True):
        told = images[name][1]
        if told and told != shape:
            raise UserError(f"{path} is {shape} (height, width), and the JSON says {told}: its boxes are of another image.")
    return Split(Paths(paths), shapes, {}, small_features([images[name][0] for name in names], shapes, paths))


def parse(path: Path, given: tuple[str, ...] = ()) -> Coco:
    """What a JSON of COCO's says, images in its order.

    Args:
        path: of the file.
        given: the classes, in the order of their numbers; (): the file's own.

    Raises:
        UserError: it is not COCO's, or has a class that is not among those given.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON that can be read: {getattr(error, 'strerror', None) or error}.") from error
    lists = [content.get(name) if isinstance(content, dict) else None for name in LISTS]
    for name, found in zip(LISTS, lists, strict=True):
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise UserError(f"{path} is not COCO's: it should have the lists {', '.join(LISTS)}, and {name!r} is none.")
        if not found and name != "annotations":
            raise UserError(f"{path} has no {name}.")
    images, annotations, categories = lists
    entries = enumerate(categories or ())
    by_id = {_of(path, "categories", i, e, "id", int): _of(path, "categories", i, e, "name", str) for i, e in entries}
    classes = given or tuple(by_id[number] for number in sorted(by_id))
    for name in by_id.values():
        if name not in classes:
            raise unknown(f"class in {path}", name, classes)
    files, out = _images(path, images or [])
    for number, entry in enumerate(annotations or []):
        image, category = (_of(path, "annotations", number, entry, key, int) for key in ("image_id", "category_id"))
        if image not in files or category not in by_id:
            what = "an image" if image not in files else "a category"
            raise UserError(f"{path}: annotation {number} is of {what} that is not listed.")
        objects = out[files[image]][0]
        objects.pixels.append(_box(path, number, entry))
        objects.classes.append(classes.index(by_id[category]))
        objects.ignored.append(int(bool(entry.get("iscrowd", 0))))
    return Coco(classes, out)


def _images(path: Path, images: list[Any]) -> tuple[dict[int, str], dict[str, tuple[Objects, tuple[int, int] | None]]]:
    """Id -> file; and file -> what is on it, nothing yet, and (height, width)."""
    files: dict[int, str] = {}
    out: dict[str, tuple[Objects, tuple[int, int] | None]] = {}
    for number, entry in enumerate(images):
        name = _of(path, "images", number, entry, "file_name", str)
        files[_of(path, "images", number, entry, "id", int)] = name
        height, width = entry.get("height"), entry.get("width")
        told = isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0
        out[name] = Objects([], [], []), (height, width) if told else None
    if len(out) != len(images) or len(files) != len(images):
        raise UserError(f"{path} names an image or its id twice: give each image one entry.")
    return files, out


def _box(path: Path, number: int, entry: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of an annotation."""
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, int | float) for v in box):
        raise UserError(f"{path}: annotation {number} has no 'bbox' [left, top, width, height]: it is not one of objects.")
    left, top, width, height = (float(v) for v in box)
    return left, top, left + width, top + height


def _of(path: Path, name: str, number: int, entry: Mapping[str, Any], key: str, kind: type) -> Any:
    """A field of an entry of one of the lists."""
    value = entry.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        what = "whole number" if kind is int else "text"
        raise UserError(f"{path} is not COCO's: entry {number} of {name!r} should have {key!r}, a {what}, and has {value!r}.")
    return value


PUBLIC = {"coco": load_coco}
PLAIN = {"coco": load_coco}
SETTINGS = {"coco": {"images": "", "classes": "", "empty": "error", "lengths": (), "memory_limit": MEMORY_LIMIT}}
