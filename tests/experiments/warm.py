"""A warm process that forks: a worker of pytest imports once what all programs import, and its programs are forks of that.

A fork is what `python -m MODULE ARGUMENTS` would be, with its own pid, signals, exit code and end; only its imports are done.
Before a fork no backend of JAX is initialised, no flag of a program is defined and no thread is started.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

NUMBER = struct.Struct("i")
CODES: list[int] = []  # with which a fork leaves by `sys.exit`


class Fork:
    """A program in a fork: what tests use of a `subprocess.Popen`. Output goes to files, so it may be of any length."""

    def __init__(self, module: str, arguments: list[str], devices: int):
        self.args, self.returncode = [sys.executable, "-m", module, *arguments], None
        self._files = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self._status, writing = os.pipe()
        request = json.dumps({"module": module, "arguments": arguments, "devices": devices}).encode()
        socket.send_fds(_connection(), [request], [writing, *(file.fileno() for file in self._files)])
        os.close(writing)
        self.pid = self._number()

    def _number(self) -> int:
        """What the keeper writes: the pid, and, once the program has ended, its exit code."""
        return NUMBER.unpack(os.read(self._status, NUMBER.size))[0]

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


def _warm() -> None:
    """Imports what programs import, but no program."""
    for name in ("jax", "flax.linen", "optax", "orbax.checkpoint", "tensorboardX", "sklearn.datasets", "PIL.Image", "dl"):
        importlib.import_module(name)
    for module in pkgutil.walk_packages(sys.modules["dl"].__path__, "dl."):
        importlib.import_module(module.name)
    importlib.import_module("experiments.program")
    backends = importlib.import_module("jax._src.xla_bridge").backends_are_initialized()
    assert not backends and threading.active_count() == 1, "a fork would lack the threads"
    gc.freeze()  # a collection in a fork need not touch, and so copy, what is shared


def _serve(connection: socket.socket) -> dict[str, Any]:
    """Forks for every request, and returns in the fork; ends the process when nobody can ask any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the programs
    while True:
        message, (*files,), _, _ = socket.recv_fds(connection, 1 << 16, 3)
        if not message:
            sys.exit()
        if os.fork() == 0:
            connection.close()
            _keep(*files)
            return json.loads(message)
        for file in files:
            os.close(file)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _keep(status: int, out: int, err: int) -> None:
    """Forks, and returns in the fork; this process stays behind to tell pid and exit code."""
    pid = os.fork()
    if pid:
        os.write(status, NUMBER.pack(pid))
        _, how = os.waitpid(pid, 0)
        os.write(status, NUMBER.pack(os.waitstatus_to_exitcode(how)))
        os._exit(0)
    for file, standard in ((out, 1), (err, 2)):
        os.dup2(file, standard)
    for file in (status, out, err):
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave() -> None:
    """The last thing done at exit: leaves without the tearing down of modules, which copies what is shared (0.4 s)."""
    if CODES:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(CODES[0])


if __name__ == "__main__":
    atexit.register(_leave)  # before all others, so that it comes after them
    _warm()
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    os.environ["JAX_NUM_CPU_DEVICES"] = str(asked["devices"])
    sys.modules["jax"].config.update("jax_num_cpu_devices", asked["devices"])
    sys.argv = [asked["module"], *asked["arguments"]]
    try:
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
    except SystemExit as error:
        CODES.append(error.code if isinstance(error.code, int) else 1 if error.code else 0)
        raise
