"""Make the same calls on tbc's writer and on torch's, and compare what they log; a test and a torture test use it.

TensorBoard's loader reads what each writer logged. Two runs are the same if they mean the same: messages are decoded,
pixels and samples unpacked, and sums may differ by rounding.
"""

import io
import os
import re
import time
import warnings
import wave
from collections import Counter
from contextlib import contextmanager, redirect_stdout
from operator import attrgetter
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
TIME = re.compile(r"[0-9]{10}\.[0-9]+|[A-Z][a-z]{2}[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2}")


def meaning(value):
    """Return the meaning of a Summary.Value as plain Python and numpy."""
    kind = value.WhichOneof("value")
    plugin = value.metadata.plugin_data
    content = plugin.content
    if plugin.plugin_name == "hparams":
        data = HParamsPluginData.FromString(content)
        if data.HasField("session_start_info"):
            data.session_start_info.start_time_secs = 0  # torch does not set the times
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
        """Return the absolute tolerance, which is for the sum: it has few digits if positive and negative cancel."""
        low, high, count, *_ = self.tolist()
        return np.array([0, 0, 0, 1e-6 * count * max(abs(low), abs(high)), 0])


def pixels(file):
    return np.asarray(Image.open(io.BytesIO(file)))


def samples(file):
    with wave.open(io.BytesIO(file)) as wav:
        return *wav.getparams(), np.frombuffer(wav.readframes(wav.getnframes()), "<i2")


def run(log_dir):
    """Read the directory of a run: {(directory, tag): [(step, wall time, meaning), ...], name: content of other files}.

    Events that are not summaries are under (directory, None). (directory, None, "order") has a list for each file: the
    starts of sessions, and between them how often each tag occurs. In the runs of add_scalars, starts are skipped, as
    torch's writer logs none there. Files without values are skipped. The time of a call without walltime is "now".
    """
    logged = {}
    for name, path in files(log_dir):
        directory = os.path.dirname(name)
        if "tfevents" in name:
            events = list(LegacyEventFileLoader(str(path)).Load())
            if all(event.WhichOneof("what") in ("file_version", "session_log") for event in events):
                continue
            order = [Counter()]
            for number, event in enumerate(events):
                what = event.WhichOneof("what")
                if directory and (what == "session_log" or (what == "file_version" and number > 0)):
                    continue
                if not event.HasField("summary"):
                    entry = event.step, what, GraphDef.FromString(event.graph_def), event.tagged_run_metadata
                    logged.setdefault((directory, None), []).append(entry)
                    if what == "session_log":
                        order += [(event.step, event.session_log.status), Counter()]
                for value in event.summary.value:
                    entry = event.step, wall_time(event), *meaning(value)
                    logged.setdefault((directory, value.tag), []).append(entry)
                    order[-1][value.tag] += 1
            logged.setdefault((directory, None, "order"), []).append(order)
        elif name.endswith(".png"):
            logged[name] = pixels(path.read_bytes())
        elif name.endswith("tensors.tsv"):
            logged[name] = np.loadtxt(path, dtype=np.float32, delimiter="\t", ndmin=2)
        elif name.endswith(".pbtxt"):
            config = text_format.Parse(path.read_text(), ProjectorConfig())
            last = {info.tensor_name: info for info in config.embeddings}  # a later entry of a name replaces the first
            listed = ProjectorConfig(embeddings=[last[tensor] for tensor in sorted(last)])
            logged[name] = text_format.MessageToString(listed)
        else:
            logged[name] = path.read_text()
    return logged


def files(log_dir):
    """Yield (name, path) in the order in which the files were made. A time in a directory's name becomes its number."""
    found = [str(path.relative_to(log_dir)) for path in Path(log_dir).rglob("*") if path.is_file()]
    found.sort(key=lambda name: [(int(part) if i % 2 else part) for i, part in enumerate(re.split("([0-9]+)", name))])
    times = sorted({time for name in found for time in TIME.findall(os.path.dirname(name))}, key=as_number)
    for name in found:
        folders, slash, file = name.rpartition("/")
        where = TIME.sub(lambda match: f"<time {times.index(match[0])}>", folders)
        yield where + slash + file, Path(log_dir, name)


def as_number(time):
    return float(time) if time[0].isdecimal() else 0  # there is at most one date


def wall_time(event):
    return "now" if abs(event.wall_time - time.time()) < 3600 else event.wall_time


def same(ours, theirs):
    if isinstance(theirs, np.ndarray) and theirs.dtype.kind in "fc":  # tbc adds in another order, so sums may differ
        tolerance = theirs.tolerance() if isinstance(theirs, Moments) else 1e-30
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), f"{ours} is not {theirs}"
        assert np.isclose(ours, theirs, rtol=1e-6, atol=tolerance, equal_nan=True).all(), f"{ours} is not {theirs}"
    elif isinstance(theirs, np.ndarray | np.floating):
        np.testing.assert_array_equal(ours, theirs, strict=True)
    elif isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs), f"{ours} is not {theirs}"
        for one, other in zip(ours, theirs, strict=True):
            same(one, other)
    else:
        assert ours == theirs, f"{ours} is not {theirs}"


@contextmanager
def quiet():
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def log(writer_class, log_dir, calls):
    """Make the calls; return what they log, and the type that each call raises, or None."""
    with quiet(), writer_class(log_dir) as writer:
        raised = [type(error) if (error := attempt(writer, one)) else None for one in calls]
    return run(log_dir), raised


def attempt(writer, one):
    """Make a call; return what it raises."""
    method, arguments, keywords = one
    try:
        if method.startswith("file_writer."):
            writer._get_file_writer()  # open one: after close() it depends on earlier calls whether there is one
        attrgetter(method)(writer)(*arguments, **keywords)
    except Exception as error:
        return error
    return None


def compare(tmp_path_factory, calls):
    ours, raised = log(tbc.SummaryWriter, tmp_path_factory.mktemp("ours"), calls)
    theirs, raised_there = log(TorchWriter, tmp_path_factory.mktemp("theirs"), calls)
    assert raised == raised_there
    same_run(ours, theirs)


def same_run(ours, theirs):
    """Assert that runs are the same. Images may come before or after other values of a tag: a thread encodes them."""
    assert ours.keys() == theirs.keys(), f"only one has {sorted(ours.keys() ^ theirs.keys(), key=str)}"
    for where, values in theirs.items():
        of_a_tag = isinstance(where, tuple) and len(where) == 2 and where[1] is not None
        same(by_kind(ours[where]) if of_a_tag else ours[where], by_kind(values) if of_a_tag else values)


def by_kind(values):
    return sorted(values, key=lambda entry: str(entry[2]))


def call(method, *arguments, **keywords):
    return method, arguments, keywords
