"""Flickr8k: 8,091 photographs of people and animals, each with five captions (Hodosh, Young & Hockenmaier 2013).

The images of these archives are 128 x 128, resized from squares of 224; the splits are the usual ones.
"""

import collections
import zipfile
from functools import partial
from pathlib import Path

from ml_collections import ConfigDict

from dl.data.captioned import DEFAULTS, small_features, stand_in, with_network
from dl.data.slicing import names_in
from dl.data.sources.annotated import MEMORY_LIMIT, Split, dataset_of
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.unpacking import zip_member
from dl.dataset import Dataset, Feature, Kind
from dl.errors import UserError

IMAGES = Archive("Flickr8k_128.zip", "30bcb21f9085c6744b43b1d8778e4c277b57fd98417fef76534f4e53e8f30b6d")
TEXT = Archive("Flickr8k_text.zip", "c25eec38320dd8ff8b762317db1a23692dda6084c8aeb0cb99c20d9ba107a216")
FOLDERS = {"flickr8k_images": IMAGES, "flickr8k_text": TEXT}
LISTS = {"train": "train", "validation": "dev", "test": "test"}
COUNTS = {"train": 6000, "validation": 1000, "test": 1000}
SIDE, SYMBOLS = 128, 2540  # symbols with `minimum_count=5`, the reserved ones among them
FILE_LIMIT = 1 << 24  # bytes of a member


def load_flickr8k(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`train` (6,000 images), `validation` (1,000) and `test` (1,000), in the order of their lists, from the two archives in
    `manual_dir/flickr8k_images` and `manual_dir/flickr8k_text`.

    Features: `image` uint8 [128, 128, 3], `captions` [T, 5] and `references` (`dl.data.captioned`), and with
    `dataset.network` `image_features`.

    Raises:
        UserError: no `manual_dir`, or a file is missing or corrupt.
    """
    if not manual_dir:
        raise UserError(f"the dataset 'flickr8k' is read from its archives. {how_to_get('flickr8k_images', [IMAGES, TEXT])}")
    paths = {
        name: verified(folder_of(name, manual_dir, [archive.name]), [archive], name)[archive.name]
        for name, archive in FOLDERS.items()
    }
    asked = names_in(list(settings.splits.values()), list(LISTS))
    captions = opened(paths["flickr8k_text"], parse)
    files = opened(paths["flickr8k_images"], partial(images_of, splits=asked))
    texts = {split: [captions[name] for name in named] for split, named in files.items()}
    features, small = small_features(texts, settings)
    place = paths["flickr8k_images"]
    splits = {
        split: Split(
            [(files[split][name], f"{place}: {name}") for name in files[split]],
            [(SIDE, SIDE)] * len(files[split]),
            {},
            small[split],
        )
        for split in asked
    }
    features["image"] = Feature(Kind.IMAGE, (SIDE, SIDE, settings.get("channels", 3)))
    return with_network(dataset_of("flickr8k", splits, features, settings), settings, data_dir, manual_dir)


def parse(path: Path) -> dict[str, list[str]]:
    """Image -> its five captions, of the file with a caption a line."""
    with zipfile.ZipFile(path) as archive:
        lines = zip_member(archive, "Flickr8k.token.txt", FILE_LIMIT).decode().splitlines()
    found: dict[str, list[str]] = collections.defaultdict(list)
    for line in lines:
        name, _, text = line.replace("\t", " ").partition(" ")
        found[name.rpartition("#")[0]].append(text)
    return dict(found)


def images_of(path: Path, splits: list[str]) -> dict[str, dict[str, bytes]]:
    """Split -> name of an image -> its file, in the order of the split's list; of `train`, where it is not among `splits`,
    names without files. The list of the test has a name that is not there.
    """
    found = {}
    with zipfile.ZipFile(path) as archive:
        there = set(archive.namelist())
        for split in dict.fromkeys(["train", *splits]):
            names = zip_member(archive, f"Flickr_8k.{LISTS[split]}Images.txt", FILE_LIMIT).decode().split()
            members = {name: f"Images/{name}" for name in names if f"Images/{name}" in there}
            found[split] = {n: zip_member(archive, m, FILE_LIMIT) if split in splits else b"" for n, m in members.items()}
    return found


PUBLIC = {"flickr8k": load_flickr8k}
KNOWN = {"flickr8k": lambda settings: stand_in("flickr8k", (SIDE, SIDE, 3), COUNTS, SYMBOLS, settings)}
SETTINGS = {"flickr8k": {**DEFAULTS, "lengths": (), "memory_limit": MEMORY_LIMIT}}
