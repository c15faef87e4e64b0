"""Logged values for programs (what JSON can hold) and for people (a short line).

Each kind of value has one form here, however its writer stored it: as a message of its own, or as a tensor.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from tbc.proto import HParamsPluginData, Layout

from .events import DTYPES, Value, numbers_of, scalar_of, tensor_values

IMAGE_FORMATS = {b"\x89PNG": "PNG", b"GIF8": "GIF", b"\xff\xd8\xff": "JPEG", b"RIFF": "WebP"}
SHORT = 80  # characters of a line


def to_json(value: Value, limit: int | None = None) -> Any:
    """The value as JSON types; `strict` sees to NaN. Images, sounds and graphs are described, not included.

    What does not hold what its kind holds, in a file of some other writer, becomes {"unreadable": why}. `limit` is how
    many elements of a tensor, and characters of each, are enough.
    """
    try:
        if value.kind in _JSON:
            return _JSON[value.kind](value.content)
        return (_text if value.kind == "text" else _tensor)(value.content, limit)
    except (DecodeError, ValueError, IndexError) as error:
        return {"unreadable": str(error)}


def brief(value: Value) -> str:
    """The value in a few words, without control characters."""
    data = to_json(value, SHORT + 1)
    unreadable = isinstance(data, dict) and "unreadable" in data
    if value.kind == "scalar" and not unreadable:
        return _number(value.content, data)
    if value.kind in _BRIEF and not unreadable:
        data = _BRIEF[value.kind](data)
    elif isinstance(data, dict):
        data = ", ".join(f"{key}={_plain(element)}" for key, element in data.items())
    line = data if isinstance(data, str) else json.dumps(data)
    line = printable(line[: SHORT + 1])  # before the work of it: a value may have any size
    return line if len(line) <= SHORT else line[: SHORT - 3] + "..."


def printable(text: str) -> str:
    """A tag or a text must not move the cursor, ring the bell or hide what it is: control characters are escaped."""
    return text if text.isprintable() else text.translate(_ESCAPES)


class _Escapes(dict[int, str]):
    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = character if character.isprintable() else ascii(character)[1:-1]
        return self[code]


_ESCAPES = _Escapes()


def _histogram(content: Any) -> dict[str, Any]:
    if content.HasField("histo"):
        histogram = content.histo
        moments = {name: getattr(histogram, name) for name in ("min", "max", "num", "sum", "sum_squares")}
        return moments | {"bucket_limit": list(histogram.bucket_limit), "bucket": list(histogram.bucket)}
    elements = numbers_of(content.tensor)  # rows of lower limit, upper limit, count
    limits, counts = elements[1::3], elements[2::3]
    ends = {"min": elements[0], "max": limits[-1]} if counts else {"min": 0.0, "max": 0.0}
    return ends | {"num": sum(counts), "bucket_limit": limits, "bucket": counts}


def _image(content: Any) -> dict[str, Any]:
    if content.HasField("image"):
        image = content.image
        width, height, files = image.width, image.height, [image.encoded_image_string]
    else:  # width and height in digits, then one file or more
        elements = [element for element in tensor_values(content.tensor) if isinstance(element, bytes)]
        width, height = (int(text) if text.isdigit() else 0 for text in (*elements[:2], b"", b"")[:2])
        files = elements[2:]
    start = files[0][:4] if files else b""
    kind = next((name for magic, name in IMAGE_FORMATS.items() if start.startswith(magic)), "unknown format")
    return {"width": width, "height": height, "images": len(files), "format": kind, "bytes": sum(map(len, files))}


def _audio(content: Any) -> dict[str, Any]:
    if not content.HasField("audio"):
        return {"bytes": sum(len(element) for element in tensor_values(content.tensor) if isinstance(element, bytes))}
    audio = content.audio
    return {
        "sample_rate": audio.sample_rate,
        "channels": audio.num_channels,
        "frames": audio.length_frames,
        "content_type": audio.content_type,
        "bytes": len(audio.encoded_audio_string),
    }


def _text(content: Any, limit: int | None) -> Any:
    texts = [_decoded(element, limit) for element in tensor_values(content.tensor, limit)]
    return texts[0] if len(texts) == 1 else texts


def _tensor(content: Any, limit: int | None) -> dict[str, Any]:
    return {
        "dtype": DTYPES.get(content.tensor.dtype, ("unknown",))[0],
        "shape": [dim.size for dim in content.tensor.tensor_shape.dim[:limit]],
        "values": [_decoded(element, limit) for element in tensor_values(content.tensor, limit)],
    }


def _hparams(content: Any) -> dict[str, Any]:
    data = HParamsPluginData.FromString(content.metadata.plugin_data.content)
    if data.WhichOneof("data") == "session_start_info":
        hparams = data.session_start_info.hparams
        return {name: _hparam(hparams[name]) for name in sorted(hparams)}
    if data.WhichOneof("data") == "session_end_info":
        status = _enum_name(data.session_end_info, "Status", data.session_end_info.status)
        return {"status": status.removeprefix("STATUS_").lower()}
    experiment = data.experiment
    return {
        "hparams": [info.name for info in experiment.hparam_infos],
        "metrics": [info.name.tag for info in experiment.metric_infos],
    }


def _hparam(value: Any) -> Any:
    """A google.protobuf.Value: what JSON can hold."""
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return [_hparam(element) for element in value.list_value.values]
    if kind == "struct_value":
        return {name: _hparam(element) for name, element in value.struct_value.fields.items()}
    return None if kind in (None, "null_value") else getattr(value, kind)


def _layout(content: Any) -> dict[str, dict[str, list[str]]]:
    """Category -> chart -> tags."""
    layout = Layout.FromString(content.tensor.string_val[0])
    return {category.title: {chart.title: _charted(chart) for chart in category.chart} for category in layout.category}


def _charted(chart: Any) -> list[str]:
    series = [tag for one in chart.margin.series for tag in (one.value, one.lower, one.upper)]
    return [*chart.multiline.tag, *series]


def _enum_name(message: Any, enum: str, number: int) -> str:
    value = message.DESCRIPTOR.enum_types_by_name[enum].values_by_number.get(number)
    return value.name if value is not None else str(number)


def _size(content: bytes) -> dict[str, int]:
    return {"bytes": len(content)}


_JSON: dict[str, Callable[[Any], Any]] = {  # the rest are texts and tensors
    "scalar": scalar_of,
    "histogram": _histogram,
    "image": _image,
    "audio": _audio,
    "hparams": _hparams,
    "custom_scalars": _layout,
    "file_version": str,
    "session_log": lambda content: _enum_name(content, "SessionStatus", content.status),
    "graph": _size,
    "meta_graph": _size,
    "run_metadata": lambda content: _size(content.run_metadata),
    "empty": lambda content: None,
}


def _brief_histogram(data: dict[str, Any]) -> str:
    num = data["num"]
    if not num:
        return "no values"
    line = f"{num:,.0f} values, {data['min']:.4g} to {data['max']:.4g}"
    if "sum" not in data:
        return line
    mean = data["sum"] / num
    variance = data["sum_squares"] / num - mean * mean
    return f"{line}, mean {mean:.4g}, std {math.sqrt(variance) if variance > 0 else 0.0:.4g}"


def _brief_image(data: dict[str, Any]) -> str:
    count = f"{data['images']} images, " if data["images"] != 1 else ""
    return f"{count}{data['width']}x{data['height']} {data['format']}, {data['bytes']:,} bytes"


def _brief_audio(data: dict[str, Any]) -> str:
    if "frames" not in data:
        return f"{data['bytes']:,} bytes"
    seconds = data["frames"] / data["sample_rate"] if data["sample_rate"] else 0.0
    plural = "s" * (data["channels"] != 1)
    return f"{seconds:.2f} s, {data['sample_rate']:g} Hz, {data['channels']} channel{plural}, {data['bytes']:,} bytes"


def _brief_pr_curve(data: dict[str, Any]) -> str:
    return f"{data['shape'][-1] if data['shape'] else 0} thresholds"


def _brief_tensor(data: dict[str, Any]) -> str:
    shape = "x".join(map(str, data["shape"])) or "scalar"
    return f"{data['dtype']} {shape}: {', '.join(map(_plain, data['values']))}"


_BRIEF: dict[str, Callable[[Any], str]] = {
    "histogram": _brief_histogram,
    "image": _brief_image,
    "audio": _brief_audio,
    "pr_curve": _brief_pr_curve,
    "tensor": _brief_tensor,
    "mesh": _brief_tensor,
}


def _number(content: Any, number: float) -> str:
    """In the fewest digits that give the number back: those of a float32, if it was stored as one."""
    if content.HasField("tensor") and DTYPES.get(content.tensor.dtype, ("",))[0] != "float32":
        return repr(number)
    for digits in range(6, 9):
        text = f"{number:.{digits}g}"
        if struct.pack("<f", float(text)) == struct.pack("<f", number):
            return text
    return f"{number:.9g}"


def _plain(element: Any) -> str:
    return f"{element:.6g}" if isinstance(element, float) else str(element)


def _decoded(element: Any, limit: int | None) -> Any:
    """Of strings, `limit` characters or more."""
    if not isinstance(element, bytes):
        return element
    return element[: limit and 4 * limit].decode("utf-8", "backslashreplace")


def strict(data: Any) -> Any:
    """JSON has no NaN and no infinities: they become strings, as in protobuf's JSON."""
    if isinstance(data, float) and not math.isfinite(data):
        return "NaN" if math.isnan(data) else "Infinity" if data > 0 else "-Infinity"
    if isinstance(data, list):
        return [strict(element) for element in data]
    if isinstance(data, dict):
        return {key: strict(element) for key, element in data.items()}
    return data
