"""Words that were read in images: how many are right, and how a report shows them."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dl.artifacts import Curves, Images
from dl.vocabulary import Vocabulary

SHOWN = 48  # words in a report
MISTAKES = 36  # of them, at most
WRITTEN = 16  # pixels below an image, for what was read
LEAST = 0.05  # probability of a symbol that is shown


def word_accuracy(there: Sequence[str], found: Sequence[str]) -> float:
    """The part of the words that are read without a mistake."""
    return sum(a == b for a, b in zip(there, found, strict=True)) / max(len(there), 1)


def mistakes_first(there: Sequence[str], found: Sequence[str], losses: Float[np.ndarray, " n"], most: int) -> np.ndarray:
    """Which words are shown: mistakes, the largest loss first, then some that are right, spread over the split."""
    wrong = np.array([a != b for a, b in zip(there, found, strict=True)], bool)
    order = np.argsort(-np.nan_to_num(losses, posinf=0), kind="stable")
    right = np.flatnonzero(~wrong)
    mistakes = order[wrong[order]]
    mistakes = mistakes[: max(min(MISTAKES, most), most - len(right))]
    count = min(most - len(mistakes), len(right))
    spread = np.unique(np.linspace(0, len(right) - 1, count).astype(np.int64))
    return np.concatenate([mistakes, right[spread]])[:most]


def shown_words(images: Float[np.ndarray, "n h w c"], there: Sequence[str], found: Sequence[str]) -> Images:
    """The images with what was read written below them, red where it is wrong; captions say what is there.

    Args:
        images: standardised or not; each is brought to its full range.
        there: what is written in them.
        found: what was read.
    """
    pixels = [written_below(image, text, text == other) for image, other, text in zip(images, there, found, strict=True)]
    captions = [text if text == other else f"{other} / read: {text}" for other, text in zip(there, found, strict=True)]
    return Images(np.stack(pixels), captions, columns=6)


def written_below(image: Float[np.ndarray, "h w c"], text: str, right: bool) -> np.ndarray:
    """An image uint8 [H + 16, W, 3] with a text below it, black where it is right and red where it is not."""
    from PIL import Image, ImageDraw, ImageFont

    low, high = float(image.min()), float(image.max())
    grey = ((image.mean(-1) - low) / max(high - low, 1e-6) * 255).clip(0, 255).astype(np.uint8)
    canvas = Image.new("RGB", (grey.shape[1], grey.shape[0] + WRITTEN), "white")
    canvas.paste(Image.fromarray(grey).convert("RGB"), (0, 0))
    place, colour = (2, grey.shape[0] + 1), "black" if right else (190, 0, 0)
    ImageDraw.Draw(canvas).text(place, text or "(nothing)", colour, ImageFont.load_default(12))
    return np.asarray(canvas)


def symbols_over_columns(logits: Float[np.ndarray, "t k"], vocabulary: Vocabulary) -> Curves:
    """The probability of each symbol at each column, of those that are likely anywhere; the blank is the last of k."""
    probabilities = np.asarray(jax.nn.softmax(jnp.asarray(logits)))
    names = [*vocabulary.names, "blank"]
    columns = np.arange(len(probabilities))
    likely = [k for k in range(len(names)) if probabilities[:, k].max() > LEAST]
    return Curves({names[k]: (columns, probabilities[:, k]) for k in likely}, "column", "probability")
