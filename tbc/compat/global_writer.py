"""GlobalSummaryWriter logs from several processes to one event file."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tbc import _core, errors, event_file, notices
from tbc.compat.inputs import array, clean

if TYPE_CHECKING:
    from tbc.compat.tensorboardx import SummaryWriter
    from tbc.file_writer import FileWriter

_writer: GlobalSummaryWriter | None = None


class GlobalSummaryWriter:
    """Logs to one event file from this process and its children: forked ones, and those that get the writer at start.

        writer = GlobalSummaryWriter("runs/first")
        with multiprocessing.Pool() as pool:
            pool.map(work, range(100))  # work calls writer.add_scalar("loss", loss)

    The process that made the writer has the file. It counts the steps of each kind and tag, from 0, in the order in
    which calls arrive. The other processes send their summaries to it; see inbox.py. After that process has ended,
    their calls log nothing and give a RuntimeWarning.

    smw: the SummaryWriter. Only the process that made the writer may use smw and file_writer.
    coalesce_process: kept for compatibility, and ignored. The other parameters are those of SummaryWriter.
    """

    def __init__(
        self,
        logdir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
        write_to_disk: bool = True,
        log_dir: str | os.PathLike[str] | None = None,
        coalesce_process: bool = True,
        **kwargs: Any,
    ) -> None:
        from multiprocessing.util import Finalize

        from tbc.compat.inbox import Inbox
        from tbc.compat.tensorboardx import SummaryWriter

        settings = comment, purge_step, max_queue, flush_secs, filename_suffix, write_to_disk, log_dir
        self.smw: SummaryWriter = SummaryWriter(logdir, *settings, **kwargs)
        self._steps: dict[tuple[str, str | None], int] = {}  # (kind, tag) -> step of the next call
        self._counting = threading.RLock()
        self._failures: list[BaseException] = []
        self._inbox = Inbox(self._receive)
        Finalize(None, _finish, (weakref.ref(self),), exitpriority=-1)  # after multiprocessing has joined its children

    def add_scalar(self, tag: str, scalar_value: Any, walltime: float | None = None) -> None:
        """Logs one number, at the next step of its tag. See SummaryWriter.add_scalar."""
        self._add("scalar", tag, scalar_value, walltime)

    def add_image(self, tag: str, img_tensor: Any, walltime: float | None = None, dataformats: str = "CHW") -> None:
        """Logs an image, at the next step of its tag. See SummaryWriter.add_image."""
        self._add("image", tag, img_tensor, walltime, dataformats=dataformats)

    def add_text(self, tag: str, text_string: str, walltime: float | None = None) -> None:
        """Logs text, at the next step of its tag. See SummaryWriter.add_text."""
        self._add("text", tag, text_string, walltime)

    @staticmethod
    def getSummaryWriter() -> GlobalSummaryWriter:
        """Returns the writer that all modules share; the first call makes it, with the default parameters."""
        global _writer
        with event_file.lock:
            if _writer is None:
                _writer = GlobalSummaryWriter()
            return _writer

    @property
    def file_writer(self) -> FileWriter:
        """The FileWriter of logdir; the first use after close() opens a new file."""
        return self.smw._get_file_writer()

    def close(self) -> None:
        """Writes what was sent so far, and closes the file; the next add_* opens a new one.

        Raises OSError as SummaryWriter.close does, and the first exception of a call that another process sent. In
        the other processes, close() does nothing.
        """
        if self._inbox.is_ours:
            self._inbox.drain()
            errors.call_all([self._raise_failure, self.smw.close])

    def _add(self, kind: str, tag: str, value: Any, walltime: float | None, **options: Any) -> None:
        """Log a value in the process that made the writer; in another process, send its summary there."""
        if not self.smw.enabled:
            return
        name = tag if kind == "text" else clean(tag)
        if self._inbox.is_ours:
            add = getattr(self.smw, f"add_{kind}")
            self._log(kind, name, lambda step: add(name, value, step, walltime, **options))
        else:
            from tbc import summary

            _core.check_label(name)
            _, seconds = _core.stamp(None, walltime, tag=name)
            message = getattr(summary, kind)(name, array(value), **options)
            try:
                self._inbox.send(kind, name, message.SerializeToString(), seconds)
            except BrokenPipeError:
                notices.warn("nothing is logged any more: the process with the file has ended", RuntimeWarning)

    def _receive(self, kind: str, tag: str | None, summary: bytes, seconds: float) -> None:
        try:
            self._log(kind, tag, lambda step: self.smw._encoder().summary(summary, step, seconds))
        except Exception as error:  # the sender does not wait for an answer; close() raises the error here
            self._failures.append(error)

    def _log(self, kind: str, tag: str | None, add: Callable[[int], None]) -> None:
        with self._counting:
            step = self._steps.get((kind, tag), 0)
            add(step)
            self._steps[kind, tag] = step + 1

    def _raise_failure(self) -> None:
        errors.raise_first(self._failures)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle for a process that multiprocessing is starting; at other times raise RuntimeError, as its locks do."""
        from multiprocessing.context import assert_spawning

        assert_spawning(self)
        return {"smw": self.smw, "_inbox": self._inbox}


def _finish(reference: weakref.ref[GlobalSummaryWriter]) -> None:
    """Flush at exit, as a finalizer: a child of multiprocessing runs no atexit functions."""
    writer = reference()
    if writer is not None:
        writer._inbox.drain()
        try:
            errors.call_all([writer._raise_failure, writer.smw.flush])
        except Exception as error:
            notices.warn(f"events logged last are lost: {error}", RuntimeWarning)
