"""Scalars for TensorBoard."""

import time
from pathlib import Path


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
