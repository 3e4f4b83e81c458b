"""Hidden Markov models of words: what they recognise and align, and scores that are given instead of mixtures."""

import itertools

import numpy as np
import pytest

from dl.data.sound import word_models
from dl.data.sound.word_models import Settings
from dl.data.sources.fsdd_states import squashed
from dl.errors import UserError

SMALL = Settings(3, 2, 5)


def utterances(word, count, seed=0):
    """Three parts of 2 to 5 frames, each at its own place; the second word goes through the places backwards."""
    rng = np.random.default_rng([seed, word])
    places = np.array([[4.0, 0], [0, 4], [-4, 0]])[:: -1 if word else 1]
    lengths = [rng.integers(2, 6, 3) for _ in range(count)]
    made = [np.concatenate([rng.normal(p, 1.0, (n, 2)) for p, n in zip(places, ns, strict=True)]) for ns in lengths]
    return made, lengths


@pytest.fixture(scope="module")
def models():
    both = [utterances(word, 30)[0] for word in (0, 1)]
    return word_models.fit([*both[0], *both[1]], [0] * 30 + [1] * 30, SMALL)


def test_words_that_differ_in_their_order_alone_are_told_apart(models):
    for word in (0, 1):
        found = [word_models.recognise(models, u) for u in utterances(word, 20, 1)[0]]
        assert found.count(word) >= 19


def test_frames_are_aligned_with_the_parts_that_they_come_from(models):
    made, lengths = utterances(0, 10, 2)
    right = total = 0
    for frames, each in zip(made, lengths, strict=True):
        states = word_models.align(models[0], frames)
        assert (np.diff(states) >= 0).all() and states[0] == 0 and set(np.diff(states)) <= {0, 1}
        right, total = right + (states == np.repeat(np.arange(3), each)).sum(), total + len(states)
    assert right / total > 0.95


def test_the_transitions_stay_from_left_to_right(models):
    for model in models.values():
        assert (model.transmat_[np.tril_indices(3, -1)] == 0).all() and model.transmat_[0, 2] == 0
        np.testing.assert_allclose(model.transmat_.sum(1), 1)
        np.testing.assert_array_equal(model.startprob_, [1, 0, 0])


def test_given_scores_are_summed_over_every_way_through_the_word(models):
    """By hand: all sequences of states of four frames."""
    scores = np.random.default_rng(3).normal(size=(4, 6))
    total = {}
    for word, model in models.items():
        ways = []
        for way in itertools.product(range(3), repeat=4):
            p = model.startprob_[way[0]] * np.prod([model.transmat_[a, b] for a, b in itertools.pairwise(way)])
            ways.append(p * np.exp(sum(scores[t, 3 * word + s] for t, s in enumerate(way))))
        total[word] = np.log(sum(ways))
        given = word_models.GivenScores(3)
        given.startprob_, given.transmat_, given.n_features = model.startprob_, model.transmat_, 3
        assert given.score(scores[:, 3 * word : 3 * word + 3]) == pytest.approx(total[word])
    assert word_models.recognise_by_scores(models, scores) == max(total, key=total.get)
    scores[:, 3:] += 50
    assert word_models.recognise_by_scores(models, scores) == 1


def test_windows_repeat_the_ends():
    found = word_models.windows(np.arange(3.0)[:, None], 1)[..., 0]
    np.testing.assert_array_equal(found, [[0, 0, 1], [0, 1, 2], [1, 2, 2]])
    assert squashed(np.array([[[0.0, 100, -100]]])).ravel().tolist() == [128, 255, 0]


def test_an_utterance_of_fewer_frames_than_states():
    with pytest.raises(UserError, match="dataset.words.states=3: an utterance has 2 frames"):
        word_models.fit_word([np.zeros((2, 2)), np.zeros((5, 2))], SMALL)
    with pytest.raises(UserError, match="dataset.words.mixtures must be 1 at least, not 0"):
        word_models.check(Settings(mixtures=0))
