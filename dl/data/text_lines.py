"""Subwords of a text of many lines, for language models: what stands between two lines is a symbol."""

from collections.abc import Sequence

import numpy as np

from dl.data.sentences import Subwords, learned
from dl.dataset import Arrays, Dataset, Feature, Info, Kind
from dl.errors import UserError


class Lines(Subwords):
    """The subwords of a text; a line ends with `</s>`."""

    @property
    def start(self) -> int:
        """What stands before a text begins: the end of a line."""
        return self.stop

    def encode(self, text: str) -> np.ndarray:
        """The numbers of a text, int32 [N], with `</s>` for every line break. Runs of blanks count as one."""
        lines = [super(Lines, self).encode(line) for line in text.split("\n")]
        ended = [part for line in lines for part in (line, np.array([self.stop], np.int32))]
        return np.concatenate(ended[:-1])

    def decode(self, numbers: Sequence[int] | np.ndarray) -> str:
        """The text of these numbers, without one end of a line where it begins and one where it ends."""
        symbols = np.asarray(numbers)
        lines = np.split(symbols, np.flatnonzero(symbols == self.stop))
        text = "\n".join(super(Lines, self).decode(line[line != self.stop]) for line in lines)
        return text.removesuffix("\n").removeprefix("\n")


def in_subwords(name: str, text: str, size: int, what: str) -> Dataset:
    """The text as one sequence of at most `size` subwords, one split `train`, the feature `token`.

    Raises:
        UserError: an empty text, or a size without room for its letters.
    """
    if not text.strip():
        raise UserError(f"{what} is empty: give a text with something in it.")
    found = learned([line for line in text.split("\n") if line.strip()], "subword", size)
    assert isinstance(found, Subwords)
    vocabulary = Lines(found.model)
    tokens = vocabulary.encode(text).astype(np.min_scalar_type(len(vocabulary) - 1))
    return Dataset(Info(name, {"token": Feature(Kind.TOKENS, vocabulary=vocabulary)}), {"train": Arrays({"token": tokens})})
