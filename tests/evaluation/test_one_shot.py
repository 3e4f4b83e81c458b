"""N-way K-shot trials: perfect and random embeddings score what they must."""

import numpy as np
import pytest

from dl.errors import UserError
from dl.evaluation.one_shot import draw_episodes, error, euclidean, recognise, run_episodes, signed_city_block

LABELS = np.repeat(np.arange(30), 6)


@pytest.mark.parametrize(("way", "shot"), [(5, 1), (20, 1), (5, 5), (20, 5)])
def test_a_perfect_embedding_makes_no_mistake_and_a_random_one_guesses(way, shot):
    episodes = draw_episodes(LABELS, way, shot, 4000)
    trials = sum(len(e.query) for e in episodes)
    assert trials >= 4000
    for e in episodes[:20]:
        assert e.support.shape == (way, shot) and len(set(LABELS[e.support[:, 0]])) == way
        assert (LABELS[e.support] == LABELS[e.support[:, :1]]).all()
        np.testing.assert_array_equal(LABELS[e.query], LABELS[e.support[e.answer, 0]])
        assert not set(e.query) & set(e.support.ravel())
    perfect = np.eye(30)[LABELS]
    assert error(episodes, recognise(episodes, perfect, euclidean)) == 0.0
    guessing = np.random.default_rng(0).normal(size=(len(LABELS), 2000))  # of so many dimensions, all are as far apart
    chance = 1 - 1 / way
    wrong = error(episodes, recognise(episodes, guessing[:, :50], euclidean))
    assert abs(wrong - chance) < 0.05


def test_a_constant_embedding_is_right_by_chance():
    episodes = draw_episodes(LABELS, 20, 1, 400)
    assert error(episodes, recognise(episodes, np.zeros((len(LABELS), 3)), euclidean)) == pytest.approx(0.95)


def test_the_nearest_on_average_wins():
    """Known examples on a line: 0 and 6.1 against 4 and 5. The query 6 has 6.1 nearest, but on average 4 and 5 are nearer."""
    points = np.array([[0.0], [6.1], [4.0], [5.0], [6.0]])
    from dl.evaluation.one_shot import Episode

    episode = Episode(np.array([[0, 1], [2, 3]]), np.array([4]), np.array([1]))
    assert error([episode], recognise([episode], points, euclidean)) == 0.0


def test_runs_keep_the_order_of_the_classes():
    outputs = {
        "run": np.array([0, 0, 0, 0, 0, 0]),
        "role": np.array([0, 1, 0, 1, 0, 1]),
        "label": np.array([9, 4, 4, 7, 7, 9]),
    }
    (episode,) = run_episodes(outputs)
    assert list(outputs["label"][episode.support[:, 0]]) == [9, 4, 7]
    assert list(episode.query) == [1, 3, 5] and list(episode.answer) == [1, 2, 0]
    with pytest.raises(UserError, match="run 0 must show"):
        run_episodes({**outputs, "label": np.array([9, 4, 4, 7, 7, 5])})


def test_distances():
    a, b = np.array([[0.0, 3.0, 1.0, 1.0]]), np.array([[4.0, 0.0, 1.0, 3.0]])
    assert euclidean(a, b)[0] == pytest.approx(np.sqrt(16 + 9 + 4))
    assert signed_city_block(a, b)[0] == pytest.approx(4 + 3 - 0 - 2)


def test_fewer_classes_than_the_trials_need():
    with pytest.raises(UserError, match="40-way 1-shot trials need 40 classes of at least 2 examples, and the split has 30"):
        draw_episodes(LABELS, 40, 1, 100)
    with pytest.raises(UserError, match="5-way 6-shot trials need 5 classes of at least 7 examples, and the split has 0"):
        draw_episodes(LABELS, 5, 6, 100)
