"""Free Spoken Digit Dataset (Jackson et al., version 1.0.9): 10 digits, 5 speakers, 50 takes of each, 8 kHz.

By its official split the takes 0 to 4 are the test; `dataset.held_out` tests on a speaker instead. `dataset.strings` splices
the digits of one speaker to strings of 1 to 7.
"""

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from dl import registry
from dl.data.ragged import RaggedArrays, ragged
from dl.data.slicing import names_in
from dl.data.sound import extraction
from dl.data.sound.reading import as_int16, read_sound
from dl.data.sound.utterances import Utterances, bucketed, described, utterances, vocabulary_of
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.unpacking import zip_member
from dl.dataset import Dataset, Info
from dl.errors import UserError, unknown
from dl.vocabulary import Vocabulary

URL = "https://github.com/Jakobovski/free-spoken-digit-dataset/releases/tag/v1.0.9"
ARCHIVE = Archive("fsdd_v1.0.9_recordings.zip", "3f874886bef66212eb5e8b406cecd01e49bcb56fa7a8d6647b7319f9805ebfdc", URL)
FOLDER, RATE, LIMIT = "spoken_digit", 8000, 1 << 22
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_TAKES, MOST_DIGITS, LONGEST_GAP = 5, 7, 0.15  # the last in seconds, between the digits of a string
SPLITS = {"train": 2250, "test": 250}


class Recording(NamedTuple):
    """One digit; `samples` int16 at 8 kHz."""

    digit: int
    speaker: str
    take: int
    samples: np.ndarray

    @property
    def name(self) -> str:
        """That of its file."""
        return f"{self.digit}_{self.speaker}_{self.take}.wav"


def load_fsdd(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`frames`, `text` (a digit's name), `sound` and `rate`: `train` (2,250) and `test` (250), by take, speaker and digit.

    With `dataset.strings=N` the splits are N and N / 10 strings of digits that follow each other, of one speaker each. The
    string at a position is a function of (`dataset.strings_seed`, split, position).

    Raises:
        UserError: no `manual_dir`, the archive is missing or corrupt, or a setting is out of range.
    """
    sound = _sound(settings)
    count, seed = _strings(settings)
    recordings, splits = recorded_splits(settings, manual_dir), {}
    for split in names_in(list(settings.splits.values()), list(SPLITS)):
        taken = recordings[split]
        parts = [[r] for r in taken]
        if count:
            number = list(SPLITS).index(split)
            parts = [drawn(taken, [seed, number, i]) for i in range(_count(split, count))]
        sounds = [joined(p, [seed, i]) if count else p[0].samples for i, p in enumerate(parts)]
        names = [" ".join(r.name for r in p) for p in parts]
        frames = extraction.extract([s.astype(np.float32) / 2**15 for s in sounds], RATE, sound, names)
        texts = [" ".join(DIGITS[r.digit] for r in p) for p in parts]
        splits[split] = Utterances(frames, texts, names, sounds, RATE)
    vocabulary = vocabulary_of(DIGITS, settings.get("level", "word"))
    return utterances("fsdd", splits, vocabulary, settings.get("buckets", BUCKETS))


def _sound(settings: ConfigDict) -> extraction.Settings:
    found = extraction.check(registry.read(extraction.Settings, "dataset.sound", settings.get("sound", ConfigDict())))
    if found.rate not in (0, RATE):
        raise UserError(f"dataset.sound.rate={found.rate}: the digits have {RATE:,} samples a second; leave it at 0.")
    return found


def _strings(settings: ConfigDict) -> tuple[int, int]:
    count, seed = settings.get("strings", 0), settings.get("strings_seed", 0)
    if count < 0 or seed < 0 or 0 < count < 10:
        raise UserError(f"dataset.strings={count} must be 0 or at least 10, dataset.strings_seed={seed} at least 0.")
    return count, seed


def _count(split: str, strings: int) -> int:
    return strings // 10 if split == "test" else strings


def recorded_splits(settings: ConfigDict, manual_dir: str | None) -> dict[str, list[Recording]]:
    """The recordings of `train` and `test`: the test are the takes 0 to 4, or all of the speaker `dataset.held_out`.

    Raises:
        UserError: no `manual_dir`, the archive is missing or corrupt, or there is no such speaker.
    """
    if not manual_dir:
        raise UserError(f"the spoken digits are read from their archive. {how_to_get(FOLDER, [ARCHIVE])}")
    path = verified(folder_of(FOLDER, manual_dir, [ARCHIVE.name]), [ARCHIVE], FOLDER)[ARCHIVE.name]
    recordings = opened(path, read_recordings)
    speaker, speakers = settings.get("held_out", ""), {r.speaker for r in recordings}
    if speaker and speaker not in speakers:
        raise unknown("speaker for dataset.held_out", speaker, speakers)
    tested = [r.speaker == speaker if speaker else r.take < TEST_TAKES for r in recordings]
    pairs = list(zip(recordings, tested, strict=True))
    return {"train": [r for r, test in pairs if not test], "test": [r for r, test in pairs if test]}


def read_recordings(path: Path) -> list[Recording]:
    """All recordings, by take, speaker and digit, so that slices are balanced.

    Raises:
        ValueError: another number of them than published, or another rate.
    """
    found = []
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if match := re.search(r"(\d)_([a-z]+)_(\d+)\.wav$", name):
                sound = read_sound(io.BytesIO(zip_member(archive, name, LIMIT)), what=name)
                if sound.rate != RATE:
                    raise ValueError(f"{name} has {sound.rate:,} samples a second")
                found.append(Recording(int(match[1]), match[2], int(match[3]), as_int16(sound.samples)))
    if len(found) != sum(SPLITS.values()):
        raise ValueError(f"it holds {len(found):,} recordings of digits, not {sum(SPLITS.values()):,}")
    return sorted(found, key=lambda r: (r.take, r.speaker, r.digit))


def drawn(recordings: Sequence[Recording], numbers: Sequence[int]) -> list[Recording]:
    """1 to 7 recordings of one speaker, as `numbers` (a seed and a position) draw them; all lengths are equally likely."""
    rng = np.random.default_rng(list(numbers))
    speaker = rng.choice(sorted({r.speaker for r in recordings}))
    own = [r for r in recordings if r.speaker == speaker]
    return [own[i] for i in rng.integers(len(own), size=rng.integers(1, MOST_DIGITS + 1))]


def joined(parts: Sequence[Recording], numbers: Sequence[int]) -> np.ndarray:
    """The recordings one after another, int16, between them up to 0.15 s of the faintest noise."""
    rng = np.random.default_rng([*numbers, len(parts)])
    pieces: list[np.ndarray] = []
    for part in parts:
        gap = rng.integers(round(LONGEST_GAP * RATE) + 1) if pieces else 0
        pieces += [rng.integers(-1, 2, gap).astype(np.int16), part.samples]
    return np.concatenate(pieces)


BUCKETS = 3
PUBLIC = {"fsdd": load_fsdd}
SOUND = {**extraction.Settings()._asdict()}
SETTINGS = {"fsdd": {"level": "word", "buckets": BUCKETS, "strings": 0, "strings_seed": 0, "held_out": "", "sound": SOUND}}


def _known(settings: ConfigDict) -> Dataset | None:
    """Digits of 0.43 s, the mean; how long each is, only the files say."""
    if settings.get("level", "word") != "word" or settings.get("held_out", ""):
        return None
    sound, (strings, _) = _sound(settings), _strings(settings)
    vocabulary = Vocabulary(sorted(DIGITS), words=True)
    count = {split: _count(split, strings) if strings else size for split, size in SPLITS.items()}
    splits = {split: _stand_in(size, bool(strings), sound, settings) for split, size in count.items()}
    return Dataset(Info("fsdd", described(sound.depth, vocabulary, True)), splits)


def _stand_in(count: int, strings: bool, sound: extraction.Settings, settings: ConfigDict) -> RaggedArrays:
    length, shift = sound.samples(RATE)
    digits = np.arange(count) % MOST_DIGITS + 1 if strings else np.ones(count, np.int64)
    samples = digits * 3500
    made = {
        "frames": ragged([np.broadcast_to(np.float32(0), (1 + (n - length) // shift, sound.depth)) for n in samples.tolist()]),
        "text": ragged([np.zeros(n, np.int32) for n in digits]),
        "sound": ragged([np.zeros(n, np.int16) for n in samples.tolist()]),
    }
    source = RaggedArrays(bucketed(made, "frames", settings.get("buckets", BUCKETS)))
    source.features["rate"] = np.full(count, RATE, np.int32)
    return source


KNOWN = {"fsdd": _known}
