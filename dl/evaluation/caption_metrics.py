"""How good captions are: BLEU of one to four words (Papineni et al. 2002) by sacreBLEU, and CIDEr-D (Vedantam, Zitnick &
Parikh 2015).

Captions and references are words in small letters without punctuation, between blanks, as published numbers compare them.
"""

import collections
import itertools
import math
from collections.abc import Sequence

import numpy as np

ORDERS = (1, 2, 3, 4)
DEVIATION = 6.0  # of the length, in CIDEr-D's penalty (section 4)

Counts = collections.Counter[tuple[str, ...]]


def bleu(captions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """`bleu1` to `bleu4` of a set of captions, 0 to 100, each against all of its references; not smoothed.

    Args:
        captions: of N images.
        references: of each image, one or more.
    """
    from sacrebleu.metrics import BLEU

    columns = [list(column) for column in itertools.zip_longest(*references)]  # None where an image has fewer
    found = {}
    for order in ORDERS:
        metric = BLEU(tokenize="none", smooth_method="none", max_ngram_order=order)
        found[f"bleu{order}"] = float(metric.corpus_score(list(captions), columns).score)
    return found


def signature(order: int, references: int = 5) -> str:
    """How `bleu` makes the number of an order, in sacreBLEU's words."""
    from sacrebleu.metrics import BLEU

    metric = BLEU(tokenize="none", smooth_method="none", max_ngram_order=order)
    metric.corpus_score(["a"], [["a"]] * references)
    return f"{metric.get_signature()}|orders:1-{order}"


def cider(captions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """CIDEr-D in percent, as published tables give it: the mean over images and orders of ten times the cosine of the clipped
    tf-idf vectors of a caption and each reference, times exp(-(difference in length)^2 / (2 6^2)).

    The document frequencies are those of the references given. Words are not stemmed.
    """
    frequency: Counts = collections.Counter()
    for texts in references:
        frequency.update({gram for text in texts for gram in _grams(text)})
    log_images = math.log(max(len(references), 1))

    def weights(text: str) -> list[dict[tuple[str, ...], float]]:
        vectors: list[dict[tuple[str, ...], float]] = [{} for _ in ORDERS]
        for gram, count in _grams(text).items():
            vectors[len(gram) - 1][gram] = count * (log_images - math.log(max(frequency[gram], 1)))
        return vectors

    scores = []
    for caption, texts in zip(captions, references, strict=True):
        own, length = weights(caption), len(caption.split())
        likeness = [_likeness(own, weights(text), length - len(text.split())) for text in texts]
        scores.append(10 * float(np.mean(likeness)))
    return 100 * float(np.mean(scores))


def _grams(text: str) -> Counts:
    words = text.split()
    return collections.Counter(tuple(words[i : i + n]) for n in ORDERS for i in range(len(words) - n + 1))


def _likeness(one: list[dict[tuple[str, ...], float]], other: list[dict[tuple[str, ...], float]], difference: int) -> float:
    """The mean over the orders of a caption's likeness to a reference (eqs. 2 and 3, clipped as in section 4)."""
    found = []
    for mine, theirs in zip(one, other, strict=True):
        product = sum(min(value, theirs.get(gram, 0.0)) * theirs.get(gram, 0.0) for gram, value in mine.items())
        norms = [math.sqrt(sum(value**2 for value in vector.values())) for vector in (mine, theirs)]
        found.append(product / (norms[0] * norms[1]) if all(norms) else 0.0)
    return float(np.mean(found)) * math.exp(-(difference**2) / (2 * DEVIATION**2))
