"""Sound from files, by libsndfile (WAV, FLAC, OGG and others): samples of one channel, at the rate that is wanted."""

import io
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dl.errors import UserError

MOST_SECONDS = 3600  # of one file


class Sound(NamedTuple):
    """`samples` float32 [N] in -1..1, `rate` of them a second."""

    samples: Float[np.ndarray, " n"]
    rate: int


def read_sound(file: Path | io.BytesIO, rate: int = 0, what: str = "") -> Sound:
    """A sound, its channels averaged.

    Args:
        file: a path, or the bytes of a file.
        rate: samples a second that are wanted; 0 leaves them.
        what: what an error calls the file; by default its path.

    Raises:
        UserError: no such file, one that is no sound, an empty one, or one that holds NaN.
    """
    import soundfile

    what = what or str(file)
    if isinstance(file, Path) and not file.is_file():
        raise UserError(f"{what}: there is no such file.")
    try:
        with soundfile.SoundFile(file) as opened:
            if opened.frames > MOST_SECONDS * opened.samplerate:
                raise UserError(f"{what} is longer than {MOST_SECONDS:,} seconds: cut it into utterances.")
            samples = opened.read(dtype="float32", always_2d=True).mean(axis=1)
            found = opened.samplerate
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        said = " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".")
        raise UserError(f"{what} can't be read as sound: {said}.") from error
    if not len(samples):
        raise UserError(f"{what} is empty: it has no samples.")
    if not np.isfinite(samples).all():
        raise UserError(f"{what} holds samples that are NaN or infinite.")
    return resampled(Sound(samples, found), rate or found)


def resampled(sound: Sound, rate: int) -> Sound:
    """The sound at another rate, by polyphase filtering (`scipy.signal.resample_poly`, whose filter cuts off what aliases).

    Raises:
        UserError: a rate that is not positive.
    """
    if rate < 1:
        raise UserError(f"dataset.sound.rate must be a number of samples a second, not {rate}.")
    if rate == sound.rate:
        return sound
    from scipy.signal import resample_poly

    common = math.gcd(rate, sound.rate)
    samples = resample_poly(sound.samples, rate // common, sound.rate // common)
    return Sound(samples.astype(np.float32), rate)


def clipped(samples: Float[np.ndarray, " n"]) -> float:
    """The share of the samples that lie at the greatest amplitude, where they do so in runs of three or more."""
    full = np.abs(samples) >= 1 - 2**-15
    inside = full[2:] & full[1:-1] & full[:-2]
    return float(inside.sum() / max(len(samples), 1))


def as_int16(samples: Float[np.ndarray, " n"]) -> np.ndarray:
    """Samples in -1..1 as int16, as WAV files hold them."""
    return np.clip(np.round(samples * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
