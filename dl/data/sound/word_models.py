"""Hidden Markov models of whole words (Rabiner 1989, section VI), by hmmlearn.

A word is S states from left to right, each followed by itself or the next. What a state sounds like is a mixture of Gaussians
with diagonal covariances; in a hybrid system (Bourlard & Morgan 1994) a network gives it instead.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from hmmlearn.base import BaseHMM
from hmmlearn.hmm import GMMHMM
from jaxtyping import Float, Int

from dl.errors import UserError

LEAST_VARIANCE = 1e-2  # of normalised features
SEED = 0  # of the k-means that begins


class Settings(NamedTuple):
    """`states` of a word, `mixtures` of a state, `iterations` of expectation maximisation."""

    states: int = 6
    mixtures: int = 4
    iterations: int = 10


def check(settings: Settings) -> Settings:
    """The settings, if they make sense.

    Raises:
        UserError: a number below 1.
    """
    for name, value in settings._asdict().items():
        if value < 1:
            raise UserError(f"dataset.words.{name} must be 1 at least, not {value}.")
    return settings


def fit_word(utterances: Sequence[np.ndarray], settings: Settings) -> GMMHMM:
    """The model of one word, from its utterances [T, D], by expectation maximisation; they are first cut into equal parts.

    Raises:
        UserError: an utterance has fewer frames than the model states.
    """
    states, mixtures, iterations = settings
    if min(map(len, utterances)) < states:
        raise UserError(
            f"dataset.words.states={states}: an utterance has {min(map(len, utterances))} frames: take fewer states."
        )
    transitions = 0.5 * (np.eye(states) + np.eye(states, k=1))
    transitions[-1, -1] = 1.0
    model = GMMHMM(
        states, mixtures, covariance_type="diag", n_iter=iterations, params="tmcw", init_params="", min_covar=LEAST_VARIANCE
    )
    model.startprob_, model.transmat_ = np.eye(states)[0], transitions
    model.means_, model.covars_, model.weights_ = _first_mixtures(utterances, states, mixtures)
    model.fit(np.concatenate(utterances), [len(u) for u in utterances])
    return model


def _first_mixtures(
    utterances: Sequence[np.ndarray], states: int, mixtures: int
) -> tuple[Float[np.ndarray, "s m d"], Float[np.ndarray, "s m d"], Float[np.ndarray, "s m"]]:
    """Means, variances and weights of each state, by k-means in its part of every utterance."""
    from sklearn.cluster import KMeans

    parts = [np.array_split(u, states) for u in utterances]
    means, variances, weights = [], [], []
    for state in range(states):
        frames = np.concatenate([p[state] for p in parts]).astype(np.float64)
        found = KMeans(min(mixtures, len(frames)), n_init=1, random_state=SEED).fit(frames)
        label = np.arange(mixtures) % len(found.cluster_centers_)
        groups = [frames[found.labels_ == k] for k in label]
        means.append(found.cluster_centers_[label])
        variances.append([np.maximum(g.var(0), LEAST_VARIANCE) for g in groups])
        share = np.array([len(g) for g in groups], np.float64)
        weights.append(share / share.sum())
    return np.array(means), np.array(variances), np.array(weights)


def fit(utterances: Sequence[np.ndarray], words: Sequence[int], settings: Settings) -> dict[int, GMMHMM]:
    """The model of each word.

    Args:
        utterances: frames [T, D] each.
        words: which word each is.
        settings: of all models.
    """
    return {
        word: fit_word([u for u, w in zip(utterances, words, strict=True) if w == word], settings) for word in sorted({*words})
    }


def recognise(models: Mapping[int, GMMHMM], utterance: Float[np.ndarray, "t d"]) -> int:
    """The word under which the utterance is likeliest."""
    return max(models, key=lambda word: models[word].score(utterance))


def align(model: GMMHMM, utterance: Float[np.ndarray, "t d"]) -> Int[np.ndarray, " t"]:
    """The state of each frame on the likeliest way through the word (Viterbi)."""
    return model.decode(utterance)[1].astype(np.int32)


class GivenScores(BaseHMM):
    """A hidden Markov model whose frames are their own log-likelihoods [T, S]: a network has computed them."""

    def _compute_log_likelihood(self, X: np.ndarray) -> np.ndarray:
        return X

    def _check(self) -> None:
        """Nothing to check: start and transitions are those of a model that was fitted."""


def recognise_by_scores(models: Mapping[int, GMMHMM], scores: Float[np.ndarray, "t k"]) -> int:
    """The likeliest word where a network gives scaled likelihoods, log p(state | frame) - log p(state).

    Args:
        models: whose transitions are taken; the word w has the columns w S to (w + 1) S of `scores`.
        scores: of the states of all words.
    """
    found = {}
    for word, model in models.items():
        states = model.n_components
        given = GivenScores(states)
        given.startprob_, given.transmat_, given.n_features = model.startprob_, model.transmat_, states
        found[word] = given.score(scores[:, word * states : (word + 1) * states].astype(np.float64))
    return max(found, key=lambda word: found[word])


def windows(frames: Float[np.ndarray, "t d"], context: int) -> Float[np.ndarray, "t w d"]:
    """Each frame with `context` frames before and after it; beyond the ends these repeat."""
    places = np.arange(len(frames))[:, None] + np.arange(-context, context + 1)
    return frames[np.clip(places, 0, len(frames) - 1)]
