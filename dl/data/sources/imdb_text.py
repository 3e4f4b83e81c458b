"""The reviews of IMDB (Maas et al. 2011, "Learning word vectors for sentiment analysis") as one text, by words.

What they are labelled with is left aside: the source `imdb` has the reviews one by one, with their labels.
"""

import lzma
from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from dl.data.corpus import corpus, known
from dl.data.slicing import names_in
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.dataset import Dataset
from dl.errors import UserError

FILES = {
    "train": Archive("imdb_train.tsv.xz", "4464c257d1c6382e30c5725ca609e5d437cce54775e84819fd0e344dddd7ab39"),
    "validation": Archive("imdb_val.tsv.xz", "fdd7e4bd4b9b5499716005d4f93cba82279d612e7992cb838b5da3102bc4d0bc"),
    "test": Archive("imdb_test.tsv.xz", "5421ec0f56b6a53ae6b51b6a2c776786202f2e47cce9913f730f8d721a820edf"),
}
LIMIT = 1 << 27  # bytes of an unpacked file; the largest has 33 million
BREAK = "<br />"  # HTML's end of a line, all over the reviews


def load_imdb_text(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """The words of 20,000, 5,000 and 25,000 reviews: `train`, `validation` and `test`; see `dl.data.corpus`.

    Read from `manual_dir/imdb`, a line a review: its label, a tab, its text.

    Args:
        settings: `splits`; `minimum` (default 5), how often a word must come in the splits that are read.
        data_dir: not used.
        manual_dir: of the archives.

    Raises:
        UserError: no `manual_dir`, or a file is missing or corrupt.
    """
    wanted = names_in(list(settings.splits.values()), list(FILES))
    archives = [FILES[split] for split in wanted]
    if not manual_dir:
        raise UserError(f"the dataset 'imdb_text' is read from its archives. {how_to_get('imdb', archives)}")
    paths = verified(folder_of("imdb", manual_dir, [archive.name for archive in archives]), archives, "imdb_text")
    texts = {split: opened(paths[FILES[split].name], _texts) for split in wanted}
    return corpus("imdb_text", texts, settings.get("minimum", 5))


def _texts(path: Path) -> list[str]:
    return [line.partition("\t")[2].replace(BREAK, " ") for line in _lines(path)]


def _lines(path: Path) -> Iterator[str]:
    """The lines of an xz-compressed file, of which no more than `LIMIT` bytes are unpacked.

    Raises:
        ValueError: there are more.
    """
    with lzma.open(path, "rb") as stream:
        content = stream.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise ValueError(f"it holds more than {LIMIT:,} bytes when unpacked")
    yield from filter(None, content.decode().split("\n"))


def _known(settings: ConfigDict) -> Dataset | None:
    """Where all splits are read and words come 5 times."""
    wanted = names_in(list(settings.splits.values()), list(FILES))
    usual = len(wanted) == len(FILES) and settings.get("minimum", 5) == 5
    return known("imdb_text", WORDS, COUNTS) if usual else None


# Different words that come 5 times in all splits together, and how many words each split has.
WORDS, COUNTS = 43_665, {"train": 4_585_646, "validation": 1_129_877, "test": 5_587_557}
PUBLIC = {"imdb_text": load_imdb_text}
KNOWN = {"imdb_text": _known}
SETTINGS = {"imdb_text": {"minimum": 5}}
