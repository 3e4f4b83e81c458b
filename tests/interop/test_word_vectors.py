"""Files of word vectors, as word2vec and GloVe write them."""

import gzip
import struct

import numpy as np
import pytest

from dl.errors import UserError
from dl.evaluation.word_vectors import WordVectors
from dl.interop import word_vectors as files

WORDS = ("the", "été", "New_York", "1.5")
VECTORS = WordVectors(WORDS, np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))
# By hand, as distance.c reads it: the number of words, that of dimensions; a word, a blank, floats, a line's end.
BINARY = (
    b"2 3\n" + b"a " + struct.pack("<3f", 1, 2, 3) + b"\n" + "é".encode() + b" " + struct.pack("<3f", -1, 0.5, 1e-3) + b"\n"
)
GLOVE = b"a 1 2 3\n" + "é".encode() + b" -1 0.5 1e-3\n"


def written(tmp_path, content, name="vectors"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        BINARY,
        BINARY.replace(b"\n" + "é".encode(), "é".encode()),
        b"2 3\n" + GLOVE,
        GLOVE,
        gzip.compress(BINARY),
        gzip.compress(GLOVE),
    ],
    ids=["binary", "binary without line ends", "text", "glove", "binary.gz", "glove.gz"],
)
def test_published_formats(tmp_path, content):
    found = files.read(written(tmp_path, content))
    assert found.words == ("a", "é")
    np.testing.assert_array_equal(found.vectors, np.float32([[1, 2, 3], [-1, 0.5, 1e-3]]))


@pytest.mark.parametrize("kind", files.FORMATS)
def test_what_is_written_is_read_again(tmp_path, kind):
    found = files.read(files.write(tmp_path / "file", VECTORS, kind))
    assert found.words == WORDS
    np.testing.assert_array_equal(found.vectors, VECTORS.vectors)


def test_the_bytes_of_a_file(tmp_path):
    two = WordVectors(("a", "é"), np.float32([[1, 2, 3], [-1, 0.5, 1e-3]]))
    assert files.write(tmp_path / "v.bin", two).read_bytes() == BINARY
    assert files.write(tmp_path / "v.txt", two).read_text() == "a 1.0 2.0 3.0\né -1.0 0.5 0.001\n"


@pytest.mark.parametrize("kind", files.FORMATS)
def test_a_part_of_a_file(tmp_path, kind):
    path = files.write(tmp_path / "file", VECTORS, kind)
    assert files.read(path, most=2).words == WORDS[:2]
    some = files.read(path, wanted=("1.5", "été", "nothing"))
    assert some.words == ("été", "1.5")
    np.testing.assert_array_equal(some.vectors, VECTORS.vectors[[1, 3]])
    with pytest.raises(UserError, match="no vector of the words asked for"):
        files.read(path, wanted=("nothing",))


def test_a_word_of_glove_may_hold_blanks(tmp_path):
    assert files.read(written(tmp_path, b"a 1 2 3\nat a place 4 5 6\n")).words == ("a", "at a place")


@pytest.mark.parametrize(
    "content, says",
    [
        (BINARY[:-6], "ends in the middle of the vector of word 2"),
        (b"9" + BINARY[1:], "word 3 can't be read"),
        (b"2 0\n", "0 dimensions"),
        (b"3 3\n" + GLOVE, "it is cut off"),
        (GLOVE + b"b 1 2\n", "word 3: a word and 3 numbers"),
        (GLOVE + b"b 1 2 3 4\n", "word 3: it has 4 numbers, and others have 3"),
        (GLOVE + b"b 1 nan 3\n", "vector of 'b' holds a number that is not finite"),
        (b"To be, or not to be\n", "holds no vectors of words"),
        (b"", "holds no vectors of words"),
        (gzip.compress(BINARY, mtime=0)[:-12], "can't be read"),
    ],
)
def test_damaged_files(tmp_path, content, says):
    with pytest.raises(UserError, match=says):
        files.read(written(tmp_path, content))


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match="'New York' cannot be written"):
        files.write(tmp_path / "v.bin", WordVectors(("New York",), np.ones((1, 2), np.float32)))
    with pytest.raises(UserError, match="can't be read"):
        files.read(tmp_path / "nothing")
    with pytest.raises(UserError, match="can't be written"):
        files.write(tmp_path / "no" / "folder", VECTORS)
