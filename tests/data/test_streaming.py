"""Readers give the examples that were asked for, in the order that was asked for, and their processes end when they should."""

import gc
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from dl.data import streaming
from dl.data.batches.examples import ReadAhead
from dl.data.load import load
from dl.data.order import example_indices
from dl.data.sources.folder import Files
from dl.data.streaming import Readers, Streamed, processors
from dl.data.workers import Worker
from dl.errors import UserError
from tests.training.tasks import experiment, settings


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i:02d}.png" for i in range(24)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (5, 4, 3), np.uint8)).save(path)
    return Files(paths, list(range(24)), 3, (0, 0), "pad")


@pytest.fixture(scope="module")
def two_workers():
    return Readers(workers=2)


def batches_of(positions, size):
    indices = (7 * np.array(positions) + 3) % 24
    return [indices[start : start + size] for start in range(0, len(indices), size)]


@pytest.mark.parametrize("threads", [1, 3, 16, "workers"])
def test_order_is_ours_whatever_the_threads_and_workers(files, threads, two_workers):
    readers = two_workers if threads == "workers" else Readers(threads=threads)
    wanted = batches_of(range(10, 80), 16)
    batches = list(Streamed(files, readers).stream(wanted))
    assert [len(batch["label"]) for batch in batches] == [16, 16, 16, 16, 6]
    for indices, batch in zip(wanted, batches, strict=True):
        for name, values in files.gather(indices).items():
            np.testing.assert_array_equal(batch[name], values)
            assert batch[name].dtype == values.dtype


def test_blocks_of_any_length_are_those_of_the_order(files, two_workers):
    """Calls for 2, 2, 1, 3 and 2 steps, then from step 1 again, of rows 2 to 7 of 8; replicas share the readers."""
    rows = np.arange(2, 8)
    for readers in (Readers(threads=2), two_workers):
        replicas = [ReadAhead(Streamed(files, readers), seed, 8) for seed in (0, 1)]
        for start, count in ((0, 2), (2, 2), (4, 1), (5, 3), (8, 2), (1, 1)):
            for seed, read in enumerate(replicas):
                steps = np.arange(start, start + count)[:, None]
                expected = files.gather(example_indices(seed, (steps * 8 + rows).ravel(), 24))
                block = read(start, count, rows)
                assert block["image"].shape == (count, 6, 5, 4, 3)
                np.testing.assert_array_equal(block["image"].reshape(-1, 5, 4, 3), expected["image"])
                np.testing.assert_array_equal(block["label"].ravel(), expected["label"])
        assert len({id(read.source.readers) for read in replicas}) == 1


def test_a_block_is_handed_over_as_it_was_read(files):
    read = ReadAhead(Streamed(files, Readers(threads=2)), 0, 8)
    read(0, 2, np.arange(8))
    ahead = read.ahead[0][2].result()
    assert np.shares_memory(read(2, 2, np.arange(8))["image"], ahead["image"])


def test_what_is_no_longer_wanted_is_not_read(files, monkeypatch):
    """One thread that is busy, and a generator that is given up: what was read ahead is cancelled."""
    read, original = [], Files.example

    def slowly(self, index):
        read.append(index)
        time.sleep(0.02)
        return original(self, index)

    monkeypatch.setattr(Files, "example", slowly)
    stream = Streamed(files, Readers(threads=1)).stream(batches_of(range(24), 8))
    next(stream)
    stream.close()
    time.sleep(0.3)
    assert 8 <= len(read) < 24


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_breaks_while_streaming_is_named_and_the_readers_go_on(files, workers, two_workers):
    streamed = Streamed(files, two_workers if workers else Readers())
    whole = files.paths[5].read_bytes()
    files.paths[5].write_bytes(whole[:60])
    with pytest.raises(UserError, match=r"05.png can't be decoded \([^\n]*$"):
        list(streamed.stream(batches_of(range(24), 8)))
    files.paths[5].write_bytes(whole)
    np.testing.assert_array_equal(streamed.gather(np.arange(24))["image"], files.gather(np.arange(24))["image"])


@pytest.mark.parametrize("workers", [0, 2])
def test_images_of_several_sizes_are_no_batch(files, workers, two_workers):
    Image.new("RGB", (1, 1)).save(files.paths[7])  # NumPy would repeat its pixel
    with pytest.raises(UserError, match=r"differ in shape \(image: \(5, 4, 3\) and \(1, 1, 3\)\): set dataset.size"):
        Streamed(files, two_workers if workers else Readers(threads=1)).gather(np.arange(24))


def workers_of(readers):
    lanes = readers._started[1]
    workers = [lanes.get() for _ in range(readers.threads)]
    for worker in workers:
        lanes.put(worker)
    return [worker.process for worker in workers]


def test_workers_stay_between_streams_and_end_with_their_readers(files):
    readers = Readers(workers=1)
    one, other = Streamed(files, readers), Streamed(Files(files.paths[::-1], list(range(24)), 3, (0, 0), "pad"), readers)
    one.gather(np.arange(4))
    (process,) = workers_of(readers)
    process.send_signal(signal.SIGTERM)  # as a scheduler sends it to all processes of a job: the last step still needs it
    process.send_signal(signal.SIGINT)
    np.testing.assert_array_equal(other.gather(np.arange(4))["image"], one.gather(np.arange(23, 19, -1))["image"])
    assert workers_of(readers) == [process]
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(UserError, match=r"a process that reads images ended unexpectedly \(signal 9\)"):
        one.gather(np.arange(4))
    readers = Readers(workers=1)
    Streamed(files, readers).gather(np.arange(4))
    (process,) = workers_of(readers)
    del readers
    gc.collect()
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() == 0


def test_replicas_and_evaluations_share_their_workers_which_stay(tmp_path, monkeypatch):
    made = []

    class Counted(Worker):
        def __init__(self):
            made.append(self)
            super().__init__()

    monkeypatch.setattr(streaming, "Worker", Counted)
    for number in range(8):
        path = tmp_path / ("train" if number < 5 else "validation") / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 30 * number).save(path)
    config = settings(batch_size=4, eval_batch_size=2, replicas=2)
    with config.dataset.unlocked():
        config.dataset.update(name="folder", path=str(tmp_path), channels=1, memory_limit=0, workers=1)
        config.dataset.splits = {"train": "train", "validation": "validation"}
    chosen = experiment("classifier", config, dataset=load(config.dataset))
    stream = chosen.streams()["train"]
    assert len(stream.reads) == 2
    for step in (0, 1):
        for read in stream.reads:
            assert read(step, 1, np.arange(4))["image"].shape == (1, 4, 8, 8, 1)
        labels = [int(label) for batch, _ in chosen.evaluation("validation").blocks() for label in batch["label"]]
        assert labels == [0, 1, 1, 1]  # 6, 5 and 7; the last one fills its batch
    assert len(made) == 1


def test_a_worker_outlives_neither_the_end_nor_a_kill_of_its_program(files):
    code = (
        "import os, sys; sys.path[:] = {path!r}\n"
        "import numpy as np; from pathlib import Path\n"
        "from dl.data.sources.folder import Files; from dl.data.streaming import Readers\n"
        "r = Readers(workers=1); f = Files([Path({file!r})] * 64, [0] * 64, 3, (0, 0), 'pad')\n"
        "r.submit(f, np.arange(64)).result(); ahead = r.submit(f, np.arange(64))\n"
        "print(r._started[1].get().process.pid if {end} else 0, flush=True)\n"
        "if {end}: os.kill(os.getpid(), 9)\n"
    )
    for end in (True, False):
        text = code.format(path=sys.path, file=str(files.paths[0]), end=end)
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == (-9 if end else 0) and not done.stderr, done.stderr
        pid, deadline = int(done.stdout), time.monotonic() + 10
        while pid and alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not pid or not alive(pid)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_processes_of_a_run_share_the_machine(monkeypatch):
    monkeypatch.setattr(streaming.os, "sched_getaffinity", lambda pid: set(range(12)), raising=False)
    assert processors() == 12
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert processors() == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "40")
    assert processors() == 1


@pytest.mark.parametrize("workers", [-1, -8])
def test_a_number_of_workers_that_is_none(workers):
    with pytest.raises(UserError, match="dataset.workers is a number of processes, 0 or more"):
        Readers(workers)


def test_all_splits_of_a_dataset_share_their_readers(tmp_path):
    for name in ("train/a/1", "train/b/1", "test/a/1", "test/b/1"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (5, 4)).save(path)
    settings = {"name": "folder", "path": str(tmp_path), "memory_limit": 0, "splits": {"train": "train", "test": "test[:1]"}}
    splits = load(ConfigDict(settings)).splits
    train, test = splits["train"], splits["test"]
    assert isinstance(train, Streamed) and train.readers is test.readers and len(test) == 1
    parts = {"x": {"name": "folder", "path": str(tmp_path)}, "y": {"name": "folder", "path": str(tmp_path)}}
    joined = {"name": "join", "memory_limit": 0, "parts": parts, "splits": {"train": "x_train+y_test"}}
    source = load(ConfigDict(joined)).splits["train"]
    assert not any(isinstance(part, Streamed) for part, _, _ in source.source.parts)
    assert source.gather(np.arange(4))["label"].tolist() == [0, 1, 0, 1]
