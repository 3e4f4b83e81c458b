"""Speech of one's own: a folder with `transcripts.tsv` and the sound files that it names."""

from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from dl import registry
from dl.data.sound import extraction
from dl.data.sound.reading import Sound, as_int16, read_sound
from dl.data.sound.utterances import Utterances, utterances, vocabulary_of
from dl.data.sources.text import read_text
from dl.dataset import Dataset
from dl.errors import UserError

TABLE, COLUMNS = "transcripts.tsv", ("file", "text", "split")


class Row(NamedTuple):
    """A line of the table."""

    line: int
    file: str
    text: str
    split: str = "train"


def load_speech(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`frames`, `text`, `sound` and `rate` of the files that `dataset.path`/transcripts.tsv names.

    The table has a line for each utterance, its columns separated by tabs: the path of the file within the folder (WAV, FLAC
    or what else libsndfile reads), what is said in it, and, where there is a third column, its split; without one all are
    `train`, to be sliced. A first line with the names of the columns, `file` and `text`, may give another order. The symbols
    are those of the split `train`. Files of several rates need `dataset.sound.rate`, to which all are resampled.

    Raises:
        UserError: no such folder, a line that is none, a file that is missing or no sound, files of several rates, a symbol
            that the training split lacks.
    """
    if not settings.get("path", ""):
        raise UserError(f"the dataset 'speech' needs dataset.path, a folder with {TABLE}.")
    folder = Path(settings.path).expanduser()
    if not folder.is_dir():
        raise UserError(f"dataset.path: there is no folder {folder}.")
    sound = extraction.check(registry.read(extraction.Settings, "dataset.sound", settings.get("sound", ConfigDict())))
    rows = read_table(folder / TABLE, settings.get("encoding", "utf-8"))
    sounds = read_all(folder, rows, sound.rate)
    if "train" not in {row.split for row in rows}:
        raise UserError(f"{folder / TABLE} has no utterance of the split 'train': its third column names the split of each.")
    splits = {}
    for split in dict.fromkeys(row.split for row in rows):
        chosen = [i for i, row in enumerate(rows) if row.split == split]
        names = [rows[i].file for i in chosen]
        frames = extraction.extract([sounds[i].samples for i in chosen], sounds[0].rate, sound, names)
        samples = [as_int16(sounds[i].samples) for i in chosen]
        splits[split] = Utterances(frames, [rows[i].text for i in chosen], names, samples, sounds[0].rate)
    vocabulary = vocabulary_of(splits["train"].texts, settings.get("level", "character"))
    return utterances("speech", splits, vocabulary, settings.get("buckets", BUCKETS))


def read_table(path: Path, encoding: str = "utf-8") -> list[Row]:
    """The lines of a table of transcripts; empty ones are left out.

    Raises:
        UserError: no such file, a line without a file or a text, or no line at all.
    """
    lines = [(n, line.split("\t")) for n, line in enumerate(read_text(path, encoding).splitlines(), 1) if line.strip()]
    order = list(COLUMNS)
    if lines and {"file", "text"} <= set(lines[0][1]):
        order = [name.strip() for name in lines.pop(0)[1]]
    rows = []
    for number, cells in lines:
        found = {name: cell.strip() for name, cell in zip(order, cells, strict=False) if name in COLUMNS and cell.strip()}
        if not {"file", "text"} <= set(found):
            raise UserError(f"{path}, line {number}: needs a file and its text, separated by a tab.")
        rows.append(Row(number, **found))
    if not rows:
        raise UserError(f"{path} names no file.")
    return rows


def read_all(folder: Path, rows: list[Row], rate: int = 0) -> list[Sound]:
    """The sounds of all rows, of one rate.

    Raises:
        UserError: a file that can't be read, or files of several rates where `rate` is 0.
    """
    sounds: list[Sound] = []
    for row in rows:
        found = read_sound(folder / row.file, rate, f"{folder / row.file} ({TABLE}, line {row.line})")
        if sounds and found.rate != sounds[0].rate:
            raise UserError(
                f"{folder / row.file} has {found.rate:,} samples a second, {rows[0].file} {sounds[0].rate:,}: set "
                f"dataset.sound.rate={max(found.rate, sounds[0].rate)}, to which all are resampled."
            )
        sounds.append(found)
    return sounds


BUCKETS = 4
PUBLIC = {"speech": load_speech}
SETTINGS = {"speech": {"level": "character", "encoding": "utf-8", "buckets": BUCKETS, "sound": extraction.Settings()._asdict()}}
