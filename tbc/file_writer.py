"""FileWriter: writes protobuf messages to an event file, with the methods of torch's."""

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
    """Writes events and summaries, as protobuf messages, to an event file in a directory; SummaryWriter makes them.

    log_dir: created if missing, with its parents. The file in it is created at once, and named
    events.out.tfevents.<seconds>.<host>.<pid>.<number><filename_suffix>, so that it sorts behind all that are there.
    flush_secs: a record is in the file 0.1 s after the call that made it, or sooner if this is less.
    max_queue: kept for compatibility; the queue is bounded in bytes instead (64 MiB of small events a process, and
    64 MiB of large things).
    on_disk_error: what an add_* does when the queue is full and the disk fails: "drop" leaves the event out (stats()
    counts them), "wait" waits until the disk recovers, "raise" raises OSError.
    must_open: False makes the file as soon as possible, if the disk is full or fails now; None with the first event.

    A write that fails is tried again and again: on a full disk from the byte where it stopped; after other errors, and
    if the file is deleted, in a new file. A RuntimeWarning says that events wait for it, another one that they are
    dropped; flush() and close() raise OSError. The first event after close(), and after a fork the first one in the
    child, opens a new file, as with must_open=False.

    A subclass with an add_event or add_summary of its own, and a program that replaces them on a class or an object,
    sees every event, as with torch's: a SummaryWriter passes all that it logs through add_summary, and that through
    add_event. It takes the time that protobuf takes. See tbc.on_new_run, too.

    Raises OSError (PermissionError, NotADirectoryError, ...) if the directory or the file cannot be made, ValueError
    for a URL and for another on_disk_error. It cannot be pickled or copied (a SummaryWriter can): TypeError.
    """

    path: str  # of the event file; see __getattr__
    _event_file: EventFile
    _run_tag = "step1"  # of what add_graph knows of a run

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
        """Return whether events have to pass through add_summary and add_event, which are replaced."""
        replaced = (type(self).add_event, type(self).add_summary) != _OWN or not _NAMES.isdisjoint(vars(self))
        if replaced:
            import tbc.proto  # noqa: F401 (which a job must not import)
        return replaced

    def __getattr__(self, name: str) -> Any:
        """Return `path`, which is no property, so that a subclass may have an attribute of that name."""
        if name == "path":
            return self._event_file.path
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def event_writer(self) -> FileWriter:
        """What torch's FileWriter delegates to; here it is the same object."""
        return self

    @property
    def _file_name(self) -> str:
        """The path of the event file, as TensorBoard's EventFileWriter has it."""
        return self._event_file.path

    def get_logdir(self) -> str:
        """Return the directory of the event file."""
        return self._event_file.log_dir

    def add_event(self, event: Any, step: Any = None, walltime: float | None = None) -> None:
        """Adds an Event message; sets its wall_time, and its step if one is given.

        event: of any protobuf library, with SerializeToString().
        walltime: seconds since 1970, now by default.

        Raises TypeError for what is not a message, ValueError for a step or a walltime that cannot be stored.
        """
        number, seconds = _core.stamp(step, walltime)
        _check_message(event, "Event")
        if not encoder_thread.in_job() and event.WhichOneof("what") == "session_log":
            encoder_thread.drain()  # readers drop what came before it, images too
        event.wall_time = seconds
        if step is not None:
            event.step = number
        self._event_file.event(event.SerializeToString(), wait=not encoder_thread.in_job())  # whose pixels have waited

    def add_summary(self, summary: Any, global_step: Any = None, walltime: float | None = None) -> None:
        """Adds a Summary message, in an event of its own.

        summary: of any protobuf library, with SerializeToString().

        Raises as add_event.
        """
        _check_message(summary, "Summary")
        if self._is_overridden():
            from tbc.proto import Event, Summary

            event = Event(summary=Summary.FromString(summary.SerializeToString()))
            self.add_event(event, global_step, walltime)
        else:
            self._event_file.summary(summary.SerializeToString(), global_step, walltime)

    def add_graph(self, graph_profile: tuple[Any, Any], walltime: float | None = None) -> None:
        """Adds a graph, and what is known of its run.

        graph_profile: a GraphDef and a RunMetadata message, of any protobuf library.
        walltime: seconds since 1970, now by default.

        Raises TypeError for other messages, ValueError for a walltime that cannot be stored.
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
        walltime: seconds since 1970, now by default.

        Raises TypeError for other messages, ValueError for a walltime that cannot be stored.
        """
        from tbc.proto import Event

        _check_message(graph, "GraphDef")
        self.add_event(Event(graph_def=graph.SerializeToString()), None, walltime)

    def flush(self, *, sync: bool = False) -> None:
        """Returns when everything added so far can be read in the file, whoever dies then.

        On a disk that was quick the last time, and while the thread hangs in another file system, it writes itself, and
        Ctrl-C may have to wait for that; else the thread does, and Ctrl-C works.

        sync: when it is on the disk, and a power failure does not take it away (fsync, of the file, of those before it
        that were given up or closed, and of the directories above: some milliseconds on most disks, much more on a
        busy one).

        Raises OSError, with errno and filename, while the disk does not take it.
        """
        self._event_file.flush(sync=sync)

    def close(self) -> None:
        """Flushes and closes the file; closing twice is fine.

        After an OSError, or Ctrl-C, the file is still open, with its events: close() may be called again. What is never
        closed is tried once more when the process exits.
        """
        self._event_file.close()

    def reopen(self) -> bool:
        """Open a new file in the same directory, if the last one was closed (or is the parent process's).

        Return True: there is a file now, unless another thread closes it.
        """
        return self._event_file.reopen()

    def stats(self) -> Stats:
        """Return what became of the events so far."""
        return self._event_file.stats()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a FileWriter cannot be pickled or copied: it is an open file; make another one")


_OWN = FileWriter.add_event, FileWriter.add_summary
_NAMES = frozenset({"add_event", "add_summary"})


class Relay(_core.EventRelay):
    """Passes events to an object as torch's writer does: through its add_summary, or add_event.

    It is a FileWriter that overrides these, or any object that has them.
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
    """What a SummaryWriter that is not enabled has for a FileWriter: it takes messages, and makes no file."""

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        self._event_file = _core.BaseEventFile()  # type: ignore[assignment]  # which never has a file
        self._log_dir = directory(log_dir)

    def get_logdir(self) -> str:
        return self._log_dir

    def _ignore(self, *arguments: Any, **keywords: Any) -> None:
        pass

    add_event = add_summary = add_graph = add_onnx_graph = _ignore

    def reopen(self) -> bool:
        return False

    def stats(self) -> Stats:
        return Stats()


def _check_message(message: Any, name: str) -> None:
    """An event that does not parse would end the file for its readers."""
    descriptor = getattr(message, "DESCRIPTOR", None)
    if not hasattr(message, "SerializeToString") or getattr(descriptor, "name", name) != name:
        raise TypeError(f"{'an' if name == 'Event' else 'a'} {name} message is expected, got {type(message).__name__}")
