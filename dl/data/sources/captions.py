"""One's own images with captions: a table of image and caption, and the folder of the images."""

import collections
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from dl.data.captioned import DEFAULTS, normalised, path_of_images, small_features, with_network, without_network
from dl.data.ragged import RaggedArrays
from dl.data.shape_scenes import captions as said
from dl.data.shape_scenes import drawn, scenes
from dl.data.slicing import names_in
from dl.data.sources.annotated import MEMORY_LIMIT, Paths, Split, check_channels, dataset_of
from dl.data.sources.delimited import Rows, read_rows
from dl.data.sources.own_files import held_out, path_of, sizes_of
from dl.data.sources.table import SPLITS
from dl.dataset import Arrays, Dataset, Feature, Info, Kind
from dl.errors import UserError, unknown

SCENES = {"train": 96, "validation": 32, "test": 32}


def load_captions(
    settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None, known: bool = False
) -> Dataset:
    """`dataset.path`, a .tsv or .csv whose columns are `image` and `caption` (or has two columns and no names), a row for each
    caption, an image in as many rows as it has captions; and `dataset.images`, the folder in which it is.

    A column `split`, where there is one, says train, validation or test; otherwise `dataset.holdout` percent of the images are
    held out for `test` and as many for `validation`, by their names. Images of several sizes need `dataset.size`. With `known`
    the features of a network are not computed (`dl.data.load.load_unread`).

    Raises:
        UserError: no such file, column or folder, a table that names an image which is not there, an empty caption, an
            image in two splits, or no example to train on.
    """
    table = path_of(settings, "path", "a table with the columns image and caption (.tsv or .csv)", folder=False)
    folder = path_of_images(settings)
    columns = ("image", "caption")
    rows = read_rows(Path(table), settings.get("encoding", "utf-8"), columns, columns)
    captions = _captions(rows, folder)
    members = _split(rows, list(captions), settings)
    names = {split: found for split, found in members.items() if found}
    if "train" not in names:
        raise UserError(f"{table} leaves no image to train on: it has {len(captions)}.")
    features, small = small_features({s: [captions[name] for name in found] for s, found in names.items()}, settings)
    features["image"] = Feature(Kind.IMAGE, (None, None, check_channels(settings)))
    splits = {}
    for split in names_in(list(settings.splits.values()), list(names)):
        paths = [folder / name for name in names[split]]
        splits[split] = Split(Paths(paths), sizes_of(paths), {}, small[split])
    found = dataset_of("captions", splits, features, settings)
    return without_network(found, settings) if known else with_network(found, settings, data_dir, manual_dir)


def _captions(rows: Rows, folder: Path) -> dict[str, list[str]]:
    """Image -> its captions, in the order of the table."""
    found: dict[str, list[str]] = collections.defaultdict(list)
    images = [name.strip() for name in rows.column("image")]
    missing = {name: line for name, line in zip(images, rows.lines, strict=True) if not (folder / name).is_file()}
    if missing:
        name, line = next(iter(missing.items()))
        others = f" ({len(missing):,} images are missing in all)" if len(missing) > 1 else ""
        raise UserError(f"{rows.path}, line {line}: there is no image {name!r} in {folder}{others}: add it, or remove the row.")
    for name, caption, line in zip(images, rows.column("caption"), rows.lines, strict=True):
        if not normalised(caption):
            raise UserError(f"{rows.path}, line {line}: the caption of {name!r} has no word.")
        found[name].append(caption)
    return dict(found)


def _split(rows: Rows, names: Sequence[str], settings: ConfigDict) -> Mapping[str, list[str]]:
    """Split -> its images."""
    if "split" not in rows.names:
        return held_out(names, settings)
    of: dict[str, str] = {}
    for name, cell, line in zip(rows.column("image"), rows.column("split"), rows.lines, strict=True):
        split = cell.strip().lower()
        if split not in SPLITS:
            raise unknown(f"split in line {line} of {rows.path}", split, SPLITS)
        if of.setdefault(name.strip(), SPLITS[split]) != SPLITS[split]:
            raise UserError(f"{rows.path}, line {line}: the image {name.strip()!r} is in two splits.")
    return {split: [name for name in names if of[name] == split] for split in dict.fromkeys(of.values())}


def load_captioned_scenes(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Scenes of SHAPES, each with five captions made by rules: for a first try, without a file; always the same ones.

    Images uint8 [3 side, 3 side, 3] of `dataset.cell` (16) pixels a cell.
    """
    cell = settings.get("cell", 16)
    wanted = names_in(list(settings.splits.values()), list(SCENES))
    found = {split: scenes(seed, SCENES[split]) for seed, split in enumerate(SCENES)}
    texts = {split: said(found[split], seed) for seed, split in enumerate(SCENES)}
    features, small = small_features(texts, settings)
    features["image"] = Feature(Kind.IMAGE, (3 * cell, 3 * cell, 3))
    splits: dict[str, Arrays] = {s: RaggedArrays({"image": drawn(found[s], cell), **small[s]}) for s in wanted}
    return with_network(Dataset(Info("captioned_scenes", features), splits), settings, data_dir, manual_dir)


PUBLIC = {"captions": load_captions, "captioned_scenes": load_captioned_scenes}
KNOWN = {"captions": functools.partial(load_captions, known=True)}
SETTINGS = {
    "captions": {**DEFAULTS, "images": "", "encoding": "utf-8", "lengths": (), "memory_limit": MEMORY_LIMIT},
    "captioned_scenes": {**DEFAULTS, "cell": 16, "lengths": ()},
}
