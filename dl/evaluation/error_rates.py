"""Word and character error rates, by jiwer: substitutions, deletions and insertions over what was said (Levenshtein 1966)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from dl.artifacts import Table
from dl.vocabulary import Vocabulary

WORST = 20  # utterances in a table


def word_error(said: Sequence[str], heard: Sequence[str]) -> float:
    """Errors over the number of words said, of all utterances together; above 1 where much is inserted.

    Args:
        said: the transcripts.
        heard: what was recognised.
    """
    import jiwer

    return float(jiwer.wer(list(said), list(heard)))


def character_error(said: Sequence[str], heard: Sequence[str]) -> float:
    """The same over characters, the blanks between words among them."""
    import jiwer

    return float(jiwer.cer(list(said), list(heard)))


def texts(tokens: Int[np.ndarray, "n u"], length: Int[np.ndarray, " n"], vocabulary: Vocabulary) -> list[str]:
    """The texts of padded rows of symbols."""
    return [vocabulary.decode(row[:size]) for row, size in zip(tokens, length, strict=True)]


def worst(said: Sequence[str], heard: Sequence[str], most: int = WORST) -> Table:
    """The utterances with most wrong characters, and what was recognised."""
    import jiwer

    counted = []
    for reference, hypothesis in zip(said, heard, strict=True):
        found = jiwer.process_characters(reference, hypothesis)
        counted.append(found.substitutions + found.deletions + found.insertions)
    order = sorted(range(len(counted)), key=lambda i: (-counted[i], i))[:most]
    return Table(("said", "heard", "wrong characters"), [(said[i], heard[i], counted[i]) for i in order])
