"""enabled=False: every call is accepted, no argument is read, and nothing is created."""

import inspect
import os
import sys
import threading

import pytest
from helpers.oracle import run_script

import tbc
from tbc.proto import Event, Summary

ADDERS = sorted(name for name in dir(tbc.SummaryWriter) if name.startswith("add_"))


class Untouchable:
    """Raises on every use, except when it is passed on."""


def _refuse(*_):
    raise AssertionError("an argument was looked at")


for _name in ["getattribute", "setattr", "hash", "eq", "bool", "len", "iter", "contains", "getitem", "call", "str"]:
    setattr(Untouchable, f"__{_name}__", _refuse)
for _name in ["repr", "format", "float", "int", "index", "complex", "round", "lt", "add", "array", "fspath", "enter"]:
    setattr(Untouchable, f"__{_name}__", _refuse)


@pytest.fixture
def somewhere(tmp_path, monkeypatch):
    """Change to an empty directory, and check that it stays empty."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert os.listdir(tmp_path) == []


def call_with(method, value):
    """Call a method with `value` for every parameter, those of **label included."""
    positional, named = [], {}
    for parameter in inspect.signature(method).parameters.values():
        if parameter.kind == parameter.VAR_KEYWORD:
            named.update(display_name=value, description=value)
        elif parameter.kind == parameter.KEYWORD_ONLY:
            named[parameter.name] = value
        else:
            positional.append(value)
    return method(*positional, **named)


def test_untouchable_is_that():
    for touch in (bool, hash, len, str, float, list, lambda x: x.name, lambda x: x == 1, lambda x: isinstance(x, str)):
        with pytest.raises(AssertionError):
            touch(Untouchable())


@pytest.mark.parametrize("name", ADDERS)
def test_no_argument_is_looked_at(somewhere, name):
    writer = tbc.SummaryWriter("run", enabled=False)
    assert call_with(getattr(writer, name), Untouchable()) is None
    writer.close()
    assert call_with(getattr(writer, name), Untouchable()) is None


@pytest.mark.parametrize("log_dir", [None, "run", "a/b/c", "run with a \x07"])
@pytest.mark.parametrize("purge_step", [None, 0, 7])
def test_nothing_is_created(somewhere, log_dir, purge_step):
    threads = threading.active_count()
    with tbc.SummaryWriter(log_dir, "comment", purge_step, 5, 1, ".suffix", enabled=False) as writer:
        for name in ADDERS:
            call_with(getattr(writer, name), None)
        writer.flush()
    writer.add_scalar("after close", 1)
    writer.add_hparams({"lr": 1}, {"loss": 1})
    writer.add_scalars("main", {"a": 1})
    writer.close()
    assert threading.active_count() == threads


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_no_thread_is_started_and_nothing_is_imported(tmp_path):
    run_script(
        """
        import os, sys, tbc
        modules = set(sys.modules)
        with tbc.SummaryWriter(sys.argv[1], enabled=False) as writer:
            writer.add_scalar("x", 1)
            writer.add_image("i", None)
            writer.add_histogram("h", None)
            writer.add_embedding(None)
            writer.file_writer.add_summary(None)
            writer.flush()
        assert len(os.listdir("/proc/self/task")) == 1
        assert "numpy" not in set(sys.modules) - modules
        assert not os.path.exists(sys.argv[1])
        """,
        tmp_path / "run",
    )


def test_the_attributes_are_those_of_any_writer(somewhere):
    with tbc.SummaryWriter(somewhere / "run", max_queue=3, flush_secs=9, filename_suffix=".x", enabled=False) as writer:
        assert writer.enabled is False
        assert (writer.log_dir, writer.get_logdir()) == (somewhere / "run", somewhere / "run")
        assert (writer.max_queue, writer.flush_secs, writer.filename_suffix) == (3, 9, ".x")
        assert len(writer.default_bins) == 1549
        assert list(writer.all_writers) == [str(somewhere / "run")]
        assert list(writer.all_writers.values()) == [writer.file_writer]
        assert writer._get_file_writer() is writer.file_writer
    assert writer.file_writer is writer.all_writers is None
    assert writer._get_file_writer().get_logdir() == str(somewhere / "run")


def test_the_file_writer_takes_messages_and_makes_no_file(somewhere):
    writer = tbc.SummaryWriter("run", enabled=False)
    file = writer._get_file_writer()
    assert isinstance(file, tbc.FileWriter)
    for _ in range(2):
        file.add_summary(Summary(), 1, 2.5)
        file.add_event(Event(), 1, 2.5)
        file.add_summary(Untouchable(), Untouchable(), Untouchable())
        file.add_event(Untouchable(), Untouchable(), Untouchable())
        file.add_graph(Untouchable(), Untouchable())
        file.add_onnx_graph(Untouchable(), Untouchable())
        file.flush()
        assert isinstance(file.event_writer._file_name, str)
        assert file.get_logdir() == "run"
        file.close()
        file.reopen()
    writer.close()
    writer.close()
    writer.flush()


def test_an_enabled_writer_in_the_same_directory(somewhere, tmp_path_factory):
    log_dir = tmp_path_factory.mktemp("real")
    with tbc.SummaryWriter(log_dir, enabled=False) as silent, tbc.SummaryWriter(log_dir, enabled=True) as writer:
        silent.add_scalar("x", 1)
        writer.add_scalar("x", 1)
    assert len(os.listdir(log_dir)) == 1


def test_a_subclass(somewhere):
    class OfRank(tbc.SummaryWriter):
        def __init__(self, log_dir, rank):
            super().__init__(log_dir, enabled=rank == 0)
            self.calls = 0

        def add_scalar(self, tag, *arguments, **keywords):
            self.calls += 1
            super().add_scalar("mine/" + tag, *arguments, **keywords)

        def add_hparams(self, *arguments, **keywords):
            super().add_hparams(*arguments, **keywords)
            super().add_text("hparams", str(arguments))

    with OfRank("run", rank=1) as writer:
        writer.add_scalar("x", 1)
        writer.add_hparams({"lr": 1}, {"loss": 2})
    assert writer.calls == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_after_a_fork(tmp_path):
    run_script(
        """
        import os, sys, tbc
        writer = tbc.SummaryWriter(sys.argv[1], enabled=False)
        child = os.fork()
        writer.add_scalar("x", 1)
        writer.flush()
        writer.close()
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert not os.path.exists(sys.argv[1])
        """,
        tmp_path / "run",
    )
