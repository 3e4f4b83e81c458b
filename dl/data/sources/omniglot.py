"""Omniglot (Lake, Salakhutdinov & Tenenbaum 2015): 1,623 characters of 50 alphabets, each drawn by 20 people."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.decoding import decoded
from dl.data.identities import feature_of
from dl.data.slicing import names_in
from dl.data.sources import omniglot_trials
from dl.data.sources.archives import Archive, Parsed, folder_of, opened, tfds_order, verified
from dl.data.sources.known import Known, load_known, parsed_dataset
from dl.data.sources.npz_file import members, read
from dl.data.sources.unpacking import zip_member
from dl.data.stand_in import StandIn
from dl.dataset import Arrays, Dataset, Source, labelled_images

ZIPS = {
    "train": "images_background.zip",
    "test": "images_evaluation.zip",
    "small1": "images_background_small1.zip",
    "small2": "images_background_small2.zip",
}
# The same images as two NumPy files, `images` [characters, 20, 105, 105] bool, in the order of the labels.
ARRAYS = {
    "train": Archive("images_background.npz", "8bf84167413cd00beacdce3fe582f780ab538d8dbef043a6d688f2527bbce199"),
    "test": Archive("images_evaluation.npz", "0b84c7ffd94c4841c0040e529c86a82eaaccb986d8eadad5673f7991b7475276"),
}
# Alphabets and their numbers of characters, in the order in which the file names number the characters.
BACKGROUND = {
    "Arcadian": 26,
    "Armenian": 41,
    "Asomtavruli_(Georgian)": 40,
    "Balinese": 24,
    "Bengali": 46,
    "Blackfoot_(Canadian_Aboriginal_Syllabics)": 14,
    "Braille": 26,
    "Cyrillic": 33,
    "Early_Aramaic": 22,
    "Syriac_(Estrangelo)": 23,
    "Anglo-Saxon_Futhorc": 29,
    "Futurama": 26,
    "Grantha": 43,
    "Greek": 24,
    "Gujarati": 48,
    "Hebrew": 22,
    "Japanese_(hiragana)": 52,
    "Inuktitut_(Canadian_Aboriginal_Syllabics)": 16,
    "Malay_(Jawi_-_Arabic)": 40,
    "Japanese_(katakana)": 47,
    "Korean": 40,
    "Latin": 26,
    "Alphabet_of_the_Magi": 20,
    "Mkhedruli_(Georgian)": 41,
    "Burmese_(Myanmar)": 34,
    "N_Ko": 33,
    "Ojibwe_(Canadian_Aboriginal_Syllabics)": 14,
    "Sanskrit": 42,
    "Tagalog": 17,
    "Tifinagh": 55,
}
EVALUATION = {
    "Angelic": 20,
    "Atemayar_Qelisayer": 26,
    "Atlantean": 26,
    "Aurek-Besh": 26,
    "Avesta": 26,
    "Ge_ez": 26,
    "Glagolitic": 45,
    "Gurmukhi": 45,
    "Kannada": 41,
    "Keble": 26,
    "Malayalam": 47,
    "Manipuri": 40,
    "Mongolian": 30,
    "Old_Church_Slavonic_(Cyrillic)": 45,
    "Oriya": 46,
    "Syriac_(Serto)": 23,
    "Sylheti": 28,
    "Tengwar": 25,
    "Tibetan": 42,
    "ULOG": 26,
}
# label -> (alphabet, number of the character in it), both counted from 0.
CHARACTERS = tuple((name, i) for name, count in (BACKGROUND | EVALUATION).items() for i in range(count))
ALPHABETS = tuple(sorted(BACKGROUND | EVALUATION))
CLASS_NAMES = tuple(f"{name}_{i}" for name, i in CHARACTERS)


def load_omniglot(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Images uint8 [105, 105, 1], ink 0 on 255; `label` is the character (0..1622), `alphabet` its alphabet (0..49, sorted),
    `alphabet_char_id` its number in that.

    Splits, as in TFDS: `train` (background, 964 characters, 19,280 images), `test` (evaluation, 659 others, 13,180), and the
    two small background sets `small1` (2,720) and `small2` (3,120). In `manual_dir`, each of the first two may be the published
    zip or an .npz of the same images. Besides, the splits and trials of `dl.data.sources.omniglot_trials`, with `drawer`.

    Raises:
        UserError: an archive is missing or corrupt, or there is no network to download it.
    """
    specs = [spec for spec in settings.splits.values() if spec.strip() != "all"]
    named = names_in(specs, [*ZIPS, *omniglot_trials.BASES])
    derived = [name for name in named if name not in ZIPS]
    if not derived:
        return _load_stock(settings, data_dir, manual_dir)
    needed = dict.fromkeys(omniglot_trials.BASES.get(name, name) for name in named)
    needed.pop("", None)
    base = Dataset(labelled_images("omniglot", (105, 105, 1), len(CLASS_NAMES), CLASS_NAMES), {})
    if needed:
        stock = ConfigDict({**settings.to_dict(), "splits": {name: name for name in needed}})
        base = _load_stock(stock, data_dir, manual_dir)
    splits = {name: base.splits[name] for name in needed}
    drawers = {name: _drawers(name, feature_of(source, "label")) for name, source in splits.items() if name in ARRAYS}
    made = {}
    for name in derived:
        of = omniglot_trials.BASES[name]
        made[name] = omniglot_trials.derive(name, splits.get(of), drawers.get(of, np.empty(0)), ALPHABETS, manual_dir)
    return Dataset(base.info, {**splits, **made})


def _drawers(split: str, labels: np.ndarray) -> np.ndarray:
    """Who drew each image of the split `train` or `test`, 0..19: it is in the file names alone, which make TFDS's order."""
    background = sum(BACKGROUND.values())
    characters = range(background) if split == "train" else range(background, len(CHARACTERS))
    keys = [(label, drawer) for label in characters for drawer in range(20)]
    order = tfds_order(split, [_key(label, drawer + 1) for label, drawer in keys])
    return omniglot_trials.drawers_of(labels, keys, order)


def _key(label: int, drawer: int) -> str:
    return f"{CLASS_NAMES[label]}_{label + 1:04d}_{drawer:02d}.png"


def _load_stock(settings: ConfigDict, data_dir: str | None, manual_dir: str | None) -> Dataset:
    if manual_dir:
        folder = folder_of("omniglot", manual_dir, [*ZIPS.values(), *(archive.name for archive in ARRAYS.values())])
        wanted = names_in(list(settings.splits.values()), list(ZIPS))
        arrays = [s for s in wanted if s in ARRAYS and not (folder / ZIPS[s]).is_file() and (folder / ARRAYS[s].name).is_file()]
        if arrays:
            known = _known()
            paths = verified(folder, [ARRAYS[split] for split in arrays], "omniglot")
            paths |= verified(folder, known.files([split for split in wanted if split not in arrays]), "omniglot")
            return parsed_dataset(known, {split: parse_omniglot(paths, split) for split in wanted})
    return load_known(_known(), settings, data_dir, manual_dir)


def _known() -> Known:
    archives = {split: (name,) for split, name in ZIPS.items()}
    return Known("omniglot", archives, parse_omniglot, CLASS_NAMES, {"label": CLASS_NAMES, "alphabet": ALPHABETS}, 1)


def parse_omniglot(paths: Mapping[str, Path], split: str) -> Parsed:
    """A split of the zip of PNGs, or of the .npz where `paths` holds that instead."""
    if ZIPS[split] in paths:
        images, names = opened(paths[ZIPS[split]], _read_zip)
    else:
        first = 0 if split == "train" else sum(BACKGROUND.values())
        images = opened(paths[ARRAYS[split].name], _read_npz)
        names = [(first + i // 20, i % 20 + 1) for i in range(len(images))]
    labels = np.array([label for label, _ in names], np.int32)
    alphabets = np.array([ALPHABETS.index(alphabet) for alphabet, _ in CHARACTERS], np.int32)[labels]
    numbers = np.array([number for _, number in CHARACTERS], np.int32)[labels]
    keys = [_key(label, drawer) for label, drawer in names]
    features = {"image": images[..., None], "label": labels, "alphabet": alphabets, "alphabet_char_id": numbers}
    return Parsed(features, keys)


def _read_zip(path: Path) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Images [N, 105, 105] and, of each, its label and the drawer's number: `.../character01/0108_20.png` is (107, 20)."""
    with zipfile.ZipFile(path) as file:
        names = sorted(name for name in file.namelist() if name.endswith(".png"))
        encoded = [zip_member(file, name, omniglot_trials.IMAGE_LIMIT) for name in names]
    images = np.stack([decoded(data, 1, f"{path}: {name}")[..., 0] for data, name in zip(encoded, names, strict=True)])
    stems = [name.rsplit("/", 1)[1].removesuffix(".png").split("_") for name in names]
    return images, [(int(label) - 1, int(drawer)) for label, drawer in stems]


def _read_npz(path: Path) -> np.ndarray:
    return read(path, members(path)["images"]).reshape(-1, 105, 105).astype(np.uint8) * np.uint8(255)


PUBLIC = {"omniglot": load_omniglot}


def _without_files(settings: ConfigDict) -> Dataset:
    """The splits with their labels and alphabets, in another order than TFDS's."""
    shape, first = (105, 105, 1), sum(BACKGROUND.values())
    of = {"train": range(first), "test": range(first, len(CHARACTERS)), "small1": range(136), "small2": range(156)}
    splits: dict[str, Source] = {split: _stand_in(shape, of[split], 20) for split in of}
    for name, base in omniglot_trials.BASES.items():
        wanted = [label for label in of.get(base, ()) if omniglot_trials.holds(name, CHARACTERS[label][0])]
        splits[name] = _stand_in(shape, wanted, len(omniglot_trials.DRAWERS.get(name, range(20))))
        if name == "runs" or name.endswith("_trials"):
            numbered = omniglot_trials.numbered(np.zeros(800, np.int32))
            splits[name] = Arrays({"image": np.zeros((800, *shape), np.uint8), **numbered})
    return Dataset(labelled_images("omniglot", shape, len(CLASS_NAMES), CLASS_NAMES), splits)


def _stand_in(shape: tuple[int, ...], characters: Sequence[int], drawers: int) -> StandIn:
    labels = np.repeat(np.array(characters, np.int32), drawers)
    alphabets = np.array([ALPHABETS.index(alphabet) for alphabet, _ in CHARACTERS], np.int32)[labels]
    drawer = np.tile(np.arange(drawers, dtype=np.int32), len(characters))
    return StandIn(shape, len(labels), {"label": labels, "alphabet": alphabets, "drawer": drawer})


KNOWN = {"omniglot": _without_files}
