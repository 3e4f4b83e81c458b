"""Words drawn with fonts: a function of their numbers, with the symbols that are to be read, and one line for what is wrong."""

import lzma
import string

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data.load import load
from dl.data.rendering import fonts, vocabulary, words
from dl.data.rendering.sources import backgrounds
from dl.data.streaming import Readers, Streamed
from dl.errors import UserError

FACE = fonts.face(fonts.EMBEDDED)


def config(**more):
    return ConfigDict({"name": "rendered_words", "splits": {"train": "train", "test": "test"}, "fonts": "embedded", **more})


def numbers(count, seed=0):
    return np.random.Philox(seed).random_raw(2 * count).reshape(count, 2)


def test_an_image_is_a_function_of_its_numbers_alone():
    source = load(config()).splits["train"].source
    first, again = source.draw(np.arange(4), numbers(4)), source.draw(np.arange(4)[::-1], numbers(4))
    assert first["image"].shape == (4, 32, 100, 1) and first["image"].dtype == np.uint8
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert not (first["image"] == source.draw(np.arange(4), numbers(4, 1))["image"]).all()
    by_threads = Streamed(source, Readers(threads=3)).draw(np.arange(4), numbers(4))
    np.testing.assert_array_equal(by_threads["image"], first["image"])


def test_evaluation_sees_fixed_words_and_other_ones_than_another_split():
    splits = load(config(examples=1000)).splits
    test, train = (splits[name].gather(np.array([3, 5])) for name in ("test", "train"))
    np.testing.assert_array_equal(test["image"], splits["test"].gather(np.array([3, 5]))["image"])
    assert not (test["image"] == train["image"]).all()
    assert splits["test"].source.stored(np.array([3])) == [test["image"][0].tobytes()]


def test_a_plain_word_looks_as_the_font_has_it():
    """Without any distortion the image is the line of text, stretched to its size."""
    plain = words.Style(0, 0, 0, 0, 0, 0, 0, 0.5, 0, 0, 0)
    line = {c: glyph for c, glyph in FACE.items() if c in "HIL"}
    image = words.draw(np.random.Generator(np.random.Philox(3)), "HILL", [line], (32, 100), plain)[:, :, 0].astype(float)
    wanted = np.asarray(Image.fromarray(fonts.set_in(FACE, "HILL")).resize((100, 32), Image.Resampling.BILINEAR), float)
    assert abs(np.corrcoef(image.ravel(), wanted.ravel())[0, 1]) > 0.9


def test_a_line_of_text_is_as_wide_as_its_letters():
    h = FACE["H"]
    one, three = fonts.set_in(FACE, "H"), fonts.set_in(FACE, "HHH", gap=5.0)
    assert abs(one.shape[1] - (h.pixels > 64).any(0).sum()) <= 1
    assert abs(three.shape[1] - one.shape[1] - 2 * (h.advance + 5)) <= 2
    np.testing.assert_array_equal(fonts.set_in(FACE, "H\U0001f600"), one)  # what the font lacks is left out


@pytest.mark.parametrize(
    ("text", "read"), [("O'Neil-7", "oneil7"), ("$12.50", "1250"), ("SALE!", "sale"), ("...", ""), ("a" * 40, "a" * 24)]
)
def test_what_counts_are_letters_and_digits(text, read):
    assert vocabulary.SYMBOLS.decode(vocabulary.symbols(text)) == read
    rows, lengths = vocabulary.padded([text])
    assert rows.shape == (1, 24) and lengths.tolist() == [len(read)]


def test_what_is_written_are_words_of_the_text_in_several_cases(tmp_path):
    path = tmp_path / "text.txt.xz"
    path.write_bytes(lzma.compress(b"apple apple apple apple banana 1\tcherry-tart"))
    found = vocabulary.read(path.name, str(tmp_path))
    assert set(found.names) == {"apple", "banana", "1", "cherry", "tart"}
    assert found.cumulated[0] == pytest.approx(2 / 6)  # the root of how often it occurs
    rng = np.random.default_rng(0)
    written = [vocabulary.written(rng, found) for _ in range(600)]
    plain = [w.strip("".join(vocabulary.MARKS)) for w in written]
    assert 0.1 < np.mean([w == "APPLE" for w in plain]) < 0.3 and {"apple", "Apple"} <= set(plain)
    assert 0.05 < np.mean([w.replace(".", "").strip("$").isdigit() for w in plain]) < 0.4
    invented = {vocabulary.invented(rng) for _ in range(200)}
    assert len(invented) > 150 and set("".join(invented)) <= set(string.ascii_lowercase)


def test_fonts_that_lack_letters_are_not_taken(tmp_path, monkeypatch):
    assert fonts.lacking(FACE) == "" and fonts.lacking(fonts.face(fonts.EMBEDDED, "A\u4e00"), "A\u4e00") == "\u4e00"
    for name in ("a.ttf", "b.otf"):
        (tmp_path / name).write_bytes(b"no font")
    with pytest.raises(UserError, match="none of its 2 fonts has all letters and digits; a.ttf lacks 'abcdef"):
        fonts.faces(str(tmp_path))
    faces = {"a.ttf": {c: g for c, g in FACE.items() if c != "q"}, "b.otf": dict(FACE)}
    monkeypatch.setattr(fonts, "face", lambda path, *_: faces[path.rsplit("/")[-1]])
    fonts.faces.cache_clear()
    assert fonts.faces(str(tmp_path)) == (faces["b.otf"],)
    faces["b.otf"].pop("7")
    fonts.faces.cache_clear()
    with pytest.raises(UserError, match="a.ttf lacks 'q'"):
        fonts.faces(str(tmp_path))
    fonts.faces.cache_clear()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fonts": "nowhere"}, "dataset.fonts=nowhere: there is no such folder"),
        ({"fonts": "."}, "dataset.fonts=. holds no fonts"),
        ({"words": "nowhere.txt"}, "dataset.words=nowhere.txt: there is no such file"),
        ({"examples": 0}, "dataset.examples=0 must be at least 1"),
        ({"width": 3}, "dataset.width=3 must be at least 16 pixels"),
        ({"style": {"wobble": 1.0}}, "wobble"),
    ],
)
def test_one_line_for_what_is_wrong(wrong, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        load(config(**wrong))
    assert "\n" not in str(error.value)


def test_photographs_behind_the_words(tmp_path):
    with pytest.raises(UserError, match="no images"):
        backgrounds(str(tmp_path))
    Image.fromarray(np.tile(np.arange(0, 240, 4, dtype=np.uint8), (48, 1))).save(tmp_path / "ramp.png")
    style = {"contrast": 0.5, "noise": 0.0, "blurred": 0.0, "texture": 0.0}
    source = load(config(backgrounds=str(tmp_path), style=style)).splits["train"].source
    drawn = source.draw(np.arange(8), numbers(8))["image"][..., 0].astype(float)
    assert (drawn.std(axis=(1, 2)) > 5).all()
    rng = np.random.Generator(np.random.Philox(1))
    behind = words.background(rng, (32, 100), words.Style(), backgrounds(str(tmp_path)), 0.5)
    assert behind.mean() == pytest.approx(0.5, abs=0.05) and behind[:, -1].mean() > behind[:, 0].mean() + 0.05


def test_iiit5ks_published_counts_and_words(shared_data):
    made = {"name": "iiit5k", "splits": {"train": "train", "test": "test"}, "fonts": "embedded"}
    dataset = load(ConfigDict(made), manual_dir=str(shared_data))
    assert {name: len(source) for name, source in dataset.splits.items()} == {"train": 2000, "test": 3000}
    first = dataset.splits["train"].gather(np.arange(3))
    read = [vocabulary.SYMBOLS.decode(row[:n]) for row, n in zip(first["text"], first["text_length"], strict=True)]
    assert read == ["you", "rescue", "mission"] and first["image"].shape == (3, 32, 100, 1)
    known = load(ConfigDict(made), known=True)
    assert known.info == dataset.info and {n: len(s) for n, s in known.splits.items()} == {"train": 2000, "test": 3000}
