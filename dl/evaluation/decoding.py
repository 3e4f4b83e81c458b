"""Decoding: the sequence that a model of the next symbol finds likeliest, or one that is drawn from it.

A model is a function `Step`: (params, memory, state, symbols [N]) -> (log-probabilities of what follows [N, V], state, seen
[N, S]). Every leaf of `memory`, which stays as it is, and of `state` has the rows N as its leading axis; `seen` are the weights
of its attention to S places, or [N, 0] where it has none. Each sequence is found from its own rows alone: what else is in the
batch makes no difference.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from dl.errors import UserError
from dl.evaluation.sampling import choose

Tree = Any
Step = Callable[[Tree, Tree, Tree, Array], tuple[Array, Tree, Array]]


class Symbols(NamedTuple):
    """What every way of decoding knows of the symbols.

    start: given to the model first. stop: ends a sequence. length: the most symbols, the stop counted. never: those that are
    not to be produced.
    """

    start: int
    stop: int
    length: int
    never: tuple[int, ...] = ()


class Beam(NamedTuple):
    """A beam search: what is kept and how it is scored (Wu et al. 2016, section 7).

    A sequence y of n symbols, the stop counted, has the score log p(y) / ((5 + n) / 6)^alpha, plus, with coverage = b,
    b sum_s log(min(sum_t w_ts, 1)) over the places s of the source and the attention w_t of symbol t.

    size: sequences that are kept at every step. alpha: of the length normalisation; 0 is none. best: how many sequences are
    given back.
    """

    size: int = 5
    alpha: float = 0.6
    coverage: float = 0.0
    best: int = 1

    def check(self) -> None:
        """Raises UserError where a number is out of range."""
        if self.size < 1 or not 1 <= self.best <= self.size:
            raise UserError(
                f"a beam keeps at least 1 sequence and gives back 1 to all of them, not {self.best} of {self.size}."
            )
        if self.alpha < 0 or self.coverage < 0:
            raise UserError(f"a beam's alpha and coverage must not be negative, got {self.alpha:g} and {self.coverage:g}.")


class Found(NamedTuple):
    """Sequences, the best first: `symbols` int32 [B, best, length], 0 after the stop; how many count [B, best], the stop among
    them; the score and the log-probability [B, best], -inf where there are fewer sequences.
    """

    symbols: Array
    length: Array
    score: Array
    log_probability: Array


class _Search(NamedTuple):
    """place: of the next symbol. Alive: symbols [B, K, L], log-probability and last symbol [B, K], state [B * K, ...], coverage
    [B, K, S].
    """

    place: Array
    symbols: Array
    log_probability: Array
    last: Array
    state: Tree
    coverage: Array
    found: Found


@partial(jax.jit, static_argnames=("step", "symbols", "beam"))
def beam_search(
    step: Step,
    params: Tree,
    memory: Tree,
    state: Tree,
    symbols: Symbols,
    beam: Beam = Beam(),  # noqa: B008  # never changed
    source: Float[Array, "b s"] | None = None,
) -> Found:
    """The best sequences that a beam search finds.

    At every place the `size` likeliest beginnings are kept. One is complete where the stop is among the `size` likeliest ways
    to go on; at the last place nothing else is allowed. The search for a sentence ends when no beginning can become better
    than the last of its `best`.

    Args:
        step: see above; static, as are `symbols` and `beam`. Its log-probabilities are not positive.
        params: of `step`.
        memory: [B, ...].
        state: [B, ...], before the first symbol.
        symbols: start, stop, length.
        beam: what is kept, and the score.
        source: 1 where a place counts for the coverage, 0 at padding; needed with `beam.coverage`.

    Raises:
        UserError: a beam of 0.
    """
    beam.check()
    batch = len(jax.tree.leaves(state)[0])
    memory, state = (jax.tree.map(lambda x: jnp.repeat(x, beam.size, axis=0), tree) for tree in (memory, state))
    rows = jnp.zeros(batch * beam.size, jnp.int32)
    seen = jax.eval_shape(step, params, memory, state, rows)[2]
    nothing = jnp.full((batch, beam.size), -jnp.inf)
    none = jnp.zeros((batch, beam.size, symbols.length), jnp.int32)
    search = _Search(
        jnp.int32(0),
        none,
        nothing.at[:, 0].set(0.0),
        jnp.full((batch, beam.size), symbols.start, jnp.int32),
        state,
        jnp.zeros((batch, beam.size, seen.shape[-1])),
        Found(none, jnp.zeros((batch, beam.size), jnp.int32), nothing, nothing),
    )
    places = jnp.ones((batch, seen.shape[-1])) if source is None else source
    most = _normaliser(jnp.float32(symbols.length), beam.alpha)

    def goes_on(search: _Search) -> Array:
        hopeful = search.log_probability.max(-1) / most > search.found.score[:, beam.best - 1]
        return (search.place < symbols.length) & hopeful.any()

    def advance(search: _Search) -> _Search:
        scores, state, seen = step(params, memory, search.state, search.last.ravel())
        allowed = _allowed(scores.shape[-1], search.place, symbols)
        scores = jnp.where(allowed, scores.astype(jnp.float32), -jnp.inf).reshape(batch, beam.size, -1)
        coverage = search.coverage + seen.reshape(search.coverage.shape)
        return _extended(search, scores, state, coverage, places, symbols, beam)

    found = jax.lax.while_loop(goes_on, advance, search).found
    return Found(*(part[:, : beam.best] for part in found))


@partial(jax.jit, static_argnames=("step", "symbols", "top_k"))
def sample(
    step: Step,
    params: Tree,
    memory: Tree,
    state: Tree,
    keys: Array,
    symbols: Symbols,
    temperature: Float[Array, ""] | float = 1.0,
    top_k: int = 0,
) -> tuple[Int[Array, "b l"], Int[Array, " b"]]:
    """A sequence for each row, drawn symbol by symbol: int32 [B, L], 0 after the stop, and how many count, the stop among them.

    Args:
        step: see above; static, as is `symbols`.
        params: of `step`.
        memory: [B, ...].
        state: [B, ...], before the first symbol.
        keys: [B]; a sequence depends on its own.
        symbols: start, stop, length.
        temperature: divides the log-probabilities; 0 takes the likeliest symbol, and no key matters.
        top_k: only the likeliest so many symbols are drawn; 0: all.
    """
    heat = jnp.float32(temperature)

    def goes_on(carry: Any) -> Array:
        place, _, _, ended, *_ = carry
        return (place < symbols.length) & ~ended.all()

    def advance(carry: Any) -> Any:
        place, last, state, ended, made, length = carry
        scores, state, _ = step(params, memory, state, last)
        never = _allowed(scores.shape[-1], jnp.int32(0), symbols._replace(length=2))
        drawn = jax.vmap(lambda key, row: choose(jax.random.fold_in(key, place), row, heat, top_k))(
            keys, jnp.where(never, scores.astype(jnp.float32), -jnp.inf)
        ).astype(jnp.int32)
        made = made.at[:, place].set(jnp.where(ended, 0, drawn))
        length = length + ~ended
        return place + 1, drawn, state, ended | (drawn == symbols.stop), made, length

    rows = len(keys)
    made, first = jnp.zeros((rows, symbols.length), jnp.int32), jnp.full(rows, symbols.start, jnp.int32)
    begin = (jnp.int32(0), first, state, jnp.zeros(rows, bool), made, jnp.zeros(rows, jnp.int32))
    *_, made, length = jax.lax.while_loop(goes_on, advance, begin)
    return made, length


def greedy(step: Step, params: Tree, memory: Tree, state: Tree, symbols: Symbols) -> tuple[Int[Array, "b l"], Int[Array, " b"]]:
    """As `sample`, always with the likeliest symbol."""
    rows = len(jax.tree.leaves(state)[0])
    keys = jnp.broadcast_to(jax.random.key(0), (rows,))
    return sample(step, params, memory, state, keys, symbols, 0.0)


def fused(step: Step, language_model: Step, weight: float) -> Step:
    """Shallow fusion (Gulcehre et al. 2015, section 4.1): log p(y_t | x) + weight * log p_LM(y_t).

    Params, memory and state of the new step are pairs: the model's and the language model's. A language model has a vocabulary
    of the same numbers, and no attention that counts.
    """

    def both(params: Tree, memory: Tree, state: Tree, last: Array) -> tuple[Array, Tree, Array]:
        scores, mine, seen = step(params[0], memory[0], state[0], last)
        prior, its, _ = language_model(params[1], memory[1], state[1], last)
        return scores + weight * prior, (mine, its), seen

    return both


def _normaliser(length: Array, alpha: float) -> Array:
    return ((5.0 + length) / 6.0) ** alpha


def _allowed(count: int, place: Array, symbols: Symbols) -> Bool[Array, " v"]:
    """Which symbols may stand at a place: none of `never`, and at the last one the stop alone."""
    numbers = jnp.arange(count)
    never = jnp.isin(numbers, jnp.array(symbols.never, jnp.int32)) if symbols.never else jnp.zeros(count, bool)
    return ~never & ((place < symbols.length - 1) | (numbers == symbols.stop))


def _extended(
    search: _Search, scores: Array, state: Tree, coverage: Array, places: Array, symbols: Symbols, beam: Beam
) -> _Search:
    """The search after one more symbol, of which `scores` [B, K, V] are the log-probabilities."""
    batch, size, count = scores.shape
    row, taken = jnp.arange(batch)[:, None], min(2 * size, size * count)
    total = search.log_probability[:, :, None] + scores
    values, index = jax.lax.top_k(total.reshape(batch, -1), taken)
    parent, symbol = index // count, (index % count).astype(jnp.int32)
    made = search.symbols[row, parent].at[:, :, search.place].set(symbol)
    stops = symbol == symbols.stop

    length = search.place + 1
    penalty = (places[:, None] * jnp.log(jnp.clip(coverage, 1e-9, 1.0))).sum(-1) * beam.coverage
    complete = stops & (jnp.arange(taken) < size) & jnp.isfinite(values)
    score = jnp.where(complete, values / _normaliser(length.astype(jnp.float32), beam.alpha) + penalty[row, parent], -jnp.inf)
    new = Found(made, jnp.full_like(symbol, length), score, jnp.where(complete, values, -jnp.inf))
    pool = Found(*(jnp.concatenate(pair, axis=1) for pair in zip(search.found, new, strict=True)))
    best = jax.lax.top_k(pool.score, size)[1]
    found = Found(*(part[row, best] for part in pool))

    alive = jax.lax.top_k(jnp.where(stops, -jnp.inf, values), min(size, taken))[1]
    alive = jnp.pad(alive, ((0, 0), (0, size - alive.shape[1])), mode="edge")  # a vocabulary of one symbol
    chosen, origin = jnp.where(stops, -jnp.inf, values)[row, alive], parent[row, alive]
    state = jax.tree.map(lambda x: x.reshape(batch, size, *x.shape[1:])[row, origin].reshape(x.shape), state)
    return _Search(length, made[row, alive], chosen, symbol[row, alive], state, coverage[row, origin], found)
