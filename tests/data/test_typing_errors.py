"""Typing errors: what each kind does, how many there are, and that they are a function of seed and position."""

import numpy as np
import pytest
from ml_collections import ConfigDict
from rapidfuzz.distance import OSA, DamerauLevenshtein

from dl.data import typing_errors
from dl.data.batches.mistyped import mistyped, typed_once
from dl.data.load import load
from dl.data.ragged import RaggedArrays
from dl.dataset import Arrays
from dl.errors import UserError

KEYS = {"leave out": 0, "put in": 1, "replace": 2, "swap": 3}


def number(value, bound):
    """A number that `below` takes for `value` among `bound`."""
    return np.uint64((value * 2**32 + bound - 1) // bound << 32)


def typed(word, kind, place, letter):
    """The word with one error, its draws given."""
    codes = np.array([typing_errors.ALPHABET.encode(word)])
    table, count = typing_errors.neighbours()
    here = codes[0, place]
    choice = list(table[here, : count[here]]).index(typing_errors.ALPHABET.numbers[letter]) if letter else 0
    places = len(word) - (kind == "swap")
    own = int(kind == "replace")  # nothing is replaced by itself
    raw = np.array([[[number(KEYS[kind], 4), number(place, places), number(max(choice - own, 0), int(count[here]) - own)]]])
    out, length = typing_errors.mistyped(codes, np.array([len(word)]), raw)
    assert out.shape == (1, len(word) + 1) and not out[0, length[0] :].any()
    return typing_errors.ALPHABET.decode(out[0, : length[0]])


@pytest.mark.parametrize(
    ("kind", "place", "letter", "expected"),
    [
        ("leave out", 0, "", "ord"),
        ("leave out", 3, "", "wor"),
        ("put in", 0, "e", "weord"),
        ("put in", 3, "d", "wordd"),
        ("replace", 1, "p", "wprd"),
        ("replace", 3, "s", "wors"),
        ("swap", 0, "", "owrd"),
        ("swap", 2, "", "wodr"),
    ],
)
def test_each_kind_of_error(kind, place, letter, expected):
    assert typed("word", kind, place, letter) == expected


def test_a_single_letter_is_only_added_to():
    raw = np.random.Philox(1).random_raw(3 * 200).reshape(200, 1, 3)
    out, length = typing_errors.mistyped(np.full((200, 1), 1), np.ones(200, int), raw)
    assert set(length) == {2} and (out[:, 0] == 1).all()


def test_neighbours_are_those_of_the_keyboard():
    table, count = typing_errors.neighbours()
    letters = {
        n: {typing_errors.ALPHABET.names[i] for i in table[k, : count[k]]} for k, n in enumerate(typing_errors.ALPHABET.names)
    }
    assert letters["q"] == set("qwa") and letters["g"] == set("gtyfhvb") and letters["m"] == set("mnjk")
    assert all(one in letters[other] for one in letters if one != "<pad>" for other in letters[one])


def settings(**changes):
    return ConfigDict({"name": "sonnet_words", "splits": {"train": "train"}, **changes})


def words_of(batch, name):
    """The texts of the feature `name` [N, T]."""
    return [typing_errors.ALPHABET.decode(row[:n]) for row, n in zip(batch[name], batch[f"{name}_length"], strict=True)]


def test_words_have_an_error_for_every_five_letters_begun():
    """The distance with transpositions is never above the number of errors, and nearly always equal to it."""
    source = load(settings()).splits["train"]
    once = typed_once(source, {})
    batch = once.gather(np.arange(len(once)))
    pairs = list(zip(words_of(batch, "query"), words_of(batch, "target"), strict=True))
    distances = np.array([DamerauLevenshtein.distance(*pair) for pair in pairs])
    allowed = np.array([-(-len(word) // 5) for _, word in pairs])
    assert (distances <= allowed).all() and (distances == allowed).mean() > 0.8
    assert {1, 2} <= set(allowed) and OSA.distance(*pairs[0]) >= distances[0]
    again = typed_once(source, {}).gather(np.arange(len(once)))
    np.testing.assert_array_equal(batch["query"], again["query"])


def test_a_batch_is_a_function_of_seed_step_and_row():
    source = load(settings()).splits["train"]
    size, rows = len(source), np.arange(8)
    whole = mistyped(source, 3, 8, {}, False)(0, 6, rows)
    assert whole["query"].shape[:2] == (6, 8)
    part = mistyped(source, 3, 8, {}, False)(4, 1, rows[5:])
    for name, values in part.items():
        np.testing.assert_array_equal(values[0], whole[name][4, 5:])
    other = mistyped(source, 4, 8, {}, False)(0, 6, rows)
    assert (other["target"] != whole["target"]).any()
    steps = -(-size // 8)
    epoch = mistyped(source, 3, 8, {}, False)(0, steps, rows)
    first = {name: values.reshape(-1, *values.shape[2:])[:size] for name, values in epoch.items()}
    everything = source.gather(np.arange(size))
    assert sorted(words_of(first, "target")) == sorted(words_of(everything, "target"))
    again = mistyped(source, 3, 8, {}, False)(steps, steps, rows)["query"]
    assert (again != epoch["query"]).any()  # the next epoch has other errors, in another order


def test_the_words_of_a_text(tmp_path):
    path = tmp_path / "my.txt"
    path.write_text("The cat saw THE dog, a 2nd dog; the café's cat.\n")
    source = load(settings(name="words", path=str(path))).splits["train"]
    assert words_of(source.gather(np.arange(len(source))), "target") == ["the", "cat", "dog", "saw"]
    source = load(settings(name="words", path=str(path), least=1)).splits["train"]
    assert "a" in words_of(source.gather(np.arange(len(source))), "target")
    for changes, said in (
        ({"least": 9}, "has 0 words of at least 9"),
        ({"least": 0}, "dataset.least"),
        ({"path": ""}, "needs dataset.path"),
    ):
        with pytest.raises(UserError, match=said):
            load(settings(**{"name": "words", "path": str(path), **changes}))
    with pytest.raises(UserError, match="is for words"):
        mistyped(Arrays({"image": np.zeros((2, 4, 4, 1))}), 0, 2, {}, False)


def test_the_words_of_the_penn_treebank(shared_data):
    real, known = (load(settings(name="ptb_words"), **how) for how in ({"manual_dir": str(shared_data)}, {"known": True}))
    sources = real.splits["train"], known.splits["train"]
    assert all(isinstance(source, RaggedArrays) for source in sources)
    assert [len(source) for source in sources] == [9412, 9412]
    assert [source.ragged["target"].lengths for source in sources] == [(19,), (19,)]
    batch = sources[0].gather(np.arange(3))
    assert words_of(batch, "target") == ["the", "and", "that"] and real.info.shapes == known.info.shapes
