"""Recurrent language model (Mikolov et al. 2010; with LSTM layers Zaremba, Sutskever & Vinyals 2014, whose figures are given).

    layer           operation                              output of a step   parameters, medium: V = 10,000, H = 650
    embedding       a vector for each symbol                            650    6,500,000   V x H
    layer1, layer2  LSTM, dropout before each                           650    6,765,200   2 x (2 x H x 4H + 4H)
    output          fully connected, dropout before                  10,000    6,510,000   H x V + V
                                                                              19,775,200

Deviations: an LSTM's gate has one bias where the published code adds up two, which learn in step.
Other cells: `dl.layers.cells`. Tied weights: Inan, Khosravi & Socher 2017; Press & Wolf 2017.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.errors import UserError
from dl.layers.cells import State, find_cell, initial_state
from dl.layers.recurrent import RecurrentStack


class RecurrentLM(nn.Module):
    """Predicts each symbol from those before it. Tokens int [B, T]; returns logits [B, T, V] float32 and the states after them.

    Attributes:
        cell: a name of `dl.layers.cells.CELLS`.
        activation: f of the cell `elman`.
        hidden: units of a layer.
        layers: how many.
        embedding: length of a symbol's vector; 0 is as many as `hidden`.
        dropout: dropout rate of the input of each layer and of the output.
        variational: the same units dropped at every step of a window (Gal & Ghahramani 2016).
        recurrent_dropout: dropout rate of the state that a layer gives itself, the same units at every step.
        tied: the output takes the embedding's vectors as its weights.
        forget_bias: initial bias of the forget gate of an LSTM.
        init_scale: all parameters are drawn from U(-init_scale, init_scale); 0: each layer's own initialisation.

    Raises:
        UserError: an unknown cell or activation, or tied weights of different lengths.
    """

    num_classes: int
    cell: str = "lstm"
    activation: str = ""
    hidden: int = 256
    layers: int = 2
    embedding: int = 0
    dropout: float = 0.0
    variational: bool = False
    recurrent_dropout: float = 0.0
    tied: bool = False
    forget_bias: float = 1.0
    init_scale: float = 0.0
    dtype: DTypeLike = jnp.float32

    def initial_carry(self, batch: int) -> tuple[State, ...]:
        """The states before a text begins: zeros [batch, hidden]."""
        return tuple(initial_state(self.cell, self.hidden, batch, self.dtype) for _ in range(self.layers))

    @nn.compact
    def __call__(
        self, tokens: Int[Array, "b t"], carry: Sequence[State] = (), train: bool = False
    ) -> tuple[Float[Array, "b t v"], tuple[State, ...]]:
        find_cell(self.cell, self.activation)
        width = self.embedding or self.hidden
        if self.tied and width != self.hidden:
            raise UserError(
                f"tied weights need an embedding as long as the hidden layer: model.embedding={width}, hidden={self.hidden}."
            )
        embed = nn.Embed(
            self.num_classes, width, dtype=self.dtype, embedding_init=nn.initializers.normal(width**-0.5), name="embedding"
        )
        settings: dict[str, Any] = {"recurrent_dropout": self.recurrent_dropout, "forget_bias": self.forget_bias}
        settings |= {"activation": self.activation} if self.activation else {}
        stack = RecurrentStack(
            self.cell,
            self.hidden,
            self.layers,
            False,
            self.dropout,
            self.variational,
            tuple(settings.items()),
            self.dtype,
            name="recurrent",
        )
        x = self.perturb("embedded", embed(tokens))  # so that gradients with respect to the inputs can be asked for
        h, carry = stack(x, carry, None, train)
        h = nn.Dropout(self.dropout, broadcast_dims=(1,) if self.variational else (), deterministic=not train)(h)
        flat = h.reshape(-1, self.hidden)  # the gradient of a product is fast where it is one of matrices
        if self.tied:
            bias = self.param("output_bias", nn.initializers.zeros, (self.num_classes,))
            logits = embed.attend(flat) + bias
        else:
            logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(flat)
        return logits.astype(jnp.float32).reshape(*tokens.shape, self.num_classes), carry

    def start(self, key: Array) -> dict[str, Any]:
        """The parameters before training."""
        params = self.init(key, jnp.zeros((1, 2), jnp.int32))["params"]
        if not self.init_scale:
            return params
        leaves, structure = jax.tree.flatten(params)
        keys, scale = jax.random.split(key, len(leaves)), self.init_scale
        drawn = [jax.random.uniform(k, x.shape, x.dtype, -scale, scale) for k, x in zip(keys, leaves, strict=True)]
        return jax.tree.unflatten(structure, drawn)


PUBLIC = {"recurrent_lm": RecurrentLM}
