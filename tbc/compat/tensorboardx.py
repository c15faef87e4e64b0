"""tensorboardX's writers, with its names and its order of parameters, for programs that were written for it.

    from tbc.compat.tensorboardx import SummaryWriter  # was: from tensorboardX import SummaryWriter

Tags and directories are tensorboardX's, so a run that tensorboardX began continues with the same curves. Values are
encoded as tbc.SummaryWriter does. README lists the faults of torch's writer; tensorboardX shares most of them. These
things also differ from tensorboardX:

- The parts of a mesh are tagged and described as in torch. (With tensorboardX's tags, TensorBoard expects faces and
  colors of every mesh.)
- GIFs do not need moviepy, sounds do not need soundfile, graphs do not need tensorboard.
- `flush` waits for what was logged before; a killed process loses at most the last 0.1 s.
- Pixels out of range are clipped, not taken modulo 256. Samples are multiplied by 32767, not 32768. Pixels of float16
  are multiplied as float32, and not rounded to float16 again, so some are one level darker.
- A list of images may have dataformats of four letters; tensorboardX then writes nothing.
- Hyperparameters of other types (devices, objects, ...) are text; in tensorboardX, they have a name and no value. The
  HPARAMS tab lists metrics by the tags of their curves ("a_b"); with tensorboardX, by the given names ("a b").
- `add_hparams` works after close(). With write_to_disk=False no method writes a file; in tensorboardX add_hparams,
  add_embedding and export_scalars_to_json do.
- `use_metadata` applies to every add_*, add_scalars, add_hparams and add_embedding included, but not to the methods of
  file_writer. If only a step is given, the wall time is that of the call; in tensorboardX, it is 1970.
- `add_scalars` keeps nothing in memory for `scalar_dict` and `export_scalars_to_json`, which read the files. So a step
  that was not given is 0 there, not null, and a second export has the contents of the first one, too.
- `add_scalars` logs nothing if one of its values is wrong. Slashes that begin a main_tag or key do not lead out of
  logdir.
- `GlobalSummaryWriter` counts the steps of tags that are written alike ("a b" and "a_b") together. A call that raises
  does not count. An unknown keyword raises TypeError.
- Exceptions have the types that tbc.SummaryWriter raises. A step or walltime that is not finite always raises.
- purge_step is None once it is written, and it is not written again after close().

Not supported: Comet, OpenVINO, s3:// and gs:// directories and `register_writer_factory`, arrays of chainer,
`use_metadata` of a FileWriter, grids of images with four channels (AssertionError, as in torch; use grid=False).
"""

from __future__ import annotations

import functools
import inspect
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import tbc.file_writer
import tbc.writer
from tbc import _core, convert, dynamo
from tbc.compat.global_writer import GlobalSummaryWriter
from tbc.compat.inputs import array, clean

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from tbc.writer import Label

__all__ = ["FileWriter", "GlobalSummaryWriter", "RecordWriter", "SummaryWriter"]

NO_COMET = {"disabled": True}
VIDEO = "NTCHW"


def _alias(name: str) -> Any:
    return property(lambda self: getattr(self, name), lambda self, value: setattr(self, name, value))


def _hyperparameter(value: Any) -> Any:
    from tbc.kinds import hparams

    if callable(value):
        return getattr(value, "__name__", str(value))
    try:
        list(hparams.flatten({"value": value}))
    except (TypeError, ValueError):
        return str(value)
    return value


class FileWriter(tbc.file_writer.FileWriter):
    """tbc.FileWriter, whose first parameter is called logdir."""

    _run_tag = "profiler"

    def __init__(
        self,
        logdir: str | os.PathLike[str],
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
        **options: Any,
    ) -> None:
        super().__init__(logdir, max_queue, flush_secs, filename_suffix, **options)


class SummaryWriter(tbc.writer.SummaryWriter):
    """tbc.SummaryWriter with the parameters of tensorboardX's; the module's docstring lists the differences.

    logdir: the directory of the run; log_dir is another name for it.
    write_to_disk: False makes a writer that accepts every call, checks no argument and makes no file or directory.
    comet_config: must be None, or disable Comet; else NotImplementedError is raised.
    kwargs: further parameters of tbc.SummaryWriter: image_compression, on_disk_error.

    Arrays may be lists, too. Attributes, all as in tensorboardX: logdir, purge_step, _max_queue, _flush_secs,
    _filename_suffix, _write_to_disk, kwargs, file_writer, all_writers, default_bins, scalar_dict; and those of
    tbc.SummaryWriter.
    """

    _FileWriter = FileWriter

    logdir: Any = _alias("log_dir")
    _max_queue = _alias("max_queue")
    _flush_secs = _alias("flush_secs")
    _filename_suffix = _alias("filename_suffix")
    _write_to_disk = _alias("enabled")

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
        comet_config: Mapping[str, Any] | None = NO_COMET,
        **kwargs: Any,
    ) -> None:
        if comet_config and not comet_config.get("disabled"):
            raise NotImplementedError("tbc does not log to Comet; pass no comet_config and use comet_ml.Experiment")
        self._metadata: dict[str, Any] = {}
        self.kwargs = kwargs
        directory = log_dir if logdir is None else logdir
        settings = comment, purge_step, max_queue, flush_secs, filename_suffix
        super().__init__(directory, *settings, enabled=bool(write_to_disk), **kwargs)

    def add_scalar(  # type: ignore[override]
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        display_name: str | None = "",
        summary_description: str | None = "",
    ) -> None:
        """Logs one number. See tbc.SummaryWriter.add_scalar."""
        tag, value = clean(tag), array(scalar_value)
        super().add_scalar(
            tag, value, global_step, walltime, display_name=display_name, description=summary_description
        )

    def add_scalars(  # type: ignore[override]
        self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Logs several numbers as curves of one chart.

        Each key becomes a run, in the directory <logdir>/<main_tag>/<key>, which logs the number under main_tag. If one
        of the numbers is wrong, nothing is logged.
        """
        _core.check_label(main_tag)
        step, seconds = _core.stamp(global_step, walltime, tag=main_tag)
        scalars = {key: convert.scalar(array(value)) for key, value in tag_scalar_dict.items()}
        files = self._run_writers(main_tag, scalars)
        for key, value in scalars.items():
            self._encoder(files[key]).scalar(clean(main_tag), value, step, seconds)

    @staticmethod
    def _run_directory(log_dir: str, main_tag: str, key: str) -> str:
        if not isinstance(key, str):
            raise TypeError(f"a key of {main_tag!r} must be a str, got {key!r} of type {type(key).__name__}")
        return os.path.join(log_dir, main_tag.lstrip("/"), key.lstrip("/"))  # a leading "/" would replace log_dir

    @property
    @dynamo.untraced
    def scalar_dict(self) -> dict[str, list[list[float]]]:
        """The curves of add_scalars, as {directory: [[wall time, step, value], ...]}.

        They are flushed and then read from their files, which can also hold what earlier processes logged. Each value
        is the shortest decimal number that float32 rounds to the stored one. Raises OSError if a file cannot be flushed
        or read.
        """
        from tbc.reader.load import load_scalars

        self.flush()
        curves = {}
        for directory in self._file_writers:
            if self.enabled and directory != os.fspath(self.log_dir):
                tags = load_scalars(directory).values()
                columns = [
                    (scalars.wall_time, scalars.step, scalars.value.astype("f4").astype(str)) for scalars in tags
                ]
                curves[directory] = [
                    [float(wall_time), int(step), float(value)]
                    for column in columns
                    for wall_time, step, value in zip(*column, strict=True)
                ]
        return curves

    @scalar_dict.setter
    def scalar_dict(self, value: Any) -> None:
        """Do nothing: programs assign {} to save memory that only tensorboardX uses."""

    def export_scalars_to_json(self, path: str | os.PathLike[str]) -> None:
        """Writes scalar_dict to a file, as JSON; with write_to_disk=False, does nothing."""
        if self.enabled:
            curves = self.scalar_dict
            with open(path, "w") as file:
                json.dump(curves, file)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
        **label: Unpack[Label],
    ) -> None:
        """Logs how values are distributed. See tbc.SummaryWriter.add_histogram."""
        super().add_histogram(clean(tag), array(values), global_step, bins, walltime, max_bins, **label)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
        **label: Unpack[Label],
    ) -> None:
        """Logs an image. See tbc.SummaryWriter.add_image."""
        super().add_image(clean(tag), array(img_tensor), global_step, walltime, dataformats, **label)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
        *,
        grid: bool = True,
        **label: Unpack[Label],
    ) -> None:
        """Logs a batch of images, or a list of images of one size, whose dataformats may leave out the N.

        See tbc.SummaryWriter.add_images.
        """
        if isinstance(img_tensor, list) and len(dataformats) == 3:
            dataformats = "N" + dataformats
        super().add_images(clean(tag), array(img_tensor), global_step, walltime, dataformats, grid=grid, **label)

    def add_image_with_boxes(  # type: ignore[override]
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
        labels: Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        """Logs an image with boxes drawn on it. See tbc.SummaryWriter.add_image_with_boxes.

        kwargs: rescale, display_name, description.
        """
        kwargs = {"dataformats": dataformats, "labels": labels, **kwargs}
        super().add_image_with_boxes(tag, array(img_tensor), box_tensor, global_step, walltime, **kwargs)

    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: Any = None,
        fps: float = 4,
        walltime: float | None = None,
        dataformats: str = VIDEO,
        *,
        format: str = "gif",
        **label: Unpack[Label],
    ) -> None:
        """Logs a video. See tbc.SummaryWriter.add_video.

        dataformats: the dimensions of the array, a permutation of "NTCHW". Raises AssertionError for other values, and
        if it does not fit the array.
        """
        video, letters = convert.array(array(vid_tensor)), dataformats.upper()
        if sorted(letters) != sorted(VIDEO) or video.ndim != len(VIDEO):
            raise AssertionError(f"dataformats {dataformats!r} does not fit a video of shape {video.shape} ({VIDEO})")
        video = video.transpose([letters.index(letter) for letter in VIDEO])
        super().add_video(clean(tag), video, global_step, fps, walltime, format=format, **label)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: Any = None,
        sample_rate: float = 44100,
        walltime: float | None = None,
        **label: Unpack[Label],
    ) -> None:
        """Logs sound. snd_tensor: (L,), or (L, C) of one or two channels. See tbc.SummaryWriter.add_audio."""
        sound = convert.array(array(snd_tensor)).T  # (C, L)
        super().add_audio(tag, sound, global_step, sample_rate, walltime, **label)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
        **label: Unpack[Label],
    ) -> None:
        """Logs a precision-recall curve. See tbc.SummaryWriter.add_pr_curve."""
        examples = array(labels), array(predictions)
        super().add_pr_curve(tag, *examples, global_step, num_thresholds, array(weights), walltime, **label)

    def add_onnx_graph(self, onnx_model_file: Any) -> None:
        """Logs the graph of an ONNX model. See tbc.SummaryWriter.add_onnx_graph."""
        super().add_onnx_graph(onnx_model_file)

    def add_hparams(  # type: ignore[override]
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        name: str | None = None,
        global_step: Any = None,
        **session: Any,
    ) -> None:
        """Logs the hyperparameters of a run and its final metrics. See tbc.SummaryWriter.add_hparams.

        hparam_dict: name -> anything; a function or class becomes its name, a value of another unsupported type str().
        name: the directory within logdir to log to; the time by default.
        session: start_time, end_time, status.
        """
        if not isinstance(hparam_dict, Mapping) or not isinstance(metric_dict, Mapping):
            raise TypeError(f"hparam_dict and metric_dict must be dicts, got {hparam_dict!r} and {metric_dict!r}")
        hparams = {name: _hyperparameter(value) for name, value in hparam_dict.items()}
        metrics = {clean(tag): array(value) for tag, value in metric_dict.items()}
        super().add_hparams(hparams, metrics, None, name, global_step, **session)

    def _write_hparams(
        self, writer: tbc.file_writer.FileWriter, summaries: Sequence[Any], metrics: dict[str, float], step: int
    ) -> None:
        """Write the messages at step 0, and the metrics at `step`, as tensorboardX does."""
        super()._write_hparams(writer, summaries, {}, 0)
        super()._write_hparams(writer, [], metrics, step)

    def _tiles(self, image: Any, layout: Any, lay_out: Callable[[Any, Any], Any]) -> Any:
        """Arrange an image. Pixels of float64 are multiplied as float64; torch and tbc.SummaryWriter use float32."""
        tiles = super()._tiles(image, layout, lay_out)
        tiles.in_double = tiles.images.dtype.kind == "f" and tiles.images.dtype.itemsize == 8
        return tiles

    @contextmanager
    def use_metadata(self, *, global_step: Any = None, walltime: float | None = None) -> Iterator[SummaryWriter]:
        """Sets the step, the time, or both, for each add_* within the block, in any thread, that does not get them.

        Raises AssertionError within another use_metadata, and if neither is given.
        """
        if self._metadata:
            raise AssertionError("use_metadata cannot be nested")
        metadata = {"global_step": global_step, "walltime": walltime}
        self._metadata = {name: value for name, value in metadata.items() if value is not None}
        if not self._metadata:
            raise AssertionError("use_metadata needs a global_step or a walltime")
        try:
            yield self
        finally:
            self._metadata = {}


def _with_metadata(add: Callable[..., None]) -> Callable[..., None]:
    """Make an add_* apply use_metadata, and do nothing in a writer with write_to_disk=False."""
    signature = inspect.signature(add)

    @functools.wraps(add)
    def method(self: SummaryWriter, *arguments: Any, **keywords: Any) -> None:
        if not self.enabled:
            return
        if self._metadata:
            bound = signature.bind(self, *arguments, **keywords)
            for name, value in self._metadata.items():
                if name in signature.parameters and bound.arguments.get(name) is None:
                    bound.arguments[name] = value
            arguments, keywords = bound.args[1:], bound.kwargs
        add(self, *arguments, **keywords)

    return method


for _name, _add in inspect.getmembers(SummaryWriter, inspect.isroutine):
    if _name.startswith("add_"):
        setattr(SummaryWriter, _name, _with_metadata(_add))


class RecordWriter:
    """Writes any bytes as records to a file, in the format of event files and TFRecord; an existing file is emptied."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self._writer = open(path, "wb")  # noqa: SIM115

    def write(self, data: bytes) -> None:
        self._writer.write(_core.frame(data))

    def flush(self) -> None:
        """Returns when all records are on the disk."""
        self._writer.flush()
        os.fsync(self._writer.fileno())

    def close(self) -> None:
        self._writer.close()
