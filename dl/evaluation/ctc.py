"""Connectionist temporal classification (Graves, Fernandez, Gomez & Schmidhuber 2006): its loss, and what an output says.

A network gives V symbols and the blank, which is the last, a probability at every frame. An alignment is a choice at each
frame; what it spells are its symbols without repetitions, and then without blanks (section 3.1). The probability of a text is
that of all alignments that spell it (eq. 3).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from dl.task import valid

NEVER = -1e30  # the logarithm of no probability, finite so that differences are numbers


class Spelled(NamedTuple):
    """`tokens` int32 [..., U], of which the first `length` [...] count; `score` [...], the logarithm of a probability."""

    tokens: Int[Array, "... u"]
    length: Int[Array, "..."]
    score: Float[Array, "..."]


def losses(
    logits: Float[Array, "b t k"], frames: Int[Array, " b"], text: Int[Array, "b u"], length: Int[Array, " b"]
) -> Float[Array, " b"]:
    """-log p(text), in nats, over all alignments (eq. 3), the blank being the last of k.

    Args:
        logits: of each frame, before the softmax.
        frames: how many of each row count.
        text: the symbols.
        length: how many of each row count.
    """
    beyond = (~valid(frames, logits.shape[1])).astype(jnp.float32)
    padding = (~valid(length, text.shape[1])).astype(jnp.float32)
    return optax.ctc_loss(logits, beyond, text, padding, blank_id=logits.shape[-1] - 1)


def frames_needed(text: Int[Array, "b u"], length: Int[Array, " b"]) -> Int[Array, " b"]:
    """The shortest alignment of each text: a frame for each symbol, and one for a blank between two that are equal."""
    equal = (text[:, 1:] == text[:, :-1]) & valid(length - 1, text.shape[1] - 1)
    return length + equal.sum(axis=1)


def alignable(frames: Int[Array, " b"], text: Int[Array, "b u"], length: Int[Array, " b"]) -> Bool[Array, " b"]:
    """Whether there is an alignment of each text at all."""
    return frames_needed(text, length) <= frames


def greedy(logits: Float[Array, "b t k"], frames: Int[Array, " b"]) -> Spelled:
    """What the likeliest alignment of each row spells ("best path decoding", section 3.2), and that alignment's score."""
    blank, size = logits.shape[-1] - 1, logits.shape[1]
    inside = valid(frames, size)
    best = logits.argmax(-1).astype(jnp.int32)
    before = jnp.pad(best, ((0, 0), (1, 0)), constant_values=blank)[:, :-1]
    kept = inside & (best != blank) & (best != before)
    place = jnp.where(kept, jnp.cumsum(kept, axis=1) - 1, size)  # beyond the end: dropped

    def spell(place: Array, best: Array) -> Array:
        return jnp.zeros(size, jnp.int32).at[place].set(best, mode="drop")

    score = jnp.where(inside, jax.nn.log_softmax(logits).max(-1), 0).sum(-1)
    return Spelled(jax.vmap(spell)(place, best), kept.sum(1).astype(jnp.int32), score)


class _Beam(NamedTuple):
    """K prefixes. `blank`, `symbol` [K]: log-probability of the alignments so far that spell it and end in either."""

    tokens: Array
    length: Array
    blank: Array
    symbol: Array

    @property
    def total(self) -> Array:
        return jnp.logaddexp(self.blank, self.symbol)


@partial(jax.jit, static_argnames=("width", "longest"))
def prefix_beam(logits: Float[Array, "b t k"], frames: Int[Array, " b"], width: int = 16, longest: int = 0) -> Spelled:
    """The likeliest texts of each row, the best first: [B, width, U].

    After each frame the `width` likeliest prefixes are kept, each with the sum over its alignments (Graves & Jaitly 2014,
    algorithm 1; Hannun et al. 2014, without a language model). With a width of all prefixes the search is exact.

    Args:
        logits: of each frame, before the softmax; the blank is the last of k.
        frames: how many of each row count.
        width: K, at least 1.
        longest: symbols of a text, at most; 0: as many as frames.
    """
    longest = longest or logits.shape[1]
    start = jnp.full(width, NEVER).at[0].set(0.0)
    empty = _Beam(jnp.full((width, longest), -1, jnp.int32), jnp.zeros(width, jnp.int32), start, jnp.full(width, NEVER))

    def row(scores: Array, count: Array) -> Spelled:
        def step(beam: _Beam, given: tuple[Array, Array]) -> tuple[_Beam, None]:
            frame, inside = given
            return jax.tree.map(lambda new, old: jnp.where(inside, new, old), _advanced(beam, frame), beam), None

        beam, _ = jax.lax.scan(step, empty, (scores, jnp.arange(len(scores)) < count))
        order = jnp.argsort(-beam.total)
        tokens = jnp.where(valid(beam.length, longest), beam.tokens, 0)
        return Spelled(tokens[order], beam.length[order], beam.total[order])

    return jax.vmap(row)(jax.nn.log_softmax(logits), frames)


def _advanced(beam: _Beam, frame: Float[Array, " k"]) -> _Beam:
    """The likeliest prefixes after one more frame, of those that stay and those with one more symbol."""
    width, longest = beam.tokens.shape
    symbols, blank = len(frame) - 1, frame[-1]
    last = jnp.where(beam.length > 0, beam.tokens[jnp.arange(width), beam.length - 1], -1)
    stays_blank = beam.total + blank
    stays_symbol = jnp.where(last >= 0, beam.symbol + frame[last], NEVER)

    repeated = jnp.arange(symbols) == last[:, None]  # needs a blank between
    longer = jnp.where(repeated, beam.blank[:, None], beam.total[:, None]) + frame[:symbols]
    longer = jnp.where((beam.length < longest)[:, None], longer, NEVER)

    # Where a prefix with one more symbol is itself in the beam, its probability goes there.
    mother = _is_mother(beam)  # [K, K]: i is j without its last symbol
    symbol = jnp.maximum(last, 0)
    given = jnp.where(mother, longer[:, symbol], NEVER)
    stays_symbol = jnp.logaddexp(stays_symbol, jax.nn.logsumexp(given, axis=0))
    taken = jnp.zeros((width, symbols), bool).at[jnp.arange(width)[:, None], symbol[None, :]].max(mother)
    longer = jnp.where(taken, NEVER, longer)

    scores = jnp.concatenate([jnp.logaddexp(stays_blank, stays_symbol), longer.reshape(-1)])
    _, chosen = jax.lax.top_k(scores, width)
    stays = chosen < width
    parent = jnp.where(stays, chosen, (chosen - width) // symbols)
    added = (chosen - width) % symbols
    tokens, length = beam.tokens[parent], beam.length[parent]
    grown = tokens.at[jnp.arange(width), length].set(added, mode="drop")
    return _Beam(
        jnp.where(stays[:, None], tokens, grown),
        length + ~stays,
        jnp.where(stays, stays_blank[parent], NEVER),
        jnp.where(stays, stays_symbol[parent], scores[chosen]),
    )


def _is_mother(beam: _Beam) -> Bool[Array, "k k"]:
    """[i, j]: whether prefix i is prefix j without its last symbol."""
    places = jnp.arange(beam.tokens.shape[1])
    equal = beam.tokens[:, None, :] == beam.tokens[None, :, :]
    within = places < beam.length[:, None, None]
    alive = beam.total > NEVER / 2
    return (equal | ~within).all(-1) & (beam.length[:, None] + 1 == beam.length) & alive[:, None] & alive


def spikes(logits: Float[np.ndarray, "t k"], tokens: Int[np.ndarray, " u"]) -> dict[int, np.ndarray]:
    """Symbol -> its probability at each frame, of those that a text has, and of the blank, for a plot (figure 1)."""
    exponent = np.exp(logits - logits.max(-1, keepdims=True))
    probability = exponent / exponent.sum(-1, keepdims=True)
    return {int(k): probability[:, k] for k in [*dict.fromkeys(tokens.tolist()), logits.shape[1] - 1]}
