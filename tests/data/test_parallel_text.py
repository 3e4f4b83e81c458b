"""Pairs of sentences: one's own files with their mistakes, Multi30k as published, the phrases."""

import gzip

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data.load import load
from dl.data.sources.parallel_text import MULTI30K_SIZES
from dl.data.sources.phrases import PHRASES
from dl.errors import UserError

ENGLISH = ["A man sleeps.", "Two dogs run.", "A dog sleeps."]
FRENCH = ["Un homme dort.", "Deux chiens courent.", "Un chien dort."]


def write(folder, name, lines, encoding="utf-8"):
    content = ("\n".join(lines) + "\n").encode(encoding)
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "train.en", ENGLISH)
    write(tmp_path, "train.fr", FRENCH)
    write(tmp_path, "val.en.gz", ["A man runs."])
    write(tmp_path, "val.fr.gz", ["Un homme court à Noël."])
    return tmp_path


def settings(folder, splits=None, **rest):
    splits = splits or {"train": "train", "validation": "validation"}
    given = {"level": "word", "vocabulary_size": 0, "source": "en", "target": "fr"} | rest
    return ConfigDict({"name": "parallel_text", "path": str(folder), "splits": splits, **given})


def test_pairs_of_ones_own(folder):
    dataset = load(settings(folder))
    source, target = (dataset.info.features[name].vocabulary for name in ("source", "target"))
    assert source.names[:4] == target.names[:4] == ("<pad>", "<s>", "</s>", "<unk>")
    batch = dataset.splits["train"].gather(np.array([1, 0]))
    assert batch["source_length"].tolist() == [5, 5] and batch["target_length"].tolist() == [6, 6]
    assert source.decode(batch["source"][0]) == "Two dogs run." and batch["source"][0, 4] == source.stop
    assert batch["target"][0, 0] == target.start and batch["target"][0, 5] == target.stop
    assert target.decode(batch["target"][0]) == "Deux chiens courent."
    held = dataset.splits["validation"].gather(np.array([0]))
    assert source.decode(held["source"][0]) == "A man <unk>."
    assert bytes(held["reference"][0]).rstrip(b"\0").decode() == "Un homme court à Noël."  # whatever the vocabulary lacks


def test_small_letters_and_the_other_way_round(folder):
    dataset = load(settings(folder, lower=True, source="fr", target="en", minimum_count=2))
    names = dataset.info.features["target"].vocabulary.names
    assert set(names[4:]) == {"a", "sleeps", "."}
    assert bytes(dataset.splits["train"].gather(np.array([0]))["reference"][0]).startswith(b"a man sleeps.")


def test_a_long_sentence_is_cut_and_counted(folder):
    from dl.data.ragged import notes

    dataset = load(settings(folder, lengths=(3, 4)))
    assert dataset.splits["train"].gather(np.array([1]))["source"].shape == (1, 4)
    assert sum("are cut" in sentence for sentence in notes(dataset.splits)) == 4  # both features of both splits


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: write(f, "train.fr", FRENCH[:2]), r"train\.en has 3 lines and .*train\.fr 2"),
        (lambda f: write(f, "train.fr", [FRENCH[0], " ", FRENCH[2]]), r"line 2 of .*train\.fr is empty \(1 in all\)"),
        (lambda f: (write(f, "train.fr", []), write(f, "train.en", [])), r"line 1 of .*train\.en is empty"),
        (lambda f: (f / "train.fr").unlink(), r"lacks train\.fr"),
        (lambda f: write(f, "train.fr", ["Noël"] * 3, "latin-1"), r"train\.fr is not utf-8 text: byte 2"),
        (lambda f: (f / "val.fr.gz").write_bytes(b"not packed"), r"val\.fr\.gz is corrupt"),
        (lambda f: (f / "val.fr.gz").unlink(), "unknown split 'validation'"),
    ],
)
def test_mistakes_in_files_are_told_in_one_line(folder, change, message):
    change(folder)
    with pytest.raises(UserError, match=message) as raised:
        load(settings(folder))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": ""}, r"needs dataset\.path"),
        ({"path": "/nowhere"}, "is no folder"),
        ({"target": "en"}, "must be two languages"),
        ({"level": "letters"}, r"unknown dataset\.level"),
        ({"level": "subword", "vocabulary_size": 5}, "at least"),
    ],
)
def test_mistakes_in_settings_are_told_in_one_line(folder, changes, message):
    with pytest.raises(UserError, match=message) as raised:
        load(settings(folder, **changes))
    assert "\n" not in str(raised.value)


def test_a_line_ends_at_a_line_feed_alone(folder):
    write(folder, "train.en", ["A man\x0csleeps.", "Two\u2028dogs run.", "A dog  sleeps.\r"])
    dataset = load(settings(folder))
    rows = dataset.splits["train"].gather(np.arange(3))["source"]
    assert [dataset.info.features["source"].vocabulary.decode(row) for row in rows] == ENGLISH


def multi30k(**rest):
    splits = {"train": "train[:100]", "test": "test_2016_flickr"}
    return ConfigDict({"name": "multi30k", "splits": splits, "level": "subword", "vocabulary_size": 6000} | rest)


def test_multi30k_as_published(shared_data):
    dataset = load(multi30k(splits={split: split for split in MULTI30K_SIZES}), manual_dir=str(shared_data))
    assert {split: len(source) for split, source in dataset.splits.items()} == MULTI30K_SIZES
    first = dataset.splits["test_2016_flickr"].gather(np.array([0]))
    features = dataset.info.features
    assert features["source"].vocabulary.decode(first["source"][0]) == "A man in an orange hat starring at something."
    assert bytes(first["reference"][0]).rstrip(b"\0").decode() == "Ein Mann mit einem orangefarbenen Hut, der etwas anstarrt."
    assert len(features["source"].vocabulary) == len(features["target"].vocabulary) == 6000


def test_multi30k_without_its_files(tmp_path):
    with pytest.raises(UserError, match=r"DIR/multi30k/train\.en\.gz.*--manual_dir=DIR"):
        load(multi30k())
    with pytest.raises(UserError, match=r"lacks train\.de\.gz, train\.en\.gz"):
        load(multi30k(source="de", target="en"), manual_dir=str(tmp_path))
    with pytest.raises(UserError, match="unknown language of multi30k 'fr'"):
        load(multi30k(target="fr"), manual_dir=str(tmp_path))
    known = load(multi30k(), known=True)
    assert len(known.info.features["target"].vocabulary) == 6000 and len(known.splits["train"]) == 100


def test_phrases_are_distinct_and_translated_by_rule():
    assert len(set(PHRASES["en"])) == len(set(PHRASES["de"])) == 576
    pairs = dict(zip(PHRASES["en"], PHRASES["de"], strict=True))
    assert pairs["Today two boys sing on the beach."] == "Heute singen zwei Jungen am Strand."
    assert pairs["A man waits near the river."] == "Ein Mann wartet in der Nähe des Flusses."
    settings = {"name": "phrases", "splits": {"train": "train", "test": "test"}, "vocabulary_size": 120}
    dataset = load(ConfigDict(settings))
    assert len(dataset.splits["train"]) == 480 and len(dataset.splits["test"]) == 48
