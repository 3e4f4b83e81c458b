"""Ragged features: padded to one of a few lengths, cut and counted where they are longer, sliced and joined like arrays."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl import registry
from dl.data.load import load
from dl.data.ragged import Ragged, RaggedArrays, in_memory, joined, ragged
from dl.data.slicing import take
from dl.dataset import Arrays, Dataset, Feature, Info, Kind
from dl.errors import UserError

WORDS = [np.array([1, 2, 3]), np.array([], int), np.array([4]), np.array([5, 6, 7, 8, 9])]


def test_examples_are_padded_and_their_lengths_stand_beside_them():
    padded, length = ragged(WORDS).gather(np.array([3, 1, 0]))
    np.testing.assert_array_equal(padded, [[5, 6, 7, 8, 9], [0, 0, 0, 0, 0], [1, 2, 3, 0, 0]])
    np.testing.assert_array_equal(length, [5, 0, 3])
    assert length.dtype == np.int32


def test_lengths_are_the_least_that_holds_and_the_longest_are_cut():
    found = ragged(WORDS, lengths=(1, 3, 4), fill=-1)
    assert [found.length_for(np.array(rows)) for rows in ([2], [1, 2], [0, 2], [0, 3])] == [1, 1, 3, 4]
    padded, length = found.gather(np.array([3, 2]), found.length_for(np.array([3, 2])))
    np.testing.assert_array_equal(padded, [[5, 6, 7, 8], [4, -1, -1, -1]])
    np.testing.assert_array_equal(length, [4, 1])


def test_rows_may_be_vectors():
    boxes = ragged([np.ones((2, 4), np.float32), np.zeros((0, 4), np.float32)])
    padded, length = boxes.gather(np.array([1, 0]))
    assert padded.shape == (2, 2, 4) and padded.dtype == np.float32 and padded.sum() == 8
    np.testing.assert_array_equal(length, [0, 2])


def test_slices_are_views_and_parts_are_joined():
    whole = ragged(WORDS)
    part = whole[2:]
    assert len(part) == 2 and np.shares_memory(part.values, whole.values)
    np.testing.assert_array_equal(part.gather(np.array([0]))[0], [[4, 0, 0, 0, 0]])
    assert [part.example_of(place) for place in (0, 1, 5)] == [0, 1, 1] and whole.example_of(3) == 2
    both = joined([whole[2:], whole[:1]])
    np.testing.assert_array_equal(both.gather(np.array([2]))[0], [[1, 2, 3, 0, 0]])
    np.testing.assert_array_equal(both.sizes, [1, 5, 3])


def test_a_source_of_ragged_features_is_sliced_as_any_other():
    source = in_memory({"token": ragged(WORDS), "label": np.arange(4, dtype=np.int32)})
    assert isinstance(source, RaggedArrays) and len(source) == 4
    for spec, rows in (("train[1:3]", [1, 2]), ("train[2:]+train[:1]", [2, 3, 0])):
        taken = take(spec, {"train": source})
        assert isinstance(taken, RaggedArrays)
        batch = taken.gather(np.arange(len(rows)))
        np.testing.assert_array_equal(batch["label"], rows)
        np.testing.assert_array_equal(batch["token_length"], [len(WORDS[row]) for row in rows])
        for row, tokens in zip(rows, batch["token"], strict=True):
            np.testing.assert_array_equal(tokens[: len(WORDS[row])], WORDS[row])
    assert source.gather(np.array([2]), {"token": 2})["token"].shape == (1, 2)
    assert type(in_memory({"label": np.arange(4)})) is Arrays


def test_a_class_out_of_range_names_its_example(monkeypatch):
    splits = {"train": in_memory({"kinds": ragged([np.array([0, 1]), np.array([], int), np.array([1, 2])])})}
    own = Dataset(Info("own", {"kinds": Feature(Kind.CLASS, (None,), num_classes=2)}), splits)
    monkeypatch.setitem(registry.public("dl.data.sources"), "own", lambda *_: own)
    with pytest.raises(UserError, match=r"kinds 2 of example 2 is out of range; there are 2 classes"):
        load(ConfigDict({"name": "own", "splits": {"train": "train"}}))


def test_an_empty_example_alone_has_a_place_to_stand():
    padded, length = ragged([np.zeros(0, np.int32)]).gather(np.array([0]))
    assert padded.shape == (1, 1) and length.tolist() == [0]


@pytest.mark.parametrize("lengths", [(4, 2), (0, 2), (2, 2)])
def test_lengths_that_make_no_sense(lengths):
    with pytest.raises(UserError, match="must be positive and ascending"):
        Ragged(np.arange(3), np.array([0, 3]), lengths)
