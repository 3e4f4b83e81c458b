"""Utterances as datasets: AN4 and the spoken digits as published, one's own folder, buckets, and what is wrong with them."""

import numpy as np
import pytest
import soundfile
from ml_collections import ConfigDict

from dl.data.load import load
from dl.data.ragged import buckets, ragged
from dl.data.sound.utterances import bucketed
from dl.data.sources import fsdd
from dl.data.sources.an4 import parse_cepstra
from dl.data.sources.dial_tones import COLUMNS, KEYS, RATE, ROWS, tone
from dl.errors import UserError

SPLITS = {"train": "train", "test": "test"}


def settings(name, **rest):
    return ConfigDict({"name": name, "splits": SPLITS, **rest})


def test_an4_as_published(shared_data):
    found = load(settings("an4", sound={"deltas": 2}), manual_dir=str(shared_data))
    train, test = found.splits["train"], found.splits["test"]
    assert (len(train), len(test)) == (948, 130)
    assert train.ragged["frames"].sizes.sum() == 253_682 and test.ragged["frames"].sizes.sum() == 35_570
    vocabulary = found.info.features["text"].vocabulary
    assert len(vocabulary) == 27 and found.info.shapes["frames"] == (None, 39)
    first = train.gather(np.arange(4))
    text = [vocabulary.decode(t[:n]) for t, n in zip(first["text"], first["text_length"], strict=True)]
    assert text == ["YES", "GO", "YES", "U M N Y H SIX"]
    frames = first["frames"][0, : first["frames_length"][0]]
    np.testing.assert_allclose(frames.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(frames.std(0), 1, atol=1e-3)
    assert not first["frames"][0, first["frames_length"][0] :].any()


def test_the_digits_as_published(shared_data):
    found = load(settings("fsdd"), manual_dir=str(shared_data))
    assert [len(found.splits[s]) for s in SPLITS] == [2250, 250]
    test = found.splits["test"]
    assert np.bincount(test.ragged["text"].whole, minlength=10).tolist() == [25] * 10
    assert found.info.features["text"].vocabulary.names == tuple(sorted(fsdd.DIGITS))
    assert test.features["rate"].tolist() == [8000] * 250


def test_a_string_of_digits_is_a_function_of_seed_and_position():
    rng = np.random.default_rng(0)
    recordings = [
        fsdd.Recording(digit, speaker, 5, rng.integers(-99, 99, 300 + digit).astype(np.int16))
        for digit in range(10)
        for speaker in ("a", "b")
    ]
    strings = [fsdd.drawn(recordings, [0, 0, i]) for i in range(200)]
    assert {len(s) for s in strings} == set(range(1, 8))
    assert all(len({r.speaker for r in s}) == 1 for s in strings)
    assert {r.digit for s in strings for r in s} == set(range(10))
    again, other = fsdd.drawn(recordings, [0, 0, 7]), fsdd.drawn(recordings, [1, 0, 7])
    assert [r.name for r in again] == [r.name for r in strings[7]] != [r.name for r in other]
    spliced = fsdd.joined(strings[7], [0, 7])
    np.testing.assert_array_equal(spliced[: len(again[0].samples)], again[0].samples)
    np.testing.assert_array_equal(spliced[-len(again[-1].samples) :], again[-1].samples)
    least = sum(len(r.samples) for r in again)
    assert least <= len(spliced) <= least + 1200 * (len(again) - 1)


def test_tones_of_keys_have_their_two_frequencies():
    power = np.abs(np.fft.rfft(tone("8", RATE)))
    assert sorted(np.argsort(power)[-2:].tolist()) == [ROWS[2], COLUMNS[1]]
    found = load(settings("dial_tones", examples=20, buckets=2))
    assert [len(found.splits[s]) for s in SPLITS] == [20, 5]
    assert set(found.info.features["text"].vocabulary.names) == set(KEYS)


def test_buckets_are_those_of_the_frames_and_hold_the_rest():
    rng = np.random.default_rng(0)
    sizes = rng.integers(10, 200, 40)
    frames = ragged([np.zeros((n, 2), np.float32) for n in sizes])
    text = ragged([np.zeros(rng.integers(1, 9), np.int32) for _ in sizes])
    made = bucketed({"frames": frames, "text": text}, "frames", 4)
    from dl.data.ragged import RaggedArrays

    found = buckets(RaggedArrays(made))
    assert len(found.lengths) == 4 and np.bincount(found.of).min() >= 5
    for bucket, lengths in enumerate(found.lengths):
        assert (sizes[found.of == bucket] <= lengths["frames"]).all() and lengths["frames"] % 8 == 0
    assert all(feature.sizes.max() <= feature.lengths[-1] for feature in made.values())  # nothing is cut
    np.testing.assert_array_equal(found.of, np.searchsorted(made["frames"].lengths, sizes))


@pytest.fixture
def folder(tmp_path):
    for number, rate in ((1, 8000), (2, 8000), (3, 16000)):
        noise = 0.1 * np.random.default_rng(number).standard_normal(rate)
        soundfile.write(tmp_path / f"{number}.wav", noise, rate)
    return tmp_path


def test_ones_own_folder(folder):
    table = "text\tfile\tsplit\nab c\t1.wav\ttrain\n\nba\t2.wav\ttrain\nca\t2.wav\ttest\n"
    (folder / "transcripts.tsv").write_text(table)
    found = load(settings("speech", path=str(folder), sound={"bands": 20}))
    assert "".join(found.info.features["text"].vocabulary.names) == " abc"
    assert [len(found.splits[s]) for s in SPLITS] == [2, 1] and found.info.shapes["frames"] == (None, 20)
    words = settings("speech", path=str(folder), level="word")
    (folder / "transcripts.tsv").write_text(table.replace("ca", "ba"))
    assert load(words).info.features["text"].vocabulary.names == ("ab", "ba", "c")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("1.wav\ta\n9.wav\tb\n", r"9\.wav \(transcripts\.tsv, line 2\): there is no such file"),
        ("1.wav\ta\n3.wav\tb\n", r"3\.wav has 16,000 samples a second, 1\.wav 8,000: set dataset\.sound\.rate=16000"),
        ("1.wav\ta\n2.wav\n", "line 2: needs a file and its text"),
        ("\n", "names no file"),
        ("1.wav\ta\ttrain\n2.wav\tx\ttest\n", "test, 2.wav: the transcript has 'x', which the transcripts of the training"),
        ("1.wav\ta\ttest\n", "no utterance of the split 'train'"),
    ],
)
def test_what_may_be_wrong_with_it(folder, table, message):
    (folder / "transcripts.tsv").write_text(table)
    with pytest.raises(UserError, match=message) as caught:
        load(settings("speech", path=str(folder)))
    assert "\n" not in str(caught.value)


def test_another_rate_is_resampled_where_one_is_asked_for(folder):
    (folder / "transcripts.tsv").write_text("1.wav\ta\n3.wav\tb\n")
    both = settings("speech", path=str(folder), sound={"rate": 8000})
    both.splits = {"train": "train"}
    found = load(both).splits["train"]
    assert found.features["rate"].tolist() == [8000, 8000] and found.ragged["sound"].sizes.tolist() == [8000, 8000]


def test_a_folder_without_a_table_and_none_at_all(tmp_path):
    for path, message in ((str(tmp_path), "can't be read"), (str(tmp_path / "x"), "there is no folder"), ("", "dataset.path")):
        with pytest.raises(UserError, match=message):
            load(settings("speech", path=path))


def test_a_feature_file_that_is_cut_short():
    content = (26).to_bytes(4, "big") + np.arange(26, dtype=">f4").tobytes()
    np.testing.assert_array_equal(parse_cepstra(content, "x"), np.arange(26).reshape(2, 13))
    with pytest.raises(ValueError, match="x does not hold the 26 numbers"):
        parse_cepstra(content[:-4], "x")
