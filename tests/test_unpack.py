"""Values written to files: show --out, and tbc.reader.unpack."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tbc
from tbc import _core
from tbc.proto import Event, Summary
from tbc.reader import load_runs, read_values
from tbc.reader.__main__ import main
from tbc.reader.events import Value
from tbc.reader.unpack import LONGEST, Folder, name_of
from tbc.testing import tags


def text(tag, *strings, shape=(), step=0, plugin="text"):
    metadata = {"plugin_data": {"plugin_name": plugin}}
    tensor = {"dtype": 7, "string_val": strings, "tensor_shape": {"dim": [{"size": size} for size in shape]}}
    kind = {"text": "text", "": "tensor", "graph_keras_model": "keras_model"}.get(plugin, "run_metadata")
    return Value(step, 0.0, tag, kind, Summary.Value(tag=tag, tensor=tensor, metadata=metadata))


@given(
    st.lists(
        st.tuples(tags(), st.integers(-2, 2), st.integers(1, 3), st.sampled_from([".", "a", "A", "a/b"])), max_size=8
    )
)
def test_no_two_values_have_one_name(values):
    """Names must differ on every file system: some ignore case, or how an accent is composed."""
    folder = Folder("out")
    names = [
        folder._free_name(run, f"{name_of(tag)}-{step}-{nth}", "png")
        for tag, step, count, run in values
        for nth in range(count)
    ]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert all(len(part.encode()) <= 255 for part in name.split("/"))
        assert name.isascii()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("обучение/изображения/пример_один", "обучение/изображения/пример_два"),
        ("x" * 1000 + "a", "x" * 1000 + "b"),
        ("Loss", "loss"),
        ("a/b", "a%2Fb"),
        ("a", "a"),
    ],
)
def test_tags_that_could_collide(tmp_path, one, other):
    folder = Folder(os.fspath(tmp_path))
    names = [name for tag in (one, other) for name in folder.write(".", text(tag, tag.encode()))]
    assert [Path(name).read_text() for name in names] == [one, other]
    assert len({name.casefold() for name in names}) == 2


def test_the_name_of_a_long_tag_does_not_depend_on_others():
    tag = "損失/" * 100
    assert name_of(tag) == name_of(tag)
    assert len(name_of(tag)) <= LONGEST
    assert not re.search("%.?=", name_of(tag))  # no escape is cut
    assert name_of("loss/train 1") == "loss%2Ftrain 1"
    assert name_of(".hidden") == "%2Ehidden"


@given(tags(), st.sampled_from(["..", "../..", "/etc", "a/../../b", ".", "//x", "a/./b", "~"]))
def test_no_name_leaves_the_directory(tag, run):
    name = Folder("out")._free_name(run, f"{name_of(tag)}-1", "txt")
    assert os.path.normpath(name).startswith("out/")
    assert ".." not in name.split("/")


@pytest.mark.parametrize(
    ("strings", "shape", "suffix", "content"),
    [
        ([b"abc\0\0"], (), "txt", b"abc\0\0"),
        (["é ü".encode()], (), "txt", "é ü".encode()),
        ([b"\xff\0"], (1,), "bin", b"\xff\0"),
        ([b"a", b"b\0", b"\xff\\"], (3,), "json", {"shape": [3], "values": ["a", "b\0", {"base64": "/1w="}]}),
        ([b"a"], (1 << 20,), "json", {"shape": [1 << 20], "values": ["a"]}),
        ([], (0,), "json", {"shape": [0], "values": []}),
    ],
)
@pytest.mark.parametrize("plugin", ["text", ""])
def test_strings_stay_what_they_are(tmp_path, strings, shape, suffix, content, plugin):
    (name,) = Folder(os.fspath(tmp_path)).write(".", text("tag", *strings, shape=shape, plugin=plugin))
    assert name == f"{tmp_path}/tag-0.{suffix}"
    data = Path(name).read_bytes()
    assert data == content if suffix != "json" else json.loads(data) == {"dtype": "string"} | content


@pytest.mark.parametrize(
    ("plugin", "suffix", "kind"),
    [
        ("graph_run_metadata", "pb", "run_metadata"),
        ("graph_run_metadata_graph", "pb", "run_metadata"),
        ("graph_keras_model", "json", "keras_model"),
    ],
)
def test_graphs_of_tensorflow_2(capsys, tmp_path, plugin, suffix, kind):
    """tf.summary.trace_export and Keras' callback write a graph as a string in a tensor."""
    content = b'{"class_name": "Sequential"}'
    value = text("keras", content, plugin=plugin, step=3).content
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "events.out.tfevents.1"
    path.write_bytes(_core.frame(Event(step=3, summary={"value": [value]}).SerializeToString()))
    (value,) = read_values(path)
    assert (value.kind, value.decode()) == (kind, content if suffix == "pb" else content.decode())
    assert load_runs(path)["."].values[kind]["keras"][0] == value.decode()
    assert main(["show", str(path), "keras", "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / f"keras-3.{suffix}").read_bytes() == content
    assert main(["dump", str(path)]) == 0
    assert ("Sequential" if suffix == "json" else "28") in capsys.readouterr().out


def test_what_cannot_be_written_is_reported_in_a_few_lines(capsys, tmp_path):
    with tbc.SummaryWriter(tmp_path / "run") as writer:
        for step in range(50):
            writer.add_text("text", "one", step)
        writer.add_tensor("array", np.arange(3.0), 1)
    arguments = ["show", str(tmp_path / "run"), "*", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert len(os.listdir(tmp_path / "out")) == 51
    assert capsys.readouterr().err == ""
    assert main(arguments) == 1
    assert len(capsys.readouterr().err.splitlines()) < 10


def test_runs_of_several_paths_stay_below_the_directory(tmp_path, monkeypatch):
    for name in ("a", "b"):
        with tbc.SummaryWriter(tmp_path / name) as writer:
            writer.add_text("text", name, 1)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert main(["show", "../a", str(tmp_path / "b"), "text*", "--out", "out"]) == 0
    found = {path.relative_to(tmp_path / "work/out").as_posix(): path.read_text() for path in tmp_path.rglob("*.txt")}
    assert found == {
        "%2E%2E/a/text%2Ftext_summary-1.txt": "a",
        f"{tmp_path}/b/text%2Ftext_summary-1.txt".lstrip("/"): "b",
    }
