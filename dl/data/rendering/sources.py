"""Rendered words as a source: endless, as every training example is a new word, a function of (seed, position)."""

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from dl import registry
from dl.data.decoding import contents, decoded
from dl.data.rendering import fonts, vocabulary, words
from dl.data.streaming import stacked
from dl.dataset import Feature, Kind
from dl.errors import UserError

HEIGHT, WIDTH = 32, 100
MOST_BACKGROUNDS = 500  # images, of a folder
SIDE = 256  # pixels: larger ones are made smaller


class Rendering(NamedTuple):
    """How words are rendered; the keys of `config.dataset`.

    fonts: folder of fonts; "" for those of the machine, "embedded" for Pillow's own.
    words: file of a text whose words are written, or where it lies within --manual_dir; "" for made-up words.
    backgrounds: folder of images that lie behind the words; "" for stains.
    examples: words that make an epoch.
    style: see `dl.data.rendering.words.Style`.
    """

    fonts: str = ""
    words: str = ""
    backgrounds: str = ""
    examples: int = 100_000
    style: dict[str, float] = {}  # noqa: RUF012  # never changed


class RenderedWords:
    """Words that are drawn when they are asked for: `image` uint8 [H, W, 1], `text` int32 [24] and `text_length`.

    `draw` makes a new word of each example's random numbers, whatever its index; `gather` those of a fixed list, the same
    in every run, for evaluation.

    Args:
        rendering: how words are drawn.
        list_: the words that are written.
        width: of the images.
        number: of the fixed list, so that two splits differ.
        examples: how many there are.
    """

    resident = False

    def __init__(self, rendering: Rendering, list_: vocabulary.Words, width: int, number: int, examples: int):
        self.rendering, self.words, self.width, self.number, self.examples = rendering, list_, width, number, examples
        self.style = registry.call(words.Style, "dataset.style", rendering.style)

    def __len__(self) -> int:
        return self.examples

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return stacked(self.example(int(index)) for index in indices)

    def draw(self, indices: np.ndarray, numbers: np.ndarray) -> dict[str, np.ndarray]:
        return stacked(self.example(int(index), row) for index, row in zip(indices, numbers, strict=True))

    def column(self, name: str) -> np.ndarray | None:
        return None

    def stored(self, indices: np.ndarray) -> Iterable[bytes]:
        return [example.tobytes() for example in self.gather(indices)["image"]]

    def example(self, index: int, numbers: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The word that these uniform uint64 numbers, two or more, decide; without any, that of the fixed list."""
        if numbers is None:
            numbers = np.random.SeedSequence([self.number, index]).generate_state(2, np.uint64)
        rng = np.random.Generator(np.random.Philox(key=numbers[:2]))
        text = vocabulary.written(rng, self.words)
        shape = (HEIGHT, self.width)
        faces, behind = fonts.faces(self.rendering.fonts), backgrounds(self.rendering.backgrounds)
        image = words.draw(rng, text, faces, shape, self.style, behind)
        rows, lengths = vocabulary.padded([text])
        return {"image": image, "text": rows[0], "text_length": lengths[0]}


def features(width: int) -> dict[str, Feature]:
    """Of images of words with what is to be read."""
    return {
        "image": Feature(Kind.IMAGE, (HEIGHT, width, 1)),
        "text": Feature(Kind.TOKENS, (vocabulary.LONGEST,), vocabulary=vocabulary.SYMBOLS),
        "text_length": Feature(Kind.NUMBER, ()),
    }


def rendering_of(settings: ConfigDict) -> Rendering:
    """What the section `dataset` says of rendered words, checked.

    Raises:
        UserError: an unknown setting, no fonts where they should be, or a number of words that is none.
    """
    given = {name: settings[name] for name in Rendering._fields if name in settings}
    rendering = Rendering(**{**given, "style": settings.get("style", ConfigDict()).to_dict()})
    if rendering.examples < 1:
        raise UserError(f"dataset.examples={rendering.examples} must be at least 1.")
    registry.call(words.Style, "dataset.style", rendering.style)
    fonts.find(rendering.fonts)
    return rendering


SETTINGS = {"width": WIDTH, **Rendering()._asdict(), "style": words.Style()._asdict()}


def width_of(settings: ConfigDict) -> int:
    """`dataset.width`, to which all words are squeezed or stretched."""
    width = settings.get("width", WIDTH)
    if width < HEIGHT // 2:
        raise UserError(f"dataset.width={width} must be at least {HEIGHT // 2} pixels.")
    return int(width)


def rendered(settings: ConfigDict, manual_dir: str | None, number: int, examples: int = 0) -> RenderedWords:
    """The source that the section `dataset` describes; of `examples` words, where this is given.

    Raises:
        UserError: as `rendering_of`, or a text without words.
    """
    rendering = rendering_of(settings)
    list_ = vocabulary.read(rendering.words, manual_dir) if rendering.words else vocabulary.Words()
    return RenderedWords(rendering, list_, width_of(settings), number, examples or rendering.examples)


@functools.lru_cache(maxsize=2)
def backgrounds(folder: str) -> tuple[np.ndarray, ...]:
    """The images of a folder, grey, uint8 [H, W], in the order of their names; none where no folder is given.

    Raises:
        UserError: no such folder, no image in it, or one that can't be decoded.
    """
    from PIL import Image

    if not folder:
        return ()
    root = Path(folder).expanduser()
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".bmp")) if root.is_dir() else []
    if not paths:
        raise UserError(f"dataset.backgrounds={folder}: no images (JPEG, PNG, BMP) are there; leave it out for stains.")
    found = []
    for path in paths[:MOST_BACKGROUNDS]:
        grey = Image.fromarray(decoded(contents(path), 1, path)[:, :, 0])
        if max(grey.size) > SIDE:
            grey.thumbnail((SIDE, SIDE))
        if min(grey.size) >= HEIGHT:
            found.append(np.asarray(grey))
    if not found:
        raise UserError(f"dataset.backgrounds={folder}: all images are smaller than {HEIGHT} pixels.")
    return tuple(found)
