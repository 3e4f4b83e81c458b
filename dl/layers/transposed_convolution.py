"""Two-dimensional transposed convolution that enlarges an image by its stride: Linen's `ConvTranspose`, fast on the CPU too.

XLA's CPU backend takes it as a convolution of the image with zeros between its pixels, most of whose products are with zeros.
There are two ways without them, and both give the same sum:

- sub-pixel (Shi et al. 2016): an output pixel sees the same few input pixels as its s x s neighbours, so one convolution makes
  s * s times the channels, which are then laid out side by side ("depth to space");
- overlapping additions, as below: all input pixels are multiplied with the kernel, and what lands on the same output pixel is
  added up. A kernel of 4x4 and stride 2 costs 16 products a pixel so, the sub-pixel form (a 3x3 convolution to four times the
  channels) 36; nothing is copied into patches, and all gradients are matrix products, also inside `lax.scan`.

"SAME" is TensorFlow's. With stride 2, and the one bright pixel at place 1 of a row of 4, these of the 8 outputs are reached:

    kernel   "SAME"      PyTorch, with padding and output_padding
    2        2 3         2 3          0, 0
    3        2 3 4       1 2 3        1, 1
    4        1 2 3 4     1 2 3 4      1, 0
    5        1 2 3 4 5   0 1 2 3 4    2, 1

So with an even kernel it is PyTorch's layer (whose weights are this kernel turned by 180 degrees); with an odd one everything
lies a pixel further down and to the right, and the weights of such a PyTorch layer do not give its results here.
"""

import functools

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import lax
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from dl.layers import backend


def convolve_transposed(
    x: Float[Array, "b h w i"], kernel: Float[Array, "m n i o"], stride: int = 2
) -> Float[Array, "b sh sw o"]:
    """Transposed convolution with padding "SAME", as `lax.conv_transpose`: the output is `stride` times as high and wide.

    With stride 2 and an odd kernel it lies a pixel further down and to the right than PyTorch's; see the module.

    Args:
        x: images.
        kernel: height, width, inputs, outputs.
        stride: down and right.
    """
    if backend.prefers_matmul():
        return _overlap_add(x, kernel, stride)
    return lax.conv_transpose(x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


class ConvTranspose(nn.Module):
    """Transposed convolution with the parameters and results of `flax.linen.ConvTranspose(padding="SAME")`.

    Parameters: `kernel` [height, width, inputs, features] and `bias` [features]. x is [B, H, W, inputs], the result
    [B, stride * H, stride * W, features].

    Choosing `kernel_size`: with stride 2 an even one gives what PyTorch's layer gives, an odd one follows TensorFlow's "SAME"
    and lies a pixel further down and to the right (worked example in the module).
    """

    features: int
    kernel_size: tuple[int, int]
    stride: int = 2
    use_bias: bool = True
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b sh sw o"]:
        kernel = self.param("kernel", self.kernel_init, (*self.kernel_size, x.shape[-1], self.features), self.param_dtype)
        bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype) if self.use_bias else None
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = convolve_transposed(x, kernel, self.stride)
        return y if bias is None else y + bias


def _overlap_add(x: Array, kernel: Array, stride: int) -> Array:
    """Blocks of stride x stride outputs: [B * H * W, i] times [i, stride * stride * o] for each block that the kernel reaches.

    Input pixel q lands on the places stride * q + j of a canvas, j counting the elements of the kernel turned by 180 degrees;
    it is filled up with zeros to whole blocks. "SAME" is the canvas without a rim.
    """
    batch, height, width, inputs = x.shape
    rows, columns, _, features = kernel.shape
    down, right = -(-rows // stride), -(-columns // stride)  # blocks
    blocks = jnp.pad(kernel[::-1, ::-1], ((0, down * stride - rows), (0, right * stride - columns), (0, 0), (0, 0)))
    blocks = blocks.reshape(down, stride, right, stride, inputs, features).transpose(0, 2, 4, 1, 3, 5)
    blocks = blocks.reshape(down, right, inputs, stride * stride * features)

    def landed(a: int, b: int) -> Array:
        y = (x.reshape(-1, inputs) @ blocks[a, b]).reshape(batch, height, width, -1)
        return jnp.pad(y, ((0, 0), (a, down - 1 - a), (b, right - 1 - b), (0, 0)))

    canvas = functools.reduce(jnp.add, [landed(a, b) for a in range(down) for b in range(right)])
    canvas = canvas.reshape(*canvas.shape[:3], stride, stride, features).transpose(0, 1, 3, 2, 4, 5)
    canvas = canvas.reshape(batch, stride * (height + down - 1), stride * (width + right - 1), features)
    top, left = _rim(rows, stride), _rim(columns, stride)
    return canvas[:, top : top + stride * height, left : left + stride * width]


def _rim(taps: int, stride: int) -> int:
    """How much of the canvas "SAME" leaves out before the first output: `taps - 1` less the padding of `lax.conv_transpose`."""
    return 0 if stride > taps - 1 else taps - 1 - -(-(taps + stride - 2) // 2)
