"""Tones of a telephone's keys (ITU-T Q.23), to try speech recognition on without files: each key is two frequencies."""

import numpy as np
from ml_collections import ConfigDict

from dl import registry
from dl.data.sound import extraction
from dl.data.sound.reading import as_int16
from dl.data.sound.utterances import Utterances, utterances, vocabulary_of
from dl.dataset import Dataset
from dl.errors import UserError

RATE = 8000
ROWS, COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477)  # hertz
KEYS = "123456789*0#"
WORDS = dict(
    zip(KEYS, ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "star", "zero", "hash"), strict=True)
)
MOST_KEYS = 5


def load_dial_tones(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`frames`, `text`, `sound` and `rate` of numbers of 1 to 5 keys: `train` (`dataset.examples`) and `test`, a quarter.

    `dataset.level` "character" writes a number by its keys, "word" by their names.

    Raises:
        UserError: fewer than 4 examples, or a setting of sound out of range.
    """
    examples = settings.get("examples", EXAMPLES)
    if examples < 4:
        raise UserError(f"dataset.examples={examples} must be at least 4.")
    sound = extraction.check(registry.read(extraction.Settings, "dataset.sound", settings.get("sound", ConfigDict())))
    level = settings.get("level", "character")
    splits = {}
    for number, (split, count) in enumerate({"train": examples, "test": examples // 4}.items()):
        dialled = [dial(np.random.default_rng([number, i])) for i in range(count)]
        frames = extraction.extract([samples for samples, _ in dialled], RATE, sound)
        texts = [" ".join(WORDS[k] for k in keys) if level == "word" else keys for _, keys in dialled]
        sounds = [as_int16(samples) for samples, _ in dialled]
        splits[split] = Utterances(frames, texts, [f"number {i}" for i in range(count)], sounds, RATE)
    names = WORDS.values() if level == "word" else KEYS
    return utterances("dial_tones", splits, vocabulary_of(list(names), level), settings.get("buckets", BUCKETS))


def dial(rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """Samples float32 [N] in -1..1 of a drawn number, with pauses and a little noise, and its keys."""
    keys = "".join(rng.choice(list(KEYS), rng.integers(1, MOST_KEYS + 1)))
    pieces = [np.zeros(rng.integers(400, 800))]
    for key in keys:
        pieces += [tone(key, int(rng.integers(480, 800))), np.zeros(rng.integers(320, 640))]
    samples = np.concatenate(pieces)
    return (samples + 0.002 * rng.standard_normal(len(samples))).astype(np.float32), keys


def tone(key: str, count: int) -> np.ndarray:
    """So many samples of a key's tone, of amplitude 0.5."""
    row, column = divmod(KEYS.index(key), len(COLUMNS))
    time = np.arange(count) / RATE
    return 0.25 * (np.sin(2 * np.pi * ROWS[row] * time) + np.sin(2 * np.pi * COLUMNS[column] * time))


EXAMPLES, BUCKETS = 400, 2
PUBLIC = {"dial_tones": load_dial_tones}
SETTINGS = {
    "dial_tones": {"level": "character", "examples": EXAMPLES, "buckets": BUCKETS, "sound": extraction.Settings()._asdict()}
}
