"""Decode values of every kind into Python objects, whether a message or a tensor stores them.

    for value in read_values(path):
        if value.kind == "image":
            value.decode().image().show()

A file may hold anything. Contents that do not fit their kind raise ValueError, and a few bytes never decode to
gigabytes. numpy and Pillow are imported only to make arrays and pictures; the rest needs protobuf alone.
"""

from __future__ import annotations

import io
import json
import math
import re
import wave
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from tbc.proto import GraphDef, HParamsPluginData, Layout, MeshPluginData

from .events import DTYPES, STRING, Value, scalar_of, tensor_values

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import PIL.Image

    Floats = npt.NDArray[np.float64]

IMAGE_FORMATS = {b"\x89PNG": "PNG", b"GIF8": "GIF", b"\xff\xd8\xff": "JPEG", b"RIFF": "WebP", b"BM": "BMP"}
MESH_PARTS = {1: "vertex", 2: "face", 3: "color"}
FILL = 1 << 20  # elements that a tensor's shape may have more than are stored
MOST_DIMENSIONS = 64  # numpy's limit


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of values in buckets.

    limits: float64[n], the upper limit of each bucket; its lower limit is the upper limit of the bucket before
    counts: float64[n], the number of values in each bucket
    min, max, num, sum, sum_squares: of the values. A histogram that was stored as a tensor has no sums (None); its min
        and max are the outer limits of the buckets that are not empty
    """

    limits: Floats
    counts: Floats
    min: float
    max: float
    num: float
    sum: float | None = None
    sum_squares: float | None = None

    def __repr__(self) -> str:
        values = f"{self.num:,.0f} value{'s' * (self.num != 1)}"
        buckets = f"{len(self.counts)} bucket{'s' * (len(self.counts) != 1)}"
        return f"Histogram({values}, {self.min:.4g} to {self.max:.4g}, {buckets})"

    @property
    def edges(self) -> Floats:
        """The edges of the buckets, float64[n + 1], to draw it: plt.stairs(histogram.counts, histogram.edges).

        As in TensorBoard, they go from min to max, not to the outer limits. Empty buckets at the ends have no width.
        """
        import numpy as np

        edges = np.concatenate([[self.min], self.limits])
        full = np.flatnonzero(self.counts)
        if len(full):
            edges[: full[0] + 1] = self.min
            edges[full[-1] + 1 :] = self.max
        return edges


@dataclass(frozen=True, eq=False)
class PRCurve:
    """Counts of predictions at n thresholds, with precision and recall. All are float64[n]."""

    tp: Floats
    fp: Floats
    tn: Floats
    fn: Floats
    precision: Floats
    recall: Floats

    def __repr__(self) -> str:
        return f"PRCurve({len(self.tp)} thresholds)"

    @property
    def thresholds(self) -> Floats:
        """The thresholds, float64[n], evenly spaced from 0 to 1. They are not stored: add_pr_curve uses these."""
        import numpy as np

        return np.linspace(0, 1, len(self.tp))


@dataclass(frozen=True)
class Image:
    """One or several images of the same size.

    width, height: in pixels
    files: the encoded images; usually there is one
    """

    width: int
    height: int
    files: list[bytes]

    def __repr__(self) -> str:
        several = f"{len(self.files)} images, " if len(self.files) != 1 else ""
        size = sum(map(len, self.files))
        return f"Image({several}{self.width}x{self.height} {self.format or 'unknown format'}, {size:,} bytes)"

    def _repr_png_(self) -> bytes | None:
        """Return the first file if it is a PNG, for notebooks."""
        return self.files[0] if self.format == "PNG" else None

    @property
    def format(self) -> str:
        """The format of the first file: PNG, GIF, JPEG, WebP or BMP; "" for others."""
        start = self.files[0][:4] if self.files else b""
        return next((name for magic, name in IMAGE_FORMATS.items() if start.startswith(magic)), "")

    def image(self, i: int = 0) -> PIL.Image.Image:
        """Return file i as a Pillow image, loaded. An animation has `n_frames` and `seek`.

        Raises ValueError if the file is not a whole image of the formats above, IndexError if there is no file i.
        """
        import PIL.Image

        file = self.files[i]
        formats = [name.upper() for name in IMAGE_FORMATS.values()]  # for others Pillow may run a program: EPS
        try:
            image = PIL.Image.open(io.BytesIO(file), formats=formats)
            image.load()
        except Exception as error:  # Pillow's decoders raise many types
            raise ValueError(f"Pillow cannot read the {len(file)} bytes ({type(error).__name__})") from error
        return image


@dataclass(frozen=True)
class Audio:
    """One or several sounds.

    sample_rate: in Hz
    frames: the length, in samples per channel
    content_type: such as "audio/wav"
    files: the encoded sounds, usually one, as WAV

    For sounds that were stored as a tensor, the first file has the other fields; they are 0 or "" if it is not a WAV.
    """

    sample_rate: float
    channels: int
    frames: int
    content_type: str
    files: list[bytes]

    def __repr__(self) -> str:
        size = sum(map(len, self.files))
        frames, channels = f"{self.frames:,} frame{'s' * (self.frames != 1)}", f"channel{'s' * (self.channels != 1)}"
        return f"Audio({frames} of {self.sample_rate:g} Hz, {self.channels} {channels}, {size:,} bytes)"

    def samples(self, i: int = 0) -> npt.NDArray[Any]:
        """Return the samples of WAV file i, an array of shape (frames, channels).

        The dtype is that of the file: uint8 (silence is 128), int16 or int32. 24-bit samples are int32, not scaled.

        Raises ValueError for other files, also for WAVs of floats; IndexError if there is no file i.
        """
        import numpy as np

        with _open_wave(self.files[i]) as wav:
            width, channels = wav.getsampwidth(), wav.getnchannels()
            data = wav.readframes(wav.getnframes())
        if width > 4:
            raise ValueError(f"a WAV file of {8 * width} bits a sample")
        data = data[: len(data) // (width * channels) * width * channels]  # a cut file may end within a frame
        if width == 3:
            padded = np.zeros((len(data) // 3, 4), np.uint8)
            padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)  # the upper bytes, for the sign
            return padded.view(np.int32).reshape(-1, channels) >> 8
        return np.frombuffer(data, f"{'u' if width == 1 else 'i'}{width}").reshape(-1, channels).copy()


@dataclass(frozen=True, eq=False)
class Mesh:
    """One part of a batch of 3D meshes.

    part: "vertex", "face" or "color"
    data: of shape (batch, n, 3): coordinates, the indices of the three vertices of each triangle, or RGB, 0 to 255
    config: the settings of the scene, for THREE.js
    """

    part: str
    data: npt.NDArray[Any]
    config: dict[str, Any]


@dataclass(frozen=True)
class HParams:
    """The hyperparameters of a run, by name: str, bool or float. start_time: seconds since 1970."""

    hparams: dict[str, Any]
    group_name: str
    start_time: float


@dataclass(frozen=True)
class SessionEnd:
    """How a run ended: status is "success", "failure", "running" or "unknown". end_time: seconds since 1970."""

    status: str
    end_time: float


@dataclass(frozen=True)
class Experiment:
    """The hyperparameters and metrics of an experiment.

    hparams: by name, the allowed values: a list, a tuple (min, max), or None if the file has neither
    metrics: their tags
    """

    hparams: dict[str, list[Any] | tuple[float, float] | None]
    metrics: list[str]


def decode(value: Value) -> Any:
    """Return the content of a Value as a Python object. Its type depends on the kind:

    scalar: float. text: str, or an object array of str if there is not exactly one. tensor: an array, see array_of.
    histogram, pr_curve, image, audio, mesh: Histogram, PRCurve, Image, Audio, Mesh.
    hparams: HParams, SessionEnd or Experiment. custom_scalars: {category: {chart: [tag, ...]}}.
    file_version, session_log: str. graph, meta_graph, run_metadata: bytes of a protobuf message.
    keras_model: str, JSON. empty: None.

    Raises ValueError for contents that do not fit the kind, TypeError if `value` is not a Value.
    """
    if not isinstance(value, Value):
        raise TypeError(f"expected a Value, as read_values yields them, got {type(value).__name__}")
    try:
        return _DECODERS[value.kind](value.content)
    except (DecodeError, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from error


def node_count(graph: bytes) -> int:
    """Return how many nodes a serialized GraphDef has. Raises ValueError if it is not a GraphDef."""
    try:
        return len(GraphDef.FromString(graph).node)
    except (DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def array_of(tensor: Any) -> npt.NDArray[Any]:
    """Return a TensorProto as an array of its dtype and shape; bfloat16 as float32, strings as bytes objects.

    If the shape has more elements than are stored, the last one is repeated (or 0, if none is), as in TensorFlow.
    Raises ValueError for an unknown dtype, for a shape with fewer elements, and for one with FILL more.
    """
    import numpy as np

    name, code, _ = DTYPES.get(tensor.dtype, ("", "", ""))
    if not name:
        raise ValueError(f"a tensor of the unknown type {tensor.dtype}")
    if tensor.tensor_content and name not in ("string", "bfloat16", "bool"):  # numpy stores these otherwise
        flat = np.frombuffer(tensor.tensor_content, f"<{code}").copy()
    else:
        with np.errstate(over="ignore"):  # torch's writer puts floats, which may be too large, in place of halves
            flat = np.array(tensor_values(tensor), {"string": "O", "bfloat16": "f"}.get(name, code))
    if name.startswith("complex"):
        if len(flat) % 2:
            raise ValueError("half a complex number")
        flat = flat.view(name)
    return _shaped(flat, tensor, b"" if name == "string" else 0)


def _shaped(flat: npt.NDArray[Any], tensor: Any, nothing: Any) -> npt.NDArray[Any]:
    """Reshape to the tensor's shape; repeat the last element, or `nothing` if there is none, for those not stored."""
    import numpy as np

    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if len(shape) > MOST_DIMENSIONS or min(shape, default=0) < 0:
        raise ValueError("a tensor of an impossible shape")
    missing = math.prod(shape) - len(flat)
    if not 0 <= missing <= FILL:
        raise ValueError(f"{len(flat)} elements in a tensor of shape {shape}")
    if missing:
        last = flat[-1:] if len(flat) else np.array([nothing], flat.dtype)
        flat = np.concatenate([flat, last.repeat(missing)])
    return flat.reshape(shape)


def _numbers(tensor: Any) -> npt.NDArray[Any]:
    """Return array_of(tensor). Raises ValueError unless it holds real numbers."""
    array = array_of(tensor)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"expected numbers, got {DTYPES[tensor.dtype][0]}")
    return array


def _strings(tensor: Any) -> list[bytes]:
    if tensor.dtype != STRING:
        raise ValueError(f"expected strings, got {DTYPES.get(tensor.dtype, ('an unknown type',))[0]}")
    return list(tensor.string_val)


def _histogram(content: Any) -> Histogram:
    import numpy as np

    if content.HasField("histo"):
        histo = content.histo
        limits, counts = np.array(list(histo.bucket_limit), float), np.array(list(histo.bucket), float)
        if len(limits) != len(counts):
            raise ValueError(f"a histogram of {len(limits)} limits and {len(counts)} counts")
        return Histogram(limits, counts, histo.min, histo.max, histo.num, histo.sum, histo.sum_squares)
    rows = _numbers(content.tensor).astype(float)
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise ValueError(f"a histogram must have shape (n, 3), got {rows.shape}")
    lower, limits, counts = rows.T
    full = np.flatnonzero(counts)
    low, high = (float(lower[full[0]]), float(limits[full[-1]])) if len(full) else (0.0, 0.0)
    return Histogram(limits, counts, low, high, float(counts.sum()))


def _pr_curve(content: Any) -> PRCurve:
    rows = _numbers(content.tensor).astype(float)
    if rows.ndim != 2 or len(rows) != 6:
        raise ValueError(f"a PR curve must have shape (6, n), got {rows.shape}")
    return PRCurve(*rows)


def _image(content: Any) -> Image:
    if content.HasField("image"):
        return Image(content.image.width, content.image.height, [content.image.encoded_image_string])
    elements = _strings(content.tensor)  # width and height as decimal text, then the files
    if len(elements) < 2 or not all(re.fullmatch(rb"\d{1,10}", element) for element in elements[:2]):
        raise ValueError("an image without width and height")
    return Image(int(elements[0]), int(elements[1]), elements[2:])


def _audio(content: Any) -> Audio:
    if content.HasField("audio"):
        audio = content.audio
        files = [audio.encoded_audio_string]
        return Audio(audio.sample_rate, audio.num_channels, audio.length_frames, audio.content_type, files)
    files = _strings(content.tensor)
    if [dim.size for dim in content.tensor.tensor_shape.dim[1:]] == [2]:  # pairs of a file and its label
        files = files[::2]
    try:
        with _open_wave(files[0] if files else b"") as wav:
            return Audio(float(wav.getframerate()), wav.getnchannels(), wav.getnframes(), "audio/wav", files)
    except ValueError:
        return Audio(0.0, 0, 0, "", files)


def _open_wave(file: bytes) -> wave.Wave_read:
    try:
        return wave.open(io.BytesIO(file), "rb")
    except (wave.Error, EOFError, RuntimeError) as error:  # RuntimeError: a chunk's size is wrong
        raise ValueError(f"not a WAV file of integers: {str(error) or 'it ends early'}") from error


def _text(content: Any) -> Any:
    import numpy as np

    texts = _shaped(np.array([*map(text_of, _strings(content.tensor))], object), content.tensor, "")
    return texts.item() if texts.size == 1 else texts


def text_of(data: bytes) -> str:
    """Decode UTF-8; bytes that are not UTF-8 become \\x escapes."""
    return data.decode("utf-8", "backslashreplace")


def _mesh(content: Any) -> Mesh:
    data = MeshPluginData.FromString(content.metadata.plugin_data.content)
    # A writer may omit the metadata after the first value of a tag. Then the end of the tag names the part.
    part = MESH_PARTS.get(data.content_type) or content.tag.rpartition("_")[2].lower()
    if part not in MESH_PARTS.values():
        raise ValueError("unknown part of a mesh: neither vertex nor face nor color")
    try:
        config = json.loads(data.json_config or "null")  # tensorboardX writes "null"
    except ValueError:
        raise ValueError("the config of a mesh is not JSON") from None
    if not isinstance(config, dict | None):
        raise ValueError("the config of a mesh is not a JSON object")
    return Mesh(part, _numbers(content.tensor), config or {})


def _hparams(content: Any) -> HParams | SessionEnd | Experiment:
    data = HParamsPluginData.FromString(content.metadata.plugin_data.content)
    if data.HasField("session_start_info"):
        start = data.session_start_info
        hparams = {name: _plain(start.hparams[name]) for name in sorted(start.hparams)}
        return HParams(hparams, start.group_name, start.start_time_secs)
    if data.HasField("session_end_info"):
        end = data.session_end_info
        return SessionEnd(_enum_name(end, "Status", end.status).removeprefix("STATUS_").lower(), end.end_time_secs)
    if data.HasField("experiment"):
        domains = {info.name: _domain(info) for info in data.experiment.hparam_infos}
        return Experiment(domains, [info.name.tag for info in data.experiment.metric_infos])
    raise ValueError("neither hyperparameters nor an experiment")


def _domain(info: Any) -> list[Any] | tuple[float, float] | None:
    if info.HasField("domain_discrete"):
        return [_plain(value) for value in info.domain_discrete.values]
    if info.HasField("domain_interval"):
        return info.domain_interval.min_value, info.domain_interval.max_value
    return None


def _plain(value: Any) -> Any:
    """Return a google.protobuf.Value as JSON types."""
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return [_plain(element) for element in value.list_value.values]
    if kind == "struct_value":
        return {name: _plain(element) for name, element in value.struct_value.fields.items()}
    return None if kind in (None, "null_value") else getattr(value, kind)


def _layout(content: Any) -> dict[str, dict[str, list[str]]]:
    strings = _strings(content.tensor)
    if not strings:
        raise ValueError("a layout without a string")
    layout = Layout.FromString(strings[0])
    return {category.title: {chart.title: _charted(chart) for chart in category.chart} for category in layout.category}


def _run_metadata(content: Any) -> bytes:
    """Return the RunMetadata in a TaggedRunMetadata, or in a Summary.Value, which TensorFlow 2 writes."""
    return bytes(content.run_metadata) if hasattr(content, "run_metadata") else _one_string(content.tensor)


def _one_string(tensor: Any) -> bytes:
    strings = _strings(tensor)
    if len(strings) != 1:
        raise ValueError(f"expected one string, got {len(strings)}")
    return strings[0]


def _charted(chart: Any) -> list[str]:
    series = [tag for one in chart.margin.series for tag in (one.value, one.lower, one.upper)]
    return [*chart.multiline.tag, *series]


def _enum_name(message: Any, enum: str, number: int) -> str:
    value = message.DESCRIPTOR.enum_types_by_name[enum].values_by_number.get(number)
    return value.name if value is not None else str(number)


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "scalar": scalar_of,
    "histogram": _histogram,
    "image": _image,
    "audio": _audio,
    "text": _text,
    "pr_curve": _pr_curve,
    "mesh": _mesh,
    "tensor": lambda content: array_of(content.tensor),
    "hparams": _hparams,
    "custom_scalars": _layout,
    "file_version": str,
    "session_log": lambda content: _enum_name(content, "SessionStatus", content.status),
    "graph": bytes,
    "meta_graph": bytes,
    "run_metadata": _run_metadata,
    "keras_model": lambda content: text_of(_one_string(content.tensor)),
    "empty": lambda content: None,
}
