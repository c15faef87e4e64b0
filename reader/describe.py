"""Logged values for people (a short line) and for programs (what JSON can hold)."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

from tbc.proto import HParamsPluginData

from .events import DTYPES, Value, scalar_of, tensor_values

IMAGE_FORMATS = {b"\x89PNG": "PNG", b"GIF8": "GIF", b"\xff\xd8\xff": "JPEG", b"RIFF": "WebP"}
SESSION_STATUS = {0: "unknown", 1: "success", 2: "failure", 3: "running"}
SHORT = 80  # characters of a text


def to_json(value: Value) -> Any:
    """The value as JSON types. Images, sounds and graphs are described, not included."""
    content = value.content
    if value.kind == "scalar":
        return scalar_of(content)
    if value.kind in ("file_version", "empty"):
        return content if isinstance(content, str) else None
    if value.kind == "session_log":
        return _session_status(content)
    if value.kind in ("graph", "meta_graph"):
        return {"bytes": len(content)}
    if value.kind == "run_metadata":
        return {"bytes": len(content.run_metadata)}
    if value.kind == "hparams":
        return _hparams(content)
    what = content.WhichOneof("value")
    if what == "histo":
        histogram = content.histo
        moments = {name: getattr(histogram, name) for name in ("min", "max", "num", "sum", "sum_squares")}
        return moments | {"bucket_limit": list(histogram.bucket_limit), "bucket": list(histogram.bucket)}
    if what == "image":
        image = content.image
        size = {"width": image.width, "height": image.height, "channels": image.colorspace}
        return size | {"format": _image_format(image.encoded_image_string), "bytes": len(image.encoded_image_string)}
    if what == "audio":
        audio = content.audio
        sound = {"sample_rate": audio.sample_rate, "channels": audio.num_channels, "frames": audio.length_frames}
        return sound | {"content_type": audio.content_type, "bytes": len(audio.encoded_audio_string)}
    elements = tensor_values(content.tensor)
    if value.kind == "text":
        texts = [element.decode("utf-8", "backslashreplace") for element in elements]
        return texts[0] if len(texts) == 1 else texts
    if value.kind in ("image", "audio", "custom_scalars"):
        return {"elements": len(elements), "bytes": sum(len(element) for element in elements if isinstance(element, bytes))}
    return {
        "dtype": DTYPES.get(content.tensor.dtype, ("unknown",))[0],
        "shape": [dim.size for dim in content.tensor.tensor_shape.dim],
        "values": [element.decode("utf-8", "backslashreplace") if isinstance(element, bytes) else element for element in elements],
    }


def strict(data: Any) -> Any:
    """JSON has no NaN and no infinities: they become strings, as in protobuf's JSON."""
    if isinstance(data, float) and not math.isfinite(data):
        return "NaN" if math.isnan(data) else "Infinity" if data > 0 else "-Infinity"
    if isinstance(data, list):
        return [strict(element) for element in data]
    if isinstance(data, dict):
        return {key: strict(element) for key, element in data.items()}
    return data


def brief(value: Value) -> str:
    """The value in a few words, without control characters."""
    data = to_json(value)
    if value.kind == "scalar":
        return _number(value.content, data)
    if value.kind == "histogram" and "num" in data:
        return _moments(data)
    if value.kind == "image" and "width" in data:
        return f"{data['width']}x{data['height']} {data['format']}, {data['bytes']:,} bytes"
    if value.kind == "audio" and "frames" in data:
        rate, channels = data["sample_rate"], data["channels"]
        seconds = data["frames"] / rate if rate else 0
        return f"{seconds:.2f} s, {rate:g} Hz, {channels} channel{'s' * (channels != 1)}, {data['bytes']:,} bytes"
    if value.kind == "pr_curve":
        return f"{data['shape'][-1] if data['shape'] else 0} thresholds"
    if isinstance(data, str):
        return printable(data if value.kind != "text" else _shortened(data))
    if isinstance(data, dict) and "values" in data:
        shape = "x".join(map(str, data["shape"])) or "scalar"
        return _shortened(f"{data['dtype']} {shape}: {', '.join(map(_plain, data['values'][:20]))}")
    if isinstance(data, dict):
        return printable(_shortened(", ".join(f"{key}={_plain(element)}" for key, element in data.items())))
    return printable(_shortened(json.dumps(data)))


def printable(text: str) -> str:
    """A tag or a text must not move the cursor, ring the bell or hide what it is: control characters are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)


def _shortened(text: str) -> str:
    line = printable(text)
    return line if len(line) <= SHORT else line[: SHORT - 3] + "..."


def _plain(element: Any) -> str:
    return f"{element:.6g}" if isinstance(element, float) else str(element)


def _number(content: Any, number: float) -> str:
    """A float32 in the fewest digits that give it back; a float64 likewise."""
    if content.WhichOneof("value") == "tensor" and DTYPES.get(content.tensor.dtype, ("",))[0] != "float32":
        return repr(number)
    for digits in range(6, 9):
        text = f"{number:.{digits}g}"
        if struct.pack("<d", number) == struct.pack("<d", struct.unpack("<f", struct.pack("<f", float(text)))[0]):
            return text
    return f"{number:.9g}"


def _moments(data: dict[str, Any]) -> str:
    num = data["num"]
    if not num:
        return "no values"
    mean = data["sum"] / num
    variance = data["sum_squares"] / num - mean * mean
    deviation = math.sqrt(variance) if variance > 0 else 0.0
    return f"{num:,.0f} values, {data['min']:.4g} to {data['max']:.4g}, mean {mean:.4g}, std {deviation:.4g}"


def _image_format(file: bytes) -> str:
    return next((name for magic, name in IMAGE_FORMATS.items() if file.startswith(magic)), "unknown format")


def _session_status(content: Any) -> str:
    status: str = content.DESCRIPTOR.enum_types_by_name["SessionStatus"].values_by_number[content.status].name
    return status


def _hparams(content: Any) -> dict[str, Any]:
    data = HParamsPluginData.FromString(content.metadata.plugin_data.content)
    if data.WhichOneof("data") == "session_start_info":
        hparams = data.session_start_info.hparams
        return {name: getattr(hparams[name], hparams[name].WhichOneof("kind") or "null_value") for name in sorted(hparams)}
    if data.WhichOneof("data") == "session_end_info":
        return {"status": SESSION_STATUS.get(data.session_end_info.status, "unknown")}
    return {"experiment": f"{len(data.experiment)} bytes"}
