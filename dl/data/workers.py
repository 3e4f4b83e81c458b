"""A process that reads examples for another one.

Not `multiprocessing`, whose processes import the main program again, which a notebook lacks, and outlive a killed parent. This
one ends when the connection to its parent does. Examples are handed over in memory that both have mapped.
"""

import contextlib
import itertools
import mmap
import os
import subprocess
import sys
import tempfile
import traceback
import weakref
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from dl.dataset import Drawn, Source
from dl.errors import UserError

PATIENCE = 5.0  # seconds that a process has to end once its connection is closed
ALIGNED = 64  # bytes
_START = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "sys.path[:] = {path!r}; from dl.data.workers import serve; serve({connection}, {memory})"
)

Layout = list[tuple[str, str, tuple[int, ...], int]]  # feature: name, dtype, shape [N, ...], first byte


class Worker:
    """The process, as its parent sees it. It ends with this object, with the program, or when that is killed."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe()
        self.memory = _shared_memory()
        self.mapped: mmap.mmap | None = None
        self.sources: list[Source] = []
        start = _START.format(path=sys.path, connection=theirs.fileno(), memory=self.memory)
        # In a session of its own, and deaf to a scheduler's signals: the parent may have a step to finish.
        shared = (theirs.fileno(), self.memory)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", start], pass_fds=shared, stdin=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            raise UserError(f"no process to read images could be started ({error}): lower dataset.workers.") from error
        finally:
            theirs.close()
        weakref.finalize(self, _end, self.connection, self.process, self.memory)

    def read(self, source: Source, indices: Sequence[int], numbers: np.ndarray | None) -> dict[str, np.ndarray]:
        """The examples at `indices`, feature -> [N, ...]: they lie in the shared memory and are valid until the next call.

        Raises:
            UserError: what the source finds wrong with an example, or the process is dead.
        """
        number = next((n for n, known in enumerate(self.sources) if known is source), len(self.sources))
        sent = source if number == len(self.sources) else None
        try:
            self.connection.send((number, sent, indices, numbers))
            if sent is not None:
                self.sources.append(sent)
            layout, size, error = self.connection.recv()
        except (EOFError, OSError) as error:
            code = _exit_code(self.process)
            raise UserError(
                f"a process that reads images ended unexpectedly ({code}): if the machine is short of memory, lower "
                "dataset.workers or batch_size; what was saved is not lost."
            ) from error
        if error is not None:
            raise error
        if self.mapped is None or size > len(self.mapped):
            self.mapped = mmap.mmap(self.memory, size)
        return _arrays(self.mapped, layout)


def serve(connection: int, memory: int) -> None:
    """What the process does: it reads what it is asked for until its parent is gone."""
    parent, sources = Connection(connection), []
    shared = _Shared(memory)
    with contextlib.suppress(EOFError, OSError):
        while True:
            number, sent, indices, numbers = parent.recv()
            layout: Layout = []
            error: Exception | None = None
            try:
                if sent is not None:
                    sources.append(sent)
                layout = shared.write(len(indices), read_examples(sources[number], indices, numbers))
            except UserError as wrong:
                error = wrong
            except Exception:
                error = RuntimeError(f"in a process that reads images: {traceback.format_exc()}")
            parent.send((layout, shared.size, error))


class _Shared:
    """The memory that worker and parent have mapped; the worker makes it as large as its examples need."""

    def __init__(self, memory: int):
        self.memory, self.size = memory, 0

    def write(self, count: int, examples: Iterator[dict[str, np.ndarray]]) -> Layout:
        first = next(examples)
        layout, size = _layout(first, count)
        if size > self.size:
            os.ftruncate(self.memory, size)
            self.mapped, self.size = mmap.mmap(self.memory, size), size
        arrays = _arrays(self.mapped, layout)
        for row, example in enumerate(itertools.chain((first,), examples)):
            for name, array in arrays.items():
                check_shape(name, array.shape[1:], np.shape(example[name]))
                array[row] = example[name]
        return layout


def read_examples(source: Any, indices: Sequence[int], numbers: np.ndarray | None) -> Iterator[dict[str, np.ndarray]]:
    """The examples at these indices, one by one; random views by `numbers` [N, ...] where there are any."""
    for row, index in enumerate(indices):
        if hasattr(source, "example"):
            yield source.example(index) if numbers is None else source.example(index, numbers[row])
        elif numbers is not None and isinstance(source, Drawn):
            yield {k: v[0] for k, v in source.draw(np.array([index]), numbers[row][None]).items()}
        else:
            yield {k: v[0] for k, v in source.gather(np.array([index])).items()}


def check_shape(name: str, wanted: tuple[int, ...], found: tuple[int, ...]) -> None:
    """Whether an example may stand beside others.

    Raises:
        UserError: it is of another shape.
    """
    if wanted != found:
        raise UserError(f"examples differ in shape ({name}: {wanted} and {found}): set dataset.size=(H,W) and dataset.fit.")


def _layout(example: dict[str, np.ndarray], count: int) -> tuple[Layout, int]:
    """Where `count` examples like this one lie in the memory, and how much they take."""
    layout, end = [], 0
    for name, values in example.items():
        shape = (count, *np.shape(values))
        layout.append((name, np.asarray(values).dtype.str, shape, end))
        end += -(-int(np.prod(shape)) * np.asarray(values).dtype.itemsize // ALIGNED) * ALIGNED
    return layout, max(end, mmap.PAGESIZE)


def _arrays(mapped: mmap.mmap, layout: Layout) -> dict[str, np.ndarray]:
    return {name: np.ndarray(shape, dtype, mapped, offset) for name, dtype, shape, offset in layout}


def _shared_memory() -> int:
    """A file without a name; on Linux it is in memory, whatever room /dev/shm has (in containers often 64 MB)."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("examples")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _exit_code(process: subprocess.Popen) -> str:
    with contextlib.suppress(subprocess.TimeoutExpired):
        code = process.wait(PATIENCE)
        return f"signal {-code}" if code < 0 else f"exit code {code}"
    return "it does not answer"


def _end(connection: Connection, process: subprocess.Popen, memory: int) -> None:
    connection.close()
    os.close(memory)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    process.kill()
    process.wait()
