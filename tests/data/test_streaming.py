"""Streams give the examples that were asked for, in the order that was asked for."""

import functools

import numpy as np
import pytest
from PIL import Image

from dl.data.sources.folder import Files
from dl.data.streaming import stream
from dl.errors import UserError


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i:02d}.png" for i in range(24)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (5, 4, 3), np.uint8)).save(path)
    return Files(paths, list(range(24)), 3, (0, 0), "pad")


def index_at(position, length):
    return (7 * position + 3) % length


@pytest.mark.parametrize(("threads", "workers"), [(1, 0), (16, 0), (16, 2)])
def test_order_is_ours_whatever_the_threads_and_workers(files, threads, workers):
    positions = range(10, 80)
    batches = list(stream(files, positions, functools.partial(index_at, length=24), 16, threads=threads, workers=workers))
    assert [len(batch["label"]) for batch in batches] == [16, 16, 16, 16, 6]
    expected = files.gather(np.array([index_at(p, 24) for p in positions]))
    for name, values in expected.items():
        np.testing.assert_array_equal(np.concatenate([batch[name] for batch in batches]), values)
        assert batches[0][name].dtype == values.dtype


def test_processes_share_the_global_order(files):
    """Two processes, each asking for the positions of its rows of batches of 8, together read what one process reads."""
    at = functools.partial(index_at, length=24)
    alone = list(stream(files, range(24), at, 8))
    parts = [list(stream(files, [p for p in range(24) if p % 8 // 4 == process], at, 4)) for process in range(2)]
    for step, batch in enumerate(alone):
        joined = np.concatenate([parts[0][step]["image"], parts[1][step]["image"]])
        np.testing.assert_array_equal(joined, batch["image"])


def test_it_goes_on_anywhere(files):
    at = functools.partial(index_at, length=24)
    whole = list(stream(files, range(40), at, 8))
    rest = list(stream(files, range(16, 40), at, 8))
    for a, b in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(a["image"], b["image"])


def test_a_file_that_breaks_while_streaming_is_named(files):
    files.paths[5].write_bytes(files.paths[5].read_bytes()[:60])
    with pytest.raises(UserError, match=r"05.png can't be decoded"):
        list(stream(files, range(24), int, 8))
