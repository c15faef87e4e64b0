"""SummaryWriter: constructor, directories, attributes, add_scalars, close and flush."""

import functools
import inspect
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from helpers.oracle import only_value, read_back, run_script, same_float, steps, tags
from hypothesis import given
from hypothesis import strategies as st

import tbc
import tbc.file_writer
from tbc.reader import find_event_files, read_events

OURS = {"add_metrics"}


def parameters(function, kinds=tuple(inspect._ParameterKind)):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values() if p.kind in kinds]


def positional(function):
    return parameters(function, (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD))


def test_the_signatures_are_torchs():
    """Parameters that tbc adds are keyword-only."""
    theirs = pytest.importorskip("torch.utils.tensorboard").SummaryWriter
    names = {name for name in vars(theirs) if not name.startswith("_")} | {"__init__", "_get_file_writer"}
    for name in names:
        assert positional(getattr(tbc.SummaryWriter, name)) == parameters(getattr(theirs, name)), name
    ours = {name for name in dir(tbc.SummaryWriter) if name.startswith("add_")}
    assert ours == {name for name in names if name.startswith("add_")} | OURS


def test_the_attributes_are_torchs(tmp_path):
    with tbc.SummaryWriter(tmp_path / "run", "ignored", None, 20, 30, ".suffix") as writer:
        assert writer.log_dir == tmp_path / "run"
        assert isinstance(writer.log_dir, Path)
        assert writer.get_logdir() == tmp_path / "run"
        assert (writer.purge_step, writer.max_queue, writer.flush_secs, writer.filename_suffix) == (
            None,
            20,
            30,
            ".suffix",
        )
        assert writer.file_writer.get_logdir() == str(tmp_path / "run")
        assert list(writer.all_writers) == [str(tmp_path / "run")]
        assert writer._get_file_writer() is writer.file_writer
        assert writer.file_writer.event_writer._file_name.endswith(".suffix")
    assert writer.file_writer is None
    assert writer.all_writers is None


def test_the_default_directory_is_torchs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with tbc.SummaryWriter(comment="-lr0.1") as writer:
        host = re.escape(socket.gethostname())
        assert re.fullmatch(rf"runs/\w{{3}}\d\d_\d\d-\d\d-\d\d_{host}-lr0\.1", writer.log_dir)
    assert os.path.isdir(writer.log_dir)


def test_the_file_is_there_at_once(log_dir):
    writer = tbc.SummaryWriter(log_dir)
    (path,) = find_event_files(log_dir)
    assert re.fullmatch(
        rf"events\.out\.tfevents\.\d{{10}}\.{re.escape(socket.gethostname())}\.{os.getpid()}\.\d+",
        os.path.basename(path),
    )
    assert os.path.getsize(path) > 0
    writer.close()


def test_a_second_close_does_nothing(log_dir):
    writer = tbc.SummaryWriter(log_dir)
    writer.close()
    writer.close()
    writer.flush()
    assert read_back(log_dir) == []


def test_logging_after_close_starts_a_new_file(log_dir):
    writer = tbc.SummaryWriter(log_dir)
    for step in range(3):
        writer.add_scalar("x", step, step)
        writer.add_histogram("h", np.ones(3), step)
        writer.close()
    files = find_event_files(log_dir)
    assert len(files) == 3
    assert files == sorted(files, key=os.path.getmtime)


def test_the_names_of_files_sort_by_their_age(log_dir):
    """TensorBoard reads files in that order and never goes back. The number in the names passes from 9 to 10 here."""
    writer = tbc.SummaryWriter(log_dir)
    paths = []
    for _ in range(12):
        paths.append(writer._get_file_writer()._file_name)
        writer.close()
    assert paths == sorted(paths)


@pytest.mark.parametrize("purge_step", [0, 7, np.int64(7)])
def test_purge_step(log_dir, purge_step):
    writer = tbc.SummaryWriter(log_dir, purge_step=purge_step)
    assert writer.purge_step is None
    writer.flush()
    version, start = read_back(log_dir)
    assert (version.step, version.file_version) == (purge_step, "brain.Event:2")
    assert (start.step, start.session_log.status) == (purge_step, 1)
    writer.close()
    writer.add_scalar("x", 1)  # the next file has no second session start
    writer.close()
    _, event = read_events(find_event_files(log_dir)[-1])
    assert event.summary.value[0].tag == "x"


@given(tags, st.dictionaries(st.text("abcé ", min_size=1, max_size=8), st.floats(width=32), max_size=4), steps)
def test_add_scalars_makes_a_run_of_each_key(tag, scalars, step):
    tag = tag.replace("\x00", "0")[:50]
    with tempfile.TemporaryDirectory() as log_dir:
        with tbc.SummaryWriter(log_dir) as writer:
            writer.add_scalars(tag, scalars, step, walltime=2.5)
        for key, number in scalars.items():
            event, value = only_value(os.path.normpath(log_dir + "/" + tag.replace("/", "_") + "_" + key))
            assert (event.step, event.wall_time, value.tag) == (step, 2.5, tag)
            assert same_float(value.simple_value, number)
        assert read_back(log_dir) == []


def test_a_slash_in_a_key_makes_a_directory(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalars("loss/both", {"deep/key": 1}, 2)
    assert only_value(log_dir + "/loss_both_deep/key")[1].tag == "loss/both"


def test_add_scalars_reuses_the_writers(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        for step in range(3):
            writer.add_scalars("loss", {"train": 1, "test": np.float32(2)}, step)
        assert list(writer.all_writers) == [log_dir, log_dir + "/loss_train", log_dir + "/loss_test"]
    assert [event.step for event in read_back(log_dir + "/loss_test")] == [0, 1, 2]


def test_add_scalars_writes_all_or_nothing(log_dir):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(NotImplementedError):
            writer.add_scalars("loss", {"train": 1, "test": object()})
        with pytest.raises(ValueError, match="64-bit"):
            writer.add_scalars("loss", {"train": 1}, 2**64)
        with pytest.raises(AttributeError):
            writer.add_scalars("loss", [1, 2])
        with pytest.raises(TypeError):
            writer.add_scalars("loss", {"train": 1, 2: 2})
    assert os.listdir(log_dir) == [os.path.basename(find_event_files(log_dir)[0])]


def test_add_scalars_after_the_files_are_forgotten(log_dir):
    """torch's close() sets these attributes to None, and some programs do."""
    writer = tbc.SummaryWriter(log_dir)
    for step in range(3):
        writer.add_scalars("loss", {"train": step}, step)
        files = list(writer.all_writers.values())
        writer.file_writer = writer.all_writers = None
        for file in files:
            file.close()
    paths = find_event_files(log_dir + "/loss_train")
    assert [event.step for path in paths for event in read_events(path) if event.HasField("summary")] == [0, 1, 2]


def test_it_can_be_patched_and_subclassed(log_dir, monkeypatch):
    class Mine(tbc.SummaryWriter):
        def __init__(self, log_dir, flush_secs=2):
            tbc.SummaryWriter.__init__(self, log_dir, flush_secs)  # flush_secs becomes `comment`, as in torch
            self.extra = []

        def add_scalar(self, tag, *arguments, **keywords):
            self.extra.append(tag)
            super().add_scalar("mine/" + tag, *arguments, **keywords)

    with Mine(log_dir) as writer:
        writer.add_scalar("x", 1)
        writer.add_scalar = functools.partial(writer.add_scalar, new_style=True)
        writer.add_scalar("y", 2)
    assert writer.extra == ["x", "y"]
    first, second = (event.summary.value[0] for event in read_back(log_dir))
    assert (first.tag, second.tag, second.HasField("tensor")) == ("mine/x", "mine/y", True)
    calls = []
    monkeypatch.setattr(tbc.SummaryWriter, "add_scalar", lambda self, *arguments: calls.append(arguments))
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalar("x", 1)
    assert calls == [("x", 1)]
    assert "log_dir" in tbc.SummaryWriter.__init__.__code__.co_varnames


def test_a_writer_that_is_dropped_closes_its_file(log_dir):
    writer = tbc.SummaryWriter(log_dir)
    writer.add_scalar("x", 1)
    before = len(os.listdir("/dev/fd"))
    del writer
    assert len(os.listdir("/dev/fd")) < before
    assert only_value(log_dir)[1].tag == "x"


@pytest.mark.parametrize("log_dir", [3, 2.5, ["a"], True, b"run", Path("run")])
def test_a_log_dir_that_is_no_path_is_named_by_its_str(tmp_path, monkeypatch, log_dir):
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(log_dir) if isinstance(log_dir, (bytes, Path)) else str(log_dir)
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_scalars("loss", {"a": 1})
        assert (writer.get_logdir(), writer.log_dir) == (log_dir, log_dir)
        assert list(writer.all_writers) == [name, f"{name}/loss_a"]
    tbc.FileWriter(log_dir).close()
    assert os.listdir(tmp_path) == [name]


def test_bad_directories_are_told_at_once(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(NotADirectoryError, match="file"):
        tbc.SummaryWriter(tmp_path / "file")
    with pytest.raises(NotADirectoryError, match="file"):
        tbc.SummaryWriter(tmp_path / "file" / "run")
    with pytest.raises(ValueError, match="s3://bucket"):
        tbc.SummaryWriter("s3://bucket/run")
    with pytest.raises(ValueError, match="64-bit"):
        tbc.SummaryWriter(tmp_path / "run", purge_step=2**63)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_directory_that_cannot_be_written_is_told_at_once():
    with pytest.raises(OSError, match="/proc/run") as caught:
        tbc.SummaryWriter("/proc/run")
    assert caught.value.errno


def test_flush_tries_every_file(log_dir):
    run_script(
        """
        import os, resource, sys, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        writer.add_scalars("x", {"a": 1, "b": 2})
        writer.flush()
        first, second, third = writer.all_writers.values()
        for file in (first, second):
            file._event_file.text("t", "x" * 5000)
        third._event_file.scalar("last", 3.0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        try:
            writer.flush()
        except OSError as error:
            assert error.filename == first._event_file.path
        else:
            raise AssertionError("no error")
        assert b"last" in open(third._event_file.path, "rb").read()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
        """,
        log_dir,
    )


def test_the_docstrings_example_runs(tmp_path):
    lines = [line[4:] for line in inspect.getdoc(tbc.SummaryWriter).splitlines() if line.startswith("    ")]
    script = "import tbc\n" + "\n".join(lines)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)
    assert only_value(tmp_path / "runs" / "first")[1].simple_value == 0.25
