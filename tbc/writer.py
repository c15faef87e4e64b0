"""SummaryWriter: one short method for each kind of summary, with torch's names, parameters and defaults."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any

from tbc import _core, convert, file_writer
from tbc.file_writer import FileWriter, call_all


class SummaryWriter(_core.ScalarWriter):
    """Logs a training run to an event file that TensorBoard shows; a drop-in for torch.utils.tensorboard.SummaryWriter.

        with tbc.SummaryWriter("runs/first") as writer:
            writer.add_scalar("loss", 0.25, global_step=1)

    What is logged is in the file 0.1 s later, also if the process is killed then, and at exit in any case; close() is a
    courtesy. After close(), the next add_* starts a new file. All methods may be called from any thread (an add_* that
    meets a close() in another may raise OSError), and after a fork in the child too, which writes a file of its own.

    log_dir: the directory of the run, a str or a path; runs/<date>_<host><comment> by default.
    comment: the end of the default log_dir, without effect on one that is given.
    purge_step: TensorBoard hides what earlier files of this run hold from this step on (a run that restarts there).
    max_queue: kept for compatibility; the queue is bounded in bytes (64 MiB a process), where add_* waits for room.
    flush_secs: an upper bound of the delay until a record is in the file, which is 0.1 s anyway.
    filename_suffix: the end of the event file's name.

    Raises OSError if the directory or the file cannot be made, ValueError for a URL or a purge_step that is no int64.

    Attributes, all as in torch: log_dir, purge_step (None once it is written), max_queue, flush_secs, filename_suffix,
    file_writer and all_writers (None while closed), default_bins (what bins="tensorflow" means to add_histogram; assign
    others, a change of the list itself is not seen).

    These parameters mean the same in every add_*:
    tag: the name of a curve, an image, ...: text, in which slashes make groups.
    global_step: an integer, or what int() takes, that fits 64 bits; None is 0.
    walltime: seconds since 1970; now by default.
    They raise TypeError for a tag that is not text, ValueError for a step or a walltime that cannot be stored, and
    OSError if the disk fails and the queue is full.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            log_dir = os.path.join("runs", f"{datetime.now():%b%d_%H-%M-%S}_{socket.gethostname()}{comment}")
        _core.check("", purge_step, None)
        self.log_dir = log_dir
        self.purge_step = purge_step
        self.max_queue = max_queue
        self.flush_secs = flush_secs
        self.filename_suffix = filename_suffix
        self.default_bins: Any = _core.default_edges()
        self._tensorflow_bins = self.default_bins
        self._told_not_finite = False
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[str, FileWriter] | None = None
        self._get_file_writer()

    def get_logdir(self) -> str | os.PathLike[str]:
        """The directory of the run, as it was given."""
        return self.log_dir

    # add_scalar is inherited: _core.pyx

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Logs several numbers as curves of one chart.

        Each key is a run of its own, in the directory <log_dir>/<main_tag>_<key>, where it logs its number under
        main_tag; this is how TensorBoard draws them together. (Slashes in main_tag become underscores there.)

        tag_scalar_dict: key -> number, as add_scalar takes it. Nothing is logged if one of them is wrong.
        """
        step, seconds = _core.check(main_tag, global_step, walltime)
        prefix = f"{self._get_file_writer().get_logdir()}/{main_tag.replace('/', '_')}_"
        scalars = {prefix + key: convert.scalar(value) for key, value in tag_scalar_dict.items()}
        for log_dir, value in scalars.items():
            self._writer_in(log_dir).scalar(main_tag, value, step, seconds)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Logs how values are distributed.

        values: a numpy array or a tensor of real numbers, of any shape and type, or one number.
        bins: "tensorflow", or what numpy.histogram takes: a number, edges, "auto", "fd", ...
        max_bins: merges neighbouring bins until there are about as many.

        NaN and infinities are left out (a warning says how many, once). What lies beyond the default buckets, above
        1e20, counts in the outermost ones. Raises ValueError if there is no value at all, or none within the bins;
        TypeError for complex numbers; NotImplementedError for other types, lists too, as torch does.
        """
        if isinstance(bins, str) and bins == "tensorflow" and self.default_bins is not self._tensorflow_bins:
            bins = self.default_bins
        file = self._get_file_writer()
        if isinstance(bins, str) and bins == "tensorflow" and max_bins is None:
            not_finite = file.histogram(tag, *convert.kernel_array(values), global_step, walltime)
        else:
            from tbc import histograms

            moments, limits, counts, not_finite = histograms.count(values, bins, max_bins)
            file.histogram_raw(tag, moments, limits, counts, global_step, walltime)
        if not_finite and not self._told_not_finite:
            self._told_not_finite = True
            warnings.warn(f"histogram {tag!r}: {not_finite} values are not finite and left out", stacklevel=2)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: float,
        sum: float,
        sum_squares: float,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Logs a histogram that is counted already.

        min, max, num, sum, sum_squares: of the values.
        bucket_limits, bucket_counts: the upper limit of each bucket and the number of values in it, as many of each.
        """
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError(f"there are {len(bucket_limits)} bucket_limits, but {len(bucket_counts)} bucket_counts")
        import numpy as np

        limits, counts = (
            np.ascontiguousarray(values if isinstance(values, (list, tuple)) else convert.array(values), np.float64)
            for values in (bucket_limits, bucket_counts)
        )
        moments = [convert.scalar(moment) for moment in (min, max, num, sum, sum_squares)]
        self._get_file_writer().histogram_raw(tag, moments, limits, counts, global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Logs an image, as PNG.

        img_tensor: a numpy array or a tensor; uint8 from 0 to 255, or any other type from 0 to 1.
        dataformats: what each dimension is: a permutation of "HW", "HWC" or "NCHW". 1 to 4 channels (gray,
        gray and alpha, RGB, RGBA); a batch (N) has 1 or 3, and is shown as a grid, eight images a row.

        The pixels are copied here and encoded on another thread. Raises AssertionError if dataformats does not fit the
        array (as torch does), ValueError if it is unknown or the number of channels is.
        """
        from tbc import images

        pixels = images.snapshot(convert.array(img_tensor), dataformats)
        file = self._get_file_writer()
        step, seconds = _core.check(tag, global_step, walltime)

        def encode() -> None:
            height, width, channels, png = images.encode_png(pixels)
            file.image(tag, height, width, channels, png, step, seconds)

        file.run_later(encode, pixels.nbytes)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Logs a batch of images as a grid, eight images a row. See add_image, which differs in the default layout."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_text(self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None) -> None:
        """Logs text, which TensorBoard shows as Markdown; its tag gets the suffix "/text_summary", as in torch."""
        self._get_file_writer().text(tag + "/text_summary", text_string, global_step, walltime)

    def flush(self) -> None:
        """Returns when everything logged so far can be read in the files.

        Raises OSError if the disk does not take it, after it has tried all files.
        """
        call_all(writer.flush for writer in list((self.all_writers or {}).values()))

    def close(self) -> None:
        """Flushes and closes the files; closing twice is fine. Raises OSError, after all are closed, as flush does."""
        with file_writer.lock:
            writers = list((self.all_writers or {}).values())
            self.file_writer = self.all_writers = None
        call_all(writer.close for writer in writers)

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _get_file_writer(self) -> FileWriter:
        """The FileWriter of log_dir; a new one after close()."""
        if self.file_writer is not None:
            return self.file_writer
        with file_writer.lock:
            if self.file_writer is None:
                writer = FileWriter(self.log_dir, self.max_queue, self.flush_secs, self.filename_suffix)
                if self.purge_step is not None:
                    writer.version(self.purge_step)
                    writer.session_start(self.purge_step)
                    self.purge_step = None
                self.all_writers = {writer.get_logdir(): writer}
                self.file_writer = writer
            return self.file_writer

    def _writer_in(self, log_dir: str) -> FileWriter:
        with file_writer.lock:
            self._get_file_writer()
            assert self.all_writers is not None
            if log_dir not in self.all_writers:
                self.all_writers[log_dir] = FileWriter(log_dir, self.max_queue, self.flush_secs, self.filename_suffix)
            return self.all_writers[log_dir]
