"""Texts: files of one's own and their mistakes, the vocabulary, tiny Shakespeare and the Penn Treebank as published."""

import encodings.aliases
import shutil
import zipfile

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data.load import load
from dl.errors import UserError
from dl.vocabulary import Vocabulary


def settings(name="text", splits=None, **rest):
    return ConfigDict({"name": name, "splits": splits or {"train": "train[:90%]", "test": "train[90%:]"}, **rest})


def decoded(dataset, split):
    return dataset.info.features["token"].vocabulary.decode(dataset.splits[split].features["token"])


def names(dataset):
    return dataset.info.features["token"].vocabulary.names


def test_a_file_of_ones_own_is_sliced_by_characters(tmp_path):
    content = "Größe: μ = 3,\n" * 10
    (tmp_path / "my.txt").write_text(content, encoding="utf-8")
    dataset = load(settings(path=str(tmp_path / "my.txt")))
    assert decoded(dataset, "train") == content[:126] and decoded(dataset, "test") == content[126:]
    assert names(dataset) == tuple(sorted(set(content)))
    assert len(names(dataset)) == len(set(content))
    assert dataset.splits["train"].features["token"].dtype == np.uint8


def test_words_end_lines_and_are_numbered_from_the_most_frequent(tmp_path):
    (tmp_path / "my.txt").write_text("b a b\nb  c a\n")
    dataset = load(settings(path=str(tmp_path / "my.txt"), level="word", splits={"train": "train"}))
    assert names(dataset) == ("b", "<eos>", "a", "c")
    np.testing.assert_array_equal(dataset.splits["train"].features["token"], [0, 2, 0, 1, 0, 3, 2, 1])
    assert decoded(dataset, "train") == "b a b\nb c a"


def test_subwords_of_lines_are_read_back(tmp_path):
    """What stands between two lines is one symbol; parts of words are others."""
    text = "the lower the better\nlowest low\n\nnewer news\n" * 20
    (tmp_path / "my.txt").write_text(text)
    dataset = load(settings(path=str(tmp_path / "my.txt"), level="subword", vocabulary_size=24, splits={"train": "train"}))
    vocabulary, tokens = dataset.info.features["token"].vocabulary, dataset.splits["train"].features["token"]
    assert (
        len(vocabulary) <= 24 and (tokens == vocabulary.stop).sum() == text.count("\n") and vocabulary.start == vocabulary.stop
    )
    assert vocabulary.decode(tokens) == text.removesuffix("\n")
    np.testing.assert_array_equal(
        vocabulary.encode("the low\nnew"), [*vocabulary.encode("the low"), vocabulary.stop, *vocabulary.encode("new")]
    )
    assert len(tokens) < len(text)
    with pytest.raises(UserError, match=r"unknown dataset\.level 'subword'"):
        load(settings("ptb", level="subword"), manual_dir=str(tmp_path))


def test_files_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "my.txt"
    with pytest.raises(UserError, match="can't be read"):
        load(settings(path=str(path)))
    with pytest.raises(UserError, match=r"needs dataset\.path"):
        load(settings(path=""))
    path.write_text(" \n")
    with pytest.raises(UserError, match="empty"):
        load(settings(path=str(path)))
    path.write_bytes("Größe".encode("latin-1"))
    with pytest.raises(UserError, match=r"not utf-8 text: byte 2 is 0xf6.*dataset\.encoding=latin-1"):
        load(settings(path=str(path)))
    assert "ö" in names(load(settings(path=str(path), encoding="latin-1")))
    with pytest.raises(UserError, match="'latin1000' is not an encoding"):
        load(settings(path=str(path), encoding="latin1000"))
    with pytest.raises(UserError, match=r"unknown dataset\.level 'words'.*'word'"):
        load(settings("sonnets", level="words"))


@pytest.mark.parametrize("encoding", ["undefined", "hex", "rot13", "utf-8\0", "", "idna"])
def test_encodings_that_are_none(tmp_path, encoding):
    path = tmp_path / "my.txt"
    path.write_bytes("Größe.\n".encode() * 10)
    with pytest.raises(UserError, match=r"is not an encoding of texts|is not idna text") as raised:
        load(settings(path=str(path), encoding=encoding))
    assert "\n" not in str(raised.value)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_every_encoding_of_python_reads_or_is_refused(tmp_path):
    path = tmp_path / "my.txt"
    path.write_bytes(bytes(range(256)) * 2)
    for encoding in sorted(set(encodings.aliases.aliases.values()) | {"raw_unicode_escape", "unicode_escape", "undefined"}):
        try:
            assert "".join(names(load(settings(path=str(path), encoding=encoding)))).encode()
        except UserError as error:
            assert "\n" not in str(error)


def test_half_a_character_is_no_text(tmp_path):
    (tmp_path / "my.txt").write_text(r"a \ud800 b")
    with pytest.raises(UserError, match="holds half of a character in raw_unicode_escape"):
        load(settings(path=str(tmp_path / "my.txt"), encoding="raw_unicode_escape"))


def test_words_of_one_letter_are_words(tmp_path):
    (tmp_path / "my.txt").write_text("b a b c a b")
    dataset = load(settings(path=str(tmp_path / "my.txt"), level="word", splits={"train": "train"}))
    assert names(dataset) == ("b", "a", "c") and dataset.info.features["token"].vocabulary.words is True
    assert decoded(dataset, "train") == "b a b c a b"
    letters = load(settings(path=str(tmp_path / "my.txt"), splits={"train": "train"}))
    assert names(letters) == (" ", "a", "b", "c") and letters.info.features["token"].vocabulary.words is False
    words, characters = Vocabulary(("b", "a"), words=True), Vocabulary(("ab", "c"), words=False)
    np.testing.assert_array_equal(words.encode("a b\ta"), [1, 0, 1])
    assert words.decode([1, 0]) == "a b" and characters.decode([0, 1]) == "abc"
    assert Vocabulary(("b", "a")).words is False and Vocabulary(("b", "ab")).words is True  # of those who do not say it


def test_a_blank_line_is_a_blank_line():
    words = Vocabulary(("<eos>", "a", "b"), words=True)
    for text in ("a b\n\nb", "a\n\n\nb\na", "a"):
        assert words.decode(words.encode(text)) == text
    assert words.decode([0, 0, 1, 0, 0]) == "\na\n"  # less one at either end
    assert words.decode([0]) == "" and words.decode([]) == ""


def test_line_ends_of_windows_and_a_byte_order_mark_are_left_out(tmp_path):
    (tmp_path / "my.txt").write_bytes(b"\xef\xbb\xbfab\r\nab\r\n" * 1 + b"ab\r\n" * 8)
    assert names(load(settings(path=str(tmp_path / "my.txt")))) == ("\n", "a", "b")


def test_a_prompt_of_unknown_symbols_names_them():
    characters, words = Vocabulary(("\n", " ", "a", "b")), Vocabulary(("<eos>", "the", "theory"))
    np.testing.assert_array_equal(characters.encode("ab a"), [2, 3, 1, 2])
    with pytest.raises(UserError, match=r"characters that the model has never seen: 'ä', '€'\. It knows 'ab'"):
        characters.encode("aä€")
    with pytest.raises(UserError, match=r"a word that the model has never seen: 'theori'\. It knows 'theory'"):
        words.encode("the theori")
    assert (characters.start, words.start, Vocabulary(("x", "y")).start) == (0, 0, 0)
    assert words.decode(words.encode("the theory\nthe")) == "the theory\nthe"


def test_the_penn_treebank_has_the_published_counts(shared_data, tmp_path):
    splits = {"train": "train", "validation": "validation", "test": "test"}
    dataset = load(settings("ptb", splits), manual_dir=str(shared_data))
    assert [len(dataset.splits[name]) for name in splits] == [929589, 73760, 82430]
    assert len(names(dataset)) == 10000
    assert decoded(dataset, "test").startswith("no it was n't black monday\nbut while")
    # The three files out of the archive, and Mikolov's archive, hold the same.
    folder = tmp_path / "ptb"
    with zipfile.ZipFile(shared_data / "ptb" / "ptb.zip") as archive:
        archive.extractall(tmp_path)
    again = load(settings("ptb", {"test": "test"}), manual_dir=str(tmp_path))
    np.testing.assert_array_equal(again.splits["test"].features["token"], dataset.splits["test"].features["token"])
    (tmp_path / "make" / "simple-examples").mkdir(parents=True)
    folder.rename(tmp_path / "make" / "simple-examples" / "data")
    folder.mkdir()
    shutil.make_archive(str(folder / "simple-examples"), "gztar", tmp_path / "make", "./simple-examples")
    (folder / "simple-examples.tar.gz").rename(folder / "simple-examples.tgz")
    again = load(settings("ptb", {"test": "test"}), manual_dir=str(tmp_path))
    np.testing.assert_array_equal(again.splits["test"].features["token"], dataset.splits["test"].features["token"])


def test_a_missing_treebank_says_where_to_put_it(tmp_path):
    with pytest.raises(UserError, match=r"Put DIR/ptb/simple-examples\.tgz and give --manual_dir=DIR"):
        load(settings("ptb", {"train": "train"}))
    with pytest.raises(UserError, match=r"ptb lacks simple-examples\.tgz"):
        load(settings("ptb", {"train": "train"}), manual_dir=str(tmp_path))


def test_tiny_shakespeare_has_its_65_characters(shared_data):
    dataset = load(settings("tiny_shakespeare"), manual_dir=str(shared_data))
    assert len(dataset.splits["train"]) + len(dataset.splits["test"]) == 1115394
    assert len(names(dataset)) == 65
    assert decoded(dataset, "train").startswith("First Citizen:\nBefore we proceed")


def test_tiny_shakespeare_prepared_as_tfds_does_is_the_same_text(shared_data, tmp_path):
    direct = load(settings("tiny_shakespeare"), manual_dir=str(shared_data))
    load(settings("tiny_shakespeare"), data_dir=str(tmp_path), manual_dir=str(shared_data))
    assert (tmp_path / "tiny_shakespeare" / "1.0.0" / "dataset_info.json").is_file()
    prepared = load(settings("tiny_shakespeare"), data_dir=str(tmp_path))
    assert prepared.info == direct.info
    for split in ("train", "test"):
        np.testing.assert_array_equal(
            prepared.splits[split].features["token"], direct.splits[split].features["token"], err_msg=split
        )


def test_tiny_shakespeare_that_is_nowhere_says_how_to_get_it(tmp_path):
    with pytest.raises(UserError, match=r"no network.*tiny_shakespeare/input\.txt and give --manual_dir"):
        load(settings("tiny_shakespeare"), data_dir=str(tmp_path))
