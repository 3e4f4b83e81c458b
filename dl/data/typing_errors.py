"""Words as people mistype them: a pure function of a word and of numbers, so that a batch is one of (seed, step).

A word of 1 to 5 letters has one error, one of 6 to 10 two, and so on: a letter is left out, another one put in behind it, or in
its place, or it changes places with the next; each kind is as likely, at any place. What is put in is a neighbour
of the letter there on an English keyboard, or behind it the letter once more.

Words are of the letters a to z, numbered from 1; 0 is padding.
"""

import functools
import string

import numpy as np
from jaxtyping import Int, Integer, UInt64

from dl.data.identities import below
from dl.vocabulary import PAD, Vocabulary

ALPHABET = Vocabulary((PAD, *string.ascii_lowercase), words=False)
EACH = 5  # letters, begun, have an error
KINDS = ("leave out", "put in", "replace", "swap")
DRAWS = 3  # numbers an error takes: its kind, its place, its letter
ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def errors(length: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """How many errors words of these lengths have."""
    return -(-length // EACH)


def mistyped(
    words: Integer[np.ndarray, "n t"], length: Int[np.ndarray, " n"], raw: UInt64[np.ndarray, "n e 3"]
) -> tuple[Integer[np.ndarray, "n u"], Int[np.ndarray, " n"]]:
    """The words with their errors, padded with 0 to [N, T + E], and their lengths, int32.

    Args:
        words: letters, padded.
        length: of each word, at least 1.
        raw: uniform numbers, for as many errors as the longest word has.
    """
    typed, size = np.pad(words, ((0, 0), (0, raw.shape[1]))), length.astype(np.int64)
    for number in range(raw.shape[1]):
        wrong = errors(length) > number
        one, its = _one_error(typed, size, raw[:, number])
        typed, size = np.where(wrong[:, None], one, typed), np.where(wrong, its, size)
    return typed, size.astype(np.int32)


def _one_error(words: np.ndarray, length: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One error in each word; one of a single letter gets another, as it has none to lose or to swap."""
    kind = np.where(length == 1, KINDS.index("put in"), below(raw[:, 0], len(KINDS)))
    leave, put, replace, swap = (kind == number for number in range(len(KINDS)))
    place = below(raw[:, 1], length - swap)
    choices, count = neighbours()
    here = words[np.arange(len(words)), place]
    letter = choices[here, replace + below(raw[:, 2], count[here] - replace)]  # nothing is replaced by itself
    to, at = np.arange(words.shape[1]), place[:, None]
    source = to + (leave[:, None] & (to >= at)) - (put[:, None] & (to > at))
    source = source + (swap[:, None] & (to == at)) - (swap[:, None] & (to == at + 1))
    out = np.take_along_axis(words, np.minimum(source, words.shape[1] - 1), 1)
    out = np.where((put[:, None] & (to == at + 1)) | (replace[:, None] & (to == at)), letter[:, None], out)
    size = length - leave + put
    return np.where(to < size[:, None], out, 0).astype(words.dtype), size


@functools.cache
def neighbours() -> tuple[np.ndarray, np.ndarray]:
    """For each letter those that touch it on the keyboard, itself first [27, K], and how many they are [27].

    Each row of keys is half a key to the right of the one above it.
    """
    place = {letter: (row, column + row / 2) for row, keys in enumerate(ROWS) for column, letter in enumerate(keys)}

    def near(one: str) -> list[int]:
        (a, b) = place[one]
        return [ALPHABET.numbers[o] for o, (c, d) in sorted(place.items()) if o != one and abs(a - c) <= 1 and abs(b - d) <= 1]

    found = [[0], *([ALPHABET.numbers[letter], *near(letter)] for letter in string.ascii_lowercase)]
    count = np.array([len(row) for row in found])
    return np.array([row + [0] * (count.max() - len(row)) for row in found]), count
