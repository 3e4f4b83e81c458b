"""Spectra of sound as the HTK Book defines them (Young et al. 2006, version 3.4, sections 5.2 to 5.9), in JAX.

    frames        windows of `length` samples, one every `shift`; what is left at the end is dropped
    pre-emphasis  s_n - k s_(n-1) within a frame, and (1 - k) s_1                                eq. 5.1
    Hamming       0.54 - 0.46 cos(2 pi n / (N - 1)), n = 0..N-1                                  eq. 5.2
    mel           2595 log10(1 + f / 700) = 1127 ln(1 + f / 700)                                 eq. 5.13
    filter bank   triangles that are equally wide in mel, over magnitudes of the Fourier         section 5.4
                  transform, whose length is the next power of two; logarithm, at least 0
    cepstra       c_i = sqrt(2 / N) sum_j m_j cos(pi i / N (j - 0.5)), j = 1..N                  eq. 5.14
    liftering     c_i (1 + L / 2 sin(pi i / L)); L = 22                                          eq. 5.12
    deltas        sum_k k (c_(t+k) - c_(t-k)) / (2 sum_k k^2), k = 1..2, the ends repeated       eq. 5.16

Samples count as 16-bit integers do, so that the logarithm of a filter's output, floored at 1, means what it does in HTK.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

FULL_SCALE = 2.0**15  # of a sample in -1..1
LEAST_STD = 1e-3  # a component that hardly changes within an utterance is not blown up


def mel(hertz: np.ndarray | float) -> np.ndarray:
    """Frequencies on the mel scale (eq. 5.13)."""
    return np.asarray(1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0))


def fft_size(length: int) -> int:
    """The next power of two."""
    return 1 << max(length - 1, 0).bit_length()


def filter_bank(bands: int, size: int, rate: int, low: float = 0.0, high: float = 0.0) -> Float[np.ndarray, "f bands"]:
    """Weights [size / 2 + 1, bands] of triangles between `low` and `high` hertz (0: half the rate), equally wide in mel."""
    edges = np.linspace(mel(low), mel(high or rate / 2), bands + 2)
    at = mel(np.arange(size // 2 + 1) * rate / size)[:, None]
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(np.minimum((at - lower) / (centre - lower), (upper - at) / (upper - centre)), 0.0)


def count_frames(samples: int, length: int, shift: int) -> int:
    """How many windows lie wholly within so many samples."""
    return max(0, 1 + (samples - length) // shift)


def framed(samples: Float[Array, " n"], length: int, shift: int) -> Float[Array, "t length"]:
    """Windows of the samples, one every `shift`."""
    starts = jnp.arange(count_frames(len(samples), length, shift)) * shift
    return samples[starts[:, None] + jnp.arange(length)]


def emphasised(frames: Float[Array, "t n"], coefficient: float = 0.97) -> Float[Array, "t n"]:
    """High frequencies raised (eq. 5.1), each frame on its own."""
    before = jnp.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    return frames - coefficient * before


def log_mel(frames: Float[Array, "t n"], weights: Float[Array | np.ndarray, "f bands"]) -> Float[Array, "t bands"]:
    """Logarithms of the filter bank's outputs, of frames that were windowed; at least 0."""
    magnitude = jnp.abs(jnp.fft.rfft(frames, 2 * (len(weights) - 1)))
    outputs = jnp.matmul(magnitude, jnp.asarray(weights, jnp.float32), precision="highest")
    return jnp.log(jnp.maximum(outputs, 1.0))


def cepstra(bands: Float[Array, "t m"], coefficients: int, lifter: int = 22) -> Float[Array, "t c"]:
    """c_0 to c_(coefficients - 1) of log-mel bands, liftered unless `lifter` is 0."""
    count = bands.shape[1]
    i, j = np.arange(coefficients), np.arange(count) + 0.5
    basis = np.sqrt(2 / count) * np.cos(np.pi / count * i[:, None] * j)
    lift = 1 + lifter / 2 * np.sin(np.pi * i / lifter) if lifter else np.ones(coefficients)
    return jnp.matmul(bands, jnp.asarray((basis * lift[:, None]).T, jnp.float32), precision="highest")


def deltas(x: Float[Array, "t d"], length: Int[Array, ""] | int, reach: int = 2) -> Float[Array, "t d"]:
    """The slope at each frame over `reach` frames on both sides (eq. 5.16); beyond the first and last frame these repeat."""
    places, last = jnp.arange(len(x)), jnp.maximum(length - 1, 0)

    def at(offset: int) -> jax.Array:
        return x[jnp.clip(places + offset, 0, last)]

    slope = sum((k * (at(k) - at(-k)) for k in range(1, reach + 1)), jnp.zeros_like(x))
    return slope / (2 * sum(k * k for k in range(1, reach + 1)))


def with_deltas(x: Float[Array, "t d"], length: Int[Array, ""] | int, order: int) -> Float[Array, "t e"]:
    """Frames with their slopes beside them, and the slopes of these, up to `order` times."""
    parts = [x]
    for _ in range(order):
        parts.append(deltas(parts[-1], length))
    return jnp.concatenate(parts, axis=1)


def normalised(x: Float[Array, "t d"], length: Int[Array, ""] | int) -> Float[Array, "t d"]:
    """Each component less its mean over the first `length` frames, over its deviation there; padding is 0."""
    inside = (jnp.arange(len(x)) < length)[:, None]
    count = jnp.maximum(length, 1)
    centred = jnp.where(inside, x - jnp.where(inside, x, 0).sum(0) / count, 0)
    deviation = jnp.sqrt(jnp.square(centred).sum(0) / count)
    return centred / jnp.maximum(deviation, LEAST_STD)
