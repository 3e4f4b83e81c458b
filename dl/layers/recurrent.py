"""Recurrent layers of the cells in `dl.layers.cells`: stacks in one direction or both, sequences of one length or several.

The inputs of all steps are projected by one product before the recurrence.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Shaped

from dl.errors import unknown
from dl.layers import backend
from dl.layers.activations import FUNCTIONS
from dl.layers.cells import Cell, State, find_cell, initial_state, recur
from dl.layers.initializers import initializer


def project(x: Float[Array, "t b d"], kernel: Float[Array, "d g"]) -> Float[Array, "t b g"]:
    """The inputs times the kernel, on the CPU as one product of matrices, whose gradient is fast."""
    if backend.prefers_matmul():
        return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:2], -1)
    return x @ kernel


def by_block(init: Initializer, blocks: int) -> Initializer:
    """An initializer for kernels [n, blocks * H] that draws each block on its own, as the fan-out of a gate is H."""

    def draw(key: Array, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
        part = (shape[0], shape[1] // blocks)
        drawn = jax.vmap(lambda k: init(k, part, dtype))(jax.random.split(key, blocks))
        return drawn.swapaxes(0, 1).reshape(tuple(shape))

    return draw


class Recurrent(nn.Module):
    """One layer in one direction, time first.

    Parameters: `kernel` [D, inputs * H], `recurrent_kernel` [H, inputs * H], `bias` [inputs * H], and what the cell adds:
        `peephole`
    [3, H] (of the input, forget and output gate), `recurrent_bias` [H] (b_n of gru_after). Blocks are in the order of the
    table of `dl.layers.cells`, which is PyTorch's.

    Attributes:
        cell: a name of `dl.layers.cells.CELLS`.
        features: H.
        activation: f of `elman`, a name of `dl.layers.activations`.
        use_bias: whether there is a bias.
        forget_bias: the bias of an LSTM's forget gate at first (1: Gers et al. 2000; Jozefowicz et al. 2015).
        kernel_init: initializer of U, a name of `dl.layers.initializers`, for each gate. An IRNN draws from N(0, 0.001^2), as
            published.
        recurrent_init: initializer of W, likewise; of an IRNN it is the identity.
        reverse: whether it runs from the end of each sequence to its start.
        recurrent_dropout: the part of h that is hidden from all products, the same at every step of a sequence (Gal &
            Ghahramani 2016, eq. 7).

    Raises:
        UserError: an unknown cell, activation or initializer.
    """

    cell: str
    features: int
    activation: str = ""
    use_bias: bool = True
    forget_bias: float = 1.0
    kernel_init: str = "glorot"
    recurrent_init: str = "orthogonal"
    reverse: bool = False
    recurrent_dropout: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "t b d"], state: State | None = None, lengths: Int[Array, " b"] | None = None, train: bool = False
    ) -> tuple[Float[Array, "t b h"], State]:
        """Outputs (zero past a sequence's end) and the state after each sequence's last step.

        `state` is before the first step, zeros by default; `lengths` [B] count the steps of each sequence.
        """
        cell, size = find_cell(self.cell, self.activation), self.features
        kernel, recurrent, bias = self._weights(cell, x.shape[-1])
        if state is None:
            state = initial_state(self.cell, size, x.shape[1], self.dtype)
        if self.reverse:
            x = reversed_sequences(x, lengths)
        x = project(x.astype(self.dtype), kernel) + bias
        params, rest = self._extras(state, train), {}
        if self.cell == "gru_after":
            x, rest["n"] = jnp.split(x, [2 * size], axis=-1)
            b = self.param("recurrent_bias", nn.initializers.zeros, (size,)) if self.use_bias else jnp.zeros(size)
            x = jnp.concatenate([x, jnp.broadcast_to(b.astype(self.dtype), (*x.shape[:2], size))], axis=-1)
        if lengths is not None:
            rest["valid"] = (jnp.arange(len(x))[:, None] < lengths)[:, :, None].astype(self.dtype)
        ends = [sum(cell.products[: i + 1]) * size for i in range(len(cell.products) - 1)]
        taps, kernels = tuple(jnp.split(x, ends, axis=-1)), tuple(jnp.split(recurrent, ends, axis=-1))
        outputs, state = recur(cell.step, kernels, params, taps, rest, state)
        outputs = outputs if lengths is None else outputs * rest["valid"]
        return (reversed_sequences(outputs, lengths) if self.reverse else outputs), state

    def _weights(self, cell: Cell, inputs: int) -> tuple[Array, Array, Array]:
        size, irnn = self.features, self.cell == "irnn"
        kernel_init = nn.initializers.normal(0.001) if irnn else by_block(initializer(self.kernel_init), cell.inputs)
        recurrent_init = _identity if irnn else by_block(initializer(self.recurrent_init), cell.inputs)
        kernel = self.param("kernel", kernel_init, (inputs, cell.inputs * size))
        recurrent = self.param("recurrent_kernel", recurrent_init, (size, cell.inputs * size))
        bias = jnp.zeros(cell.inputs * size)
        if self.use_bias:
            start = bias.at[size : 2 * size].set(self.forget_bias) if cell.states == 2 else bias
            bias = self.param("bias", lambda key: start)
        return jnp.asarray(kernel, self.dtype), jnp.asarray(recurrent, self.dtype), jnp.asarray(bias, self.dtype)

    def _extras(self, state: State, train: bool) -> dict[str, Array]:
        params = {}
        if self.cell == "lstm_peephole":
            params["peephole"] = self.param("peephole", nn.initializers.zeros, (3, self.features)).astype(self.dtype)
        if self.recurrent_dropout and train:
            params["mask"] = nn.Dropout(self.recurrent_dropout, deterministic=False)(jnp.ones_like(state[0]))
        return params


class RecurrentStack(nn.Module):
    """Layers one above the other, batch first; with `bidirectional` each is two, and what they give stands side by side.

    Attributes:
        cell: a name of `dl.layers.cells.CELLS`; `settings` are further attributes of `Recurrent`.
        features: H, of each direction.
        layers: how many.
        bidirectional: Schuster & Paliwal 1997.
        dropout: the part of the input of each layer that is dropped in training (Zaremba, Sutskever & Vinyals 2014, section
            3.2).
        variational: drop the same units at every step of a sequence (Gal & Ghahramani 2016), with `recurrent_dropout` those
            of h.
    """

    cell: str
    features: int
    layers: int = 1
    bidirectional: bool = False
    dropout: float = 0.0
    variational: bool = False
    settings: tuple[tuple[str, Any], ...] = ()
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b t d"],
        carry: Sequence[State] = (),
        lengths: Int[Array, " b"] | None = None,
        train: bool = False,
    ) -> tuple[Float[Array, "b t h"], tuple[State, ...]]:
        """Outputs and the last states, one for each layer and direction; `carry` are those of the window before."""
        x, directions = x.swapaxes(0, 1), (False, True) if self.bidirectional else (False,)
        states: list[State] = []
        for number in range(self.layers):
            x = nn.Dropout(self.dropout, broadcast_dims=(0,) if self.variational else (), deterministic=not train)(x)
            outputs = []
            for reverse in directions:
                name = f"layer{number + 1}" + ("_backward" if reverse else "")
                layer = Recurrent(self.cell, self.features, reverse=reverse, dtype=self.dtype, name=name, **dict(self.settings))
                y, state = layer(x, carry[len(states)] if carry else None, lengths, train)
                outputs.append(y)
                states.append(state)
            x = jnp.concatenate(outputs, axis=-1)
        return x.swapaxes(0, 1), tuple(states)


class Elman(nn.Module):
    """The simple recurrent net (Elman 1990): h_t = f1(U x_t + W h_{t-1}), y_t = f2(V h_t), without biases.

    x [B, T, D]; returns y [B, T, outputs]. Parameters: `hidden/kernel` is U [D, H], `hidden/recurrent_kernel` W [H, H],
    `output/kernel` V [H, outputs].
    """

    hidden: int
    outputs: int
    f1: str = "tanh"
    f2: str = "identity"

    @nn.compact
    def __call__(self, x: Float[Array, "b t d"]) -> Float[Array, "b t k"]:
        if self.f2 not in FUNCTIONS:
            raise unknown("activation", self.f2, FUNCTIONS)
        h, _ = Recurrent("elman", self.hidden, self.f1, use_bias=False, name="hidden")(x.swapaxes(0, 1))
        return FUNCTIONS[self.f2](nn.Dense(self.outputs, use_bias=False, name="output")(h.swapaxes(0, 1)))


def _identity(key: Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32) -> Array:
    return jnp.eye(shape[0], dtype=dtype)


def reversed_sequences(x: Shaped[Array, "t b ..."], lengths: Int[Array, " b"] | None) -> Shaped[Array, "t b ..."]:
    """Each sequence from its end to its start; padding stays where it is."""
    if lengths is None:
        return jnp.flip(x, 0)
    times = jnp.arange(len(x))[:, None]
    order = jnp.where(times < lengths, lengths - 1 - times, times)
    return jnp.take_along_axis(x, order.reshape(*order.shape, *(1,) * (x.ndim - 2)), axis=0)
