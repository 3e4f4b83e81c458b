"""The order of the examples: every one once an epoch, another order in each, the same for ever."""

import numpy as np

from dl.data.batches.examples import examples
from dl.data.order import example_indices, permutation
from dl.dataset import Arrays

FIRST, SECOND = [0, 2, 1, 5, 4, 3, 6, 7], [5, 3, 7, 2, 4, 1, 0, 6]  # the orders of 8 examples in the first two epochs of seed 0
SOURCE = Arrays({"number": np.arange(50)})


def epochs(seed, batch_size=8, count=4):
    """The numbers of the first epochs [count, 50], read in batches that do not divide an epoch."""
    read = examples(SOURCE, seed, batch_size, {}, False)
    steps = -(-count * len(SOURCE) // batch_size)
    return read(0, steps, np.arange(batch_size))["number"].ravel()[: count * len(SOURCE)].reshape(count, -1)


def test_every_epoch_has_every_example_once_in_an_order_of_its_own():
    orders = [*epochs(seed=0), *epochs(seed=1)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(50))
    assert len({tuple(order) for order in orders}) == 8
    # Two independent orders agree at a place with probability 1 / 50.
    agree = [np.mean(a == b) for i, a in enumerate(orders) for b in orders[:i]]
    assert max(agree) < 0.2


def test_the_order_does_not_depend_on_the_batch_size_nor_on_where_one_begins():
    np.testing.assert_array_equal(epochs(seed=3, batch_size=7), epochs(seed=3, batch_size=50))
    read = examples(SOURCE, 3, 7, {}, False)
    whole = read(0, 20, np.arange(7))["number"]
    np.testing.assert_array_equal(read(11, 9, np.arange(7))["number"], whole[11:])
    np.testing.assert_array_equal(read(11, 9, np.array([2, 5]))["number"], whole[11:, [2, 5]])


def test_the_order_is_philox_sorted_and_stays_so():
    """The numbers are written down: a run that is taken up years later sees the same order."""
    np.testing.assert_array_equal(permutation(0, 0, 8), FIRST)
    np.testing.assert_array_equal(permutation(0, 1, 8), SECOND)
    positions = np.array([[0, 7, 8], [15, 1, 9]])
    expected = [[FIRST[0], FIRST[7], SECOND[0]], [SECOND[7], FIRST[1], SECOND[1]]]
    np.testing.assert_array_equal(example_indices(0, positions, 8), expected)


class OnDisk(Arrays):
    """The same examples, not in memory."""

    resident = False


def test_what_is_read_ahead_is_what_is_asked_for():
    """On, back, over a gap, for other rows, and for other numbers of steps."""
    ahead, memory = (examples(kind({"number": np.arange(50)}), 3, 8, {}, False) for kind in (OnDisk, Arrays))
    every, some = np.arange(8), np.array([2, 5, 7])
    for start, count, rows in (
        (0, 4, every),
        (4, 4, every),
        (4, 4, every),
        (20, 4, every),
        (24, 4, some),
        (28, 2, some),
        (30, 5, some),
    ):
        np.testing.assert_array_equal(ahead(start, count, rows)["number"], memory(start, count, rows)["number"])
