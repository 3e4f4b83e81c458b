"""Scenes composed of rendered words, without end, for the detection of text."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dl import registry
from dl.data.rendering import fonts, vocabulary, words
from dl.data.rendering.scenes import Scenery, compose
from dl.data.rendering.sources import SETTINGS as RENDERED_SETTINGS
from dl.data.rendering.sources import Rendering, backgrounds, rendering_of
from dl.data.streaming import stacked
from dl.dataset import Dataset, Feature, Info, Kind
from dl.errors import UserError

SIDE, EXAMPLES, TESTED = 160, 20_000, 200
STEP = 32  # pixels: a side is a multiple of it, for networks that halve it five times


class RenderedScenes:
    """Scenes that are composed when they are asked for: `image` uint8 [S, S, 1], `words` float32 [most, 5] (see
    `dl.data.rendering.scenes`), `words_length`, `text` int32 [most, 24] and `text_length` [most].

    `draw` makes a new scene of each example's random numbers; `gather` those of a fixed list.
    """

    resident = False

    def __init__(self, rendering: Rendering, list_: vocabulary.Words, side: int, scenery: Scenery, number: int, examples: int):
        self.rendering, self.words, self.side, self.scenery = rendering, list_, side, scenery
        self.style = words.Style(**rendering.style)
        self.number, self.examples = number, examples

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
        """The scene that these uniform uint64 numbers, two or more, decide; without any, that of the fixed list."""
        if numbers is None:
            numbers = np.random.SeedSequence([self.number, index]).generate_state(2, np.uint64)
        rng = np.random.Generator(np.random.Philox(key=numbers[:2]))
        faces, behind = fonts.faces(self.rendering.fonts), backgrounds(self.rendering.backgrounds)
        scene = compose(rng, self.words, faces, self.side, self.scenery, self.style, behind)
        count, most = len(scene.texts), self.scenery.most
        boxes = np.zeros((most, 5), np.float32)
        boxes[:count] = scene.boxes
        rows, lengths = vocabulary.padded([*scene.texts, *[""] * (most - count)])
        return {
            "image": scene.image,
            "words": boxes,
            "words_length": np.array(count, np.int32),
            "text": rows,
            "text_length": lengths,
        }


def features(side: int, most: int) -> dict[str, Feature]:
    """Of scenes."""
    return {
        "image": Feature(Kind.IMAGE, (side, side, 1)),
        "words": Feature(Kind.NUMBER, (most, 5)),
        "words_length": Feature(Kind.NUMBER, ()),
        "text": Feature(Kind.TOKENS, (most, vocabulary.LONGEST), vocabulary=vocabulary.SYMBOLS),
        "text_length": Feature(Kind.NUMBER, (most,)),
    }


def load_rendered_scenes(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`train`: every example of every epoch is a new scene; `dataset.examples` make an epoch. `test`: 200 fixed ones.

    Raises:
        UserError: a setting that there is not or is out of range, no fonts where they should be, or a text without words.
    """
    side = settings.get("side", SIDE)
    if side < STEP or side % STEP:
        raise UserError(f"dataset.side={side} must be a multiple of {STEP} pixels.")
    scenery: Scenery = registry.read(Scenery, "dataset.scenery", settings.get("scenery", ConfigDict()))
    low, high = scenery.heights
    if scenery.most < 1 or not 4 <= low <= high <= side / 2:
        raise UserError(
            f"dataset.scenery: most={scenery.most} must be at least 1, heights={scenery.heights} rise from 4 to {side // 2}."
        )
    rendering = rendering_of(settings)
    list_ = vocabulary.read(rendering.words, manual_dir) if rendering.words else vocabulary.Words()
    train = RenderedScenes(rendering, list_, side, scenery, 0, rendering.examples)
    test = RenderedScenes(rendering, list_, side, scenery, 1, TESTED)
    return Dataset(Info("rendered_scenes", features(side, scenery.most)), {"train": train, "test": test})


OWN: dict[str, Any] = {"side": SIDE, "examples": EXAMPLES, "scenery": Scenery()._asdict()}
PUBLIC = {"rendered_scenes": load_rendered_scenes}
SETTINGS: Mapping[str, Mapping[str, object]] = {
    "rendered_scenes": {**{name: value for name, value in RENDERED_SETTINGS.items() if name != "width"}, **OWN}
}
