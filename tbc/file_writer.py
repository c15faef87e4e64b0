"""FileWriter writes protobuf messages to an event file, with the methods of torch's FileWriter."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tbc import _core, encoder_thread, event_file
from tbc.event_file import EventFile, Stats, directory

if TYPE_CHECKING:
    from typing_extensions import Self


class FileWriter(_core.BaseFileWriter):
    """Writes protobuf messages, events and summaries, to an event file; a SummaryWriter has one for each directory.

    log_dir: the directory; it is made if missing, with its parents. The file in it is made at once, and is named
    events.out.tfevents.<seconds>.<host>.<pid>.<number><filename_suffix>, so that it sorts after the existing ones.
    flush_secs: how many seconds a record may wait before it is written; more than 0.1 counts as 0.1.
    max_queue: kept for compatibility, and ignored. The queue is bounded in bytes: 64 MiB of small events a process, and
    64 MiB of large things.
    on_disk_error: what an add_* does when the queue is full and the disk fails: "drop" drops the event (stats() counts
    it), "wait" waits until the disk recovers, "raise" raises OSError.
    must_open: True raises OSError if the file cannot be made now. False makes it as soon as possible if the disk is
    full or fails now. None makes it with the first event.

    A write that fails is retried: on a full disk from the byte where it stopped; after other errors, and if the file is
    deleted, in a new file. A RuntimeWarning says that events wait, another one that they are dropped; flush() and
    close() raise OSError meanwhile. The first event after close(), or in the child of a fork, opens a new file, as with
    must_open=False.

    An add_event or add_summary of a subclass, or one that a program puts on a class or an object, sees every event, as
    with torch's: a SummaryWriter calls add_summary, which calls add_event. That costs the time that protobuf takes. See
    also tbc.on_new_run.

    Raises OSError (PermissionError, NotADirectoryError, ...) if the directory or the file cannot be made, ValueError
    for a URL or an unknown on_disk_error. Pickling or copying it raises TypeError (a SummaryWriter can be).
    """

    path: str  # of the event file; see __getattr__
    _event_file: EventFile
    _run_tag = "step1"  # the tag of add_graph's RunMetadata, as in torch

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
        *,
        on_disk_error: str = "drop",
        must_open: bool | None = True,
    ) -> None:
        self._event_file = EventFile(log_dir, flush_secs, filename_suffix, on_disk_error)
        with event_file.lock:
            event_file.flushed_at_exit.add(self)
        if must_open is not None:
            self._event_file.announce()
            self._event_file.open(must_open)

    def _is_overridden(self) -> bool:
        """Return whether add_summary or add_event is overridden or replaced, so that they must see all events."""
        replaced = (type(self).add_event, type(self).add_summary) != _OWN or not _NAMES.isdisjoint(vars(self))
        if replaced:
            import tbc.proto  # noqa: F401 (Relay needs it in jobs, which must not import)
        return replaced

    def __getattr__(self, name: str) -> Any:
        """Return `path`, which is no property, so that a subclass may have an attribute of that name."""
        if name == "path":
            return self._event_file.path
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def event_writer(self) -> FileWriter:
        """The object that writes, as in torch's FileWriter; here the FileWriter itself."""
        return self

    @property
    def _file_name(self) -> str:
        """The path of the event file; TensorBoard's EventFileWriter has this attribute."""
        return self._event_file.path

    def get_logdir(self) -> str:
        """Return the directory of the event file."""
        return self._event_file.log_dir

    def add_event(self, event: Any, step: Any = None, walltime: float | None = None) -> None:
        """Adds an Event message, and sets its wall_time, and its step if one is given.

        event: a message of any protobuf library, with SerializeToString().
        step: an integer, or what int() takes; None keeps the event's own.
        walltime: seconds since 1970; now by default.

        Raises TypeError for other objects, ValueError or TypeError for a step or a walltime that cannot be stored.
        """
        number, seconds = _core.stamp(step, walltime)
        _check_message(event, "Event")
        if not encoder_thread.in_job() and event.WhichOneof("what") == "session_log":
            encoder_thread.drain()  # readers drop what is before a session start: earlier images must be there by then
        event.wall_time = seconds
        if step is not None:
            event.step = number
        waits = not encoder_thread.in_job()  # a job's pixels have waited
        self._event_file.event(event.SerializeToString(), wait=waits)

    def add_summary(self, summary: Any, global_step: Any = None, walltime: float | None = None) -> None:
        """Adds an event with a Summary message.

        summary: a message of any protobuf library, with SerializeToString().
        global_step, walltime: as in SummaryWriter.add_scalar.

        Raises what add_event raises.
        """
        _check_message(summary, "Summary")
        if self._is_overridden():
            from tbc.proto import Event, Summary

            event = Event(summary=Summary.FromString(summary.SerializeToString()))
            self.add_event(event, global_step, walltime)
        else:
            self._event_file.summary(summary.SerializeToString(), global_step, walltime)

    def add_graph(self, graph_profile: tuple[Any, Any], walltime: float | None = None) -> None:
        """Adds a graph, and the metadata of a run of it.

        graph_profile: a GraphDef message and a RunMetadata message, of any protobuf library.
        walltime: seconds since 1970; now by default.

        Raises TypeError for other messages, ValueError or TypeError for a walltime that cannot be stored.
        """
        from tbc.proto import Event

        graph, metadata = graph_profile
        _check_message(metadata, "RunMetadata")
        self.add_onnx_graph(graph, walltime)
        run = {"tag": self._run_tag, "run_metadata": metadata.SerializeToString()}
        self.add_event(Event(tagged_run_metadata=run), None, walltime)

    def add_onnx_graph(self, graph: Any, walltime: float | None = None) -> None:
        """Adds a graph.

        graph: a GraphDef message, of any protobuf library.
        walltime: seconds since 1970; now by default.

        Raises TypeError for other messages, ValueError or TypeError for a walltime that cannot be stored.
        """
        from tbc.proto import Event

        _check_message(graph, "GraphDef")
        self.add_event(Event(graph_def=graph.SerializeToString()), None, walltime)

    def flush(self, *, sync: bool = False) -> None:
        """Returns when everything added so far can be read in the file, even if the process is killed then.

        If the last write to this file was fast, or if tbc's thread hangs in another file system, the calling thread
        writes, and Ctrl-C may have to wait. Otherwise tbc's thread writes, and Ctrl-C works.

        sync: True also waits for fsync, so that a power failure loses nothing: of the file, of files before it that
        were given up or closed, and of the directories above; some milliseconds on most disks, much more on a busy one.

        Raises OSError, with errno and filename, if the disk does not accept the data.
        """
        self._event_file.flush(sync=sync)

    def close(self) -> None:
        """Flushes and closes the file; closing twice does nothing.

        After an OSError or Ctrl-C the file stays open and keeps its events: call close() again. What is still unwritten
        when the process exits is tried once more then.
        """
        self._event_file.close()

    def reopen(self) -> bool:
        """Open a new file in the same directory if none is open: after close(), and in the child of a fork.

        Return True: a file is open now, unless another thread closes it.
        """
        return self._event_file.reopen()

    def stats(self) -> Stats:
        """Return the Stats of the events that were added so far."""
        return self._event_file.stats()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a FileWriter cannot be pickled or copied, since it has an open file; make a new one")


_OWN = FileWriter.add_event, FileWriter.add_summary
_NAMES = frozenset({"add_event", "add_summary"})


class Relay(_core.EventRelay):
    """Passes each event to the add_summary or add_event of an object, as torch's writer does.

    The object is a FileWriter that overrides these methods, or any other object that has them.
    """

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def relay(self, event: bytes) -> None:
        from tbc.proto import Event

        message = Event.FromString(event)
        if message.HasField("summary"):
            self._writer.add_summary(message.summary, message.step, message.wall_time)
        else:
            self._writer.add_event(message, message.step, message.wall_time)

    def reserve(self, size: int) -> _core.Reservation:
        return self._writer._event_file.reserve(size) if isinstance(self._writer, FileWriter) else _core.Reservation()

    def run_later(self, work: Callable[[], None], reservation: _core.Reservation) -> None:
        if isinstance(self._writer, FileWriter):
            self._writer._event_file.run_later(work, reservation)
        else:
            work()


class NullFileWriter(FileWriter):
    """The FileWriter of a SummaryWriter with enabled=False: it accepts all messages, and makes no file."""

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        self._event_file = _core.BaseEventFile()  # type: ignore[assignment]  # no file is ever opened
        self._log_dir = directory(log_dir)

    def get_logdir(self) -> str:
        return self._log_dir

    def _ignore(self, *arguments: Any, **keywords: Any) -> None:
        pass

    add_event: Any = _ignore
    add_summary: Any = _ignore
    add_graph: Any = _ignore
    add_onnx_graph: Any = _ignore

    def reopen(self) -> bool:
        return False

    def stats(self) -> Stats:
        return Stats()


def _check_message(message: Any, name: str) -> None:
    """Raise TypeError for other messages: readers stop at an event that they cannot parse."""
    descriptor = getattr(message, "DESCRIPTOR", None)
    if not hasattr(message, "SerializeToString") or getattr(descriptor, "name", name) != name:
        raise TypeError(f"{'an' if name == 'Event' else 'a'} {name} message is expected, got {type(message).__name__}")
