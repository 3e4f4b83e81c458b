"""One command as a job of a cluster: it is told to save when the job must go, and starts again where it stopped.

A training that gets SIGTERM ends its step, saves and exits with code 75 (`dl.signals`); the same command then goes on. So
submitit's signal (of a time limit or a preemption) becomes a SIGTERM, and code 75 becomes submitit's signal: both requeue
the job.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

from submitit.core.job_environment import JobEnvironment
from submitit.core.utils import DelayedSubmission

from dl.signals import EXIT_CODES

POLL = 0.2  # seconds
AGAIN = EXIT_CODES["SIGTERM"]


class Command:
    """A command line; what submitit calls on every node, or as often as there are tasks.

    Args:
        words: program and arguments.
        environment: variables that are set besides those of the job.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str] | None = None):
        self.words, self.environment = list(words), dict(environment or {})
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Runs it to its end.

        Returns:
            0; or 75 in a task whose first one asks for the job to be started again.

        Raises:
            RuntimeError: it failed.
        """
        self.process = subprocess.Popen(self.words, env={**os.environ, **self.environment})
        while (code := self.process.poll()) is None:  # a handler may run at any time, so nothing waits in a lock
            time.sleep(POLL)
        if code == AGAIN:
            signal.raise_signal(JobEnvironment._usr_sig())  # ends the process of the first task
            return AGAIN
        if code:
            raise RuntimeError(f"exit code {code}: {' '.join(self.words)}")
        return code

    def checkpoint(self) -> DelayedSubmission:
        """Lets the command save and end; gives what is started in its place."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                self.process.send_signal(signal.SIGTERM)
                os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(Command(self.words, self.environment))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "process": None}
