"""Film reviews of IMDB (Maas, Daly, Pham, Huang, Ng & Potts 2011, "Learning word vectors for sentiment analysis")."""

import lzma
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.ragged import Ragged, in_memory
from dl.data.slicing import names_in
from dl.data.sources import texts
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.unpacking import at_most
from dl.dataset import Arrays, Dataset, Feature, Features, Info, Kind
from dl.errors import UserError
from dl.vocabulary import PAD, RARE, Vocabulary

LIMIT = 1 << 26  # bytes; the largest file holds 32 million
FILES = {
    "train": Archive("imdb_train.tsv.xz", "4464c257d1c6382e30c5725ca609e5d437cce54775e84819fd0e344dddd7ab39"),
    "validation": Archive("imdb_val.tsv.xz", "fdd7e4bd4b9b5499716005d4f93cba82279d612e7992cb838b5da3102bc4d0bc"),
    "test": Archive("imdb_test.tsv.xz", "5421ec0f56b6a53ae6b51b6a2c776786202f2e47cce9913f730f8d721a820edf"),
}
COUNTS = {"train": 20_000, "validation": 5_000, "test": 25_000}
MEAN = 283  # words and marks of a review
CLASSES = ("negative", "positive")


def load_imdb(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`text` as ragged tokens int [N] and `label`, 0 negative or 1 positive: 20,000 / 5,000 / 25,000 reviews, half of each.

    Read from `manual_dir/imdb`: imdb_train.tsv.xz, imdb_val.tsv.xz (5,000 of the published training reviews, in files of
    their own) and imdb_test.tsv.xz, a review a line: label, tab, text. The vocabulary is that of `train`; for its settings see
    `dl.data.sources.texts`.

    Raises:
        UserError: no `manual_dir`, or a file is missing or corrupt.
    """
    if not manual_dir:
        raise UserError(f"the dataset 'imdb' is read from its files. {how_to_get('imdb', FILES.values())}")
    wanted = names_in(list(settings.splits.values()), list(FILES))
    folder = folder_of("imdb", manual_dir, [archive.name for archive in FILES.values()])
    read = list(dict.fromkeys(["train", *wanted]))  # the vocabulary is of the training reviews
    paths = verified(folder, [FILES[split] for split in read], "imdb")
    found = {split: opened(paths[FILES[split].name], _parsed) for split in read}
    reviews = {split: [texts.symbols(text, settings) for text in words] for split, (words, _) in found.items()}
    vocabulary, tokens = texts.features(reviews, settings)
    splits = {split: in_memory({"text": tokens[split], "label": found[split][1]}) for split in wanted}
    return Dataset(Info("imdb", _features(vocabulary)), splits)


def _features(vocabulary: Vocabulary) -> Features:
    return {"text": texts.feature(vocabulary), "label": Feature(Kind.CLASS, (), num_classes=2, class_names=CLASSES)}


def _parsed(path: Path) -> tuple[list[str], np.ndarray]:
    with lzma.open(path, "rb") as stream:
        lines = at_most(stream, LIMIT).decode().removesuffix("\n").split("\n")
    labels, _, reviews = zip(*(line.partition("\t") for line in lines), strict=True)
    return list(reviews), np.array([int(label) for label in labels], np.int32)


def _known(settings: ConfigDict) -> Dataset | None:
    """Where `most` bounds the vocabulary, its size is known without the files; which words they are is not."""
    if not (most := settings.get("most", 0)) or settings.get("minimum", 1) > 5 or most > 30_000:
        return None
    vocabulary = Vocabulary((PAD, RARE, *(f"word{number}" for number in range(2, most))))
    return Dataset(Info("imdb", _features(vocabulary)), {split: _empty(count) for split, count in COUNTS.items()})


def _empty(count: int) -> Arrays:
    """As many reviews, each as long as they are on average."""
    words = np.zeros(count * MEAN, np.uint16)
    return in_memory({"text": Ragged(words, np.arange(count + 1) * MEAN), "label": np.zeros(count, np.int32)})


PUBLIC = {"imdb": load_imdb}
SETTINGS = {"imdb": texts.DEFAULTS}
KNOWN = {"imdb": _known}
