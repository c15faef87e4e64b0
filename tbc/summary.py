"""Functions that make Summary messages, without a file: those of torch.utils.tensorboard.summary.

    from tbc.summary import hparams
    experiment, start, end = hparams({"lr": 0.1}, {"accuracy": 0})
    writer.file_writer.add_summary(experiment)

Each takes what the method of tbc.SummaryWriter takes, raises what that raises, and returns what that logs. The
parameters and their order are torch's. The messages are of tbc.proto; every protobuf library can parse their bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tbc import _core, dynamo
from tbc.kinds import custom_scalars as _custom_scalars
from tbc.kinds import hparams as _hparams
from tbc.kinds import meshes, pr_curves
from tbc.kinds.boxes import draw_boxes
from tbc.proto import Event
from tbc.writer import SummaryWriter

__all__ = [
    "audio",
    "compute_curve",
    "custom_scalars",
    "draw_boxes",
    "histogram",
    "histogram_raw",
    "hparams",
    "image",
    "image_boxes",
    "mesh",
    "pr_curve",
    "pr_curve_raw",
    "scalar",
    "tensor_proto",
    "text",
    "video",
]


class _Buffer(_core.EventBuffer):
    """Stands in for a FileWriter, and keeps the last event in memory."""

    def reserve(self, size: int) -> _core.Reservation:
        return _core.Reservation()

    @dynamo.untraced
    def run_later(self, work: Callable[[], None], reservation: Any) -> None:
        work()


class _Writer(SummaryWriter):
    """A SummaryWriter that logs to memory."""

    def _get_file_writer(self) -> Any:
        if self.file_writer is None:
            self.file_writer = _Buffer()  # type: ignore[assignment]
        return self.file_writer


def _logged(add: Callable[..., None], *arguments: Any, **keywords: Any) -> Any:
    """Return the Summary that a method of SummaryWriter logs."""
    writer = _Writer("memory")
    add(writer, *arguments, **keywords)
    return Event.FromString(bytes(writer._get_file_writer())).summary


def scalar(
    name: str, tensor: Any, collections: Any = None, new_style: bool = False, double_precision: bool = False
) -> Any:
    """Returns what SummaryWriter.add_scalar logs. collections: ignored."""
    return _logged(SummaryWriter.add_scalar, name, tensor, new_style=new_style, double_precision=double_precision)


def tensor_proto(tag: str, tensor: Any) -> Any:
    """Returns what SummaryWriter.add_tensor logs."""
    return _logged(SummaryWriter.add_tensor, tag, tensor)


def histogram_raw(
    name: str,
    min: float,
    max: float,
    num: float,
    sum: float,
    sum_squares: float,
    bucket_limits: Any,
    bucket_counts: Any,
) -> Any:
    """Returns what SummaryWriter.add_histogram_raw logs."""
    moments = min, max, num, sum, sum_squares
    return _logged(SummaryWriter.add_histogram_raw, name, *moments, bucket_limits, bucket_counts)


def histogram(name: str, values: Any, bins: Any, max_bins: int | None = None) -> Any:
    """Returns what SummaryWriter.add_histogram logs."""
    return _logged(SummaryWriter.add_histogram, name, values, bins=bins, max_bins=max_bins)


def image(tag: str, tensor: Any, rescale: float = 1, dataformats: str = "NCHW") -> Any:
    """Returns what SummaryWriter.add_image logs. rescale: a factor that scales the image."""
    if rescale != 1:
        return image_boxes(tag, tensor, np.empty((0, 4)), rescale, dataformats)
    return _logged(SummaryWriter.add_image, tag, tensor, dataformats=dataformats)


def image_boxes(
    tag: str,
    tensor_image: Any,
    tensor_boxes: Any,
    rescale: float = 1,
    dataformats: str = "CHW",
    labels: Sequence[str] | str | None = None,
) -> Any:
    """Returns what SummaryWriter.add_image_with_boxes logs."""
    arguments = {"rescale": rescale, "dataformats": dataformats, "labels": labels}
    return _logged(SummaryWriter.add_image_with_boxes, tag, tensor_image, tensor_boxes, **arguments)


def video(tag: str, tensor: Any, fps: float = 4) -> Any:
    """Returns what SummaryWriter.add_video logs."""
    return _logged(SummaryWriter.add_video, tag, tensor, fps=fps)


def audio(tag: str, tensor: Any, sample_rate: float = 44100) -> Any:
    """Returns what SummaryWriter.add_audio logs."""
    return _logged(SummaryWriter.add_audio, tag, tensor, sample_rate=sample_rate)


def text(tag: str, text: str) -> Any:
    """Returns what SummaryWriter.add_text logs."""
    return _logged(SummaryWriter.add_text, tag, text)


def pr_curve_raw(
    tag: str,
    tp: Any,
    fp: Any,
    tn: Any,
    fn: Any,
    precision: Any,
    recall: Any,
    num_thresholds: int = 127,
    weights: Any = None,
) -> Any:
    """Returns what SummaryWriter.add_pr_curve_raw logs."""
    return _logged(SummaryWriter.add_pr_curve_raw, tag, tp, fp, tn, fn, precision, recall)


def pr_curve(tag: str, labels: Any, predictions: Any, num_thresholds: int = 127, weights: Any = None) -> Any:
    """Returns what SummaryWriter.add_pr_curve logs."""
    return _logged(SummaryWriter.add_pr_curve, tag, labels, predictions, num_thresholds=num_thresholds, weights=weights)


def compute_curve(labels: Any, predictions: Any, num_thresholds: int = 127, weights: Any = None) -> NDArray[np.float64]:
    """Returns (6, num_thresholds) float64: true and false positives, true and false negatives, precision, recall."""
    return pr_curves.curve(labels, predictions, num_thresholds, weights)[0]


def mesh(
    tag: str,
    vertices: Any,
    colors: Any,
    faces: Any,
    config_dict: Mapping[str, Any] | None,
    display_name: str | None = None,
    description: str | None = None,
) -> Any:
    """Returns what SummaryWriter.add_mesh logs."""
    return meshes.summary(tag, vertices, colors, faces, config_dict, display_name, description)


def custom_scalars(layout: Mapping[str, Any]) -> Any:
    """Returns what SummaryWriter.add_custom_scalars logs."""
    return _custom_scalars.summary(layout)


def hparams(
    hparam_dict: Any = None,
    metric_dict: Any = None,
    hparam_domain_discrete: Mapping[str, list[Any]] | None = None,
    *,
    start_time: float | None = None,
    end_time: float | None = None,
    status: str = "success",
) -> tuple[Any, Any, Any]:
    """Returns what SummaryWriter.add_hparams logs: messages of the experiment, its session's start and its end."""
    return _hparams.summaries(hparam_dict, metric_dict, hparam_domain_discrete, start_time, end_time, status)
