"""From sounds of many lengths to the frames that a network sees, by the settings of `dataset.sound`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dl.data.sound import spectrum
from dl.errors import UserError, unknown

KINDS = ("log_mel", "mfcc")
TOGETHER = 32  # sounds that are computed at once


class Settings(NamedTuple):
    """What frames are made of.

    features: "log_mel" bands, or "mfcc", cepstra c_0, c_1, ...
    rate: samples a second that sounds are resampled to; 0: what they have, all the same.
    frame_length: seconds of a frame.
    frame_shift: seconds from one frame to the next.
    preemphasis: k.
    bands: of the filter bank.
    low: its lower edge in hertz.
    high: its upper edge; 0 is half the rate.
    coefficients: how many cepstra.
    lifter: L; 0 is none.
    deltas: how often slopes are put beside the frames: 2 are slopes and their slopes.
    normalise: components have mean 0 and deviation 1 over each utterance.
    """

    features: str = "log_mel"
    rate: int = 0
    frame_length: float = 0.025
    frame_shift: float = 0.01
    preemphasis: float = 0.97
    bands: int = 40
    low: float = 0.0
    high: float = 0.0
    coefficients: int = 13
    lifter: int = 22
    deltas: int = 0
    normalise: bool = True

    @property
    def depth(self) -> int:
        """Components of a frame."""
        return (self.bands if self.features == "log_mel" else self.coefficients) * (self.deltas + 1)

    def samples(self, rate: int) -> tuple[int, int]:
        """Length and shift of frames, in samples."""
        return round(self.frame_length * rate), round(self.frame_shift * rate)


def check(settings: Settings) -> Settings:
    """The settings, if they make sense.

    Raises:
        UserError: a number out of range.
    """
    if settings.features not in KINDS:
        raise unknown("value of dataset.sound.features", settings.features, KINDS)
    for name in ("rate", "low", "high", "lifter", "deltas"):
        if getattr(settings, name) < 0:
            raise UserError(f"dataset.sound.{name} must not be negative, got {getattr(settings, name)!r}.")
    for name in ("frame_length", "frame_shift", "bands", "coefficients"):
        if not getattr(settings, name) > 0:
            raise UserError(f"dataset.sound.{name} must be above 0, got {getattr(settings, name)!r}.")
    if settings.features == "mfcc" and settings.coefficients > settings.bands:
        raise UserError(f"dataset.sound.coefficients={settings.coefficients} are at most dataset.sound.bands={settings.bands}.")
    return settings


def frames_of(
    samples: Float[Array, " n"], size: jax.Array | int, settings: Settings, rate: int
) -> tuple[Float[Array, "t d"], jax.Array]:
    """Frames of the first `size` samples, in -1..1, padded with zeros, and how many they are."""
    length, shift = settings.samples(rate)
    frames = spectrum.framed(samples * spectrum.FULL_SCALE, length, shift)
    window = jnp.asarray(np.hamming(length), jnp.float32)
    weights = spectrum.filter_bank(settings.bands, spectrum.fft_size(length), rate, settings.low, settings.high)
    x = spectrum.log_mel(spectrum.emphasised(frames, settings.preemphasis) * window, weights)
    if settings.features == "mfcc":
        x = spectrum.cepstra(x, settings.coefficients, settings.lifter)
    count = jnp.maximum(0, 1 + (size - length) // shift)
    return refined(x, count, settings), count


def refined(x: Float[Array, "t d"], count: jax.Array | int, settings: Settings) -> Float[Array, "t e"]:
    """Frames with their slopes, normalised, as the settings say."""
    x = spectrum.with_deltas(x, count, settings.deltas)
    x = spectrum.normalised(x, count) if settings.normalise else x
    return jnp.where((jnp.arange(len(x)) < count)[:, None], x, 0)


def extract(sounds: Sequence[np.ndarray], rate: int, settings: Settings, names: Sequence[str] = ()) -> list[np.ndarray]:
    """The frames of each sound, float32 [T, D].

    Args:
        sounds: samples float32 [N] each, in -1..1.
        rate: of all of them.
        settings: what frames are made of.
        names: of the sounds, for errors.

    Raises:
        UserError: a sound is shorter than one frame, or the filter bank does not fit the rate.
    """
    length, shift = settings.samples(rate)
    if shift < 1 or length < 2 or max(settings.low, settings.high) > rate / 2:
        raise UserError(f"dataset.sound: these frames and bands do not fit sound of {rate:,} samples a second.")
    for number, sound in enumerate(sounds):
        if len(sound) < length:
            what = names[number] if names else f"sound {number}"
            raise UserError(f"{what} has {len(sound):,} samples, fewer than a frame of {length:,}: leave it out.")
    return in_batches(partial(frames_of, settings=settings, rate=rate), sounds)


def refine(frames: Sequence[np.ndarray], settings: Settings) -> list[np.ndarray]:
    """Frames float32 [T, D] that were computed elsewhere, with slopes and normalised as the settings say."""
    return in_batches(lambda x, count: (refined(x, count, settings), count), frames)


def in_batches(function: Callable[[Array, Array], tuple[Array, Array]], arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """`function(padded array, length) -> (array, length)` of each array, those of similar lengths together.

    On the CPU, also where there is an accelerator: data are the same on every machine, and so are their fingerprints.
    """
    made: list[np.ndarray] = [np.empty(0)] * len(arrays)
    order = np.argsort([len(array) for array in arrays], kind="stable")
    compiled = jax.jit(jax.vmap(function))
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        for start in range(0, len(order), TOGETHER):
            chosen = order[start : start + TOGETHER]
            size = _rounded(max(len(arrays[i]) for i in chosen))
            batch = np.zeros((TOGETHER, size, *arrays[0].shape[1:]), np.float32)
            lengths = np.zeros(TOGETHER, np.int32)
            for row, i in enumerate(chosen):
                batch[row, : len(arrays[i])], lengths[row] = arrays[i], len(arrays[i])
            values, counts = jax.device_get(compiled(batch, lengths))
            for row, i in enumerate(chosen):
                made[i] = values[row, : counts[row]]
    return made


def _rounded(size: int) -> int:
    """The next of 2^n and 1.5 2^n, so that few shapes are compiled."""
    power = 1 << max(size - 1, 0).bit_length()
    return power * 3 // 4 if size <= power * 3 // 4 else power
