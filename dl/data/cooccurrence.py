"""How often words stand beside each other, and vectors made of these counts alone.

The counts of "I like deep learning. I like NLP. I enjoy flying." with a window of 1, whose rows are vectors of the words, and
their singular value decomposition are where lectures on word vectors begin (Socher et al., Stanford CS224d, lecture 2).
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

LECTURE = "I like deep learning . I like NLP . I enjoy flying ."
LECTURE_WORDS = ("I", "like", "enjoy", "deep", "learning", "NLP", "flying", ".")


def one_hot(tokens: Int[np.ndarray, "*n"], size: int) -> Float[np.ndarray, "*n v"]:
    """A vector for each word with a single 1, at its number: all words are equally far from each other."""
    return np.eye(size, dtype=np.float32)[tokens]


def cooccurrences(
    tokens: Int[np.ndarray, " n"],
    size: int,
    window: int,
    texts: Int[np.ndarray, " n"] | None = None,
    by_distance: bool = False,
) -> Any:
    """How often each word stands within a window of each other: a symmetric sparse matrix float32 [V, V] (SciPy's CSR).

    Args:
        tokens: the words of a text.
        size: V.
        window: words on either side.
        texts: of which text each word is; words of different texts are not beside each other.
        by_distance: a pair that is d words apart counts 1 / d (Pennington, Socher & Manning 2014, section 4.2) and not 1.
    """
    half = _half(tokens, size, window, texts, by_distance)
    return (half + half.T).tocsr()


def _half(tokens: Any, size: int, window: int, texts: Any, by_distance: bool) -> Any:
    """The counts of pairs in the order of the text: element (i, j) is how often j follows i."""
    from scipy.sparse import coo_matrix, csr_matrix

    total = csr_matrix((size, size), dtype=np.float32)
    for distance in range(1, min(window, len(tokens) - 1) + 1):
        first, second = tokens[:-distance], tokens[distance:]
        if texts is not None:
            together = texts[:-distance] == texts[distance:]
            first, second = first[together], second[together]
        values = np.full(len(first), 1 / distance if by_distance else 1, np.float32)
        total = total + coo_matrix((values, (first, second)), (size, size)).tocsr()
    return total


def singular_vectors(counts: Any, dimensions: int) -> tuple[Float[np.ndarray, "v d"], Float[np.ndarray, " d"]]:
    """The left singular vectors of a matrix of counts that belong to its largest singular values, and these.

    Row i of the first, or of the first times the second, is a vector of word i; of each column the element that is largest in
    size is positive, so that the result is one.

    Args:
        counts: [V, V], dense or sparse.
        dimensions: D, below V for a sparse matrix.
    """
    if isinstance(counts, np.ndarray):
        left, values, _ = np.linalg.svd(counts.astype(np.float64))
    else:
        from scipy.sparse.linalg import svds

        left, values, _ = svds(counts.astype(np.float64), k=dimensions, v0=np.ones(min(counts.shape)))
    order = np.argsort(-values, kind="stable")[:dimensions]
    left, values = left[:, order], values[order]
    signs = np.sign(left[np.abs(left).argmax(0), np.arange(left.shape[1])])
    return left * signs, values
