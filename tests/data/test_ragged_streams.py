"""Ragged features that are not in memory give the batches of those that are: whole, in buckets, and in evaluation."""

import jax
import numpy as np
import pytest

from dl import mesh
from dl.config import base
from dl.data.batches.buckets import BucketsAhead, in_buckets, order
from dl.data.batches.examples import NumbersAt, examples
from dl.data.fingerprint import fingerprint
from dl.data.pipeline import evaluation_batches, train_stream
from dl.data.ragged import Measured, buckets, in_memory, notes, ragged
from dl.data.ragged_streams import AtLength, RaggedStream, read_by
from dl.data.slicing import take
from dl.data.streaming import Readers, Streamed
from dl.dataset import Feature, Info, Kind
from dl.errors import UserError

LENGTHS = (2, 4, 8)
INFO = Info("own", {"a": Feature(Kind.NUMBER, (None,)), "b": Feature(Kind.NUMBER, (None, 3)), "index": Feature(Kind.NUMBER)})
SIZES = np.random.default_rng(1).integers(0, 10, 50)


class Files:
    """What reads examples one by one, pads them to the longest, and knows how long each is. It counts what is read."""

    resident = False

    def __init__(self, arrays):
        self.arrays, self.read = arrays, []

    def __len__(self):
        return len(self.arrays)

    def gather(self, indices):
        self.read += np.asarray(indices).tolist()
        return self.arrays.gather(indices)

    def column(self, name):
        ragged_ = self.arrays.ragged.get(name.removesuffix("_length"))
        return self.arrays.column(name) if ragged_ is None else ragged_.sizes


def arrays(lengths=()):
    examples_ = {"a": [np.full(n, i + 1, np.int32) for i, n in enumerate(SIZES)]}
    examples_["b"] = [np.full((2 * n, 3), i + 1, np.float32) for i, n in enumerate(SIZES)]
    features = {name: ragged(values, lengths) for name, values in examples_.items()}
    return in_memory({**features, "index": np.arange(50, dtype=np.int32)})


def stream(lengths=(), workers=0):
    return read_by(Files(arrays()), Readers(workers), INFO, lengths)


@pytest.mark.parametrize("lengths", [(), LENGTHS])
def test_plain_batches_are_those_of_arrays(lengths):
    made, resident = stream(lengths), arrays(lengths)
    assert isinstance(made, RaggedStream) and isinstance(made, Measured) and isinstance(resident, Measured)
    assert made.ragged["b"].lengths == (lengths or (18,)) and made.column("a") is None and len(made.column("index")) == 50
    ours, theirs = (examples(source, 5, 8, {}, False)(3, 5, np.arange(8)) for source in (made, resident))
    assert set(ours) == set(theirs) == {"a", "a_length", "b", "b_length", "index"}
    for name, values in theirs.items():
        np.testing.assert_array_equal(ours[name], values, err_msg=name)
        assert ours[name].dtype == values.dtype


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("chosen", [{"bucket_by": "a"}, {"tokens_per_batch": 20}])
def test_batches_in_buckets_are_those_of_arrays(chosen, workers):
    made, resident = stream(LENGTHS, workers), arrays(LENGTHS)
    assert buckets(made).of.tolist() == buckets(resident).of.tolist()
    steps = order(made, 6, chosen)
    assert steps == order(resident, 6, chosen)
    ours, theirs = (in_buckets(source, 3, 6, chosen, False) for source in (made, resident))
    assert isinstance(ours, BucketsAhead)
    for step in (*range(2 * steps.steps), 3, 4, 1):  # and back, as after a restored checkpoint
        rows = np.arange(steps.sizes[steps.bucket(step)] + 1)  # a row that only pads
        found, expected = (read(step, 1, rows) for read in (ours, theirs))
        assert set(found) == set(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=f"{name} {step}")


def test_several_steps_and_other_rows_of_a_bucket():
    made, resident = stream(LENGTHS), arrays(LENGTHS)
    chosen = {"bucket_by": "a"}
    steps = order(made, 3, chosen)
    start = next(step for step in range(50) if steps.bucket(step) == steps.bucket(step + 1))
    ours, theirs = (in_buckets(source, 3, 3, chosen, False) for source in (made, resident))
    for rows in (np.arange(3), np.array([1]), np.arange(3)):
        for name, values in theirs(start, 2, rows).items():
            np.testing.assert_array_equal(ours(start, 2, rows)[name], values)
    change = next(step for step in range(50) if steps.bucket(step) != steps.bucket(step + 1))
    with pytest.raises(ValueError, match="are of several buckets"):
        ours(change, 2, np.arange(3))


def test_other_rows_of_a_step_that_was_read_ahead():
    made, resident = stream(LENGTHS), arrays(LENGTHS)
    chosen = {"bucket_by": "a"}
    steps = order(made, 3, chosen)
    start = next(step for step in range(50) if steps.bucket(step) == steps.bucket(step + 1))
    ours, theirs = (in_buckets(source, 3, 3, chosen, False) for source in (made, resident))
    ours(start, 1, np.arange(3))
    assert start + 1 in ours.ahead
    for name, values in theirs(start + 1, 1, np.array([2, 0])).items():
        np.testing.assert_array_equal(ours(start + 1, 1, np.array([2, 0]))[name], values)


class Views(Files):
    """Its examples are random views: the first of the numbers they are drawn by."""

    def draw(self, indices, numbers):
        return {**self.gather(indices), "drawn": numbers[:, 0]}


def test_views_are_drawn_by_seed_epoch_and_example():
    made = read_by(Views(arrays()), Readers(), INFO, LENGTHS)
    steps, read = order(made, 6, {}), in_buckets(made, 3, 6, {}, False)
    for step in range(2 * steps.steps):
        batch = {name: values[0] for name, values in read(step, 1, np.arange(6)).items()}
        expected = [NumbersAt(3)(50 * (step // steps.steps) + index)[0] for index in batch["index"].tolist()]
        np.testing.assert_array_equal(batch["drawn"], expected)


def test_what_is_asked_for_next_is_read_already_and_nothing_twice():
    made = stream(LENGTHS)
    files, chosen = made.whole, {"bucket_by": "a"}
    steps, read = order(made, 50, chosen), in_buckets(made, 3, 50, chosen, False)
    assert steps.steps == 3  # one batch a bucket
    for step in range(6):
        read(step, 1, np.arange(50))
    for waiting in read.ahead.values():
        waiting.result()
    assert len(read.ahead) == 2 and len(files.read) == 8 * 50


def test_slices_are_read_too_and_what_is_cut_is_said():
    part = take("train[10:30]+train[:5]", {"train": Files(arrays())})
    made = read_by(part, Readers(), INFO, {"a": (4,), "b": ()})
    rows = [*range(10, 30), *range(5)]
    np.testing.assert_array_equal(made.ragged["a"].sizes, SIZES[rows])
    assert made.ragged["b"].lengths == (2 * SIZES[rows].max(),)
    batch = made.gather(np.arange(25))
    np.testing.assert_array_equal(batch["a_length"], np.minimum(SIZES[rows], 4))
    np.testing.assert_array_equal(batch["index"], rows)
    count = int((SIZES[rows] > 4).sum())
    assert notes({"train": made}) == [
        f"{count} of 25 examples of the split 'train' have a longer 'a' than 4 and are cut to that (dataset.lengths)."
    ]


def test_a_length_beyond_the_longest_is_padding():
    example = AtLength(Files(arrays()), {"a": 12}).example(3)
    assert example["a"].shape == (12,) and example["a_length"] == SIZES[3]
    np.testing.assert_array_equal(example["a"], [4] * SIZES[3] + [0] * (12 - SIZES[3]))


def test_without_ragged_features_and_with_texts_alone():
    plain = Info("own", {"index": Feature(Kind.NUMBER)})
    made = read_by(Files(arrays()), Readers(), plain, LENGTHS)
    assert type(made) is Streamed
    with pytest.raises(UserError, match="which these do not: take 'examples'"):
        order(made, 6, {})


def test_the_fingerprint_reads_what_is_stored_and_knows_the_values():
    changed = arrays()
    changed.features["a"].values[-1] = 99
    same, other = (fingerprint({"train": read_by(Files(a), Readers(), INFO, LENGTHS)}) for a in (arrays(), changed))
    assert same == fingerprint({"train": stream(LENGTHS)}) != other


def test_training_and_evaluation_through_the_pipeline():
    """Batches on the devices are the same; outputs of an evaluation in buckets come back in the split's order."""
    config = base()
    config.update(batch_size=8, eval_batch_size=6)
    with config.unlocked():
        config.dataset.update(batches="buckets", bucket_by="a", lengths=LENGTHS)
    placed = mesh.build({"replica": 1, "data": 2, "fsdp": 1, "model": 1}, 1)
    sources = stream(LENGTHS), arrays(LENGTHS)
    ours, theirs = (train_stream(config, INFO, source, placed) for source in sources)
    assert ours.batch_sizes == theirs.batch_sizes and ours.examples == theirs.examples
    for step in range(6):
        rows = np.arange(ours.batch_size(step))
        found, expected = (each.reads[0](step, 1, rows) for each in (ours, theirs))
        jax.tree.map(np.testing.assert_array_equal, found, expected)
    seen = []
    for source in sources:
        batches = evaluation_batches(config, INFO, source, placed)
        outputs = np.full(50, -1)
        shapes = []
        for batch, rows in batches.blocks():
            shapes.append(batch["a"].shape)
            outputs[rows] = np.asarray(batch["index"])[np.asarray(batch["mask"])]
            np.testing.assert_array_equal(
                np.asarray(batch["a_length"])[: len(rows)], np.minimum(SIZES[rows], batch["a"].shape[1])
            )
        np.testing.assert_array_equal(outputs, np.arange(50))
        np.testing.assert_array_equal(batches.examples(np.array([7, 3]))["index"], [7, 3])
        seen.append(shapes)
    assert seen[0] == seen[1] and {shape[1] for shape in seen[0]} == set(LENGTHS)
