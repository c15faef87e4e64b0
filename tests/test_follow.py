"""follow() and the command tail: every value of growing files is given once, whatever happens to the files."""

import errno
import gzip
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import defaultdict
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path
from unittest import mock

import pytest
from helpers.oracle import run_script
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    rule,
    run_state_machine_as_test,
)

import tbc
from tbc import _core
from tbc.proto import Event
from tbc.reader import CorruptRecordError, find_event_files
from tbc.reader.events import read_values
from tbc.reader.files import open_file, raise_error
from tbc.reader.following import ChangedFileError, Follower, follow
from tbc.reader.records import WrongFileError

module = sys.modules[Follower.__module__]
NAME = "events.out.tfevents.1"


def record(step, **value):
    event = Event(step=step, wall_time=1e9 + step)
    event.summary.value.add(**({"tag": "x", "simple_value": step} | value))
    return _core.frame(event.SerializeToString())


def records(*steps):
    return b"".join(map(record, steps))


def damaged(step):
    """Return a record with one wrong byte of data."""
    data = bytearray(record(step))
    data[-5] ^= 1
    return bytes(data)


class Watch:
    """A Follower whose polls return steps, or (run, step). `errors` has the errors that it reported."""

    def __init__(self, path):
        self.follower = Follower(os.fspath(path))
        self.errors = []

    def runs(self):
        return [(run, value.step) for run, value in self.follower.poll(self.errors.append)]

    def steps(self):
        return [step for _, step in self.runs()]

    def told(self):
        """Return the errors since the last call, as (type, offset)."""
        told = [(type(error), error.offset) for error in self.errors]
        self.errors.clear()
        return told


def append(path, data):
    with open(path, "ab") as file:
        file.write(data)


def overwrite(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.fixture
def path(tmp_path):
    return tmp_path / NAME


@pytest.fixture
def watch(path):
    return Watch(path)


# --- what is followed ---


def test_what_is_there_comes_first_and_in_the_order_of_the_files(tmp_path):
    for run in ("b", "a", "."):
        with tbc.SummaryWriter(tmp_path / run) as writer:
            for step in range(3):
                writer.add_scalar("loss", 0.5, step)
            writer.add_text("text", "words")
    files = find_event_files(tmp_path)
    expected = [value for file in files for value in read_values(file)]
    given = list(follow(tmp_path, idle=0))
    assert [value for _, value in given] == expected
    assert [run for run, _ in given] == ["."] * 5 + ["a"] * 5 + ["b"] * 5
    assert list(follow(files[1], idle=0)) == [(".", value) for value in read_values(files[1])]


def test_values_files_and_runs_that_come(tmp_path):
    watch = Watch(tmp_path / "runs")
    assert watch.runs() == []
    (tmp_path / "runs").mkdir()
    assert watch.runs() == []
    append(tmp_path / "runs" / "events.out.tfevents.2", records(3))
    append(tmp_path / "runs" / "notes.txt", records(0))
    assert watch.runs() == [(".", 3)]
    append(tmp_path / "runs" / "events.out.tfevents.2", records(4, 5))
    append(tmp_path / "runs" / "events.out.tfevents.1", records(1))  # as a second writer does
    assert watch.runs() == [(".", 1), (".", 4), (".", 5)]
    (tmp_path / "runs" / "a" / "b").mkdir(parents=True)
    append(tmp_path / "runs" / "a" / "b" / NAME, records(6))
    append(tmp_path / "runs" / "events.out.tfevents.1", records(2))
    assert watch.runs() == [(".", 2), ("a/b", 6)]
    assert watch.runs() == []
    assert not watch.errors


def test_a_file_that_is_not_there_yet(watch, path):
    assert watch.runs() == []
    path.touch()
    assert watch.runs() == []
    append(path, records(1))
    assert watch.runs() == [(".", 1)]


def test_files_and_directories_that_are_deleted(tmp_path):
    for run in "ab":
        (tmp_path / run).mkdir()
        append(tmp_path / run / NAME, records(1))
    watch = Watch(tmp_path)
    assert watch.runs() == [("a", 1), ("b", 1)]
    append(tmp_path / "a" / NAME, records(2))
    assert watch.runs() == [("a", 2)]
    (tmp_path / "a" / NAME).unlink()
    shutil.rmtree(tmp_path / "b")
    assert watch.runs() == []
    assert not watch.follower._directories.keys() - {str(tmp_path), str(tmp_path / "a")}
    assert not watch.follower._files
    (tmp_path / "b").mkdir()
    append(tmp_path / "a" / NAME, records(1))
    append(tmp_path / "b" / NAME, records(3))
    assert watch.runs() == [("a", 1), ("b", 3)]
    shutil.rmtree(tmp_path)
    assert watch.runs() == []
    (tmp_path / "c").mkdir(parents=True)
    append(tmp_path / "c" / NAME, records(4))
    assert watch.runs() == [("c", 4)]
    assert not watch.errors


def make(directory, *steps, name=NAME):
    directory.mkdir(parents=True, exist_ok=True)
    append(directory / name, records(*steps))


def point(link, target):
    """Point a link elsewhere in one step, as ln -sfn does."""
    link.with_name("new link").symlink_to(target)
    os.replace(link.with_name("new link"), link)


@pytest.fixture
def quick(monkeypatch):
    """List and read everything at each poll: the polls come faster than a coarse clock ticks."""
    monkeypatch.setattr(module._Watched, "again", 0)
    monkeypatch.setattr(module._Directory, "again", 0)


def test_links_are_followed_as_by_find_event_files(tmp_path):
    root = tmp_path / "root"
    make(root / "run", 1)
    make(tmp_path / "store" / "deep", 2)
    (root / "link").symlink_to("run")
    (root / "store").symlink_to("../store")
    (root / "tfevents.directory").symlink_to("run")
    (root / "tfevents.link").symlink_to(tmp_path / "elsewhere")
    (root / "run" / "loop").symlink_to("../../root")
    watch = Watch(root)
    expected = [("link", 1), ("run", 1), ("store/deep", 2), ("tfevents.directory", 1)]
    assert watch.runs() == expected
    assert list(Follower(str(root)).load({"scalar"}, print)) == [run for run, _ in expected]
    assert watch.runs() == []
    assert sorted((error.errno, os.path.relpath(error.filename, root)) for error in watch.errors) == [
        (errno.ENOENT, "tfevents.link"),
        *[(errno.ELOOP, f"{run}/loop") for run in ("link", "run", "tfevents.directory")],
    ]
    watch.errors.clear()
    append(tmp_path / "elsewhere", records(2))
    append(root / "run" / NAME, records(3))
    assert watch.runs() == [(".", 2), ("link", 3), ("run", 3), ("tfevents.directory", 3)]
    assert watch.runs() == []
    assert not watch.errors


def test_a_link_that_leads_to_another_run(tmp_path, quick):
    """Files of the same name in the new run are read from their start, and nothing is reported as damage."""
    for run, steps in {"1": [1, 2, 3], "2": [11, 12, 13, 14], "3": [21]}.items():
        make(tmp_path / "store" / run / "deep", *steps)
    (tmp_path / "root" / "a").mkdir(parents=True)
    latest = tmp_path / "root" / "latest"
    latest.symlink_to("../store/1")
    watches = [Watch(tmp_path / "root"), Watch(latest), Watch(latest / "deep"), Watch(latest / "deep" / NAME)]

    def steps():
        several = [watch.steps() for watch in watches]
        assert several == several[:1] * len(watches)
        return several[0]

    assert steps() == [1, 2, 3]
    make(tmp_path / "store" / "1" / "deep", 4)
    assert steps() == [4]
    point(latest, "../store/2")
    assert steps() == [11, 12, 13, 14]
    make(tmp_path / "store" / "1" / "deep", 5)
    make(tmp_path / "store" / "2" / "deep", 15)
    assert steps() == [15]
    latest.unlink()
    assert steps() == []
    latest.symlink_to("../store/3")
    assert steps() == [21]
    point(latest, "nowhere")
    assert [steps(), steps()] == [[], []]
    assert [str(error.filename) for error in watches[0].errors] == [str(latest)]
    make(tmp_path / "root" / "nowhere" / "deep", 31)
    assert watches[0].runs() == [("latest/deep", 31), ("nowhere/deep", 31)]
    for watch in watches[1:]:
        assert watch.steps() == [31]
    assert [len(watch.errors) for watch in watches] == [1, 1, 0, 0]  # the last two paths are below the link


def test_a_run_that_is_moved_and_linked_to_is_the_same(tmp_path, quick):
    make(tmp_path / "root" / "run", 1)
    watch = Watch(tmp_path / "root")
    assert watch.runs() == [("run", 1)]
    (tmp_path / "root" / "run").rename(tmp_path / "moved")
    (tmp_path / "root" / "run").symlink_to("../moved")
    assert watch.runs() == []
    make(tmp_path / "moved", 2)
    assert watch.runs() == [("run", 2)]
    assert not watch.errors


def test_an_event_file_that_is_linked_to(tmp_path, quick):
    for name, steps in {"1": [1, 2], "2": [11, 12, 13]}.items():
        make(tmp_path / "store", *steps, name=name)
    link = tmp_path / "root" / NAME
    link.parent.mkdir()
    link.symlink_to("../store/1")
    watch = Watch(tmp_path / "root")
    assert watch.steps() == [1, 2]
    point(link, "../store/2")
    assert watch.steps() == [11, 12, 13]
    append(tmp_path / "store" / "2", records(14))
    assert watch.steps() == [14]
    os.truncate(tmp_path / "store" / "2", len(records(11)))
    assert watch.steps() == []
    assert watch.told() == [(ChangedFileError, len(records(11)))]


def test_what_a_link_leads_to_may_change_its_kind(tmp_path, quick):
    """The target becomes a file, a directory, nothing, and the link itself."""
    make(tmp_path / "run", 1)
    append(tmp_path / "file", records(2))
    link = tmp_path / "root" / "tfevents"
    link.parent.mkdir()
    watches = [Watch(tmp_path / "root"), Watch(link)]
    targets = {"nowhere": [], "../file": [2], "../run": [1], "tfevents": [], "../none/x": []}
    for target in [*targets, *targets, *reversed(targets), "../run", "../none/x", "../file", "tfevents", "../run"]:
        point(link, target)
        for watch in watches:
            assert watch.steps() == targets[target], target
            assert watch.steps() == []
            assert {type(error) for error in watch.errors} <= {FileNotFoundError, OSError}
            watch.errors.clear()


def test_errors_of_what_is_there_are_told_once_after_load(tmp_path):
    make(tmp_path, 1)
    os.mkfifo(tmp_path / "tfevents.pipe")
    (tmp_path / "link").symlink_to("nowhere")
    errors = []
    assert list(follow(tmp_path, from_end=True, idle=0, on_error=errors.append)) == []
    assert sorted(os.path.basename(error.filename) for error in errors) == ["link", "tfevents.pipe"]


def test_a_plugin_is_remembered_through_the_files_of_a_run(tmp_path):
    plain = {"tensor": {"dtype": 1, "float_val": [0.5]}}
    append(
        tmp_path / "tfevents.1",
        record(1, simple_value=None, **plain, metadata={"plugin_data": {"plugin_name": "scalars"}}),
    )
    watch = Watch(tmp_path)
    assert [value.kind for _, value in watch.follower.poll(print)] == ["scalar"]
    append(tmp_path / "tfevents.2", record(2, simple_value=None, **plain))
    (tmp_path / "other").mkdir()
    append(tmp_path / "other" / NAME, record(2, simple_value=None, **plain))
    assert [value.kind for _, value in watch.follower.poll(print)] == ["scalar", "tensor"]
    later = follow(tmp_path, from_end=True, idle=0)
    append(tmp_path / "tfevents.2", record(3, simple_value=None, **plain))
    assert [value.kind for _, value in later] == ["scalar"]


def test_a_new_file_is_found_though_the_directory_looks_the_same(tmp_path, monkeypatch):
    """The directory's time does not change. Its size may show the file at the next poll, else it takes seconds."""
    watch = Watch(tmp_path)
    assert watch.runs() == []
    before = os.stat(tmp_path).st_mtime_ns

    def create(name, step):
        append(tmp_path / name, records(step))
        os.utime(tmp_path, ns=(before, before))

    create("tfevents.1", 1)
    if os.stat(tmp_path).st_size != watch.follower._directories[str(tmp_path)]._stat[1]:
        pytest.skip("the size of a directory tells how many files are in it")
    assert watch.runs() == [(".", 1)]
    create("tfevents.2", 2)
    assert watch.runs() == []
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 10)
    assert watch.runs() == [(".", 2)]


def test_nothing_is_listed_or_opened_while_nothing_changes(tmp_path, monkeypatch):
    for run in "ab":
        (tmp_path / run).mkdir()
        append(tmp_path / run / NAME, records(1, 2)[:-1])
    watch = Watch(tmp_path)
    assert [watch.runs(), watch.runs()] == [[("a", 1), ("b", 1)], []]
    opened = []
    monkeypatch.setattr(module, "open_file", lambda path: opened.append(path) or open_file(path))
    monkeypatch.setattr(os, "scandir", None)
    assert watch.runs() == []
    assert opened == []
    append(tmp_path / "b" / NAME, records(2)[-1:])
    assert watch.runs() == [("b", 2)]
    assert opened == [str(tmp_path / "b" / NAME)]


def test_a_thousand_files_need_few_descriptors(tmp_path):
    for run in range(500):
        (tmp_path / f"{run}").mkdir()
        for name in ("tfevents.1", "tfevents.2"):
            append(tmp_path / f"{run}" / name, records(1))
    script = """
        import resource, sys
        from tbc.reader.following import follow
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
        print(sum(1 for _ in follow(sys.argv[1], idle=0.1, interval=0.01, purge=False)))
    """
    assert run_script(script, tmp_path).stdout == "1000\n"


def test_only_files_of_this_machine():
    with pytest.raises(ValueError, match="s3://bucket/runs: only local files can be followed"):
        follow("s3://bucket/runs")


def test_what_cannot_be_read_is_told_once(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "tfevents.fifo")
    append(tmp_path / NAME, records(1))
    watch = Watch(tmp_path)
    assert watch.steps() == [1]
    assert watch.steps() == []
    (error,) = watch.errors
    assert (error.strerror, error.filename) == ("Not a regular file", str(tmp_path / "tfevents.fifo"))

    def scandir(path):
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", scandir)
        watch = Watch(tmp_path)
        assert [watch.steps(), watch.steps()] == [[], []]
        (error,) = watch.errors
        assert (error.strerror, error.filename) == ("Permission denied", str(tmp_path))
    assert watch.steps() == [1]


def test_only_what_is_wanted_is_read_and_kept(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(module, "open_file", lambda path: opened.append(path) or open_file(path))
    for run in "ab":
        make(tmp_path / run, *range(100))
        append(tmp_path / run / NAME, record(1, tag="y"))
    follower = Follower(str(tmp_path), "a".__eq__, "x".__eq__)
    runs = follower.load({"scalar"}, raise_error, (None, 50), keep=3)
    assert {name: {tag: x.step.tolist() for tag, x in run.scalars.items()} for name, run in runs.items()} == {
        "a": {"x": [48, 49, 50]}
    }
    for run in "ab":
        make(tmp_path / run, 200)
        append(tmp_path / run / NAME, record(201, tag="y"))
    assert [(run, value.tag, value.step) for run, value in follower.poll(raise_error)] == [("a", "x", 200)]
    assert set(opened) == {str(tmp_path / "a" / NAME)}


def test_how_much_is_unread(watch, path):
    size = len(record(1))
    assert (watch.follower.unread(), watch.steps()) == (0, [])
    append(path, records(1, 2))
    values = watch.follower.poll(raise_error)
    next(values)
    append(path, records(3) + record(4)[:-1])
    assert watch.follower.unread() == 3 * size - 1
    values.close()
    assert watch.steps() == [2, 3]
    assert watch.follower.unread() == 0  # a record that is not whole counts as read
    append(path, record(4)[-1:] + b"?" * 99)
    assert watch.follower.unread() == 100
    assert watch.steps() == [4]
    assert watch.follower.unread() == 0  # so does damage
    os.truncate(path, size)
    assert watch.follower.unread() == 0


@pytest.mark.parametrize("wrong", [{"interval": -1}, {"interval": float("nan")}, {"idle": -0.5}])
def test_an_invalid_time(path, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name} must be a number of seconds, 0 or more, got {value}"):
        follow(path, **wrong)


# --- torn and damaged records ---


def test_a_record_that_comes_byte_by_byte(watch, path):
    for step in (1, 2):
        data = record(step)
        for i in range(len(data) - 1):
            append(path, data[i : i + 1])
            assert watch.steps() == []
        append(path, data[-1:])
        assert watch.steps() == [step]
    assert not watch.errors


def test_a_damaged_record_is_told_once_and_skipped(watch, path):
    append(path, records(1) + damaged(2) + records(3) + damaged(4))
    size = len(record(1))
    assert watch.steps() == [1, 3]
    assert watch.told() == [(CorruptRecordError, size), (CorruptRecordError, 3 * size)]
    append(path, b"\0")
    assert watch.steps() == []
    append(path, record(5)[1:])
    assert watch.steps() == []
    append(path, records(6))
    assert watch.steps() == [6]
    assert watch.told() == []  # it adjoins the damage that was reported


def test_the_last_record_may_become_whole(watch, path):
    """Over NFS a reader may see the size before the bytes, and a writer may fill preallocated room."""
    data = record(2)
    append(path, records(1) + data[:-9] + bytes(9))
    assert watch.steps() == [1]
    assert watch.told() == [(CorruptRecordError, len(data))]
    overwrite(path, 2 * len(data) - 9, data[-9:])
    append(path, records(3))
    assert watch.steps() == [2, 3]
    assert not watch.errors


def test_a_record_that_holds_no_event_is_told_once(watch, path):
    append(path, records(1) + _core.frame(b"\xff") + records(3))
    assert watch.steps() == [1, 3]
    assert watch.steps() == []
    assert watch.told() == [(CorruptRecordError, len(record(1)))]


def test_damage_at_the_end_is_told_once_and_what_comes_behind_is_found(watch, path):
    append(path, records(1) + b"?" * 20)
    assert watch.steps() == [1]
    size = len(record(1))
    assert watch.told() == [(CorruptRecordError, size)]
    data = b"?" * 7 + record(2)
    for i in range(len(data)):
        append(path, data[i : i + 1])
        assert watch.steps() == [2] * (i == len(data) - 1)
    append(path, b"!" * 20 + record(3) + b"!" * 30 + records(4, 5))
    assert watch.steps() == [3, 4, 5]
    told = watch.told()
    assert [kind for kind, _ in told] == [CorruptRecordError] * 2
    assert [offset for _, offset in told] == [2 * size + 27, 3 * size + 47]


def test_damage_that_grows_is_read_only_twice(watch, path, monkeypatch):
    read = 0

    class Counting(io.FileIO):
        def readinto(self, buffer):
            nonlocal read
            n = super().readinto(buffer)
            read += n
            return n

    monkeypatch.setattr(module, "open_file", lambda path: io.BufferedReader(Counting(path), 1 << 10))
    append(path, b"?" * 100_000)
    for _ in range(100):
        append(path, b"?" * 10_000)
        assert watch.steps() == []
    append(path, records(1))
    assert watch.steps() == [1]
    assert read < 2 * path.stat().st_size
    assert watch.told() == [(WrongFileError, 0)]  # it looks like plain text


def test_zeros_that_are_overwritten(watch, path):
    size = len(record(1))
    path.write_bytes(bytes(10_000))
    for step in range(1, 51):
        overwrite(path, (step - 1) * size, record(step))
        assert watch.steps() == [step]
    assert not watch.errors
    append(path, records(51))
    assert watch.steps() == [51]
    assert watch.told() == [(CorruptRecordError, 50 * size)]


def test_zeros_behind_damage_that_are_overwritten(watch, path):
    path.write_bytes(b"?" * 100 + bytes(10_000))
    assert watch.steps() == []
    overwrite(path, 100, records(1))
    assert watch.steps() == [1]
    overwrite(path, 100 + len(record(1)), b"?" * 10 + records(2, 3))
    assert watch.steps() == [2, 3]
    assert watch.told() == [(CorruptRecordError, 0), (CorruptRecordError, 100 + len(record(1)))]


@pytest.mark.parametrize("more", [b"?" * 31, bytes(31), damaged(2), damaged(2) + damaged(3)])
def test_damage_that_adjoins_is_one_error(watch, path, more):
    path.write_bytes(damaged(1) + more + records(4) + damaged(5) + records(6))
    assert watch.steps() == [4, 6]
    second = len(damaged(1) + more + records(4))
    assert watch.told() == [(CorruptRecordError, 0), (CorruptRecordError, second)]


def test_a_file_of_another_kind_is_named(watch, path):
    path.write_bytes(gzip.compress(records(1, 2)))
    assert watch.steps() == []
    assert [str(error) for error in watch.errors] == [f"{path}: the file is compressed with gzip; decompress it"]


PIECES = st.lists(
    st.one_of(
        st.integers(0, 99).map(record),
        st.integers(0, 99).map(damaged),
        st.just(_core.frame(b"\xff")),
        st.binary(max_size=40),
        st.integers(1, 40).map(bytes),
        st.integers(0, 99).map(lambda step: record(step)[8:]),
    )
).map(lambda pieces: b"".join(pieces) + record(100))


@settings(max_examples=300)
@given(PIECES, st.sampled_from([1, 50, 100, 1 << 20]), st.data())
def test_whatever_comes_in_whatever_pieces_is_what_read_values_gives(data, piece, draw):
    """piece: how many bytes are read at a time"""
    with tempfile.TemporaryDirectory() as directory, mock.patch("tbc.reader.records.PIECE", piece):
        path = os.path.join(directory, NAME)
        watch = Watch(path)
        steps = []
        i = 0
        while i < len(data):
            n = draw.draw(st.integers(1, len(data) - i), label="bytes")
            append(path, data[i : i + n])
            i += n
            steps += watch.steps()
        errors = []
        assert steps == [value.step for value in read_values(path, errors.append)]
        assert sorted({error.offset for error in errors}) == [offset for _, offset in watch.told()]


# --- files that are cut or replaced ---


def test_a_file_that_is_cut_and_goes_on(watch, path):
    size = len(record(1))
    append(path, records(1, 2, 3, 4, 5))
    assert watch.steps() == [1, 2, 3, 4, 5]
    os.truncate(path, 3 * size)
    assert watch.steps() == []
    assert watch.told() == [(ChangedFileError, 3 * size)]
    append(path, records(6))
    assert watch.steps() == [6]
    os.truncate(path, 2 * size + 10)
    assert watch.steps() == []
    assert watch.told() == [(ChangedFileError, 2 * size)]
    os.truncate(path, 2 * size)
    append(path, records(7))
    assert watch.steps() == [7]
    assert not watch.errors


@pytest.mark.parametrize("new", [[6], [6, 7], [6, 7, 8, 9, 10]])
def test_a_file_that_is_cut_and_grows_between_two_looks(watch, path, new):
    size = len(record(1))
    append(path, records(1, 2, 3, 4, 5))
    assert watch.steps() == [1, 2, 3, 4, 5]
    os.truncate(path, 3 * size)
    append(path, records(*new))
    assert watch.steps() == new
    assert watch.told() == [(ChangedFileError, 3 * size)]


def test_a_torn_record_that_is_cut_off(watch, path):
    """No value that was given has changed, so nothing is reported."""
    append(path, records(1, 2)[:-1])
    assert watch.steps() == [1]
    os.truncate(path, len(record(1)))
    assert watch.steps() == []
    append(path, records(3))
    assert watch.steps() == [3]
    assert not watch.errors


@pytest.mark.parametrize("new", [[], [6], [6, 7, 8, 9, 10]])
@pytest.mark.parametrize("way", ["reopened", "replaced", "deleted"])
def test_a_file_in_the_place_of_another(watch, path, new, way):
    append(path, records(1, 2, 3))
    assert watch.steps() == [1, 2, 3]
    if way == "reopened":
        path.write_bytes(records(*new))
    elif way == "replaced":
        path.with_name("new").write_bytes(records(*new))
        os.replace(path.with_name("new"), path)
    else:
        path.unlink()
        path.write_bytes(records(*new))
    assert watch.steps() == new
    assert watch.told() == [(ChangedFileError, 0)]
    append(path, records(11))
    assert watch.steps() == [11]
    assert watch.steps() == []
    assert not watch.errors


def test_the_message(watch, path):
    append(path, records(1, 2))
    watch.steps()
    os.truncate(path, 40)
    watch.steps()
    assert str(watch.errors[0]) == (
        f"{path}: the file was cut or replaced; first difference in the record at byte {len(record(1))}"
    )


def test_another_file_may_be_the_same_in_part(watch, path):
    append(path, records(1, 2, 3))
    assert watch.steps() == [1, 2, 3]
    path.write_bytes(records(4, 2, 3))
    assert watch.steps() == [4, 2, 3]
    path.with_name("new").write_bytes(records(4, 5, 3))
    os.replace(path.with_name("new"), path)
    assert watch.steps() == [5, 3]
    assert watch.told() == [(ChangedFileError, 0), (ChangedFileError, len(record(1)))]


def test_a_file_that_lost_its_last_byte(watch, path):
    """The byte is 0, so the remaining bytes of the checksum are the same number."""
    step = next(step for step in range(1, 10_000) if record(step)[-1] == 0)
    append(path, record(step))
    assert watch.steps() == [step]
    os.truncate(path, len(record(step)) - 1)
    assert watch.steps() == []
    assert watch.told() == [(ChangedFileError, 0)]
    append(path, b"\0")
    assert watch.steps() == []


def test_a_copy_that_is_brought_up_to_date_is_no_other_file(watch, path):
    """rsync writes a new file and renames it over the old one."""
    for n in range(1, 4):
        path.with_name("new").write_bytes(records(*range(n)))
        os.replace(path.with_name("new"), path)
        assert watch.steps() == [n - 1]
    assert not watch.errors


def test_a_file_that_is_copied_over_itself(watch, path):
    """cp truncates the file and writes it again. Values that come back in the same place are not given again."""
    data = records(1, 2, 3, 4, 5)
    append(path, data)
    assert watch.steps() == [1, 2, 3, 4, 5]
    path.write_bytes(b"")
    for i in range(0, len(data), 30):
        append(path, data[i : i + 30])
        assert watch.steps() == []
    append(path, records(6))
    assert watch.steps() == [6]
    assert watch.told() == [(ChangedFileError, 0)]


def test_what_is_damaged_is_told_again_if_it_is_new(watch, path):
    append(path, records(1) + damaged(2) + records(3) + b"?" * 30 + records(4, 5))
    assert watch.steps() == [1, 3, 4, 5]
    assert len(watch.told()) == 2
    size = len(record(1))
    os.truncate(path, 4 * size + 30)
    append(path, damaged(6) + records(7))
    assert watch.steps() == [7]
    assert watch.told() == [(ChangedFileError, 4 * size + 30), (CorruptRecordError, 4 * size + 30)]
    os.truncate(path, size)
    append(path, bytes(40) + records(8))
    assert watch.steps() == [8]
    assert watch.told() == [(ChangedFileError, size), (CorruptRecordError, size)]
    os.truncate(path, size)
    assert watch.steps() == []
    append(path, bytes(50) + records(9))
    assert watch.steps() == [9]
    assert watch.told() == [(ChangedFileError, size), (CorruptRecordError, size)]


def test_of_a_long_file_the_last_records_are_remembered(watch, path, monkeypatch):
    monkeypatch.setattr(module, "MARKS", 10)
    size = len(record(1))
    append(path, records(*range(1, 36)))
    assert watch.steps() == list(range(1, 36))
    os.truncate(path, 26 * size)
    append(path, records(99))
    assert watch.steps() == [99]
    assert watch.told() == [(ChangedFileError, 26 * size)]
    os.truncate(path, 5 * size)
    append(path, records(100))
    assert watch.steps() == [1, 2, 3, 4, 5, 100]
    assert watch.told() == [(ChangedFileError, 0)]


# --- any writers, against a model ---


class Model:
    """A model of a file: the steps of its records, part of one more record, and what the follower has read."""

    def __init__(self):
        self.is_there = False
        self.steps = []
        self.torn = (0, 0)  # the step of the partial record, and how many bytes it has
        self.read = []
        self.known = 0

    def data(self):
        step, n = self.torn
        return records(*self.steps) + record(step)[:n]

    def complete(self):
        if self.torn[1]:
            self.steps.append(self.torn[0])
        self.torn = (0, 0)

    def poll(self):
        """Return the steps that a poll must give, and whether it must report a change."""
        if not self.is_there:
            self.read, self.known = [], 0
            return [], False
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self.read, self.steps, strict=False)))
        is_changed = common < self.known
        if self.steps[common:]:
            self.read = self.steps[:]
        self.known = len(self.steps)
        return self.steps[common:], is_changed


FILES = st.sampled_from(["tfevents.1", "tfevents.2", "a/tfevents.1", "a/tfevents.2", "b/c/tfevents.1"])
COUNTS = st.integers(0, 3)
PARTS = st.integers(0, 30)  # bytes


class Growing(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.watch = Watch(self.root)
        self.models = defaultdict(Model)
        self.step = 0  # grows, so that each new record is different

    def teardown(self):
        shutil.rmtree(self.root)

    def new_steps(self, count):
        self.step += count
        return list(range(self.step - count + 1, self.step + 1))

    @rule(file=FILES, count=COUNTS, part=PARTS)
    def append(self, file, count, part):
        model, path = self.models[file], self.root / file
        if not model.is_there:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            model.is_there = True
        size = len(model.data())
        model.complete()
        model.steps += self.new_steps(count)
        model.torn = (*self.new_steps(1), part)
        append(path, model.data()[size:])

    @rule(file=FILES)
    def complete(self, file):
        model = self.models[file]
        if model.is_there:
            size = len(model.data())
            model.complete()
            append(self.root / file, model.data()[size:])

    @rule(file=FILES, count=COUNTS, part=PARTS)
    def cut(self, file, count, part):
        model = self.models[file]
        if model.is_there and count < len(model.steps):
            model.torn = (model.steps[count], part)
            del model.steps[count:]
            os.truncate(self.root / file, len(model.data()))

    @rule(file=FILES, kept=COUNTS, count=COUNTS, part=PARTS, way=st.sampled_from(["reopen", "replace", "delete"]))
    def replace(self, file, kept, count, part, way):
        model, path = self.models[file], self.root / file
        if not model.is_there:
            return
        model.steps[kept:] = self.new_steps(count)
        model.torn = (*self.new_steps(1), part)
        if way == "replace":
            path.with_name("new").write_bytes(model.data())
            os.replace(path.with_name("new"), path)
            return
        if way == "delete":
            path.unlink()
        path.write_bytes(model.data())

    @rule(file=FILES)
    def delete(self, file):
        model = self.models[file]
        if model.is_there:
            (self.root / file).unlink()
            model.is_there, model.steps, model.torn = False, [], (0, 0)

    @rule()
    def delete_a_directory(self):
        shutil.rmtree(self.root / "a", ignore_errors=True)
        for file in ("a/tfevents.1", "a/tfevents.2"):
            model = self.models[file]
            model.is_there, model.steps, model.torn = False, [], (0, 0)

    @rule()
    def poll(self):
        expected, changed = [], 0
        for file in sorted(self.models, key=os.path.split):
            steps, is_changed = self.models[file].poll()
            expected += [(os.path.dirname(file) or ".", step) for step in steps]
            changed += is_changed
        assert self.watch.runs() == expected
        assert [kind for kind, _ in self.watch.told()] == [ChangedFileError] * changed


def test_whatever_writers_do_is_given_once_and_in_order(quick):
    run_state_machine_as_test(Growing, settings=settings(max_examples=200, stateful_step_count=40, deadline=None))


# --- follow: waiting, and its end ---


def test_idle_ends_it(path):
    append(path, records(1))
    begin = time.monotonic()
    assert [value.step for _, value in follow(path, idle=0.3, interval=0.01)] == [1]
    assert 0.3 <= time.monotonic() - begin < 10
    assert list(follow(path.with_name("none"), idle=0, interval=100)) == []
    assert list(follow(path.with_name("none"), idle=0.1, interval=100)) == []


def test_from_the_end_of_what_is_there_at_the_call(path, tmp_path):
    append(path, records(1) + damaged(2) + records(3) + record(4)[:-5])
    values = follow(tmp_path, from_end=True, idle=0.1, interval=0.01, on_error=None)
    append(path, record(4)[-5:] + records(5))
    append(tmp_path / "tfevents.new", records(6))
    assert [value.step for _, value in values] == [4, 5, 6]


def test_damage_is_a_warning_unless_the_caller_wants_something_else(path):
    append(path, damaged(1) + records(2))
    with pytest.warns(RuntimeWarning, match="wrong checksum of the data in the record at byte 0"):
        assert [value.step for _, value in follow(path, idle=0)] == [2]
    with pytest.raises(CorruptRecordError):
        next(follow(path, on_error=raise_error))


def test_an_abandoned_poll_is_continued(watch, path):
    append(path, records(1, 2, 3))
    values = watch.follower.poll(raise_error)
    assert next(values)[1].step == 1
    values.close()
    assert watch.steps() == [2, 3]


def test_close_ends_it_and_no_file_stays_open(path):
    append(path, records(1, 2))
    values = follow(path)
    next(values)
    values.close()
    assert list(values) == []
    assert str(path) not in [os.path.realpath(f"/dev/fd/{fd}") for fd in os.listdir("/dev/fd")]


@contextmanager
def process(script, *arguments):
    """Run Python code in a process, which is killed when the `with` ends."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=os.path.dirname(__file__)
    )
    with running:
        try:
            yield running
        finally:
            running.kill()


def test_ctrl_c_ends_it(path):
    append(path, records(1))
    script = """
        import sys
        from tbc.reader.following import follow
        try:
            for run, value in follow(sys.argv[1], interval=60):
                print(value.step, flush=True)
        except KeyboardInterrupt:
            print("interrupted")
    """
    with process(script, path) as running:
        assert running.stdout.readline() == "1\n"
        running.send_signal(signal.SIGINT)
        assert running.communicate(timeout=30)[0] == "interrupted\n"


# --- tbc's writer ---


def test_a_writer_that_is_killed_and_the_next_one(log_dir):
    script = """
        import sys, time, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        for step in range(int(sys.argv[2]), 1_000_000):
            writer.add_scalar("x", step, step)
            time.sleep(0.0001)
    """
    given = []
    values = follow(log_dir, interval=0.01, idle=60, on_error=raise_error)
    for _ in range(3):
        with process(script, log_dir, len(given)):  # the writer is killed at the end of the `with`
            given += [value for _, value in islice(values, 500)]
    expected = [value for file in find_event_files(log_dir) for value in read_values(file, lambda error: None)]
    given += [value for _, value in islice(values, len(expected) - len(given))]
    assert given == expected


def test_a_writer_that_goes_to_a_new_file(log_dir):
    watch = Watch(log_dir)
    with tbc.SummaryWriter(log_dir) as writer:
        for step in (1, 2, 3):
            writer.add_scalar("x", step, step)
            writer.flush()
            assert watch.steps()[-1] == step
            os.remove(writer.file_writer._event_file.path)
    assert not watch.errors
