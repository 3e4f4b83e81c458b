"""How good translations are, by sacreBLEU (Post 2018): BLEU (Papineni et al. 2002) and chrF (Popovic 2015) of detokenised text.

All in percent. The signature says how a number was made: case, tokeniser, smoothing and version.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Quality(NamedTuple):
    """BLEU and chrF of a set of translations, 0 to 100."""

    bleu: float
    chrf: float


def quality(translations: Sequence[str], references: Sequence[str]) -> Quality:
    """Of translations, each beside its one reference, as they are written."""
    from sacrebleu.metrics import BLEU, CHRF

    # `force`: sacreBLEU would warn of text that looks tokenised, as that of an untrained model may.
    bleu = BLEU(force=True).corpus_score(list(translations), [list(references)])
    chrf = CHRF().corpus_score(list(translations), [list(references)])
    return Quality(float(bleu.score), float(chrf.score))


def signatures() -> Quality:
    """How `quality` makes its numbers, in sacreBLEU's words; of the fields each is a string."""
    from sacrebleu.metrics import BLEU, CHRF

    metrics = (BLEU(), CHRF())
    for metric in metrics:
        metric.corpus_score(["a"], [["a"]])  # the number of references is known from a score
    return Quality(*(str(metric.get_signature()) for metric in metrics))  # type: ignore[arg-type]


def bleu_by_length(
    translations: Sequence[str], references: Sequence[str], lengths: np.ndarray, edges: Sequence[int], fewest: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """The mean length and the BLEU of the sentences whose lengths are in each of some ranges.

    Args:
        translations: of all sentences.
        references: likewise.
        lengths: int [N], of the sources.
        edges: ascending; sentences from edges[i] on and shorter than edges[i + 1] are together.
        fewest: ranges with fewer sentences are left out.
    """
    found = []
    for low, high in itertools.pairwise(edges):
        chosen = np.flatnonzero((lengths >= low) & (lengths < high)).tolist()
        if len(chosen) >= fewest:
            score = quality([translations[i] for i in chosen], [references[i] for i in chosen]).bleu
            found.append((lengths[chosen].mean(), score))
    return tuple(np.array(column) for column in zip(*found, strict=True)) if found else (np.zeros(0), np.zeros(0))  # type: ignore[return-value]
