"""N-way K-shot recognition: which of N classes, of each of which K examples are known, does a query belong to?

A query goes to the class whose known examples are nearest on average.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dl.data.identities import Identities, identities, random_numbers, sample_classes
from dl.errors import UserError

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]  # [..., D] and [..., D], broadcast together -> [...]
SEED = 1623  # of the drawn episodes: they are the same in every run


class Episode(NamedTuple):
    """Several trials that share their known examples.

    support: indices of the known examples [N, K], a class a row. query: indices [Q]. answer: the row of each query's class [Q].
    """

    support: np.ndarray
    query: np.ndarray
    answer: np.ndarray


def euclidean(a: Float[np.ndarray, "*n d"], b: Float[np.ndarray, "*m d"]) -> Float[np.ndarray, "..."]:
    """The Euclidean distance."""
    return np.sqrt(np.square(a - b).sum(-1))


def signed_city_block(a: Float[np.ndarray, "*n d"], b: Float[np.ndarray, "*m d"]) -> Float[np.ndarray, "..."]:
    """A city block with signed weights: sum_j |a_j - b_j| over the first half of the dimensions minus that over the second."""
    difference = np.abs(a - b)
    half = difference.shape[-1] // 2
    return difference[..., :half].sum(-1) - difference[..., half:].sum(-1)


def classes_for(labels: Int[np.ndarray, " n"], way: int, shot: int) -> Identities:
    """The classes that N-way K-shot trials can be made of.

    Raises:
        UserError: there are fewer than `way` classes of more than `shot` examples.
    """
    ids = identities(labels, least=shot + 1)
    if len(ids.size) < way:
        raise UserError(
            f"{way}-way {shot}-shot trials need {way} classes of at least {shot + 1} examples, and the split has "
            f"{len(ids.size)} (of {len(np.unique(labels))}): lower task.few_shot, or evaluate on more classes."
        )
    return ids


def draw_episodes(labels: Int[np.ndarray, " n"], way: int, shot: int, trials: int) -> list[Episode]:
    """At least `trials` trials: in each episode `way` random classes, `shot` known examples and one query of each.

    Raises:
        UserError: there are fewer than `way` classes of more than `shot` examples.
    """
    ids = classes_for(labels, way, shot)
    episodes = []
    for number in range(-(-trials // way)):
        raw = random_numbers(SEED, number, len(ids.size) + way * (shot + 1))
        chosen = sample_classes(ids, way, shot + 1, raw)
        episodes.append(Episode(chosen[:, :shot], chosen[:, shot], np.arange(way)))
    return episodes


def run_episodes(outputs: Mapping[str, np.ndarray]) -> list[Episode]:
    """The trials that a split consists of: `run` [N] numbers the episodes, `role` [N] is 0 for known examples, 1 for queries.

    Raises:
        UserError: a query of a class that its run does not show.
    """
    episodes = []
    for run in np.unique(outputs["run"]):
        support, query = (np.flatnonzero((outputs["run"] == run) & (outputs["role"] == role)) for role in (0, 1))
        classes, first = np.unique(outputs["label"][support], return_index=True)
        known = identities(outputs["label"][support])
        if len(set(known.size)) != 1 or not np.isin(outputs["label"][query], classes).all():
            raise UserError(
                f"the one-shot run {run} must show as many examples of each class, and every class that it asks for."
            )
        shown = support[known.order.reshape(len(classes), -1)]
        order = np.argsort(first)  # classes as they come, not by label
        rank = np.argsort(order)
        answer = rank[np.searchsorted(classes, outputs["label"][query])]
        episodes.append(Episode(shown[order], query, answer))
    return episodes


def recognise(episodes: Sequence[Episode], embeddings: Float[np.ndarray, "n d"], distance: Distance) -> list[np.ndarray]:
    """For each episode the row of `support` that each query is taken for [Q]."""
    taken = []
    for episode in episodes:
        known = embeddings[episode.support]  # [N, K, D]
        distances = np.stack([distance(embeddings[q], known).mean(-1) for q in episode.query])
        taken.append(distances.argmin(-1))
    return taken


def error(episodes: Sequence[Episode], taken: Sequence[np.ndarray]) -> float:
    """The share of the trials with an incorrect answer."""
    return float(np.concatenate([t != e.answer for e, t in zip(episodes, taken, strict=True)]).mean())
