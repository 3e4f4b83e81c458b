"""One's own boxes in Pascal VOC's XML (Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge")."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from dl.data.slicing import names_in
from dl.data.sources.annotated import MEMORY_LIMIT, Paths, Split, check_channels, dataset_of
from dl.data.sources.boxes import Objects, features_of, kept, small_features
from dl.data.sources.own_files import class_list, held_out, images_below, path_of, sizes_of
from dl.dataset import Dataset
from dl.errors import UserError, unknown

STATED = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}  # in ImageSets/Main/NAME.txt


class Annotation(NamedTuple):
    """A file: (height, width) of its image, if told; of each object its box in pixels, its class, whether it is difficult."""

    shape: tuple[int, int] | None
    pixels: list[tuple[float, float, float, float]]
    names: list[str]
    difficult: list[int]


def load_voc(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`dataset.path`: a folder with `JPEGImages/NAME.jpg` and `Annotations/NAME.xml`.

    Features: `image`, and for each object a row of `boxes`, `boxes_label` and `boxes_ignored` (`dl.data.sources.boxes`; those
    that are difficult are ignored). Classes are the lines of `dataset.classes` or `path/classes.txt`, or else all names there
    are, sorted.

    The splits are those of `ImageSets/Main` (train.txt, val.txt, test.txt), or else `dataset.holdout` cuts them, as for the
    dataset "folder". `dataset.empty`: whether an image without objects is an "error", or one to "keep" or to "skip".

    Raises:
        UserError: no such folder, an image or an annotation that is missing, an XML that is not VOC's, a class that is not in
            the list, a box that is empty or outside of its image, an image without objects.
    """
    root = path_of(settings, "path", "a folder with the folders 'JPEGImages' and 'Annotations'")
    for name in ("JPEGImages", "Annotations"):
        if not (root / name).is_dir():
            raise UserError(
                f"dataset.path: {root} has no folder {name!r}; VOC's layout is JPEGImages/NAME.jpg, Annotations/NAME.xml."
            )
    images = images_below(root / "JPEGImages")
    listed = _stated(root / "ImageSets" / "Main") or held_out(images, settings)
    read = {name: found for split, names in listed.items() for name, found in _read(root, split, names, images).items()}
    classes = class_list(settings, root) or tuple(sorted({name for found in read.values() for name in found.names}))
    if not classes:
        raise UserError(f"no file in {root / 'Annotations'} has an object.")
    splits = {}
    for split in names_in(list(settings.splits.values()), list(listed)):
        found = {images[n]: (objects_of(read[n], classes, f"{n}.xml"), read[n].shape) for n in listed[split]}
        splits[split] = _split(found, settings.get("empty", "error"))
    return dataset_of("voc", splits, features_of(classes, check_channels(settings)), settings)


def _read(root: Path, split: str, names: Sequence[str], images: Mapping[str, Path]) -> dict[str, Annotation]:
    """The annotation of each image of a split."""
    read = {}
    for name in names:
        path = root / "Annotations" / f"{name}.xml"
        if not path.is_file() or name not in images:
            lacks = f"{root / 'JPEGImages'} lacks {name}.jpg" if path.is_file() else f"{path.parent} lacks {path.name}"
            raise UserError(f"{lacks}, of the split {split!r}: add it, or leave it out of the set.")
        read[name] = parse(path.read_bytes(), path)
    return read


def _split(images: Mapping[Path, tuple[Objects, tuple[int, int] | None]], empty: str) -> Split:
    paths = list(images)
    paths = [paths[i] for i in kept([images[path][0] for path in paths], paths, empty)]
    shapes = sizes_of(paths)
    for path, shape in zip(paths, shapes, strict=True):
        told = images[path][1]
        if told and told != shape:
            raise UserError(f"{path} is {shape} (height, width), and its annotation says {told}: it is of another image.")
    return Split(Paths(paths), shapes, {}, small_features([images[path][0] for path in paths], shapes, paths))


def _stated(folder: Path) -> dict[str, list[str]]:
    """The splits that the files of a folder list, an image a line; none without train.txt."""
    found = {}
    for split, names in STATED.items():
        path = next((folder / f"{name}.txt" for name in names if (folder / f"{name}.txt").is_file()), None)
        if path:
            found[split] = [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {split: names for split, names in found.items() if names} if "train" in found else {}


def parse(content: bytes, name: object) -> Annotation:
    """What an annotation says. VOC counts pixels from 1, and both corners belong to the box: (1, 1, 2, 2) is 2 x 2 pixels.

    Raises:
        UserError: it is not VOC's.
    """
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise UserError(f"{name} is no XML that can be read: {error}.") from error
    if root.tag != "annotation":
        raise UserError(f"{name} is not VOC's: it should be an <annotation>, and is a <{root.tag}>.")
    height, width = (_number(root, f"size/{side}", name, 0.0) for side in ("height", "width"))
    made = Annotation((int(height), int(width)) if height > 0 and width > 0 else None, [], [], [])
    for item in root.iter("object"):
        left, top, right, bottom = (_number(item, f"bndbox/{side}", name) for side in ("xmin", "ymin", "xmax", "ymax"))
        made.pixels.append((left - 1, top - 1, right, bottom))
        made.names.append((item.findtext("name") or "").strip())
        made.difficult.append(int(_number(item, "difficult", name, 0.0) > 0))
    return made


def _number(item: ElementTree.Element, path: str, name: object, default: float | None = None) -> float:
    text = item.findtext(path)
    if text is None and default is not None:
        return default
    try:
        return float(text or "")
    except ValueError:
        raise UserError(f"{name} is not VOC's: <{path.replace('/', '><')}> should be a number, and is {text!r}.") from None


def objects_of(found: Annotation, classes: Sequence[str], name: object) -> Objects:
    """With the numbers of their classes.

    Raises:
        UserError: a class that is not in the list.
    """
    for known in found.names:
        if known not in classes:
            raise unknown(f"class in {name}", known, classes)
    return Objects(found.pixels, [classes.index(known) for known in found.names], found.difficult)


PUBLIC = {"voc": load_voc}
PLAIN = {"voc": load_voc}
SETTINGS = {"voc": {"classes": "", "empty": "error", "lengths": (), "memory_limit": MEMORY_LIMIT}}
