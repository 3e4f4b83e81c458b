"""Decoding: a beam as wide as the tree finds what an exhaustive search does; greedy, drawn and fused sequences."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl.errors import UserError
from dl.evaluation.decoding import Beam, Symbols, beam_search, fused, greedy, sample

V, L, STOP, START = 3, 4, 2, 0
SYMBOLS = Symbols(START, STOP, L)
LONGEST = 2  # places of the source


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def bigrams(params, memory, state, last):
    """What follows depends on the last two symbols, and on the row: memory [N] chooses a table, state [N] is the symbol before.

    The attention goes to the first place after an even symbol and is divided after an odd one.
    """
    scores = params[memory, state, last]
    seen = jnp.where((last % 2 == 0)[:, None], jnp.array([1.0, 0.0]), jnp.array([0.3, 0.7]))
    return scores, last, seen


def tables(seed, count=2):
    return log_softmax(np.random.default_rng(seed).normal(size=(count, V, V, V), scale=1.5)).astype(np.float32)


def sequences(never=()):
    """All that end with their first stop, of at most L symbols."""
    others = [s for s in range(V) if s != STOP and s not in never]
    for n in range(L):
        for begin in itertools.product(others, repeat=n):
            yield (*begin, STOP)


def log_probability(table, sequence):
    before, last, total = START, START, 0.0
    for symbol in sequence:
        total += table[before, last, symbol]
        before, last = last, symbol
    return total


def score(table, sequence, alpha, coverage):
    weights = [(1.0, 0.0) if last % 2 == 0 else (0.3, 0.7) for last in (START, *sequence[:-1])]
    covered = np.log(np.clip(np.sum(weights, axis=0), 1e-9, 1)).sum()
    return log_probability(table, sequence) / ((5 + len(sequence)) / 6) ** alpha + coverage * covered


def search(table, beam, symbols=SYMBOLS, rows=(0, 1)):
    memory = jnp.array(rows)
    source = jnp.ones((len(rows), LONGEST))
    return beam_search(bigrams, jnp.asarray(table), memory, jnp.full(len(rows), START), symbols, beam, source)


@pytest.mark.parametrize(("alpha", "coverage"), [(0.0, 0.0), (0.6, 0.0), (2.0, 0.0), (0.6, 0.2)])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_beam_as_wide_as_the_tree_is_an_exhaustive_search(alpha, coverage, seed):
    table = tables(seed)
    found = search(table, Beam(size=40, alpha=alpha, coverage=coverage, best=15))
    for b in range(2):
        ranked = sorted(((score(table[b], s, alpha, coverage), s) for s in sequences()), reverse=True)
        assert len(ranked) == 15
        np.testing.assert_allclose(found.score[b], [value for value, _ in ranked], rtol=1e-5)
        for n, (_, sequence) in enumerate(ranked):
            assert found.symbols[b, n].tolist() == [*sequence, *[0] * (L - len(sequence))]
            assert found.length[b, n] == len(sequence)
            assert found.log_probability[b, n] == pytest.approx(log_probability(table[b], sequence), rel=1e-5)


def test_symbols_that_are_never_to_come():
    table = tables(3)
    found = search(table, Beam(size=40, best=5), SYMBOLS._replace(never=(1,)))
    for b in range(2):
        ranked = sorted(((score(table[b], s, 0.6, 0), s) for s in sequences(never=(1,))), reverse=True)
        np.testing.assert_allclose(found.score[b], [value for value, _ in ranked] + [-np.inf] * (5 - len(ranked)), rtol=1e-5)
    made, _ = sample(
        bigrams, jnp.asarray(table), jnp.zeros(50, int), jnp.zeros(50, int), jax.random.split(jax.random.key(0), 50),
        SYMBOLS._replace(never=(1,)),
    )  # fmt: skip
    assert not (np.asarray(made) == 1).any()


def test_a_narrow_beam_keeps_what_begins_badly_and_ends_well():
    """0 is likelier than 1 at first, but only 1 goes on surely: greedy misses what a beam of 2 finds."""
    table = np.full((1, V, V, V), -20.0, np.float32)
    table[0, 1, START] = np.log([0.55, 0.45, 1e-9])  # the state is 1 at first, and START the symbol 0
    table[0, START, 0] = np.log([0.3, 0.3, 0.4])  # 0.55 * 0.4 = 0.22
    table[0, START, 1] = np.log([0.05, 0.05, 0.9])  # 0.45 * 0.9 = 0.405
    memory, state = jnp.zeros(1, int), jnp.ones(1, int)
    made, length = greedy(bigrams, jnp.asarray(table), memory, state, SYMBOLS)
    assert made[0].tolist() == [0, STOP, 0, 0] and length.tolist() == [2]
    found = beam_search(bigrams, jnp.asarray(table), memory, state, SYMBOLS, Beam(size=2, alpha=0.0))
    assert found.symbols[0, 0].tolist() == [1, STOP, 0, 0]
    assert found.log_probability[0, 0] == pytest.approx(np.log(0.405), rel=1e-5)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_rest_of_the_batch_makes_no_difference(size):
    table, beam = tables(5, 6), Beam(size=size, best=size)
    together = search(table, beam, rows=tuple(range(6)))
    for row in range(6):
        alone = search(table, beam, rows=(row,))
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_array_equal(a[0], b[row])


def test_greedy_takes_the_likeliest_and_stops():
    table = tables(7, 5)
    made, length = greedy(bigrams, jnp.asarray(table), jnp.arange(5), jnp.zeros(5, int), SYMBOLS)
    for b in range(5):
        before, last, expected = START, START, []
        while len(expected) < L and last != STOP:
            before, last = last, int(table[b, before, last].argmax())
            expected.append(last)
        assert made[b].tolist() == expected + [0] * (L - len(expected)) and length[b] == len(expected)


def test_samples_have_the_model_s_distribution_and_each_its_own_key():
    table, rows = tables(9, 1), 4000
    keys = jax.random.split(jax.random.key(1), rows)
    nothing = jnp.zeros(rows, int)
    made, length = sample(bigrams, jnp.asarray(table), nothing, nothing, keys, SYMBOLS)
    share = np.bincount(np.asarray(made[:, 0]), minlength=V) / rows
    np.testing.assert_allclose(share, np.exp(table[0, START, START]), atol=0.03)
    alone, _ = sample(bigrams, jnp.asarray(table), nothing[:1], nothing[:1], keys[17:18], SYMBOLS)
    assert alone[0].tolist() == made[17].tolist()
    assert (np.asarray(length) == [list(m).index(STOP) + 1 if STOP in m else L for m in np.asarray(made)]).all()


def test_shallow_fusion_adds_the_language_model():
    one, two = tables(11, 1), tables(12, 1)

    def prior(params, memory, state, last):
        return params[state, last], last, jnp.zeros((len(last), 0))

    step = fused(bigrams, prior, 0.5)
    zero = jnp.zeros(1, int)
    given = ((jnp.asarray(one), jnp.asarray(two[0])), (zero, ()), (zero, zero))
    found = beam_search(step, *given, SYMBOLS, Beam(size=40, alpha=0.0, best=15))
    together = one[0] + 0.5 * two[0]
    ranked = sorted((log_probability(together, s) for s in sequences()), reverse=True)
    np.testing.assert_allclose(found.score[0], ranked, rtol=1e-5)


@pytest.mark.parametrize(("beam", "message"), [(Beam(size=0), "at least 1 sequence"), (Beam(size=2, best=3), "3 of 2"),
                                               (Beam(alpha=-1.0), "negative")])  # fmt: skip
def test_beams_that_are_none(beam, message):
    with pytest.raises(UserError, match=message):
        search(tables(0), beam)
