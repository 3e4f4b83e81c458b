"""Augmentation of sequences of vectors, such as the frames of a spectrogram [T, D]: masks in time and frequency, and noise."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from dl.data.augmentation.checks import at_least
from dl.errors import UserError

Frames = Float[Array, "t d"]
Transform = Callable[[jax.Array, Frames, Integer[Array, ""]], Frames]  # (key, frames, how many of them count) -> frames


def spec_augment(
    frequency_masks: int = 2,
    frequency_width: int = 27,
    time_masks: int = 2,
    time_width: int = 100,
    time_part: float = 1.0,
    fill: float = 0.0,
) -> Transform:
    """Bands of neighbouring components and runs of neighbouring frames become `fill` (Park et al. 2019, section 2).

    The width of a band is uniform in 0..`frequency_width` (F), that of a run in 0..`time_width` (T), but at most the part
    `time_part` (p) of the sequence's length; where it begins is uniform among the places where it fits. The defaults are the
    policy LD of table 1 without its time warping. `fill` 0 is the mean of features that were standardised.
    """
    counts = {"frequency_masks": frequency_masks, "frequency_width": frequency_width}
    for name, value in (counts | {"time_masks": time_masks, "time_width": time_width}).items():
        if not isinstance(value, int) or value < 0:
            raise UserError(f"augmentation setting spec_augment.{name} must be a whole number, 0 or more, not {value!r}.")
    at_least("spec_augment.time_part", time_part, 0.0)

    def apply(key: jax.Array, frames: Frames, length: Integer[Array, ""]) -> Frames:
        size, depth = frames.shape
        frequency_key, time_key = jax.random.split(key)
        longest = jnp.minimum(time_width, jnp.floor(time_part * length)).astype(jnp.int32)
        bands = _masked(frequency_key, frequency_masks, jnp.int32(min(frequency_width, depth)), jnp.int32(depth), depth)
        runs = _masked(time_key, time_masks, jnp.minimum(longest, length), length, size)
        return jnp.where(runs[:, None] | bands[None, :], jnp.asarray(fill, frames.dtype), frames)

    return apply


def _masked(
    key: jax.Array, count: int, longest: Integer[Array, ""], length: Integer[Array, ""], size: int
) -> Bool[Array, " size"]:
    """Which of `size` places are in one of `count` runs, each of 0 to `longest` places, within the first `length`."""
    width_key, start_key = jax.random.split(key)
    width = jax.random.randint(width_key, (count,), 0, longest + 1)
    start = jax.random.randint(start_key, (count,), 0, length - width + 1)
    places = jnp.arange(size)
    return jnp.any((places >= start[:, None]) & (places < (start + width)[:, None]), axis=0)


def frame_noise(std: float = 0.05) -> Transform:
    """Adds independent N(0, std^2) to every component of the frames that count; padding stays."""
    at_least("frame_noise.std", std, 0.0)

    def apply(key: jax.Array, frames: Frames, length: Integer[Array, ""]) -> Frames:
        noisy = frames + std * jax.random.normal(key, frames.shape, frames.dtype)
        return jnp.where((jnp.arange(len(frames)) < length)[:, None], noisy, frames)

    return apply


def applied(
    transforms: Sequence[Transform],
    key: jax.Array,
    frames: Float[Array, "b t d"],
    lengths: Integer[Array, " b"] | None = None,
) -> Float[Array, "b t d"]:
    """Each transform on each example, with the key of the example; all frames count where there are no `lengths`."""
    if not transforms:
        return frames
    lengths = jnp.full(len(frames), frames.shape[1], jnp.int32) if lengths is None else lengths
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(len(frames)))
    for transform in transforms:
        frames = jax.vmap(transform)(keys, frames, lengths)
    return frames
