"""What both a test and a torture need to hold tbc's writer against torch's: calls, what they log, and a comparison.

TensorBoard's loader reads what each writer logged. Two runs are the same if they mean the same: messages are decoded,
pixels and samples unpacked, and sums may differ by their rounding.
"""

import io
import os
import warnings
import wave
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.plugins.mesh.plugin_data_pb2 import MeshPluginData
from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from tensorboard.util import tensor_util
from torch.utils.tensorboard import SummaryWriter as TorchWriter

import tbc

WALLTIME = 1234.5


def meaning(value):
    """A Summary.Value as plain Python and numpy."""
    kind = value.WhichOneof("value")
    plugin = value.metadata.plugin_data
    content = plugin.content
    if plugin.plugin_name == "hparams":
        data = HParamsPluginData.FromString(content)
        if data.HasField("session_start_info"):
            data.session_start_info.start_time_secs = 0  # torch leaves them out
        if data.HasField("session_end_info"):
            data.session_end_info.end_time_secs = 0
        content = text_format.MessageToString(data)
    elif plugin.plugin_name == "mesh":
        content = text_format.MessageToString(MeshPluginData.FromString(content))
    elif plugin.plugin_name == "pr_curves":
        content = text_format.MessageToString(PrCurvePluginData.FromString(content))
    about = (kind, plugin.plugin_name, content)
    if kind == "simple_value":
        return *about, np.float32(value.simple_value)
    if kind == "histo":
        histo = value.histo
        moments = np.array([histo.min, histo.max, histo.num, histo.sum, histo.sum_squares]).view(Moments)
        return *about, moments, *map(np.array, (histo.bucket_limit, histo.bucket))
    if kind == "image":
        image = value.image
        return *about, image.height, image.width, image.colorspace, pixels(image.encoded_image_string)
    if kind == "audio":
        audio = value.audio
        fields = audio.sample_rate, audio.num_channels, audio.length_frames, audio.content_type
        return *about, *fields, samples(audio.encoded_audio_string)
    if kind == "tensor" and plugin.plugin_name == "custom_scalars":
        layout = Layout.FromString(tensor_util.make_ndarray(value.tensor).item())
        return *about, text_format.MessageToString(layout)
    if kind == "tensor":
        return *about, value.tensor.dtype, tensor_util.make_ndarray(value.tensor)
    return about


class Moments(np.ndarray):
    """min, max, num, sum, sum_squares."""

    def tolerance(self):
        """Numbers that cancel out leave few digits of their sum."""
        low, high, count, *_ = self.tolist()
        return np.array([0, 0, 0, 1e-6 * count * max(abs(low), abs(high)), 0])


def pixels(file):
    return np.asarray(Image.open(io.BytesIO(file)))


def samples(file):
    with wave.open(io.BytesIO(file)) as wav:
        return *wav.getparams(), np.frombuffer(wav.readframes(wav.getnframes()), "<i2")


def run(log_dir):
    """What is in the directory of a run: (directory, tag) -> [(step, wall time, meaning), ...], and other files."""
    logged = {}
    for path in sorted(path for path in Path(log_dir).rglob("*") if path.is_file()):
        name = str(path.relative_to(log_dir))
        if "tfevents" in name:
            for event in LegacyEventFileLoader(str(path)).Load():
                if not event.HasField("summary"):
                    entry = event.step, event.WhichOneof("what"), GraphDef.FromString(event.graph_def)
                    logged.setdefault((os.path.dirname(name), None), []).append((*entry, event.tagged_run_metadata))
                for value in event.summary.value:
                    entry = event.step, event.wall_time, *meaning(value)
                    logged.setdefault((os.path.dirname(name), value.tag), []).append(entry)
        elif name.endswith(".png"):
            logged[name] = pixels(path.read_bytes())
        elif name.endswith("tensors.tsv"):
            logged[name] = np.loadtxt(path, dtype=np.float32, delimiter="\t", ndmin=2)
        elif name.endswith(".pbtxt"):
            logged[name] = text_format.MessageToString(text_format.Parse(path.read_text(), ProjectorConfig()))
        else:
            logged[name] = path.read_text()
    return logged


def same(ours, theirs):
    if isinstance(theirs, np.ndarray) and theirs.dtype.kind in "fc":  # sums are added in another order
        tolerance = theirs.tolerance() if isinstance(theirs, Moments) else 1e-30
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        assert np.isclose(ours, theirs, rtol=1e-6, atol=tolerance, equal_nan=True).all(), f"{ours} is not {theirs}"
    elif isinstance(theirs, np.ndarray | np.floating):
        np.testing.assert_array_equal(ours, theirs, strict=True)
    elif isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            same(one, other)
    else:
        assert ours == theirs


@contextmanager
def quiet():
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def log(writer_class, log_dir, calls):
    """What is logged, and what each call raises."""
    raised = []
    with quiet(), writer_class(log_dir) as writer:
        for method, arguments, keywords in calls:
            error = None
            try:
                getattr(writer, method)(*arguments, **keywords)
            except Exception as caught:
                error = type(caught)
            raised.append(error)
    return run(log_dir), raised


def compare(tmp_path_factory, calls):
    ours, raised = log(tbc.SummaryWriter, tmp_path_factory.mktemp("ours"), calls)
    theirs, raised_there = log(TorchWriter, tmp_path_factory.mktemp("theirs"), calls)
    assert raised == raised_there
    assert ours.keys() == theirs.keys()
    for where, values in theirs.items():
        same(timeless(ours[where]), timeless(values))


def timeless(values):
    """Without the wall times that a call did not give."""
    return [(e[0], *e[2:]) if e[1] != WALLTIME else e for e in values] if isinstance(values, list) else values


def call(method, *arguments, **keywords):
    return method, arguments, keywords
