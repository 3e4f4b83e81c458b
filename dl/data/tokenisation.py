"""Sentences as words: where they are cut, their vocabulary, their numbers, and the sentence again.

A word keeps its apostrophes and hyphens (`don't`, `T-Shirt`, the `Vor-` of "Vor- und Nachteile"), a number its points (`3.5`),
and so do initials (`U.S.`); every other mark is a symbol of its own. So the marks whose blanks cannot be guessed are never cut
off, and `detokenised` gives back nearly every sentence as it was written.
"""

import functools
import itertools
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int

from dl.errors import UserError
from dl.vocabulary import RARE, Vocabulary

CLOSING = frozenset(".,;:!?%)]}»”’…、。，！？：；")  # no blank before them
OPENING = frozenset("([{«„¿¡#$£€")  # no blank after them
JOINING = frozenset("/")  # none on either side
QUOTES = {'"': '"', "'": "'", "„": "“", "“": "”", "‘": "’", "`": "`"}  # opening -> closing


def words(text: str, lower: bool = True) -> list[str]:
    """The words and punctuation marks of a text, in order.

    Args:
        text: in any script; it is brought to Unicode's normal form C first, so that an accent is part of its letter.
        lower: small letters only.
    """
    found: list[str] = _pattern().findall(unicodedata.normalize("NFC", text.lower() if lower else text))
    return found


def detokenised(symbols: Iterable[str]) -> str:
    """The sentence that these words and marks make: blanks between words, and only where they belong beside marks.

    Quotation marks that look the same on both sides open and close in turn.
    """
    pieces: list[str] = []
    closers: list[str] = []  # of the quotations that are open
    glue = True  # no blank before the next symbol
    for symbol in symbols:
        closes = bool(closers) and symbol == closers[-1]
        opens = not closes and symbol in QUOTES
        pieces.append("" if glue or closes or symbol in CLOSING or symbol in JOINING else " ")
        pieces.append(symbol)
        glue = opens or symbol in OPENING or symbol in JOINING
        if closes:
            closers.pop()
        elif opens:
            closers.append(QUOTES[symbol])
    return "".join(pieces)


def vocabulary_of(
    texts: Iterable[Sequence[str]],
    minimum: int = 1,
    most: int = 0,
    first: Sequence[str] = (),
    words: bool = True,
) -> Vocabulary:
    """The symbols of some texts, from the most frequent on; ties in the order of the alphabet (of code points).

    Args:
        texts: each as its symbols.
        minimum: how often a symbol must occur.
        most: how many there are at most, `first` included; 0 is no limit.
        first: reserved symbols, which have the numbers 0, 1, ... whether they occur or not.
        words: whether the symbols are words; if not, characters.

    Raises:
        UserError: a limit that leaves no room for more than the reserved symbols.
    """
    if most and most <= len(first):
        raise UserError(f"a vocabulary of {most} symbols has no room beside {', '.join(first)}: allow more than {len(first)}.")
    counts = Counter(itertools.chain.from_iterable(texts))
    kept = (symbol for symbol, count in counts.items() if count >= minimum and symbol not in first)
    ordered = sorted(kept, key=lambda symbol: (-counts[symbol], symbol))
    return Vocabulary((*first, *ordered)[: most or None], words)


def encoded(symbols: Sequence[str], vocabulary: Vocabulary) -> Int[np.ndarray, " n"]:
    """The numbers of the symbols, int32 [N]; one that the vocabulary lacks has that of `<unk>`.

    Raises:
        UserError: there is such a symbol, and no `<unk>` in the vocabulary.
    """
    rare = vocabulary.numbers.get(RARE)
    if rare is None and (missing := [symbol for symbol in symbols if symbol not in vocabulary.numbers]):
        raise UserError(f"{missing[0]!r} is not in the vocabulary, which has no {RARE} to stand for it.")
    return np.array([vocabulary.numbers.get(symbol, rare) for symbol in symbols], np.int32)


@functools.cache
def _pattern() -> re.Pattern[str]:
    r"""Numbers with their points, initials with theirs, words with what joins their parts, or another character (no blank).

    Python's \w lacks the vowel signs of many scripts, which are marks (Unicode's category M).
    """
    marks = "".join(c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c)[0] == "M")
    letter = rf"[\w{marks}]"
    number, initials = rf"\d+(?:[.,:]\d+)+(?!{letter})", rf"(?:{letter}\.){{2,}}"
    return re.compile(rf"{number}|{initials}|{letter}+(?:[-'’]{letter}+)*(?:-(?=\s))?|\S")
