"""The pure-Python reader: records, events and values."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.oracle import bytes_of
from tensorboard.compat.proto import types_pb2
from tensorboard.util import tensor_util

import tbc
from tbc import _core
from tbc.proto import Event, MeshPluginData, TensorProto
from tbc.reader import (
    CorruptRecordError,
    TruncatedRecordError,
    compare,
    decode,
    find_event_files,
    follow,
    load_runs,
    load_scalars,
    read_events,
    read_values,
    repair,
    verify,
)
from tbc.reader.events import DTYPES, tensor_values, values_of
from tbc.reader.tags import PLUGIN_KINDS

DATA = Path(__file__).parent / "data"


def kinds_of(path):
    return [(value.tag, value.kind, value.step) for event in read_events(path) for value in values_of(event)]


def test_what_tensorflow_wrote():
    assert kinds_of(DATA / "tensorflow.tfevents.v2") == [
        ("", "file_version", 0),
        ("loss", "scalar", 1),
        ("loss", "scalar", 2),
        ("weights", "histogram", 2),
        ("note", "text", 3),
        ("dot", "image", 3),
    ]


def test_what_pytorch_wrote():
    assert kinds_of(DATA / "pytorch.tfevents") == [
        ("", "file_version", 0),
        ("loss", "scalar", 1),
        ("loss", "scalar", 2),
        ("weights", "histogram", 2),
        ("note/text_summary", "text", 3),
        ("dot", "image", 3),
    ]


@pytest.mark.parametrize("new_style", [False, True])
@pytest.mark.parametrize("package", ["tbc", "torch.utils.tensorboard"])
def test_a_value_has_one_way_to_its_number(tmp_path, new_style, package):
    """decode() works however the writer stored it; simple_value is 0.0 for a scalar in a tensor."""
    writers = pytest.importorskip(package)
    with writers.SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("loss", 0.25, 3, new_style=new_style)
        writer.add_text("note", "hello", 3)
    (path,) = find_event_files(tmp_path)
    found = {value.kind: value.decode() for value in read_values(path)}
    assert found == {"file_version": "brain.Event:2", "scalar": 0.25, "text": "hello"}
    (value,) = (value for _, value in follow(tmp_path, idle=0) if value.kind == "scalar")
    assert value.decode() == decode(value) == load_scalars(tmp_path)["loss"].value[0]
    (text,) = load_runs(tmp_path)["."].values["text"].values()
    assert text.message(0).decode() == text[0] == "hello"


def test_a_value_of_something_else_than_its_kind_raises_value_error():
    tensor = {"dtype": 7, "string_val": [b"text"]}
    for plugin in PLUGIN_KINDS:
        metadata = {"plugin_data": {"plugin_name": plugin, "content": b"\xff"}}
        (value,) = values_of(Event(summary={"value": [{"tag": "t", "tensor": tensor, "metadata": metadata}]}))
        if value.kind not in ("text", "audio", "run_metadata", "keras_model"):  # strings are valid for these kinds
            with pytest.raises(ValueError, match=r"\w"):
                value.decode()


def test_wrong_arguments_are_named(tmp_path):
    with tbc.SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", 1)
    with pytest.raises(TypeError, match="expected a Value, as read_values yields them, got tuple"):
        decode(next(follow(tmp_path, idle=0)))
    with pytest.raises(TypeError, match="expected a name, a glob or a compiled regular expression, or several, got 5"):
        load_scalars(tmp_path, tags=5)
    config = MeshPluginData(content_type=1, json_config="{").SerializeToString()
    metadata = {"plugin_data": {"plugin_name": "mesh", "content": config}}
    (value,) = values_of(Event(summary={"value": [{"tag": "t", "tensor": {"dtype": 1}, "metadata": metadata}]}))
    with pytest.raises(ValueError, match=r"^the config of a mesh is not JSON$"):
        value.decode()


def test_every_name_is_exported_and_so_are_the_types_of_all_results(tmp_path):
    script = """if True:
        import sys, tbc.reader
        assert "numpy" not in sys.modules
        assert {*tbc.reader.__all__} <= {*dir(tbc.reader)}
        assert [getattr(tbc.reader, name) for name in tbc.reader.__all__]
    """
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, timeout=60)
    with tbc.SummaryWriter(tmp_path / "run") as writer:
        writer.add_histogram("weights", np.arange(5.0))
        writer.add_hparams({"lr": 0.1}, {"loss": 1.0}, run_name=".")
    results = [
        *verify(tmp_path / "run"),
        *repair(tmp_path / "run", tmp_path / "copies"),
        *compare(load_runs(tmp_path / "run"), load_runs(tmp_path / "copies", runs="x")),
        *(value.decode() for path in find_event_files(tmp_path / "run") for value in read_values(path)),
        load_runs(tmp_path / "run")["."],
    ]
    assert {type(result).__name__ for result in results} >= {
        "Difference",
        "Experiment",
        "HParams",
        "Histogram",
        "Report",
    }
    for result in results:
        if type(result).__module__.startswith("tbc."):
            assert getattr(tbc.reader, type(result).__name__) is type(result)


def test_a_growing_file_is_read_to_its_last_whole_record(tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    event = Event(step=1, file_version="brain.Event:2")
    path.write_bytes(_core.frame(event.SerializeToString()) + _core.frame(b"more")[:10])
    events = read_events(path)
    assert next(events) == event
    with pytest.raises(TruncatedRecordError):
        next(events)


def test_a_record_that_is_no_event_is_corrupt(tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(_core.frame(b"\xff\xff"))
    with pytest.raises(CorruptRecordError, match="no Event message in the record at byte 0"):
        list(read_events(path))


def test_the_event_files_of_a_tree_in_order(tmp_path):
    names = [
        "b/events.out.tfevents.2",
        "b/events.out.tfevents.10",
        "a/c/x.tfevents",
        "notes.txt",
        "events.out.tfevents.1",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [os.path.relpath(path, tmp_path) for path in find_event_files(tmp_path)]
    assert found == ["events.out.tfevents.1", "a/c/x.tfevents", "b/events.out.tfevents.10", "b/events.out.tfevents.2"]
    assert find_event_files(tmp_path / "notes.txt") == [str(tmp_path / "notes.txt")]


ARRAYS = [
    np.array([0.5, np.pi], np.float32),
    np.array([0.5, np.pi]),
    np.array([0.5, 65504], np.float16),
    np.array([-1, 2**31 - 1], np.int32),
    np.array([-1, 2**63 - 1], np.int64),
    np.array([-1, 127], np.int8),
    np.array([0, 255], np.uint8),
    np.array([0, 65535], np.uint16),
    np.array([0, 2**32 - 1], np.uint32),
    np.array([0, 2**64 - 1], np.uint64),
    np.array([True, False]),
    np.array([b"a", b"\xff"], object),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype))
def test_the_elements_of_a_tensor(array):
    theirs = TensorProto.FromString(tensor_util.make_tensor_proto(array).SerializeToString())
    assert tensor_values(theirs) == array.tolist()
    if array.dtype != object:
        theirs.ClearField("tensor_content")
        packed = TensorProto(dtype=theirs.dtype, tensor_content=array.tobytes())
        assert tensor_values(packed) == array.tolist()


def test_half_precision_as_tensorflow_and_as_torch_store_it():
    assert tensor_values(TensorProto(dtype=19, half_val=[0x3C00, 0xC000])) == [1.0, -2.0]
    assert tensor_values(TensorProto(dtype=14, half_val=[0x3F80, 0xC000])) == [1.0, -2.0]
    torchs = struct.unpack("<2i", struct.pack("<2f", 1.5, -2.0))
    assert tensor_values(TensorProto(dtype=19, half_val=torchs)) == [1.5, -2.0]
    assert tensor_values(TensorProto(dtype=14, half_val=torchs)) == [1.5, -2.0]


def test_the_types_are_tensorflows():
    for number, (name, _, _) in DTYPES.items():
        short = {"float32": "FLOAT", "float64": "DOUBLE", "float16": "HALF"}.get(name, name.upper())
        assert types_pb2.DataType.Value(f"DT_{short}") == number


def test_every_event_a_writer_left_comes_back_as_it_was(log_dir):
    events = [Event(wall_time=i, step=i, graph_def=bytes([i])) for i in range(10)]
    writer = tbc.FileWriter(log_dir)
    for event in events:
        writer._event_file.event(event.SerializeToString())
    writer.close()
    (path,) = find_event_files(log_dir)
    assert list(map(bytes_of, read_events(path)))[1:] == list(map(bytes_of, events))
