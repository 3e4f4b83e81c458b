r"""Starts a program as several processes of one machine, for tests and trials of what a cluster will do.

    python -m experiments.launch --processes=2 --devices=2 \
        -- python -m experiments.train --config=configs/digits_mlp.py --workdir=runs/two

Each process gets --coordinator, --num_processes and --process_id added to its command. The first one's output is passed on as
it is, lines of the others begin with their number. SIGTERM and SIGINT go to all of them; where one fails, the others are ended,
and the exit code is that of the first to fail.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from threading import Thread
from typing import IO, Any

from absl import flags

from dl.data.streaming import LOCAL_PROCESSES
from dl.errors import UserError
from experiments.program import run

FLAGS = flags.FLAGS
GRACE = 3.0  # seconds that the others have to end by themselves once one has failed
POLL = 0.05


def main(argv: list[str]) -> None:
    """Launches the command that stands after `--`."""
    if len(argv) < 2:
        raise UserError("no command given: python -m experiments.launch --processes=2 -- python -m experiments.train ...")
    sys.exit(launch(argv[1:], FLAGS.processes, FLAGS.devices))


def launch(command: Sequence[str], processes: int, devices: int = 0) -> int:
    """Runs the command as several processes and waits for them.

    Args:
        command: program and arguments.
        processes: how many.
        devices: virtual CPU devices of each; 0 leaves that to the environment.

    Returns:
        0, or the exit code of the first that failed; 128 + n where signal n ended it.

    Raises:
        UserError: there is no such program.
    """
    coordinator = f"localhost:{free_port()}"
    environment = {**os.environ, LOCAL_PROCESSES: str(processes)}  # which share the machine's processors
    environment |= {"JAX_NUM_CPU_DEVICES": str(devices)} if devices else {}
    running: list[subprocess.Popen] = []
    readers: list[Thread] = []

    def forward(number: int, frame: object) -> None:
        for process in running:
            if process.poll() is None:
                process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        for i in range(processes):
            place = [f"--coordinator={coordinator}", f"--num_processes={processes}", f"--process_id={i}"]
            pipe = None if i == 0 else subprocess.PIPE
            how: Any = {"env": environment, "stdout": pipe, "stderr": pipe, "text": True}
            running.append(subprocess.Popen([*command, *place], start_new_session=True, **how))  # else Ctrl-C comes twice
            readers += [Thread(target=_prefix, args=(i, *streams), daemon=True) for streams in _outputs(running[-1])]
        for reader in readers:
            reader.start()
        return _wait(running)
    except OSError as error:
        raise UserError(f"the program {command[0]!r} cannot be launched: {error.strerror}.") from error
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()
        for reader in readers:
            reader.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def _wait(running: Sequence[subprocess.Popen]) -> int:
    """The code of the first that fails, or 0 once all have ended; after a failure the others have `GRACE` seconds."""
    failed, deadline = 0, float("inf")
    while True:
        codes = [process.poll() for process in running]
        code = next((code for code in codes if code), 0)
        if code and not failed:
            failed, deadline = code, time.monotonic() + GRACE
        if None not in codes or time.monotonic() > deadline:
            return 128 - failed if failed < 0 else failed
        time.sleep(POLL)


def _outputs(process: subprocess.Popen) -> list[tuple[IO[str], IO[str]]]:
    pairs = ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
    return [(pipe, passed_on) for pipe, passed_on in pairs if pipe]


def _prefix(number: int, pipe: IO[str], passed_on: IO[str]) -> None:
    for line in pipe:
        print(f"[{number}] {line}", end="", file=passed_on, flush=True)


if __name__ == "__main__":
    flags.DEFINE_integer("processes", 2, "How many processes.", lower_bound=1)
    flags.DEFINE_integer("devices", 0, "Virtual CPU devices of each process; 0 leaves that to the environment.", lower_bound=0)
    run(main)
