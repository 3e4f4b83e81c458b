"""What TensorBoard shows of a run: scalars as they come; at the end its images, texts and settings."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dl.artifacts import Artifact, Images, Text
from dl.errors import UserError
from dl.files import advice
from dl.report.montage import montage


class Events:
    """An event file, written by the thread that calls; what the disk refuses is an `OSError` there.

    tensorboardX's `SummaryWriter` writes in a thread of its own, which a full disk ends with a traceback.

    Args:
        folder: made if absent.
        step: first step of the run that goes on; TensorBoard forgets what came after it.
    """

    def __init__(self, folder: Path, step: int):
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder.mkdir(exist_ok=True)
        self.writer = EventsWriter(str(folder / "events"))
        start = SessionLog(status=SessionLog.START)
        self.writer.write_event(Event(wall_time=time.time(), step=step + 1, session_log=start))

    def write(self, name: str, value: float, step: int) -> None:
        """Adds a scalar."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        self.writer.write_event(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))

    def close(self) -> None:
        """Writes what is left."""
        self.writer.close()


def add_shown(
    folder: Path,
    step: int,
    shown: Mapping[tuple[str, str], Artifact],
    settings: Mapping[str, Any],
    reached: Mapping[str, float],
) -> None:
    """Adds what a finished run shows, in a file of its own.

    Args:
        folder: of the event files.
        step: the last.
        shown: (split, name) -> artifact; those that are images or texts are taken.
        settings: flat keys of the configuration; numbers, texts and truth values are taken.
        reached: metric -> value, beside the settings.

    Raises:
        UserError: the disk is full or read-only.
    """
    from tensorboardX import summary
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event

    made = []
    for (split, name), artifact in shown.items():
        if isinstance(artifact, Images):
            made.append(summary.image(f"{split}/{name}", montage(artifact), dataformats="HWC"))
        elif isinstance(artifact, Text):
            made.append(summary.text(f"{split}/{name}", f"<pre>{artifact.text}</pre>"))
    plain = {key: value for key, value in settings.items() if isinstance(value, int | float | str | bool)}
    made += summary.hparams(plain, dict(reached))
    made += [summary.scalar(name, value) for name, value in reached.items()]
    try:
        folder.mkdir(exist_ok=True)
        writer = EventsWriter(str(folder / "events"), filename_suffix=".shown")
        for one in made:
            writer.write_event(Event(wall_time=time.time(), step=step, summary=one))
        writer.close()
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror}. {advice(error)}, then start the same command again."
        ) from error
