"""What vectors of words know: nearest words, similarity judged by people, analogies.

All of it looks at directions alone: vectors are brought to length 1 first.

    similarity   Spearman's rank correlation of the cosines with people's judgements (Finkelstein et al. 2002)
    analogy      a is to b as c is to the word x with the largest (b - a + c) . x / |b - a + c|, none of the three
                 (3CosAdd: Mikolov, Yih & Zweig 2013; Levy & Goldberg 2014, equation 3)
"""

import difflib
import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dl.errors import UserError

CHUNK = 512  # questions that are compared with all words at a time
COMPARED = 20_000  # words among which one that is like a missing one is looked for

Question = tuple[str, str, str, str]  # a is to b as c is to d
Judged = tuple[str, str, float]  # two words, and how similar people found them


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Words, the most frequent first where that is known, and the vector of each, float32 [V, D]."""

    words: tuple[str, ...]
    vectors: Float[np.ndarray, "v d"]

    @functools.cached_property
    def numbers(self) -> dict[str, int]:
        """Word -> its row."""
        return {word: number for number, word in reversed(list(enumerate(self.words)))}

    @functools.cached_property
    def unit(self) -> Float[np.ndarray, "v d"]:
        """The vectors brought to length 1; zeros stay zeros."""
        return normalised(self.vectors)

    def find(self, word: str) -> int | None:
        """The row of a word as it is written, or else in lower case; None where there is neither."""
        found = self.numbers.get(word)
        return self.numbers.get(word.lower()) if found is None else found

    def row(self, word: str) -> int:
        """As `find`.

        Raises:
            UserError: there is no vector of the word.
        """
        found = self.find(word)
        if found is None:
            near = difflib.get_close_matches(word, self.words[:COMPARED], n=3)
            hint = f" Did you mean {', '.join(map(repr, near))}?" if near else ""
            raise UserError(f"there is no vector of the word {word!r}.{hint} There are {len(self.words):,} words.")
        return found


def normalised(vectors: Float[np.ndarray, "... d"]) -> Float[np.ndarray, "... d"]:
    """Each vector over its length."""
    length = np.sqrt(np.square(vectors, dtype=np.float64).sum(-1, keepdims=True))
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def similarity(vectors: WordVectors, one: str, other: str) -> float:
    """The cosine of the angle between two words' vectors.

    Raises:
        UserError: there is no vector of one of them.
    """
    return float(vectors.unit[vectors.row(one)] @ vectors.unit[vectors.row(other)])


def nearest(
    vectors: WordVectors, direction: Float[np.ndarray, " d"], most: int = 10, without: Collection[int] = ()
) -> list[tuple[str, float]]:
    """The words whose vectors lie nearest to a direction, with their cosines, the nearest first.

    Args:
        vectors: of the words.
        direction: of any length but 0.
        most: how many.
        without: rows that do not count, such as the word that was asked for.
    """
    cosines = vectors.unit @ normalised(direction)
    cosines[list(without)] = -np.inf
    order = np.argsort(-cosines, kind="stable")[: max(min(most, len(cosines) - len(set(without))), 0)]
    return [(vectors.words[row], float(cosines[row])) for row in order]


def neighbours(vectors: WordVectors, word: str, most: int = 10) -> list[tuple[str, float]]:
    """The words nearest to a word.

    Raises:
        UserError: there is no vector of it.
    """
    row = vectors.row(word)
    return nearest(vectors, vectors.unit[row], most, (row,))


def analogy(vectors: WordVectors, a: str, b: str, c: str, most: int = 10) -> list[tuple[str, float]]:
    """What is to `c` as `b` is to `a`: the words x with the largest cosine of b - a + c and x.

    Raises:
        UserError: there is no vector of one of the three.
    """
    rows = [vectors.row(word) for word in (a, b, c)]
    unit = vectors.unit[rows]
    return nearest(vectors, unit[1] - unit[0] + unit[2], most, rows)


def arithmetic(vectors: WordVectors, terms: Sequence[tuple[float, str]], most: int = 10) -> list[tuple[str, float]]:
    """The words nearest to a sum of words' vectors, each with its sign or weight; none of them counts.

    Raises:
        UserError: there is no vector of one of them, or nothing to add.
    """
    if not terms:
        raise UserError("there are no words to add: give some, such as 'king - man + woman'.")
    rows = [vectors.row(word) for _, word in terms]
    direction = np.array([weight for weight, _ in terms], np.float32) @ vectors.unit[rows]
    return nearest(vectors, direction, most, rows)


class Correlation(NamedTuple):
    """Spearman's rho, in -1..1, over `pairs` pairs of words; `of` is how many there are, those without a vector included."""

    rho: float
    pairs: int
    of: int


def correlation(vectors: WordVectors, judged: Sequence[Judged]) -> Correlation | None:
    """How well cosines order pairs of words as people do; None where fewer than two of them, or equal ones, have vectors."""
    from scipy.stats import spearmanr

    rows = [(vectors.find(a), vectors.find(b)) for a, b, _ in judged]
    kept = [n for n, (a, b) in enumerate(rows) if a is not None and b is not None]
    if len(kept) < 2:
        return None
    left, right = (np.array([rows[n][side] for n in kept], np.int64) for side in (0, 1))
    cosines = (vectors.unit[left] * vectors.unit[right]).sum(-1)
    scores = np.array([judged[n][2] for n in kept])
    if np.ptp(cosines) == 0 or np.ptp(scores) == 0:
        return None
    return Correlation(float(spearmanr(cosines, scores).statistic), len(kept), len(judged))


class Answered(NamedTuple):
    """Of `questions` questions all of whose words have vectors, how many were answered right; `of` is how many there are."""

    right: int
    questions: int
    of: int

    def __add__(self, other: tuple[int, ...]) -> "Answered":  # type: ignore[override]  # not those of tuples
        return Answered(*(a + b for a, b in zip(self, other, strict=True)))


def answers(unit: Float[np.ndarray, "v d"], rows: Int[np.ndarray, "q 3"]) -> Int[np.ndarray, " q"]:
    """The row that answers each question (a, b, c) by 3CosAdd, none of the three."""
    found = np.empty(len(rows), np.int64)
    for start in range(0, len(rows), CHUNK):
        a, b, c = rows[start : start + CHUNK].T
        scores = normalised(unit[b] - unit[a] + unit[c]) @ unit.T
        for asked in (a, b, c):
            scores[np.arange(len(a)), asked] = -np.inf
        found[start : start + CHUNK] = scores.argmax(1)
    return found


def analogies(
    vectors: WordVectors, sections: Mapping[str, Sequence[Question]], vocabulary: int = 30_000
) -> dict[str, Answered]:
    """How many questions of each section are answered right.

    Args:
        vectors: the most frequent word first.
        sections: name -> questions.
        vocabulary: only the first so many words ask and answer, as in the program of Mikolov et al. (2013); 0 is all.
    """
    size = vocabulary or len(vectors.words)
    unit = vectors.unit[:size]
    scored = {}
    for name, questions in sections.items():
        rows = [[vectors.find(word) for word in question] for question in questions]
        known = np.array([row for row in rows if all(r is not None and r < size for r in row)], np.int64).reshape(-1, 4)
        right = int((answers(unit, known[:, :3]) == known[:, 3]).sum())
        scored[name] = Answered(right, len(known), len(questions))
    return scored
