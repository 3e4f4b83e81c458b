"""What is written in rendered images: words of a text or made-up ones, and numbers, in capitals or not."""

import gzip
import lzma
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dl.errors import UserError
from dl.vocabulary import Vocabulary

SYMBOLS = Vocabulary(tuple("0123456789abcdefghijklmnopqrstuvwxyz"), words=False)  # what benchmarks of words count
LONGEST = 24  # symbols of a word
MOST_WORDS, MOST_BYTES = 60_000, 1 << 23  # of a text; of a longer one the beginning
CONSONANTS = ("b", "c", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "y", "z")
ONSETS = (
    *CONSONANTS,
    "bl",
    "br",
    "ch",
    "cl",
    "cr",
    "dr",
    "fl",
    "fr",
    "gl",
    "gr",
    "pl",
    "pr",
    "qu",
    "sh",
    "sl",
    "st",
    "th",
    "tr",
)
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ee", "ie", "oo", "ou", "y")
ENDS = (
    "",
    "",
    "",
    "b",
    "ck",
    "d",
    "ft",
    "k",
    "l",
    "ll",
    "m",
    "n",
    "nd",
    "ng",
    "nt",
    "p",
    "r",
    "rd",
    "rs",
    "s",
    "ss",
    "st",
    "t",
    "x",
)

Rng = np.random.Generator


class Words:
    """Words with how often each is drawn: `names`, and their cumulated probabilities. Without names they are made up."""

    def __init__(self, counts: dict[str, int] | None = None):
        self.names = list(counts or {})
        shares = np.sqrt(np.array(list((counts or {}).values()), np.float64))  # rare words come oftener than in the text
        self.cumulated = np.cumsum(shares / max(shares.sum(), 1e-9))

    def draw(self, rng: Rng) -> str:
        """One of them, in small letters or as the text has it."""
        if not self.names:
            return invented(rng)
        return self.names[min(int(np.searchsorted(self.cumulated, rng.random())), len(self.names) - 1)]


def read(path: str, manual_dir: str | None = None) -> Words:
    """The words of a text: a file .txt, .tsv or the like, also .gz or .xz, or all such files of a .zip.

    Args:
        path: of the file, or within `manual_dir`.
        manual_dir: the folder of archives.

    Raises:
        UserError: no such file, or no word in it.
    """
    places = [Path(path).expanduser(), *([Path(manual_dir).expanduser() / path] if manual_dir else [])]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise UserError(f"dataset.words={path}: there is no such file; leave it out for made-up words.")
    try:
        text = _text(found)
    except (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise UserError(f"dataset.words={path} can't be read: {error}.") from error
    counts = Counter(word for word in re.findall(r"[A-Za-z0-9]+", text) if len(word) <= LONGEST)
    if not counts:
        raise UserError(f"dataset.words={path} has no words of letters and digits.")
    return Words(dict(counts.most_common(MOST_WORDS)))


def _text(path: Path) -> str:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in sorted(archive.namelist()) if name.endswith((".txt", ".tsv", ".csv"))]
            return "\n".join(archive.read(name).decode("utf-8", "replace") for name in names)[:MOST_BYTES]
    openers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
    with openers.get(path.suffix, open)(path, "rb") as file:
        return bytes(file.read(MOST_BYTES)).decode("utf-8", "replace")


def invented(rng: Rng) -> str:
    """A word that can be pronounced, of one to four syllables."""
    syllables = 1 + int(rng.choice(4, p=(0.35, 0.4, 0.18, 0.07)))
    parts = [
        rng.choice(ONSETS) + rng.choice(VOWELS) + (rng.choice(ENDS) if rng.random() < 0.6 else "") for _ in range(syllables)
    ]
    return "".join(parts)[:LONGEST]


def number(rng: Rng) -> str:
    """A number, a year or a price."""
    kind = rng.random()
    if kind < 0.2:
        return str(rng.integers(1900, 2031))
    digits = "".join(map(str, rng.integers(0, 10, 1 + min(int(rng.geometric(0.35)), 9))))
    if kind < 0.4:
        return f"{rng.choice(['$', '', ''])}{digits}.{rng.integers(0, 100):02d}"
    return digits


def mixed(rng: Rng) -> str:
    """Letters and digits in any order, as on number plates."""
    return "".join(rng.choice(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyz"), int(rng.integers(1, 8))))


# How a word is written: its share, and the writing. In street scenes capitals are the rule.
CASES: tuple[tuple[float, Callable[[str], str]], ...] = (
    (0.5, str.upper),
    (0.28, lambda word: word[:1].upper() + word[1:]),
    (0.22, str.lower),
)
MARKS = (".", ",", "!", "?", ":", "'", '"', "-", "(", "&", "...", "'s")


def written(rng: Rng, words: Words) -> str:
    """What one image shows: a word (82 %), a number (10 %) or letters and digits (8 %), with a mark in one of ten."""
    kind = rng.random()
    if kind < 0.82:
        word, draw = words.draw(rng), rng.random()
        for share, case in CASES:
            draw -= share
            if draw < 0:
                word = case(word)
                break
    else:
        word = number(rng) if kind < 0.92 else mixed(rng)
    if rng.random() < 0.1:
        mark = str(rng.choice(MARKS))
        word = mark + word if mark in "('\"$" else word + mark
    return word


def symbols(text: str) -> np.ndarray:
    """What is to be read of a text, int32 [N]: its letters, small, and digits; marks are not counted."""
    return SYMBOLS.encode("".join(c for c in text.lower() if c in SYMBOLS.numbers)[:LONGEST])


def padded(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """`text` int32 [N, LONGEST] and `text_length` int32 [N] of texts."""
    rows, lengths = np.zeros((len(texts), LONGEST), np.int32), np.zeros(len(texts), np.int32)
    for row, text in enumerate(texts):
        found = symbols(text)
        rows[row, : len(found)], lengths[row] = found, len(found)
    return rows, lengths
