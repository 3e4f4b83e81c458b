"""CTC: the loss and both searches beside a sum over every alignment, on cases small enough for that."""

import itertools
from collections import defaultdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.evaluation import ctc

SYMBOLS, FRAMES = 2, 5  # and the blank: 3^5 alignments
BLANK = SYMBOLS


def spelled(alignment):
    """Without repetitions, then without blanks."""
    return tuple(k for k, _ in itertools.groupby(alignment) if k != BLANK)


def every_text(logits):
    """Text -> probability, over all alignments."""
    p = np.asarray(jax.nn.softmax(logits), np.float64)
    found = defaultdict(float)
    for alignment in itertools.product(range(SYMBOLS + 1), repeat=len(p)):
        found[spelled(alignment)] += np.prod([row[k] for row, k in zip(p, alignment, strict=True)])
    return found


def drawn(seed, scale=2.0):
    return jnp.asarray(scale * np.random.default_rng(seed).standard_normal((FRAMES, SYMBOLS + 1)), jnp.float32)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("frames", [3, FRAMES])
def test_the_loss_is_that_of_the_sum_over_alignments(seed, frames):
    logits = drawn(seed)
    expected = every_text(logits[:frames])
    texts = [text for text in expected if 0 < len(text) <= 3]
    padded = np.zeros((len(texts), 4), np.int32)
    for row, text in zip(padded, texts, strict=True):
        row[: len(text)] = text
    lengths = jnp.array([len(text) for text in texts], jnp.int32)
    batch = jnp.broadcast_to(logits, (len(texts), *logits.shape))
    found = ctc.losses(batch, jnp.full(len(texts), frames), jnp.asarray(padded), lengths)
    np.testing.assert_allclose(np.exp(-found), [expected[text] for text in texts], rtol=1e-4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("frames", [2, FRAMES])
def test_a_beam_of_all_prefixes_finds_every_text_with_its_probability(seed, frames):
    logits = drawn(seed)
    expected = every_text(logits[:frames])
    found = jax.device_get(ctc.prefix_beam(logits[None], jnp.array([frames]), width=64))
    texts = {
        tuple(tokens[:length].tolist()): np.exp(score)
        for tokens, length, score in zip(found.tokens[0], found.length[0], found.score[0], strict=True)
        if score > -1e20
    }
    assert set(texts) == set(expected)
    for text, probability in expected.items():
        assert texts[text] == pytest.approx(probability, rel=1e-4)
    best = max(expected, key=expected.get)
    assert tuple(found.tokens[0, 0, : found.length[0, 0]].tolist()) == best


def test_the_likeliest_text_is_not_that_of_the_likeliest_alignment():
    """Blanks are likeliest at every frame (0.6 x 0.6 = 0.36), and yet "a" has 1 - 0.36 (Graves et al. 2006, figure 2)."""
    logits = jnp.log(jnp.array([[[0.4, 1e-9, 0.6], [0.4, 1e-9, 0.6]]]))
    greedy = ctc.greedy(logits, jnp.array([2]))
    assert greedy.length.tolist() == [0] and np.exp(greedy.score[0]) == pytest.approx(0.36)
    beam = ctc.prefix_beam(logits, jnp.array([2]), width=3)
    assert beam.tokens[0, 0, :1].tolist() == [0] and beam.length[0, 0] == 1
    assert np.exp(beam.score[0, 0]) == pytest.approx(0.64)


def test_a_narrow_beam_is_a_beam_and_a_short_one_ends():
    logits = drawn(7)
    wide, narrow = (ctc.prefix_beam(logits[None], jnp.array([FRAMES]), width=w) for w in (64, 2))
    assert narrow.score[0, 0] <= wide.score[0, 0] + 1e-5
    short = ctc.prefix_beam(logits[None], jnp.array([FRAMES]), width=8, longest=1)
    assert short.tokens.shape == (1, 8, 1) and short.length.max() == 1
    expected = every_text(logits)
    assert np.exp(short.score[0, 0]) == pytest.approx(max(expected[t] for t in [(), (0,), (1,)]), rel=1e-4)


def test_greedy_joins_repetitions_drops_blanks_and_stops_at_the_end():
    alignment = jnp.array([[0, 0, BLANK, 0, 1, 1, BLANK, 1], [1, BLANK, BLANK, 1, 1, 0, 0, 0]])
    logits = 5 * jax.nn.one_hot(alignment, SYMBOLS + 1)
    found = ctc.greedy(logits, jnp.array([8, 4]))
    assert found.length.tolist() == [4, 2]
    assert found.tokens[0, :4].tolist() == [0, 0, 1, 1] and found.tokens[1, :2].tolist() == [1, 1]
    assert not found.tokens[1, 2:].any()


def test_how_many_frames_a_text_needs():
    text = jnp.array([[0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]])
    length = jnp.array([4, 3, 0])
    assert ctc.frames_needed(text, length).tolist() == [6, 3, 0]
    assert ctc.alignable(jnp.array([5, 3, 1]), text, length).tolist() == [False, True, True]


def test_spikes_are_probabilities_of_the_texts_symbols_and_the_blank():
    found = ctc.spikes(np.log(np.array([[0.2, 0.3, 0.5]])), np.array([1, 1]))
    assert {k: v.round(6).tolist() for k, v in found.items()} == {1: [0.3], 2: [0.5]}
