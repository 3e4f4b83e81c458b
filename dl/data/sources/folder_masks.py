"""One's own images and label maps for segmentation: two folders with files of the same names."""

from pathlib import Path

from ml_collections import ConfigDict

from dl.data.slicing import names_in
from dl.data.sources.annotated import MEMORY_LIMIT, Paths, Split, check_channels, dataset_of
from dl.data.sources.own_files import check_sizes, class_list, held_out, images_below, named_splits, path_of
from dl.dataset import Dataset, Feature, Kind
from dl.errors import UserError

VOID = 255


def load_folder_masks(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`dataset.path`: `path/images/NAME.jpg` and `path/labels/NAME.png`, or `path/train/images`, `path/train/labels` and so on.

    A label map is an image of one channel, or with a palette, as large as its image: each pixel is the number of its class, or
    `dataset.void` (255). The classes are the lines of `dataset.classes`, or of `path/classes.txt`, number 0 first; without
    either, `dataset.num_classes` says how many there are. Features: `image` and `label_map`.

    Where there is no `path/train`, `dataset.holdout` cuts the splits, as for the dataset "folder".

    Raises:
        UserError: no such folder, an image without label map or the other way round, sizes that differ, no classes, a class
            that is not in the list, an undecodable file.
    """
    root = path_of(settings, "path", "a folder with the folders 'images' and 'labels'")
    stated = named_splits(root)
    names = class_list(settings, root)
    count = len(names) or settings.get("num_classes", 0)
    if not count:
        raise UserError(
            f"which classes are there? Name them in {root / 'classes.txt'}, one a line, or in another file by "
            "dataset.classes, or give dataset.num_classes."
        )
    if stated:
        wanted = names_in(list(settings.splits.values()), list(stated))
        pairs = {split: _pairs(stated[split]) for split in wanted}
    else:
        whole = _pairs(root)
        cut = held_out(whole, settings)
        wanted = names_in(list(settings.splits.values()), list(cut))
        pairs = {split: {name: whole[name] for name in cut[split]} for split in wanted}
    splits = {}
    for split, found in pairs.items():
        shapes = check_sizes(dict(found.values()))
        images, maps = zip(*found.values(), strict=True)
        splits[split] = Split(Paths(images), shapes, {"label_map": Paths(maps)})
    labels = Feature(Kind.LABEL_MAP, (None, None), num_classes=count, class_names=names, void=settings.get("void", VOID))
    image = Feature(Kind.IMAGE, (None, None, check_channels(settings)))
    return dataset_of("folder_masks", splits, {"image": image, "label_map": labels}, settings)


def _pairs(root: Path) -> dict[str, tuple[Path, Path]]:
    """Name -> an image and its label map."""
    for name in ("images", "labels"):
        if not (root / name).is_dir():
            raise UserError(
                f"{root} has no folder {name!r}: put images in 'images' and label maps of the same names in 'labels'."
            )
    images, labels = images_below(root / "images"), images_below(root / "labels")
    for found, others, where in ((images, labels, "labels"), (labels, images, "images")):
        alone = next((name for name in found if name not in others), None)
        if alone is not None:
            raise UserError(f"{found[alone]} has no file of the same name in {root / where}: add it, or remove this one.")
    return {name: (path, labels[name]) for name, path in images.items()}


PUBLIC = {"folder_masks": load_folder_masks}
SETTINGS = {"folder_masks": {"classes": "", "void": VOID, "memory_limit": MEMORY_LIMIT}}
