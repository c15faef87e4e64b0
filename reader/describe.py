"""Describe logged values for programs (JSON types) and for people (a short line).

Each kind of value has one form, whether a message or a tensor stores it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any

from .events import DTYPES, Value, tensor_values
from .kinds import (
    MOST_DIMENSIONS,
    Audio,
    Experiment,
    Histogram,
    HParams,
    Image,
    SessionEnd,
    decode,
    node_count,
    text_of,
)
from .tags import printable

SHORT = 80  # characters of a line


def to_json(value: Value, limit: int | None = None) -> Any:
    """Return a value as JSON types, plus NaN and infinities. Images, sounds and graphs are described, not included.

    A value whose contents do not fit its kind becomes {"unreadable": why}. limit: for texts and tensors, return the
    first `limit` elements, and at least the first `limit` characters of each string.
    """
    try:
        if value.kind in _LIMITED:
            return _LIMITED[value.kind](value, limit)
        return _JSON.get(value.kind, decode)(value)
    except ValueError as error:
        return {"unreadable": str(error)}


def brief(value: Value) -> str:
    """Return a value as a line of at most SHORT characters, without control characters."""
    data = to_json(value, SHORT + 1)
    unreadable = isinstance(data, dict) and "unreadable" in data
    if value.kind in _BRIEF and not unreadable:
        data = _BRIEF[value.kind](data)
    elif isinstance(data, dict):
        data = ", ".join(f"{key}={plain(element)}" for key, element in data.items())
    elif isinstance(data, float):
        data = shortest(data)
    line = data if isinstance(data, str) else json.dumps(data)
    line = printable(line[: SHORT + 1])  # cut first: a value may have any size
    return line if len(line) <= SHORT else line[: SHORT - 3] + "..."


def _histogram(value: Value) -> dict[str, Any]:
    histogram: Histogram = decode(value)
    moments = {name: getattr(histogram, name) for name in ("min", "max", "num", "sum", "sum_squares")}
    known = {name: moment for name, moment in moments.items() if moment is not None}
    return known | {"bucket_limit": histogram.limits.tolist(), "bucket": histogram.counts.tolist()}


def _image(value: Value) -> dict[str, Any]:
    image: Image = decode(value)
    return {
        "width": image.width,
        "height": image.height,
        "images": len(image.files),
        "format": image.format or "unknown format",
        "bytes": sum(map(len, image.files)),
    }


def _audio(value: Value) -> dict[str, Any]:
    audio: Audio = decode(value)
    size = {"bytes": sum(map(len, audio.files))}
    names = ("sample_rate", "channels", "frames", "content_type")
    return {name: getattr(audio, name) for name in names} | size


def _text(value: Value, limit: int | None) -> Any:
    """Return a string, or nested lists of strings in the shape of the tensor; TensorBoard shows these as a table."""
    texts: list[Any] = [_decoded(element, limit) for element in tensor_values(value.content.tensor, limit)]
    if len(texts) == 1:
        return texts[0]
    shape = [dim.size for dim in value.content.tensor.tensor_shape.dim]
    if len(shape) <= MOST_DIMENSIONS and min(shape, default=0) > 0 and math.prod(shape) == len(texts):
        for size in shape[:0:-1]:
            texts = [texts[i : i + size] for i in range(0, len(texts), size)]
    return texts


def _tensor(value: Value, limit: int | None) -> dict[str, Any]:
    tensor = value.content.tensor
    return {
        "dtype": DTYPES.get(tensor.dtype, ("unknown",))[0],
        "shape": [dim.size for dim in tensor.tensor_shape.dim[:limit]],
        "values": [_decoded(element, limit) for element in tensor_values(tensor, limit)],
    }


def _hparams(value: Value) -> dict[str, Any]:
    data: HParams | SessionEnd | Experiment = decode(value)
    if isinstance(data, HParams):
        return data.hparams
    if isinstance(data, SessionEnd):
        return {"status": data.status}
    return {"hparams": list(data.hparams), "metrics": data.metrics}


def _graph(value: Value) -> dict[str, int]:
    return {"nodes": node_count(decode(value))} | _size(value)


def _size(value: Value) -> dict[str, int]:
    return {"bytes": len(decode(value))}


_LIMITED = {"text": _text, "tensor": _tensor, "pr_curve": _tensor, "mesh": _tensor}
_JSON: dict[str, Callable[[Value], Any]] = {  # of other kinds, decode returns JSON types
    "histogram": _histogram,
    "image": _image,
    "audio": _audio,
    "hparams": _hparams,
    "graph": _graph,
    "meta_graph": _size,
    "run_metadata": _size,
}


def _brief_histogram(data: dict[str, Any]) -> str:
    num = data["num"]
    if not num:
        return "no values"
    line = f"{num:,.0f} value{'s' * (num != 1)}, {data['min']:.4g} to {data['max']:.4g}"
    if "sum" not in data:
        return line
    mean = data["sum"] / num
    variance = data["sum_squares"] / num - mean * mean
    return f"{line}, mean {mean:.4g}, std {math.sqrt(variance) if variance > 0 else 0.0:.4g}"


def _brief_image(data: dict[str, Any]) -> str:
    count = f"{data['images']} images, " if data["images"] != 1 else ""
    return f"{count}{data['width']}x{data['height']} {data['format']}, {data['bytes']:,} bytes"


def _brief_audio(data: dict[str, Any]) -> str:
    seconds = data["frames"] / data["sample_rate"] if data["sample_rate"] else 0.0
    plural = "s" * (data["channels"] != 1)
    length = f"{seconds:.2f}" if seconds >= 0.1 or not seconds else f"{seconds:.2g}"
    return f"{length} s, {data['sample_rate']:g} Hz, {data['channels']} channel{plural}, {data['bytes']:,} bytes"


def _brief_size(data: dict[str, Any]) -> str:
    return f"{data['bytes']:,} bytes"


def _brief_graph(data: dict[str, Any]) -> str:
    return f"{data['nodes']:,} nodes, {_brief_size(data)}"


def _brief_pr_curve(data: dict[str, Any]) -> str:
    return f"{data['shape'][-1] if data['shape'] else 0} thresholds"


def _brief_tensor(data: dict[str, Any]) -> str:
    shape = "x".join(map(str, data["shape"])) or "scalar"
    return f"{data['dtype']} {shape}: {', '.join(map(plain, data['values']))}"


_BRIEF: dict[str, Callable[[Any], str]] = {
    "histogram": _brief_histogram,
    "image": _brief_image,
    "audio": _brief_audio,
    "graph": _brief_graph,
    "meta_graph": _brief_size,
    "run_metadata": _brief_size,
    "pr_curve": _brief_pr_curve,
    "tensor": _brief_tensor,
    "mesh": _brief_tensor,
}


def shortest(number: float) -> str:
    """Return a number with the fewest digits that parse to it again, as a float32 if it is one, else as a float64.

    Integers below 1e16 have all their digits; above it, a float64 is not exact. All commands print numbers like this.
    """
    if number.is_integer() and abs(number) < 1e16:
        return f"{number:.0f}"
    try:
        single = struct.pack("<f", number)
    except OverflowError:
        return repr(number)
    if struct.unpack("<f", single)[0] != number == number:
        return repr(number)
    for digits in range(6, 9):
        text = f"{number:.{digits}g}"
        if struct.pack("<f", float(text)) == single:
            return text
    return f"{number:.9g}"


def plain(element: Any) -> str:
    return shortest(element) if isinstance(element, float) else str(element)


def _decoded(element: Any, limit: int | None) -> Any:
    """Return an element; decode a string, cut so that at least `limit` characters are left."""
    if not isinstance(element, bytes):
        return element
    return text_of(element[: limit and 4 * limit])
