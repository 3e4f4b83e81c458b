"""Batches in buckets: which one a step has is a function of the step, and every example is seen exactly once an epoch."""

import numpy as np
import pytest

from dl.data.batches.buckets import in_buckets, order
from dl.data.load import load
from dl.data.pipeline import epoch_size
from dl.data.ragged import Ragged, RaggedArrays, buckets, in_memory, notes, ragged, with_lengths
from dl.dataset import Arrays, Dataset, Info
from dl.errors import UserError
from dl.training.plan import intervals, total_steps
from tests.training.tasks import settings

LENGTHS = (2, 4, 8)


def source(size: int = 50, lengths: tuple[int, ...] = LENGTHS) -> RaggedArrays:
    """Sequences of 0 to 9 symbols, all symbols of example i being i, and another feature twice as long."""
    sizes = np.random.default_rng(1).integers(0, 10, size)
    examples = {name: [np.full(times * n, i, np.int32) for i, n in enumerate(sizes)] for name, times in (("a", 1), ("b", 2))}
    features = {name: ragged(values, lengths, fill=-1) for name, values in examples.items()}
    made = in_memory({**features, "index": np.arange(size, dtype=np.int32)})
    assert isinstance(made, RaggedArrays)
    return made


def epochs(made: RaggedArrays, seed: int, batch_size: int, count: int, **chosen) -> list[dict[str, np.ndarray]]:
    """The batches of so many epochs, a step each."""
    steps = order(made, batch_size, chosen)
    read = in_buckets(made, seed, batch_size, chosen, False)
    sizes = [steps.sizes[steps.bucket(step)] for step in range(count * steps.steps)]
    return [{k: v[0] for k, v in read(step, 1, np.arange(size)).items()} for step, size in enumerate(sizes)]


@pytest.mark.parametrize("chosen", [{"bucket_by": "a"}, {}, {"bucket_by": "a", "tokens_per_batch": 20}])
def test_every_epoch_has_every_example_once_in_a_bucket_that_holds_it(chosen):
    made = source()
    steps = order(made, 6, chosen)
    batches = epochs(made, 3, 6, 2, **chosen)
    together = [frozenset(b["index"][b["mask"]].tolist()) for b in batches]
    seen = [together[: steps.steps], together[steps.steps :]]
    assert all(sorted(i for batch in epoch for i in batch) == list(range(50)) for epoch in seen)
    assert sum(b["mask"].sum() for b in batches) == 100  # rows that fill a batch up do not count
    assert set(seen[0]) != set(seen[1])  # examples that were in a batch are in others in the next epoch
    for batch in batches:
        assert batch["mask"].any()
        length = batch["a"].shape[1]
        longest = made.ragged["a"].sizes[batch["index"]].max()
        if chosen.get("bucket_by"):  # and no shorter one would do
            bucket = LENGTHS.index(length)
            assert longest <= length or length == 8
            assert bucket == 0 or made.ragged["a"].sizes[batch["index"]].min() > LENGTHS[bucket - 1]
            assert batch["b"].shape[1] == 8
        else:  # `b`, the longer one, decides
            assert batch["b"].shape[1] == length and (2 * longest <= length or length == 8)
        for row, index in enumerate(batch["index"]):
            np.testing.assert_array_equal(batch["a"][row], [index if t < batch["a_length"][row] else -1 for t in range(length)])


def test_the_buckets_come_in_the_same_order_for_every_seed_and_in_another_one_in_every_epoch():
    made = source()
    steps = order(made, 6, {"bucket_by": "a"})
    shapes = [[b["a"].shape for b in epochs(made, seed, 6, 2, bucket_by="a")] for seed in (0, 1)]
    assert shapes[0] == shapes[1] and shapes[0][: steps.steps] != shapes[0][steps.steps :]
    assert shapes[0] == [(6, LENGTHS[steps.bucket(step)]) for step in range(2 * steps.steps)]
    one, other = (np.concatenate([b["index"] for b in epochs(made, seed, 6, 1, bucket_by="a")]) for seed in (0, 1))
    assert (one != other).any()


def test_several_steps_of_a_bucket_are_those_steps_and_rows_are_parts_of_a_batch():
    made, chosen = source(200), {"bucket_by": "a"}
    steps, read = order(made, 6, chosen), in_buckets(made, 3, 6, chosen, False)
    start = next(step for step in range(50) if steps.bucket(step) == steps.bucket(step + 1))
    together = read(start, 2, np.arange(6))
    for step in (0, 1):
        for name, values in read(start + step, 1, np.array([1, 4])).items():
            np.testing.assert_array_equal(values[0], together[name][step, [1, 4]])
    change = next(step for step in range(50) if steps.bucket(step) != steps.bucket(step + 1))
    with pytest.raises(ValueError, match="are of several buckets"):
        read(change, 2, np.arange(6))


def test_rows_beyond_the_batch_do_not_count():
    made = source()
    batch = in_buckets(made, 3, 6, {}, False)(0, 1, np.arange(8))
    assert batch["mask"].shape == (1, 8) and not batch["mask"][0, 6:].any()


def test_tokens_decide_how_many_examples_a_batch_has():
    assert order(source(), 6, {"tokens_per_batch": 20}).sizes == (10, 5, 2)
    assert order(source(), 6, {"tokens_per_batch": 7}).sizes == (3, 1, 1)  # one example, though it is longer
    assert order(source(), 6, {}).sizes == (6, 6, 6)


def test_an_epoch_is_exactly_an_epoch():
    made = source()
    config = settings(steps=0, epochs=3.0, intervals="epochs", batch_size=16)
    with config.unlocked():
        config.dataset.update(batches="buckets", bucket_by="a", tokens_per_batch=20)
    steps = order(made, 16, config.dataset.to_dict())
    sizes = made.ragged["a"].sizes
    counts = [int((sizes <= 2).sum()), int(((sizes > 2) & (sizes <= 4)).sum()), int((sizes > 4).sum())]
    assert steps.batches == tuple(-(-n // size) for n, size in zip(counts, (10, 5, 2), strict=True))
    assert total_steps(config, epoch_size(config, made)) == 3 * sum(steps.batches)
    assert intervals(config, epoch_size(config, made)).log.after(0) == sum(steps.batches)


def test_features_may_have_lengths_of_their_own():
    words = [np.zeros(n, np.int32) for n in (1, 5, 3, 9)]
    other = [np.zeros(n, np.int32) for n in (3, 7, 12, 2)]
    found = buckets(RaggedArrays({"a": ragged(words, (4, 8)), "b": ragged(other, (3, 6, 12))}))
    assert found.lengths == ({"a": 4, "b": 3}, {"a": 8, "b": 6}, {"a": 8, "b": 12})
    assert found.of.tolist() == [0, 2, 2, 1]


def test_lengths_are_those_of_all_ragged_features_and_what_is_cut_is_said():
    made = with_lengths(source(lengths=()), (4, 8))
    assert isinstance(made, RaggedArrays) and all(values.lengths == (4, 8) for values in made.ragged.values())
    cut = int((made.ragged["a"].sizes > 8).sum())
    assert notes({"train": RaggedArrays({"a": made.ragged["a"]})}) == [
        f"{cut} of 50 examples of the split 'train' have a longer 'a' than 8 and are cut to that (dataset.lengths)."
    ]
    assert notes({"train": source(lengths=()), "test": Arrays({"x": np.zeros(3)})}) == []
    plain = Arrays({"x": np.zeros(3)})
    assert with_lengths(plain, (4, 8)) is plain


def test_lengths_of_the_configuration_are_those_of_every_split(monkeypatch):
    found = Dataset(Info("ragged", {}), {"train": source(lengths=()), "test": source(9, ())})
    monkeypatch.setattr("dl.data.load._find", lambda *_: found)
    config = settings().dataset
    with config.unlocked():
        config.update(name="ragged", splits={"train": "train[:60%]", "test": "test"}, batches="buckets", lengths=(4, 8))
    taken = load(config).splits
    assert [len(taken[split]) for split in ("train", "test")] == [30, 9]
    assert {values.lengths for made in taken.values() for values in made.ragged.values()} == {(4, 8)}


@pytest.mark.parametrize(
    ("made", "chosen", "said"),
    [
        (Arrays({"x": np.zeros((4, 2))}), {}, r"'buckets' is for examples that differ in length, which these do not"),
        (source(), {"bucket_by": "c"}, r"'c'.*Choices: a, b"),
        (source(), {"tokens_per_batch": -1}, r"tokens_per_batch must be positive, or 0"),
    ],
)
def test_mistakes_are_one_clear_line(made, chosen, said):
    with pytest.raises(UserError, match=said):
        order(made, 6, chosen)


def test_an_example_of_nothing_is_in_the_first_bucket():
    made = RaggedArrays({"a": Ragged(np.arange(3), np.array([0, 0, 3]), (2, 4))})
    assert buckets(made).of.tolist() == [0, 1]
