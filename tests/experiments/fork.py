"""Programs in forks of a warm process (see warm.py), which each worker of pytest starts when it needs it first."""

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path


class Fork:
    """A program in a fork: what tests use of a `subprocess.Popen`. Output goes to files, so it may be of any length."""

    def __init__(self, module: str, arguments: list[str], devices: int):
        self.args, self.returncode = [sys.executable, "-m", module, *arguments], None
        self._files = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  # closed with this object
        self._status, writing = os.pipe()
        request = json.dumps({"module": module, "arguments": arguments, "devices": devices}).encode()
        socket.send_fds(_connection(), [request], [writing, *(file.fileno() for file in self._files)])
        os.close(writing)
        self.pid = self._number()

    def _number(self) -> int:
        """What the keeper writes: the pid, and, once the program has ended, its exit code."""
        read = os.read(self._status, 4)
        if len(read) < 4:  # a pid of 0 would stand for the tests' own process group
            raise RuntimeError("the warm process of the tests is gone")
        return int.from_bytes(read, sys.byteorder, signed=True)

    def _ended(self, timeout: float | None) -> bool:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            self.returncode = self._number()
            os.close(self._status)
        return self.returncode is not None

    def poll(self) -> int | None:
        self._ended(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> list[str]:
        self.wait(timeout)
        for file in self._files:
            file.seek(0)
        return [file.read().decode() for file in self._files]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@functools.cache
def _connection() -> socket.socket:
    """To the warm process of this worker of pytest, which is started at the first use and ends with the worker."""
    ours, its = socket.socketpair()
    command = [sys.executable, "-m", "tests.experiments.warm", str(its.fileno())]
    process = subprocess.Popen(
        command, cwd=Path(__file__).resolve().parents[2], pass_fds=[its.fileno()], stdin=subprocess.DEVNULL
    )
    its.close()
    atexit.register(lambda: (ours.close(), process.wait()))
    return ours
