"""What a report shows of utterances: what they sound and look like, and what was recognised."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from dl.artifacts import Artifact, Audio, Curves, Images
from dl.evaluation.ctc import spikes
from dl.vocabulary import Vocabulary

HEIGHT = 80  # pixels of a spectrogram, at least
BLANK = "blank"


def chosen(count: int, most: int) -> np.ndarray:
    """Which examples of a split are shown: `most` of them at most, spread over it."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def spectrograms(batch: Mapping[str, np.ndarray], captions: Sequence[str]) -> Images:
    """Frames as images: time from left to right, the first component at the bottom, light is much."""
    frames, lengths = batch["frames"], batch["frames_length"]
    times = max(-(-HEIGHT // frames.shape[2]), 1)
    images = np.ones((len(frames), frames.shape[2] * times, int(lengths.max()), 1), np.float32)
    for image, values, length in zip(images, frames, lengths, strict=True):
        part = values[:length]
        low, high = np.percentile(part, [1, 99])
        scaled = np.clip((part - low) / max(high - low, 1e-6), 0, 1)
        image[:, :length, 0] = np.repeat(scaled.T[::-1], times, axis=0)
    return Images(images, tuple(captions), columns=1)


def utterances(batch: Mapping[str, np.ndarray], said: Sequence[str], heard: Sequence[str]) -> dict[str, Artifact]:
    """Spectrograms with what was said and heard, and players where the examples have their sound.

    Args:
        batch: examples, on the host: `frames` [N, T, D] and their length; perhaps `sound` int16, its length and `rate`.
        said: the transcripts.
        heard: what was recognised.
    """
    captions = [text if text == other else f"{text} / heard: {other}" for text, other in zip(said, heard, strict=True)]
    shown: dict[str, Artifact] = {"spectrograms": spectrograms(batch, captions)}
    if "sound" in batch:
        sounds = [samples[:n].astype(np.int16) for samples, n in zip(batch["sound"], batch["sound_length"], strict=True)]
        shown["sounds"] = Audio(tuple(sounds), int(batch["rate"][0]), tuple(captions))
    return shown


def symbol_curves(logits: Float[np.ndarray, "t k"], tokens: np.ndarray, vocabulary: Vocabulary) -> Curves:
    """The probabilities of an utterance's symbols at each frame of the output (Graves et al. 2006, figure 1)."""
    names = [*map(repr, vocabulary.names), BLANK]
    times = np.arange(len(logits))
    return Curves({names[k]: (times, p) for k, p in spikes(logits, tokens).items()}, "frame of the output", "probability")
