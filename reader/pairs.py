"""Compare two values of one kind by their contents, however they were stored, and describe how they differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from tbc.proto import GraphDef, HParamsPluginData, Layout

from .describe import shortest
from .events import DTYPES, Value
from .kinds import Audio, Histogram, Image, array_of, decode, text_of
from .series import is_named_by_time

Indices: TypeAlias = "NDArray[np.intp]"

SHORT = 32  # characters of a text that are quoted
MOST_PARTS = 3  # parts of a value that are listed if they differ
DEEP_COLORS = (b"\x10\x02", b"\x10\x04", b"\x10\x06")  # bytes 24, 25 of a PNG: 16 bits; RGB, grey with alpha, RGBA
PLAIN_MESSAGES = {f"google.protobuf.{name}" for name in ("Value", "Struct", "ListValue")}


class Tolerance(NamedTuple):
    """The tolerances of numpy.isclose."""

    rtol: float
    atol: float


class Apart(NamedTuple):
    """How two values differ. distance: the largest difference of their numbers; infinity if no number measures it."""

    distance: float
    text: str


class UnreadableError(ValueError):
    """A value cannot be decoded, and the bytes of the two values differ."""


def value_apart(a: Value, b: Value, tolerance: Tolerance) -> Apart | None:
    """Return how two values of one kind differ; None if their contents are equal. Raises UnreadableError."""
    if _bytes_of(a) == _bytes_of(b):
        return None
    data: list[Any] = []
    problems: dict[str, str] = {}
    for side, value in (("first", a), ("second", b)):
        try:
            data.append(_READ.get(value.kind, decode)(value))
        except (ValueError, DecodeError, OverflowError, RecursionError) as error:
            problems[side] = str(error)
    if problems:
        raise UnreadableError(unreadable(problems))
    try:
        return _APART.get(a.kind, part_apart)(data[0], data[1], tolerance)
    except RecursionError as error:  # the config of a mesh may be deeply nested
        raise UnreadableError(unreadable({"first": str(error), "second": str(error)})) from error


def unreadable(problems: dict[str, str]) -> str:
    """Return the text for values that cannot be decoded. problems: messages by position, "first" or "second"."""
    where = "both" if len(problems) == 2 else f"the {next(iter(problems))}"
    return f"unreadable in {where}: {'; '.join(dict.fromkeys(problems.values()))}"


def _bytes_of(value: Value) -> tuple[object, ...]:
    """Return the logged content as bytes: equal bytes are equal values, and need no decoding."""
    content = value.content
    if isinstance(content, bytes | str):
        return (content,)
    if not hasattr(content, "metadata"):  # no Summary.Value
        return (content.SerializeToString(),)
    name = content.WhichOneof("value")
    payload = _rest(value) if name is None else getattr(content, name)
    payload = payload.SerializeToString() if hasattr(payload, "SerializeToString") else payload
    return name, payload, content.metadata.plugin_data.content if value.kind in ("hparams", "mesh") else b""


# --- the contents to compare, of kinds for which kinds.decode leaves something out ---


def _rest(value: Value) -> bytes:
    """Return all fields except tag and metadata of a value without a known kind."""
    rest = type(value.content)()
    rest.CopyFrom(value.content)
    rest.ClearField("tag")
    rest.ClearField("metadata")
    data: bytes = rest.SerializeToString()
    return data


def _tensor(value: Value) -> tuple[str, NDArray[Any]]:
    """Return the stored dtype's name, as array_of may change the dtype, and the array."""
    array = array_of(value.content.tensor)
    return DTYPES[value.content.tensor.dtype][0], array


def _hparams(value: Value) -> dict[str, Any]:
    """Return the parts of hyperparameters, sorted and without times: order and times differ from run to run."""
    decode(value)  # raises if it holds something else
    data = HParamsPluginData.FromString(value.content.metadata.plugin_data.content)
    if data.HasField("session_start_info"):
        data.session_start_info.ClearField("start_time_secs")
        if is_named_by_time(data.session_start_info.group_name):
            data.session_start_info.ClearField("group_name")
    if data.HasField("session_end_info"):
        data.session_end_info.ClearField("end_time_secs")
    if data.HasField("experiment"):
        data.experiment.ClearField("time_created_secs")
        data.experiment.hparam_infos.sort(key=lambda info: info.name)
        data.experiment.metric_infos.sort(key=lambda info: (info.name.group, info.name.tag))
    leaves = _leaves(data)
    return {path.removeprefix("session_start_info.hparams."): leaf for path, leaf in leaves.items()}


def _layout(value: Value) -> dict[str, Any]:
    decode(value)
    return _leaves(Layout.FromString(value.content.tensor.string_val[0]))


def _leaves(content: Any, path: str = "") -> dict[str, Any]:
    """Return the values in a message, by their path, such as "category[0].chart[1].title"."""
    if isinstance(content, str | bytes | int | float):
        return {path: content}
    inner: list[tuple[Any, str]]
    if hasattr(content, "ListFields"):
        is_plain = content.DESCRIPTOR.full_name in PLAIN_MESSAGES
        inner = [(held, path if is_plain else f"{path}.{its.name}".lstrip(".")) for its, held in content.ListFields()]
    elif hasattr(content, "items"):
        inner = [(content[key], f"{path}.{key}") for key in content]
    else:
        inner = [(held, f"{path}[{i}]") for i, held in enumerate(content)]
    leaves: dict[str, Any] = {}
    for held, name in inner:
        leaves |= _leaves(held, name)
    return leaves or {path: ()}  # an empty message differs from none


# --- how two values of one kind differ ---


def _histograms_apart(a: Histogram, b: Histogram, tolerance: Tolerance) -> Apart | None:
    parts = vars if (a.sum is None) == (b.sum is None) else _as_drawn
    parts_a, parts_b = ({**parts(histogram), "buckets": len(parts(histogram)["counts"])} for histogram in (a, b))
    if parts_a["buckets"] != parts_b["buckets"]:
        for parts_of_one in (parts_a, parts_b):
            del parts_of_one["limits"], parts_of_one["counts"]
    return part_apart(parts_a, parts_b, tolerance)


def _as_drawn(histogram: Histogram) -> dict[str, Any]:
    """Return what a histogram keeps when TensorBoard makes a tensor of it: float32, no sums, and no empty buckets at
    the ends."""
    full = np.flatnonzero(histogram.counts)
    first, end = (int(full[0]), int(full[-1]) + 1) if len(full) else (0, 0)
    edges = histogram.edges[first : end + 1].astype("f4") if len(full) else np.zeros(1, "f4")
    return {"min": float(edges[0]), "limits": edges[1:], "counts": histogram.counts[first:end].astype("f4")}


def _tensors_apart(a: tuple[str, NDArray[Any]], b: tuple[str, NDArray[Any]], tolerance: Tolerance) -> Apart | None:
    if a[0] != b[0]:
        return Apart(math.inf, f"dtype {a[0]} and {b[0]}")
    return _arrays_apart(a[1], b[1], tolerance)


def _texts_apart(a: tuple[str, NDArray[Any]], b: tuple[str, NDArray[Any]], tolerance: Tolerance) -> Apart | None:
    if a[1].size == b[1].size == 1:  # torch stores a text in the shape [1], TensorFlow in []
        a, b = (a[0], a[1].ravel()), (b[0], b[1].ravel())
    return _tensors_apart(a, b, tolerance)


def _images_apart(a: Image, b: Image, tolerance: Tolerance) -> Apart | None:
    if (a.width, a.height) != (b.width, b.height):
        return Apart(math.inf, f"{a.width}x{a.height} and {b.width}x{b.height} pixels")
    return _files_apart(a.files, b.files, "image", lambda i: _pictures_apart(a, b, i, tolerance))


def _pictures_apart(a: Image, b: Image, i: int, tolerance: Tolerance) -> Apart | None:
    """Compare file i of two images. Raises ValueError if Pillow cannot read it fully, ImportError without Pillow."""
    for file in (a.files[i], b.files[i]):
        if file.startswith(b"\x89PNG") and file[24:26] in DEEP_COLORS:
            raise ValueError("a PNG of 16 bits, of which Pillow reads 8")
    first, second = a.image(i), b.image(i)
    frames, frames_b = (getattr(picture, "n_frames", 1) for picture in (first, second))
    if frames != frames_b:
        return Apart(math.inf, f"{frames:,} and {frames_b:,} frames")
    worst: Apart | None = None
    for n in range(frames):
        where = f"frame {n + 1}: " if frames > 1 else ""
        worst = _worse(worst, _frames_apart(_frame(first, n), _frame(second, n), tolerance), where)
    return worst


def _frame(picture: Any, n: int) -> tuple[NDArray[Any], float]:
    """Return the pixels of frame n, of shape (height, width, channels), and how long it lasts, in ms."""
    try:
        if n:
            picture.seek(n)
        mode = picture.mode
        if not mode.startswith(("I", "F")):  # these have more than 8 bits
            mode = "RGBA"
            picture = (picture.convert("RGB") if picture.mode in ("CMYK", "YCbCr") else picture).convert(mode)
        pixels = np.asarray(picture)
        return pixels.reshape(*pixels.shape[:2], -1), float(picture.info.get("duration") or 0)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise many types
        raise ValueError(f"Pillow cannot read it ({type(error).__name__})") from error


def _frames_apart(a: tuple[NDArray[Any], float], b: tuple[NDArray[Any], float], tolerance: Tolerance) -> Apart | None:
    (pixels_a, duration_a), (pixels_b, duration_b) = a, b
    if pixels_a.shape != pixels_b.shape:
        sizes = [
            f"{pixels.shape[1]}x{pixels.shape[0]} pixels of {pixels.shape[2]} channels"
            for pixels in (pixels_a, pixels_b)
        ]
        return Apart(math.inf, " and ".join(sizes))
    differ, distance = elements_apart(pixels_a, pixels_b, tolerance)
    if len(differ):
        n, most = len(np.unique(differ // pixels_a.shape[2])), distance.max()
        total = pixels_a.shape[0] * pixels_a.shape[1]
        return Apart(float(most), f"{n:,} of {total:,} pixels, by up to {_amount(most)}")
    if duration_a != duration_b:
        return Apart(math.inf, f"lasts {duration_a:g} and {duration_b:g} ms")
    return None


def _sounds_apart(a: Audio, b: Audio, tolerance: Tolerance) -> Apart | None:
    if a.content_type and b.content_type:  # unknown for a file in a tensor that is not a WAV
        names = ("content_type", "sample_rate", "channels", "frames")
        said_a, said_b = ({name: getattr(audio, name) for name in names} for audio in (a, b))
        described = part_apart(said_a, said_b, tolerance)
        if described:
            return described
    return _files_apart(a.files, b.files, "sound", lambda i: _samples_apart(a.samples(i), b.samples(i), tolerance))


def _samples_apart(a: NDArray[Any], b: NDArray[Any], tolerance: Tolerance) -> Apart | None:
    if a.dtype != b.dtype:
        return Apart(math.inf, f"samples of {a.dtype} and {b.dtype}")
    return _arrays_apart(a, b, tolerance, "samples")


def _files_apart(a: list[bytes], b: list[bytes], noun: str, apart_of: Callable[[int], Apart | None]) -> Apart | None:
    """Compare lists of files. apart_of(i): return how file i differs, or raise, and the files' bytes are compared."""
    if len(a) != len(b):
        return Apart(math.inf, f"{len(a):,} and {len(b):,} {noun}s")
    worst: Apart | None = None
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        if x == y:
            continue
        try:
            apart = apart_of(i)
        except (ValueError, ImportError):
            apart = _bytes_apart(x, y)
        worst = _worse(worst, apart, f"{noun} {i + 1}: " if len(a) > 1 else "")
    return worst


def _graphs_apart(a: bytes, b: bytes, tolerance: Tolerance) -> Apart | None:
    try:
        (nodes_a, rest_a), (nodes_b, rest_b) = _nodes(a), _nodes(b)
    except (DecodeError, RecursionError):
        return _bytes_apart(a, b)
    changed = [name for name in nodes_a if name in nodes_b and nodes_a[name] != nodes_b[name]]
    only_a = [name for name in nodes_a if name not in nodes_b]
    only_b = [name for name in nodes_b if name not in nodes_a]
    texts = [
        f"{len(names):,} node{'s' * (len(names) != 1)} {how}, such as {part_text(names[0])}"
        for names, how in ((changed, "changed"), (only_a, "only in the first"), (only_b, "only in the second"))
        if names
    ]
    if rest_a != rest_b:
        texts.append("other versions or functions")
    return Apart(math.inf, "; ".join(texts)) if texts else None


def _nodes(graph: bytes) -> tuple[dict[str, list[bytes]], bytes]:
    """Return the nodes of a graph by name, and the rest of the graph."""
    message = GraphDef.FromString(graph)
    nodes: dict[str, list[bytes]] = {}
    for node in message.node:
        nodes.setdefault(node.name, []).append(node.SerializeToString(deterministic=True))
    message.ClearField("node")
    return {name: sorted(several) for name, several in nodes.items()}, message.SerializeToString(deterministic=True)


# --- parts of values ---


def part_apart(a: Any, b: Any, tolerance: Tolerance) -> Apart | None:
    """Return how two numbers, texts, arrays, or dicts of these differ; None if they do not."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return _arrays_apart(a, b, tolerance)
    if isinstance(a, dict) and isinstance(b, dict):
        return _dicts_apart(a, b, tolerance)
    if isinstance(a, bytes) and isinstance(b, bytes):
        return None if a == b else _bytes_apart(a, b)
    if isinstance(a, str) and isinstance(b, str):
        return None if a == b else Apart(math.inf, _texts_text(a, b))
    if type(a) is type(b) and isinstance(a, int | float):
        return _numbers_apart(a, b, tolerance)
    if type(a) is type(b) and a == b:
        return None
    return Apart(math.inf, f"{part_text(a)} and {part_text(b)}")


def _dicts_apart(a: dict[str, Any], b: dict[str, Any], tolerance: Tolerance) -> Apart | None:
    worst = -1.0
    texts = []
    for name in dict.fromkeys((*a, *b)):
        if name in a and name in b:
            apart = part_apart(a[name], b[name], tolerance)
            if apart is None:
                continue
        else:
            side, has = ("first", a) if name in a else ("second", b)
            apart = Apart(math.inf, f"only in the {side}, {part_text(has[name])}")
        worst = max(worst, apart.distance)
        texts.append(f"{name}: {apart.text}")
    more = f"; {len(texts) - MOST_PARTS:,} more" if len(texts) > MOST_PARTS else ""
    return Apart(worst, "; ".join(texts[:MOST_PARTS]) + more) if texts else None


def _arrays_apart(a: NDArray[Any], b: NDArray[Any], tolerance: Tolerance, noun: str = "elements") -> Apart | None:
    if a.shape != b.shape:
        return Apart(math.inf, f"shape {a.shape} and {b.shape}")
    differ, distance = elements_apart(a, b, tolerance)
    if not len(differ):
        return None
    most = distance.max()
    x, y = (array.ravel()[differ[0]] for array in (a, b))
    if a.dtype == object:
        how = _bytes_text(x, y)
        return Apart(math.inf, how if a.size == 1 else f"{len(differ):,} of {a.size:,} {noun}, the first: {how}")
    if a.size == 1:
        return Apart(float(most), numbers_text(x.item(), y.item()))
    by = f", by up to {_amount(most)}" if a.dtype != bool and math.isfinite(most) else ""
    return Apart(float(most), f"{len(differ):,} of {a.size:,} {noun}{by}")


def elements_apart(
    a: NDArray[Any], b: NDArray[Any], tolerance: Tolerance
) -> tuple[Indices, NDArray[np.float64] | NDArray[np.uint64]]:
    """Return the flat indices of the elements that differ, and their distances. Integers are compared exactly."""
    flat_a, flat_b = a.ravel(), b.ravel()
    index = np.flatnonzero(flat_a != flat_b)
    x, y = flat_a[index], flat_b[index]
    distance: NDArray[np.float64] | NDArray[np.uint64]
    if x.dtype.kind in "iu" and y.dtype.kind in "iu":
        if x.dtype != y.dtype:
            x, y = x.astype(np.int64), y.astype(np.int64)
        # The difference modulo 2**64 is exact: the distance of any two integers of 64 bits fits into a uint64.
        distance = np.maximum(x, y).astype(np.uint64) - np.minimum(x, y).astype(np.uint64)
        with np.errstate(invalid="ignore"):
            differ = ~(distance <= tolerance.atol + tolerance.rtol * np.abs(y.astype(float)))
    elif x.dtype.kind in "iufc" and y.dtype.kind in "iufc":
        x, y = (side.astype(complex if side.dtype.kind == "c" else float) for side in (x, y))
        with np.errstate(invalid="ignore", over="ignore"):
            differ = ~np.isclose(x, y, rtol=tolerance.rtol, atol=tolerance.atol, equal_nan=True)
            distance = np.nan_to_num(np.abs(x - y), nan=np.inf, posinf=np.inf)  # NaN and a number
    else:
        differ, distance = np.ones(len(index), bool), np.full(len(index), np.inf)
    return index[differ], distance[differ]


def _numbers_apart(a: float, b: float, tolerance: Tolerance) -> Apart | None:
    if a == b or (a != a and b != b):
        return None
    if isinstance(a, bool):
        return Apart(math.inf, f"{a} and {b}")
    distance = abs(a - b)
    if math.isfinite(distance) and distance <= tolerance.atol + tolerance.rtol * abs(b):
        return None
    return Apart(math.inf if math.isnan(distance) else distance, numbers_text(a, b))


def _bytes_apart(a: bytes, b: bytes) -> Apart:
    n = min(len(a), len(b))
    differ = np.frombuffer(a, np.uint8, n) != np.frombuffer(b, np.uint8, n)
    first = int(differ.argmax()) if differ.any() else n
    sizes = f"{len(a):,} bytes" if len(a) == len(b) else f"{len(a):,} and {len(b):,} bytes"
    return Apart(math.inf, f"{sizes}, different from byte {first:,} on")


def _worse(worst: Apart | None, apart: Apart | None, where: str) -> Apart | None:
    if apart is None or (worst is not None and worst.distance >= apart.distance):
        return worst
    return Apart(apart.distance, where + apart.text)


# --- texts ---


def numbers_text(a: Any, b: Any) -> str:
    x, y = part_text(a), part_text(b)
    if x == y:  # such as 0.1 as a float32 and as a float64
        x, y = repr(a), repr(b)
    if isinstance(a, bool) or not math.isfinite(abs(a - b)):
        return f"{x} and {y}"
    return f"{x} and {y}, by {_amount(abs(a - b))}"


def _amount(distance: Any) -> str:
    whole = int(distance) if math.isfinite(distance) else 0
    return f"{whole:,}" if whole and whole == distance < 1e15 else f"{distance:.3g}"


def part_text(part: Any) -> str:
    """Return a part of a value as a text of at most SHORT characters; a float is printed in full."""
    if isinstance(part, float):
        return shortest(part)
    text = repr(text_of(part) if isinstance(part, bytes) else part)
    return text if len(text) <= SHORT else text[: SHORT - 3] + "..."


def _bytes_text(a: bytes, b: bytes) -> str:
    x, y = text_of(a), text_of(b)
    return _texts_text(x, y) if x != y else f"{a[:SHORT]!r} and {b[:SHORT]!r}"


def _texts_text(a: str, b: str) -> str:
    """Quote two texts; of long ones, only the place where they begin to differ."""
    if max(len(a), len(b)) <= SHORT:
        return f"{a!r} and {b!r}"
    first = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    start = max(first - SHORT // 4, 0)
    x, y = (repr(text[start : start + SHORT - SHORT // 4]) for text in (a, b))
    return f"{x} and {y}, different from character {first:,} on"


_READ: dict[str, Callable[[Value], Any]] = {
    "text": _tensor,
    "keras_model": _tensor,
    "tensor": _tensor,
    "hparams": _hparams,
    "custom_scalars": _layout,
    "pr_curve": lambda value: vars(decode(value)),
    "mesh": lambda value: vars(decode(value)),
    "session_log": lambda value: _leaves(value.content),
    "empty": _rest,
}
_APART: dict[str, Callable[[Any, Any, Tolerance], Apart | None]] = {
    "histogram": _histograms_apart,
    "image": _images_apart,
    "audio": _sounds_apart,
    "text": _texts_apart,
    "keras_model": _texts_apart,
    "tensor": _tensors_apart,
    "graph": _graphs_apart,
}
