"""A warm process that forks: what all programs import is imported once, and a program is a fork of that.

A fork is what `python -m MODULE ARGUMENTS` would be, with its own pid, signals, exit code and end; only its imports are done.
Before a fork no backend of JAX is initialised, no flag of a program is defined and no thread is started.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
from typing import Any

CODES: list[int] = []  # with which a fork leaves by `sys.exit`


def warm() -> None:
    """Imports what programs import, but no program."""
    for name in ("jax", "flax.linen", "optax", "orbax.checkpoint", "tensorboardX", "sklearn.datasets", "PIL.Image", "dl"):
        importlib.import_module(name)
    for module in pkgutil.walk_packages(sys.modules["dl"].__path__, "dl."):
        importlib.import_module(module.name)
    importlib.import_module("experiments.program")
    backends = importlib.import_module("jax._src.xla_bridge").backends_are_initialized()
    assert not backends and threading.active_count() == 1, "a fork would lack the threads"
    gc.freeze()  # a collection in a fork need not touch, and so copy, what is shared


def serve(connection: socket.socket) -> dict[str, Any]:
    """Forks for every request, and returns in the fork; ends the process when nobody can ask any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the programs
    while True:
        message, (*files,), _, _ = socket.recv_fds(connection, 1 << 16, 3)
        if not message:
            sys.exit()
        if os.fork() == 0:
            connection.close()
            keep(*files)
            return json.loads(message)
        for file in files:
            os.close(file)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def keep(status: int, out: int, err: int) -> None:
    """Forks, and returns in the fork; this process stays behind to tell pid and exit code."""
    pid = os.fork()
    if pid:
        os.write(status, as_bytes(pid))
        _, how = os.waitpid(pid, 0)
        os.write(status, as_bytes(os.waitstatus_to_exitcode(how)))
        os._exit(0)
    for file, standard in ((out, 1), (err, 2)):
        os.dup2(file, standard)
    for file in (status, out, err):
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def as_bytes(number: int) -> bytes:
    return number.to_bytes(4, sys.byteorder, signed=True)


def leave() -> None:
    """The last thing done at exit: leaves without the tearing down of modules, which copies what is shared (0.4 s)."""
    if CODES:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(CODES[0])


if __name__ == "__main__":
    atexit.register(leave)  # before all others, so that it comes after them
    warm()
    asked = serve(socket.socket(fileno=int(sys.argv[1])))
    os.environ["JAX_NUM_CPU_DEVICES"] = str(asked["devices"])
    sys.modules["jax"].config.update("jax_num_cpu_devices", asked["devices"])
    sys.argv = [asked["module"], *asked["arguments"]]
    try:
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
    except SystemExit as error:
        CODES.append(error.code if isinstance(error.code, int) else 1 if error.code else 0)
        raise
