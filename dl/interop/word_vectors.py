r"""Vectors of words in files, in the formats of word2vec and GloVe, in and out, whole or in part.

    word2vec, binary   "V D\n", then V times: the word, a blank, D float32 (little-endian), perhaps "\n"
    word2vec, text     "V D\n", then V lines: the word and D numbers, divided by blanks
    GloVe              V lines: the word and D numbers, divided by blanks

What a file is, is found out from how it begins. Published files compressed by gzip are read as they are.
"""

import gzip
import io
import itertools
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dl.errors import UserError, unknown
from dl.evaluation.word_vectors import WordVectors

FORMATS = ("word2vec", "word2vec_text", "glove")
LONGEST_WORD, WIDEST = 4096, 100_000  # bytes; dimensions
LINE = 1 << 22  # bytes of a line at most


class Header(NamedTuple):
    """Format of a file; how many words and dimensions it says it has, -1 where it does not say."""

    kind: str
    words: int
    dimensions: int


def read(path: Path, most: int = 0, wanted: Collection[str] = ()) -> WordVectors:
    """Reads a file of vectors; of a word that comes twice, the first.

    Args:
        path: of the file; `.gz` is unpacked on the way.
        most: only the first so many words, the most frequent in published files; 0 is all.
        wanted: only these words; () is all. What is not wanted is never kept in memory.

    Raises:
        UserError: the file can't be read, is damaged, holds lines of different lengths, or none of the words.
    """
    try:
        with _open(path) as file:
            found = _collected(_entries(file, path), most, frozenset(wanted))
    except (OSError, EOFError) as error:
        raise UserError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}.") from error
    if not found:
        raise UserError(f"{path} holds no vector{' of the words asked for' if wanted else ''}.")
    vectors = np.stack(list(found.values()))
    if not np.isfinite(vectors).all():
        word = list(found)[int(np.argwhere(~np.isfinite(vectors))[0, 0])]
        raise UserError(f"{path}: the vector of {word!r} holds a number that is not finite.")
    return WordVectors(tuple(found), vectors)


def _open(path: Path) -> io.BufferedReader:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return io.BufferedReader(gzip.open(path, "rb")) if packed else path.open("rb")


def _collected(entries: Iterator[tuple[str, np.ndarray]], most: int, wanted: frozenset[str]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for word, vector in itertools.islice(entries, most or None):
        if not wanted or word in wanted:
            found.setdefault(word, vector)
        if wanted and len(found) == len(wanted):
            break
    return found


def _entries(file: io.BufferedReader, path: Path) -> Iterator[tuple[str, np.ndarray]]:
    header = _header(file, path)
    return _binary(file, header, path) if header.kind == "word2vec" else _text(file, header, path)


def _header(file: io.BufferedReader, path: Path) -> Header:
    """What a file is; the file is left where its words begin."""
    first = file.readline(LINE)
    fields = first.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        dimensions = len(first.rstrip().split(b" ")) - 1
        if dimensions < 1 or not _are_numbers(first.rstrip().split(b" ")[1:]):
            raise UserError(f"{path} holds no vectors of words: it begins neither like word2vec's files nor like GloVe's.")
        file.seek(0)
        return Header("glove", -1, dimensions)
    words, dimensions = map(int, fields)
    if not 1 <= dimensions <= WIDEST:
        raise UserError(f"{path} says that its vectors have {dimensions:,} dimensions: it is damaged, or no file of vectors.")
    begin = file.tell()
    parts = file.readline(LINE).rstrip(b" \r\n").split(b" ")
    file.seek(begin)
    is_text = len(parts) == dimensions + 1 and _are_numbers(parts[1:])
    return Header("word2vec_text" if is_text else "word2vec", words, dimensions)


def _are_numbers(fields: list[bytes]) -> bool:
    try:
        [float(field) for field in fields]
    except ValueError:
        return False
    return True


def _binary(file: io.BufferedReader, header: Header, path: Path) -> Iterator[tuple[str, np.ndarray]]:
    for number in range(header.words):
        word = bytearray()
        while (byte := file.read(1)) != b" ":
            if not byte or len(word) > LONGEST_WORD:
                raise UserError(f"{path} is damaged: it says {header.words:,} words, and word {number + 1:,} can't be read.")
            if byte != b"\n" or word:  # some programs end each vector with a line feed, others do not
                word += byte
        content = file.read(4 * header.dimensions)
        if len(content) < 4 * header.dimensions:
            raise UserError(f"{path} ends in the middle of the vector of word {number + 1:,} of {header.words:,}.")
        yield word.decode("utf-8", "replace"), np.frombuffer(content, "<f4").astype(np.float32)


def _text(file: io.BufferedReader, header: Header, path: Path) -> Iterator[tuple[str, np.ndarray]]:
    count = 0
    for count, line in enumerate(file, start=1):
        fields = line.rstrip(b" \r\n").split(b" ")
        # The word itself may hold blanks, as a few of GloVe's do.
        word, numbers = b" ".join(fields[: -header.dimensions]), fields[-header.dimensions :]
        if not word or not _are_numbers(numbers):
            raise UserError(
                f"{path}, word {count:,}: a word and {header.dimensions} numbers are expected, as in its other lines."
            )
        if header.dimensions + 1 < len(fields) and _are_numbers(fields[1:]):
            raise UserError(f"{path}, word {count:,}: it has {len(fields) - 1} numbers, and others have {header.dimensions}.")
        yield word.decode("utf-8", "replace"), np.array(numbers, np.float32)
    if header.words > count:
        raise UserError(f"{path} says {header.words:,} words, and holds {count:,}: it is cut off.")


def write(path: Path, vectors: WordVectors, kind: str = "") -> Path:
    """Writes a file of vectors; numbers in text are as long as float32 needs. Returns the file.

    Args:
        path: of the file.
        vectors: whose words hold no blanks.
        kind: one of `FORMATS`; "" is `word2vec` where the name ends in .bin, `glove` otherwise.

    Raises:
        UserError: an unknown format, a word that the format cannot hold, or a file that can't be written.
    """
    kind = kind or ("word2vec" if path.suffix == ".bin" else "glove")
    if kind not in FORMATS:
        raise unknown("format of vectors", kind, FORMATS)
    for word in vectors.words:
        if not word or any(blank in word for blank in " \n\r"):
            raise UserError(f"the word {word!r} cannot be written to {path}: blanks divide the words there.")
    head = f"{len(vectors.words)} {vectors.vectors.shape[1]}\n".encode() if kind != "glove" else b""
    try:
        with path.open("wb") as file:
            file.write(head)
            for word, vector in zip(vectors.words, vectors.vectors.astype(np.float32), strict=True):
                numbers = vector.astype("<f4").tobytes() if kind == "word2vec" else " ".join(map(str, vector)).encode()
                file.write(word.encode() + b" " + numbers + b"\n")
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror or error}.") from error
    return path
