"""Reading ahead from sources that do not fit in memory: decoding in threads or worker processes, in an order that is ours.

Which examples a batch has is said by who asks for it, a pure function of the position in the run. So the batches are the same
whatever the number of threads and workers, a run goes on at any step without saved iterator state, and each process of several
asks for its own rows. Each example is written to its place in the batch by who decodes it.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np

from dl.data.workers import Worker, check_shape, read_examples
from dl.dataset import Drawn, Source, column_of, stored_of
from dl.errors import UserError

THREAD_CHUNK, WORKER_CHUNK = 64, 16  # examples that one takes at a time, at most
AHEAD = 2  # batches that are read before they are asked for
LOCAL_PROCESSES = "LOCAL_WORLD_SIZE"  # the environment's word for how many processes of the run share this machine

Example = Mapping[str, np.ndarray]
Numbers = Callable[[int], np.ndarray]


class Readers:
    """Threads that read examples, each by itself or through a worker process of its own.

    They start with the first read and stay until nobody holds this object, or the program ends. All that read the splits of a
    run may share them: its replicas, its evaluations.

    Args:
        workers: processes, worth it where decoding is limited by Python's lock; they take half a second to start and receive
            each source pickled. 0: threads of this process read.
        threads: number of threads that read where `workers` is 0; by default one per processor of this process, at most 16.

    Raises:
        UserError: a number of workers that is none.
    """

    def __init__(self, workers: int = 0, threads: int = 0):
        if workers < 0:
            raise UserError(f"dataset.workers is a number of processes, 0 or more, not {workers!r}.")
        self.workers, self.threads = workers, workers or threads or processors()
        self._started: tuple[ThreadPoolExecutor, SimpleQueue[Worker | None]] | None = None
        self._lock = threading.Lock()

    def submit(self, source: Source, indices: np.ndarray, numbers: Numbers | None = None) -> "Batch":
        """Begins to read the examples at `indices` [N]; `numbers` maps a row of these to its random numbers, for a `Drawn`."""
        with self._lock:  # a training's thread that reads ahead, and its evaluation
            self._started = self._started or self._start()
        executor, lanes = self._started
        chunk = max(1, min(WORKER_CHUNK if self.workers else THREAD_CHUNK, len(indices) // self.threads))
        batch = Batch(len(indices))
        numbers = numbers if isinstance(source, Drawn) else None
        for start in range(0, len(indices), chunk):
            rows = range(start, min(start + chunk, len(indices)))
            batch.parts.append(executor.submit(_read, lanes, batch, source, indices, rows, numbers))
        return batch

    def _start(self) -> tuple[ThreadPoolExecutor, "SimpleQueue[Worker | None]"]:
        lanes: SimpleQueue[Worker | None] = SimpleQueue()
        for _ in range(self.threads):
            lanes.put(Worker() if self.workers else None)
        return ThreadPoolExecutor(self.threads, "reader"), lanes


class Batch:
    """Examples on their way: `result` waits for them. The arrays are made when the first one is there."""

    def __init__(self, size: int):
        self.size = size
        self.parts: list[Future[None]] = []
        self._arrays: dict[str, np.ndarray] = {}
        self._lock = threading.Lock()

    def put(self, rows: slice, examples: Example) -> None:
        """Writes the examples [n, ...] of some rows to their place."""
        with self._lock:
            if not self._arrays:
                self._arrays = {name: np.empty((self.size, *v.shape[1:]), v.dtype) for name, v in examples.items()}
        for name, array in self._arrays.items():
            check_shape(name, array.shape[1:], examples[name].shape[1:])
            array[rows] = examples[name]

    def result(self) -> dict[str, np.ndarray]:
        """Feature -> [N, ...].

        Raises:
            UserError: whatever the source finds wrong with an example, the first of them in the order of the batch.
        """
        try:
            for part in self.parts:
                part.result()
        except BaseException:
            self.cancel()
            raise
        return self._arrays

    def cancel(self) -> None:
        """What has not begun to be read is not read."""
        for part in self.parts:
            part.cancel()


class Streamed:
    """A source whose examples are read by `Readers`."""

    resident = False

    def __init__(self, source: Source, readers: Readers):
        self.source, self.readers = source, readers

    def __len__(self) -> int:
        return len(self.source)

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        indices = np.asarray(indices)
        return self.readers.submit(self.source, indices).result() if len(indices) else self.source.gather(indices)

    def draw(self, indices: np.ndarray, numbers: np.ndarray) -> dict[str, np.ndarray]:
        return self.readers.submit(self.source, np.asarray(indices), numbers.__getitem__).result()

    def column(self, name: str) -> np.ndarray | None:
        return column_of(self.source, name)

    def stored(self, indices: np.ndarray) -> Iterable[bytes]:
        return stored_of(self.source, indices)

    def stream(self, batches: Iterable[np.ndarray], numbers: Callable[[int], Numbers] | None = None) -> Iterator[dict]:
        """The examples at each batch's indices [N], read ahead; `numbers` maps a batch's number to those of its rows."""
        waiting: deque[Batch] = deque()
        try:
            for number, indices in enumerate(batches):
                waiting.append(self.readers.submit(self.source, indices, numbers(number) if numbers else None))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for batch in waiting:
                batch.cancel()


def streamed(source: Source, workers: int = 0) -> Streamed:
    """The source with readers: those it has, or else its own."""
    return source if isinstance(source, Streamed) else Streamed(source, Readers(workers))


def stacked(examples: Iterable[Example]) -> dict[str, np.ndarray]:
    """Examples as one: feature -> [N, ...]."""
    rows = list(examples)
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def processors() -> int:
    """How many threads this process may keep busy: its processors, shared with the run's other processes on this machine."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shared = os.environ.get(LOCAL_PROCESSES, "")
    return max(1, min(16, available // (int(shared) if shared.isdecimal() and int(shared) else 1)))


def _read(
    lanes: "SimpleQueue[Worker | None]", batch: Batch, source: Source, indices: np.ndarray, rows: range, numbers: Numbers | None
) -> None:
    """One chunk of a batch; there are as many lanes as threads, so none waits for one."""
    chosen = indices[rows.start : rows.stop].tolist()
    drawn = None if numbers is None else np.stack([numbers(row) for row in rows])
    worker = lanes.get()
    try:
        if worker is not None:
            _check_wanted()
            batch.put(slice(rows.start, rows.stop), worker.read(source, chosen, drawn))
            return
        for row, example in zip(rows, read_examples(source, chosen, drawn), strict=True):
            _check_wanted()
            batch.put(slice(row, row + 1), {name: np.asarray(values)[None] for name, values in example.items()})
    finally:
        lanes.put(worker)


def _check_wanted() -> None:
    """The program waits for its threads before it ends; what it has asked them to read is not wanted then."""
    if not threading.main_thread().is_alive():
        raise CancelledError
