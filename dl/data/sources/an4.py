"""AN4 (Acero 1990; Carnegie Mellon University): names, addresses and telephone numbers, spelled and spoken, as cepstra.

Of each utterance the 13 cepstra of CMU Sphinx stand at 100 frames a second: 16 kHz, 40 filters from 130 to 6,800 Hz. A file is
the number of its values, int32, then these as float32, both big-endian.
"""

import zipfile
from functools import partial
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl import registry
from dl.data.ragged import RaggedArrays, ragged
from dl.data.slicing import names_in
from dl.data.sound import extraction
from dl.data.sound.utterances import Utterances, bucketed, described, utterances, vocabulary_of
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.unpacking import zip_member
from dl.dataset import Dataset, Info
from dl.errors import UserError
from dl.vocabulary import Vocabulary

ARCHIVE = Archive("an4_mfcc.zip", "d0fd409a8c0f8285b9f8643dc7bc96ed86f5b34719748e40f7448a12f9eb140f")
FOLDER, LIMIT, DEPTH = "an4_mfcc", 1 << 22, 13
SPLITS = {"train": 948, "test": 130}
LETTERS = " ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def load_an4(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`frames` [T, 13] (more with deltas) and `text` [U]: `train` (948 utterances) and `test` (130), in the lists' order.

    TFDS has no builder of this set, so it is read from `manual_dir/an4_mfcc` (or `manual_dir` itself) alone.

    Raises:
        UserError: no `manual_dir`, the archive is missing or corrupt, or a setting is out of range.
    """
    if not manual_dir:
        raise UserError(f"the dataset 'an4' is read from its archive. {how_to_get(FOLDER, [ARCHIVE])}")
    sound = _sound(settings)
    wanted = names_in(list(settings.splits.values()), list(SPLITS))
    path = verified(folder_of(FOLDER, manual_dir, [ARCHIVE.name]), [ARCHIVE], FOLDER)[ARCHIVE.name]
    texts = opened(path, lambda p: {split: transcripts(p, split) for split in SPLITS})
    splits = {}
    for split in wanted:
        frames = extraction.refine(opened(path, partial(cepstra, split)), sound)
        splits[split] = Utterances(frames, list(texts[split].values()), list(texts[split]))
    vocabulary = vocabulary_of(list(texts["train"].values()), settings.get("level", "character"))
    return utterances("an4", splits, vocabulary, settings.get("buckets", BUCKETS))


def _sound(settings: ConfigDict) -> extraction.Settings:
    """Of the settings of sound only those that change cepstra: `deltas` and `normalise`."""
    given = settings.get("sound", ConfigDict())
    found = registry.call(extraction.Settings, "dataset.sound", {**SOUND, **given.to_dict()}, features="mfcc")
    return extraction.check(found)


def transcripts(path: Path, split: str) -> dict[str, str]:
    """Path of an utterance (`an4_clstk/fash/cen1-fash-b`) -> what was said, in the archive's order."""
    with zipfile.ZipFile(path) as archive:
        names = zip_member(archive, f"an4/etc/an4_{split}.fileids", LIMIT).decode().split()
        lines = zip_member(archive, f"an4/etc/an4_{split}.transcription", LIMIT).decode().splitlines()
    found = {}
    for name, line in zip(names, (line for line in lines if line.strip()), strict=True):
        text, _, utterance = line.strip().removesuffix(")").rpartition("(")
        if utterance != name.rpartition("/")[2]:
            raise ValueError(f"the transcript of {name} is that of {utterance}")
        found[name] = text.strip()
    return found


def cepstra(split: str, path: Path) -> list[np.ndarray]:
    """The frames float32 [T, 13] of each utterance, in the order of `transcripts`."""
    with zipfile.ZipFile(path) as archive:
        names = zip_member(archive, f"an4/etc/an4_{split}.fileids", LIMIT).decode().split()
        return [parse_cepstra(zip_member(archive, f"an4/feat/{name}.mfc", LIMIT), name) for name in names]


def parse_cepstra(content: bytes, name: str) -> np.ndarray:
    """The frames [T, 13] of a Sphinx feature file.

    Raises:
        ValueError: its length is not what its header says, or no multiple of 13.
    """
    count = int.from_bytes(content[:4], "big")
    if len(content) != 4 + 4 * count or count % DEPTH or not count:
        raise ValueError(f"{name} does not hold the {count:,} numbers that its header says")
    return np.frombuffer(content, ">f4", offset=4).reshape(-1, DEPTH).astype(np.float32)


BUCKETS = 4
SOUND = {"deltas": 0, "normalise": True}
PUBLIC = {"an4": load_an4}
SETTINGS = {"an4": {"level": "character", "buckets": BUCKETS, "sound": SOUND}}


def _known(settings: ConfigDict) -> Dataset | None:
    """Utterances of the lengths that are published as quantiles; how long each is, only the files say."""
    if settings.get("level", "character") != "character":
        return None
    vocabulary = Vocabulary(LETTERS, words=False)
    depth = DEPTH * (_sound(settings).deltas + 1)
    splits = {split: _stand_in(*QUANTILES[split], count, depth, settings) for split, count in SPLITS.items()}
    return Dataset(Info("an4", described(depth, vocabulary, False)), splits)


# The least, the quartiles and the most of the frames of an utterance, and the longest transcript.
QUANTILES = {"train": ((69, 179, 249, 339, 639), 57), "test": ((69, 199, 249, 344, 619), 46)}


def _stand_in(sizes: tuple[int, ...], longest: int, count: int, depth: int, settings: ConfigDict) -> RaggedArrays:
    frames = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(sizes)), sizes).astype(np.int64)
    symbols = np.maximum(frames * longest // sizes[-1], 1)
    made = {
        "frames": ragged([np.broadcast_to(np.float32(0), (size, depth)) for size in frames]),
        "text": ragged([np.zeros(size, np.int32) for size in symbols]),
    }
    return RaggedArrays(bucketed(made, "frames", settings.get("buckets", BUCKETS)))


KNOWN = {"an4": _known}
