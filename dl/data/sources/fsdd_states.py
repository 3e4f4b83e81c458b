"""Frames of the spoken digits with the states that hidden Markov models of the words give them: what a hybrid system learns.

Each frame, with those around it, is an image, and its label the state of the word's model on the likeliest way (Dahl, Yu, Deng
& Acero 2012, section IV, with states of whole words in place of tied triphones).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from dl import registry
from dl.data.slicing import names_in
from dl.data.sound import extraction, word_models
from dl.data.sources import fsdd
from dl.data.stand_in import labelled
from dl.dataset import Arrays, Dataset, labelled_images
from dl.errors import UserError


class Aligned(NamedTuple):
    """One split: of each utterance the frames float32 [T, D], the digit, and the state of each frame int32 [T]."""

    frames: list[np.ndarray]
    digits: list[int]
    states: list[np.ndarray]


class Prepared(NamedTuple):
    """The models of the words, and the splits that they aligned."""

    models: Mapping[int, Any]
    splits: Mapping[str, Aligned]
    context: int
    states: int


def load_fsdd_states(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`image` uint8 [2 context + 1, D, 1], components squashed to 0..1, and `label`, the state: splits `train` and `test`.

    `dataset.words` are the settings of the models: `states` of a word, `mixtures` of a state and `iterations`;
    `dataset.context` the frames before and after; `dataset.held_out` as for `fsdd`. Fitting takes about a quarter of a minute.

    Raises:
        UserError: as `fsdd`, or a setting out of range.
    """
    found = prepare(settings, manual_dir, names_in(list(settings.splits.values()), list(fsdd.SPLITS)))
    splits = {split: Arrays(images_of(aligned, found)) for split, aligned in found.splits.items()}
    shape = next(iter(splits.values())).features["image"].shape[1:]
    return Dataset(labelled_images("fsdd_states", shape, *_classes(found.states)), splits)


def _classes(states: int) -> tuple[int, tuple[str, ...]]:
    return 10 * states, tuple(f"{digit} {state + 1}" for digit in fsdd.DIGITS for state in range(states))


def prepare(settings: ConfigDict, manual_dir: str | None, wanted: list[str]) -> Prepared:
    """Fits the models to the training split and aligns the splits that are wanted."""
    sound, words, context = _settings(settings)
    parts = fsdd.recorded_splits(settings, manual_dir)
    splits = {}
    for split in dict.fromkeys(["train", *wanted]):
        samples = [r.samples.astype(np.float32) / 2**15 for r in parts[split]]
        frames = extraction.extract(samples, fsdd.RATE, sound, [r.name for r in parts[split]])
        splits[split] = Aligned(frames, [r.digit for r in parts[split]], [])
    models = word_models.fit(splits["train"].frames, splits["train"].digits, words)
    for aligned in splits.values():
        for utterance, digit in zip(aligned.frames, aligned.digits, strict=True):
            aligned.states.append(digit * words.states + word_models.align(models[digit], utterance))
    return Prepared(models, {split: splits[split] for split in wanted}, context, words.states)


def images_of(aligned: Aligned, found: Prepared) -> dict[str, np.ndarray]:
    """The features of all frames of a split, one utterance after another."""
    images = [squashed(word_models.windows(frames, found.context)) for frames in aligned.frames]
    return {"image": np.concatenate(images), "label": np.concatenate(aligned.states).astype(np.int32)}


def squashed(windows: np.ndarray) -> np.ndarray:
    """Components of deviation 1 as uint8 [N, W, D, 1]: 255 times the logistic function, a probability for binary units."""
    return np.round(255 / (1 + np.exp(-windows))).astype(np.uint8)[..., None]


def _settings(settings: ConfigDict) -> tuple[extraction.Settings, word_models.Settings, int]:
    sound = {**SOUND, **settings.get("sound", ConfigDict()).to_dict()}
    found = extraction.check(registry.call(extraction.Settings, "dataset.sound", sound))
    words = registry.read(word_models.Settings, "dataset.words", settings.get("words", ConfigDict()))
    context = settings.get("context", CONTEXT)
    if context < 0:
        raise UserError(f"dataset.context={context}, frames before and after, must not be negative.")
    return found, word_models.check(words), context


CONTEXT = 5
SOUND = {"features": "mfcc", "bands": 24, "deltas": 2}
WORDS = word_models.Settings()._asdict()
PUBLIC = {"fsdd_states": load_fsdd_states}
SETTINGS = {
    "fsdd_states": {
        "context": CONTEXT,
        "held_out": "",
        "words": WORDS,
        "sound": {**extraction.Settings()._asdict(), **SOUND},
    }
}


def _known(settings: ConfigDict) -> Dataset | None:
    """How many frames there are is known where they have 25 ms every 10 ms."""
    sound, words, context = _settings(settings)
    usual, speaker = extraction.Settings(), settings.get("held_out", "")
    if (sound.frame_length, sound.frame_shift) != (usual.frame_length, usual.frame_shift) or speaker not in FRAMES:
        return None
    tested = FRAMES[speaker]
    counts = {"train": TOTAL - tested, "test": tested}
    return labelled("fsdd_states", (2 * context + 1, sound.depth, 1), counts, _classes(words.states)[1])


# Frames in all, and in the test: the takes 0 to 4, or the speaker that is held out.
TOTAL = 97_531
FRAMES = {"": 9_627, "george": 21_090, "jackson": 24_827, "nicolas": 16_462, "theo": 18_440, "yweweler": 16_712}
KNOWN = {"fsdd_states": _known}
