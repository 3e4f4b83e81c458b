"""Neural module network for SHAPES (Andreas, Rohrbach, Darrell & Klein 2016, sections 4 and 5.1): a question's layout says
which small networks are put together. With 30 x 30 images, W = 10 words and relations, C = F = 64, H = 32:

    part           operation                                            output   parameters
    cells          convolution 10x10 / 10, ReLU                   3 x 3 x 64       19,264   10 10 3 C + C
    features       convolution 1x1, ReLU                          3 x 3 x 64        4,160   C F + F
    find[c]        x . w_c + b_c at every place                        3 x 3          715   (W + 1) (F + 1)
    transform[c]   two layers on the 9 places, ReLU                    3 x 3        6,787   (W + 1) (9 H + H + 9 H + 9)
    and            the product of two maps' probabilities              3 x 3            0
    answer         two layers on the 9 places, ReLU                        2          386   9 H + H + 2 H + 2
                                                                                   31,312

Every example has a layout of its own, in postfix order, so that the maps go to a stack and from it: one program, whatever the
layouts are, computes each kind of module at every step and keeps that which was asked for.

Deviations: maps are not cut at 0, `and` has no parameters, and other convolutions see the image, all as in Hu et al. 2017,
whose files these are; no LSTM votes beside the modules. Maps are logits of probabilities, and those that are shown have gone
through a sigmoid. Where Hu et al. take the smaller of two maps, of which the larger one learns nothing, `and` multiplies.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from dl.layers.convolution import Conv
from dl.layers.initializers import initializer

DEPTH = 4  # of the stack: more than a layout of two things needs
FIND, TRANSFORM, AND = 1, 2, 3  # numbers of the modules that make a map (`dl.data.shape_scenes.MODULES`)


class ModuleNetwork(nn.Module):
    """A model for `dl.tasks.visual_questions`.

    Attributes:
        num_classes: answers.
        arguments: W + 1, of which modules have weights of their own.
        channels: C and F.
        hidden: H.
        cell: pixels to a side of what the first convolution sees, and of its step.
    """

    num_classes: int = 2
    arguments: int = 11
    channels: int = 64
    hidden: int = 32
    cell: int = 10
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, image: Float[Array, "b h w c"], question: Int[Array, "b l"], layout: Int[Array, "b m 2"], train: bool = False
    ) -> tuple[Float[Array, "b k"], Float[Array, "b m y x"]]:
        """Scores of the answers, and the map that is on top after each step of the layout, between 0 and 1."""
        size = (self.cell, self.cell)
        x = nn.relu(Conv(self.channels, size, self.cell, padding="VALID", dtype=self.dtype, name="cells")(image))
        x = nn.relu(Conv(self.channels, (1, 1), dtype=self.dtype, name="features")(x))
        batch, height, width, _ = x.shape
        find, transform = self._find(x.reshape(batch, height * width, -1)), self._transform(height * width)

        def step(carry: tuple[Array, Array], given: Array) -> tuple[tuple[Array, Array], Array]:
            stack, top = carry
            module, argument = given[:, 0], jax.nn.one_hot(given[:, 1], self.arguments, dtype=self.dtype)
            first, second = (_read(stack, top - back) for back in (1, 2))
            kinds = [(module == kind)[:, None] for kind in (FIND, TRANSFORM, AND)]
            made = jnp.select(kinds, [find(argument), transform(first, argument), both(first, second)], first)
            top = jnp.clip(top + (module == FIND) - (module == AND), 0, DEPTH)
            here = jax.nn.one_hot(top - 1, DEPTH, dtype=self.dtype)[:, :, None]
            return (stack * (1 - here) + made[:, None] * here, top), made

        empty = jnp.zeros((batch, DEPTH, height * width), self.dtype), jnp.zeros(batch, jnp.int32)
        (stack, top), seen = jax.lax.scan(step, empty, layout.astype(jnp.int32).swapaxes(0, 1))
        hidden = nn.relu(nn.Dense(self.hidden, dtype=self.dtype, name="answer_hidden")(_read(stack, top - 1)))
        scores = nn.Dense(self.num_classes, dtype=self.dtype, name="answer")(hidden).astype(jnp.float32)
        return scores, nn.sigmoid(seen.swapaxes(0, 1)).reshape(batch, -1, height, width)

    def _find(self, places: Float[Array, "b s f"]) -> Callable[[Array], Array]:
        """What the module gives for an argument [b, a], one of them 1."""
        kernel = self.param("find_kernel", initializer("glorot"), (self.arguments, places.shape[-1])).astype(self.dtype)
        bias = self.param("find_bias", nn.initializers.zeros, (self.arguments,)).astype(self.dtype)
        found = places @ kernel.T + bias  # of every argument, once for all steps
        return lambda argument: jnp.einsum("bsa,ba->bs", found, argument)

    def _transform(self, size: int) -> Callable[[Array, Array], Array]:
        """What the module gives for a map [b, s] and an argument [b, a], one of them 1."""
        draw, zeros, count = nn.initializers.glorot_normal(batch_axis=0), nn.initializers.zeros, self.arguments
        one = self.param("transform_kernel1", draw, (count, size, self.hidden)).astype(self.dtype)
        bias1 = self.param("transform_bias1", zeros, (count, self.hidden)).astype(self.dtype)
        two = self.param("transform_kernel2", draw, (count, self.hidden, size)).astype(self.dtype)
        bias2 = self.param("transform_bias2", zeros, (count, size)).astype(self.dtype)

        def apply(given: Array, argument: Array) -> Array:
            hidden = nn.relu(jnp.einsum("bs,ash->bah", given, one) + bias1)
            made = jnp.einsum("bah,ahs->bas", hidden, two) + bias2  # of every argument: to gather the weights costs more
            return jnp.einsum("bas,ba->bs", made, argument)

        return apply


def both(first: Float[Array, "b s"], second: Float[Array, "b s"]) -> Float[Array, "b s"]:
    """The logit of the product of two probabilities, given by their logits: both maps learn, whichever is smaller."""
    surprise = jnp.maximum(nn.softplus(-first) + nn.softplus(-second), 1e-6)  # -log of the product
    return -surprise - jnp.log(-jnp.expm1(-surprise))  # -log(exp(s) - 1), where exp(s) may be too large


def _read(stack: Float[Array, "b d s"], place: Int[Array, " b"]) -> Float[Array, "b s"]:
    """What lies at a place of each stack; 0 below its bottom."""
    return jnp.einsum("bd,bds->bs", jax.nn.one_hot(place, stack.shape[1], dtype=stack.dtype), stack)


PUBLIC = {"module_network": ModuleNetwork}
