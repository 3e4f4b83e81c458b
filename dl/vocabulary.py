"""The symbols of a text, characters or words, and their numbers.

A word is what stands between blanks; the end of a line is the word "<eos>", as in the Penn Treebank of Mikolov et al. (2010).
"""

import difflib
import itertools
from collections.abc import Sequence

import numpy as np

from dl.errors import UserError

END, RARE = "<eos>", "<unk>"
# What stands beside a sentence: what fills a batch up, what a decoder is given before the first symbol, what ends it.
PAD, START, STOP = "<pad>", "<s>", "</s>"


def split_words(text: str) -> list[str]:
    """The words of a text, with `<eos>` for every line break."""
    return text.replace("\n", f" {END} ").split()


class Vocabulary:
    """`names` are the symbols in the order of their numbers, `words` whether they are words or characters.

    Where `words` is None, they count as words as soon as one of them is longer
    than a character.
    """

    def __init__(self, names: Sequence[str], words: bool | None = None):
        self.names = tuple(names)
        self.words = any(len(name) > 1 for name in self.names) if words is None else words
        self.numbers = {name: number for number, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and (self.names, self.words) == (other.names, other.words)

    def __hash__(self) -> int:
        return hash((self.names, self.words))

    @property
    def start(self) -> int:
        """What stands before a text begins: the end of a line, or the first symbol where there is none."""
        return self.numbers.get(END if self.words else "\n", 0)

    def encode(self, text: str) -> np.ndarray:
        """The numbers of the symbols of a text, int32 [N].

        Raises:
            UserError: symbols that are not in the vocabulary; the message names them.
        """
        symbols = split_words(text) if self.words else list(text)
        missing = [symbol for symbol in dict.fromkeys(symbols) if symbol not in self.numbers]
        if missing:
            raise UserError(f"the prompt has {self._kind(missing)} that the model has never seen: {self._listed(missing)}.")
        return np.array([self.numbers[symbol] for symbol in symbols], np.int32)

    def decode(self, numbers: Sequence[int] | np.ndarray) -> str:
        """The text of these numbers; of words, without one end of a line where it begins and one where it ends."""
        symbols = [self.names[int(number)] for number in numbers]
        if not self.words:
            return "".join(symbols)
        pieces = ["\n" * len(list(run)) if end else " ".join(run) for end, run in itertools.groupby(symbols, END.__eq__)]
        return "".join(pieces).removesuffix("\n").removeprefix("\n")

    def _kind(self, missing: list[str]) -> str:
        return ("words" if self.words else "characters") if len(missing) > 1 else ("a word" if self.words else "a character")

    def _listed(self, missing: list[str]) -> str:
        shown = ", ".join(repr(symbol) for symbol in missing[:10]) + (", ..." if len(missing) > 10 else "")
        if not self.words:
            return f"{shown}. It knows {''.join(name for name in self.names if not name.isspace())!r} and blanks"
        near = [match for word in missing[:3] for match in difflib.get_close_matches(word, self.names, n=2)]
        near += [RARE] if RARE in self.numbers else []
        return shown + (f". It knows {', '.join(map(repr, dict.fromkeys(near)))}" if near else "")
