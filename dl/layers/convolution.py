"""Two-dimensional convolution: Linen's `Conv`, fast on the CPU too.

XLA's CPU convolution has slow gradients, above all inside `lax.scan`. There the same sum is taken as a matrix product of
patches with the kernel ("im2col"), whose gradients are then matrix products too. Two things make it pay:

- A row of patches is `tile` neighbouring outputs wide, and the kernel is written `tile` times, each shifted by a stride, into a
  banded (Toeplitz) matrix. Neighbours share their inputs, so this copies less and multiplies wider matrices, for some products
  with zero: for LeNet-5's 5x5 convolutions a training step is 1.8 times faster than with `tile = 1`.
- Patches of more than 8 MB are made and used in parts of the batch, so that they stay in the cache, and made again for the
  gradient rather than kept. A single image whose patches would be more than 640 MB is left to XLA.
"""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import lax
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.errors import UserError
from dl.layers import backend

Padding = str | int | Sequence[int | tuple[int, int]]
Pads = tuple[tuple[int, int], tuple[int, int]]

PATCH_BYTES = 8_000_000  # of one part of the batch
IMAGE_BYTES = 640_000_000  # of the patches of one image
DEEP = 16  # input channels from which a group, or a block of a strided convolution, is wide enough to be multiplied by itself
WIDE = 64  # output channels from which the multiplications cost more than the copying: no tiles


def convolve(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "m n j o"],
    strides: tuple[int, int] = (1, 1),
    padding: Padding = "SAME",
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Float[Array, "b y x o"]:
    """Cross-correlation of images with `kernel`, as `lax.conv_general_dilated`; `j = i / groups`.

    Args:
        x: images.
        kernel: height, width, inputs of a group, outputs.
        strides: down and right.
        padding: "SAME", "VALID", one number for all sides, or a number or (low, high) for each axis.
        dilation: the distance of neighbouring kernel elements in the image, down and right.
        groups: parts of the inputs, each seen by its own part of the outputs.

    Raises:
        UserError: the kernel is larger than the padded image.
    """
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel.shape[:2], dilation, strict=True))
    pads = _pads(padding, x.shape[1:3], extent, strides)
    for side, size, (low, high) in zip(x.shape[1:3], extent, pads, strict=True):
        if side + low + high < size:
            window, image = "x".join(map(str, extent)), "x".join(map(str, x.shape[1:3]))
            raise UserError(f"a {window} convolution does not fit images of {image}: give larger images, or padding.")
    if backend.prefers_matmul() and groups > 1 and kernel.shape[2] >= DEEP:
        parts = zip(jnp.split(x, groups, -1), jnp.split(kernel, groups, -1), strict=True)
        return jnp.concatenate([convolve(part, own, strides, pads, dilation) for part, own in parts], -1)
    if backend.prefers_matmul() and groups == 1 and dilation == (1, 1):
        stride, (rows, columns, inputs, features) = strides[0], kernel.shape
        whole = strides == (stride, stride) and stride > 1 and rows % stride == columns % stride == 0
        if whole and inputs >= DEEP and features >= WIDE:
            return _in_blocks(x, kernel, stride, pads)
        return _in_parts(x, kernel, strides, pads)
    if backend.prefers_matmul() and groups == 1 and strides == (1, 1) and kernel.shape[2] >= DEEP:
        return _in_shifts(x, kernel, pads, dilation)
    return _stock(x, kernel, strides, pads, dilation, groups)


def _stock(
    x: Array, kernel: Array, strides: tuple[int, int], pads: Pads, dilation: tuple[int, int] = (1, 1), groups: int = 1
) -> Array:
    """The convolution as XLA has it."""
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, kernel, strides, pads, rhs_dilation=dilation, dimension_numbers=layout, feature_group_count=groups
    )


class Conv(nn.Module):
    """Two-dimensional convolution with the fields, parameters and results of `flax.linen.Conv`; see `convolve`.

    Parameters: `kernel` [height, width, inputs / groups, features] and `bias` [features]. x is [B, H, W, inputs].

    One field is new: `still_bias`, for a bias that BatchNorm subtracts again. Its gradient is then exactly zero, as it is in
    truth; rounding would leave noise, of which Adam makes steps.

    Raises:
        UserError: the kernel is larger than the padded image.
    """

    features: int
    kernel_size: tuple[int, int]
    strides: int | tuple[int, int] = 1
    padding: Padding = "SAME"
    kernel_dilation: int | tuple[int, int] = 1
    feature_group_count: int = 1
    use_bias: bool = True
    still_bias: bool = False
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b y x o"]:
        shape = (*self.kernel_size, x.shape[-1] // self.feature_group_count, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype) if self.use_bias else None
        bias = lax.stop_gradient(bias) if self.still_bias else bias
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        strides, dilation = _pair(self.strides), _pair(self.kernel_dilation)
        y = convolve(x, kernel, strides, self.padding, dilation, self.feature_group_count)
        return y if bias is None else y + bias


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _pads(padding: Padding, sides: tuple[int, ...], extent: tuple[int, ...], strides: tuple[int, int]) -> Pads:
    """((top, bottom), (left, right))."""
    vertical: int | Sequence[int]
    horizontal: int | Sequence[int]
    if isinstance(padding, str):
        vertical, horizontal = lax.padtype_to_pads(sides, extent, strides, padding)
    else:
        vertical, horizontal = (padding, padding) if isinstance(padding, int) else padding
    return _pair(vertical), _pair(horizontal)


def _tile(width: int, kernel_width: int, stride: int, features: int) -> int:
    """How many neighbouring outputs a row of patches makes: a divisor of the width, at most half of the products wasted."""
    if features >= WIDE:
        return 1
    return max(t for t in range(1, max(kernel_width // stride, 1) + 1) if width % t == 0)


def _in_parts(x: Array, kernel: Array, strides: tuple[int, int], pads: Pads) -> Array:
    """The convolution by patches, part after part of the batch where the patches of all would be large."""
    batch = x.shape[0]
    height, width = ((n + sum(p) - k) // s + 1 for n, p, k, s in zip(x.shape[1:3], pads, kernel.shape, strides, strict=False))
    tile = _tile(width, kernel.shape[1], strides[1], kernel.shape[3])
    patch = kernel.shape[0] * (strides[1] * (tile - 1) + kernel.shape[1]) * kernel.shape[2]
    size = batch * height * (width // tile) * patch * x.dtype.itemsize
    if size > batch * IMAGE_BYTES:
        return _stock(x, kernel, strides, pads)
    parts = next((n for n in range(1, batch) if batch % n == 0 and size <= n * PATCH_BYTES), max(batch, 1))

    def part(x: Array) -> Array:
        return _patches_matmul(x, kernel, strides, pads, (height, width), tile)

    if parts == 1:
        return part(x)
    # Part i is every parts-th example from i on: a batch that is split over devices stays where it is.
    stacked = x.reshape(batch // parts, parts, *x.shape[1:]).swapaxes(0, 1)
    y = lax.map(jax.checkpoint(part), stacked)
    return y.swapaxes(0, 1).reshape(batch, height, width, kernel.shape[3])


def _in_blocks(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """Where the stride divides the kernel: stride x stride pixels become one of as many times the channels ("space to depth").

    On those the kernel is (rows / stride) x (columns / stride) and has the stride 1, so it is a few products of shifted images,
    without patches: a discriminator's 4x4 convolution with stride 2 of 14 x 14 x 64 to 7 x 7 x 128 is twice as fast so.
    """
    rows, columns, inputs, features = kernel.shape
    down, right, depth = rows // stride, columns // stride, stride * stride * inputs
    sides = [(n + sum(p)) // stride for n, p in zip(x.shape[1:3], pads, strict=True)]
    cut = [(low, side * stride - n - low, 0) for (low, _), n, side in zip(pads, x.shape[1:3], sides, strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *cut, (0, 0, 0)))
    x = x.reshape(-1, sides[0], stride, sides[1], stride, inputs).transpose(0, 1, 3, 2, 4, 5).reshape(-1, *sides, depth)
    kernel = kernel.reshape(down, stride, right, stride, inputs, features).transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(down, right, depth, features)
    height, width = sides[0] - down + 1, sides[1] - right + 1
    shifted = [(x[:, a : a + height, b : b + width], kernel[a, b]) for a in range(down) for b in range(right)]
    y = functools.reduce(jnp.add, [part.reshape(-1, depth) @ block for part, block in shifted])
    return y.reshape(-1, height, width, features)


def _in_shifts(x: Array, kernel: Array, pads: Pads, dilation: tuple[int, int]) -> Array:
    """A dilated ("atrous") convolution: one product of a shifted image for each element of the kernel."""
    rows, columns, inputs, features = kernel.shape
    height, width = (n + sum(p) - (k - 1) * d for n, p, k, d in zip(x.shape[1:3], pads, (rows, columns), dilation, strict=True))
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0)))
    places = [(a, b, a * dilation[0], b * dilation[1]) for a in range(rows) for b in range(columns)]
    shifted = (x[:, top : top + height, left : left + width].reshape(-1, inputs) @ kernel[a, b] for a, b, top, left in places)
    return functools.reduce(jnp.add, shifted).reshape(-1, height, width, features)


def _patches_matmul(x: Array, kernel: Array, strides: tuple[int, int], pads: Pads, out: tuple[int, int], tile: int) -> Array:
    """Patches [B * H * W / tile, rows * columns * i] times the banded kernel [rows * columns * i, tile * o]."""
    rows, columns, inputs, features = kernel.shape
    (height, width), (down, right) = out, strides
    period, tiles = tile * right, width // tile
    blocks = -(-(period - right + columns) // period)  # a patch spans so many periods
    span = blocks * period

    surplus = (tiles - 1 + blocks) * period - x.shape[2] - pads[1][0]  # a negative padding cuts what no patch reaches
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (*pads[0], 0), (pads[1][0], surplus, 0), (0, 0, 0)))
    x = x.reshape(*x.shape[:2], tiles - 1 + blocks, period * inputs)
    x = jnp.concatenate([x[:, :, b : b + tiles] for b in range(blocks)], axis=-1)
    patches = jnp.stack([x[:, r : r + (height - 1) * down + 1 : down] for r in range(rows)], axis=3)

    shifts = [((0, 0), (t * right, span - columns - t * right), (0, 0), (0, 0)) for t in range(tile)]
    banded = jnp.stack([jnp.pad(kernel, shift) for shift in shifts], axis=3)
    y = patches.reshape(-1, rows * span * inputs) @ banded.reshape(rows * span * inputs, tile * features)
    return y.reshape(-1, height, width, features)
