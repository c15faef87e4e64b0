import dataclasses
import errno
import json
import math
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from eventfiles import NOW, VERSION, frames, histogram, scalar, start, write
from hypothesis import given
from hypothesis import strategies as st
from oracle import INT64

import tbc
from tbc.proto import Event
from tbc.reader import check, read_events, read_records
from tbc.reader.check import verify

DATA = Path(__file__).parent / "data"
SOUND = ["pytorch.tfevents", "tensorflow.tfevents.v2"]


def found(path, **options):
    """(severity, kind, offset) of the findings at a path."""
    return [(one.severity, one.what, one.offset) for report in verify(path, **options) for one in report.findings]


def message(path):
    """Of the only finding at a path."""
    (finding,) = (one for report in verify(path) for one in report.findings)
    return finding.message


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "events.out.tfevents.1"


# What verify finds, and does not


@pytest.mark.parametrize("name", SOUND)
def test_what_others_wrote_is_intact(name):
    (report,) = verify(DATA / name)
    size = (DATA / name).stat().st_size
    values = sum(len(event.summary.value) for event in read_events(DATA / name))
    records = len(list(read_records(DATA / name)))
    assert report == check.Report(str(DATA / name), ".", size, 0, records, values, [])


def test_what_tbc_writes_is_intact(log_dir):
    for purge_step in (None, 5):
        with tbc.SummaryWriter(log_dir, purge_step=purge_step) as writer:
            for step in range(purge_step or 0, 10):
                writer.add_scalar("loss", step, step)
                writer.add_histogram("weights", np.arange(9), step)
                writer.add_text("note", "text", step)
    reports = list(verify(log_dir))
    assert [report.findings for report in reports] == [[], []]


ODD = {  # the events of a file: what is found in which of them, and words of the message
    "no version": ([scalar(1), scalar(2)], ("warning", "version", 0), "the first record is no file_version"),
    "a NaN": ([VERSION, scalar(1, wall_time=math.nan)], ("error", "wall_time", 1), "wall_time NaN, where"),
    "infinite": ([VERSION, scalar(1, wall_time=math.inf), scalar(2)], ("error", "wall_time", 1), "wall_time infinite"),
    "minus infinite": ([VERSION, scalar(1, wall_time=-math.inf)], ("error", "wall_time", 1), "wall_time infinite"),
    "zero": ([VERSION, scalar(1, wall_time=0), scalar(2)], ("warning", "wall_time", 1), "wall_time 0 in"),
    "negative": ([VERSION, scalar(1, wall_time=-2.5)], ("warning", "wall_time", 1), "wall_time -2.5"),
    "future": (
        [VERSION, scalar(1, wall_time=5e9), scalar(2)],
        ("warning", "wall_time", 1),
        "5000000000 is in the future",
    ),
    "back": ([VERSION, scalar(1, wall_time=NOW - 60)], ("warning", "wall_time", 1), "wall_time goes back by 60 s in"),
    "a step back": ([VERSION, scalar(9), scalar(4)], ("warning", "step", 2), "'loss' goes back from step 9 to 4 in"),
    "steps back": (
        [VERSION, scalar(9), scalar(8), scalar(7), scalar(8)],
        ("warning", "step", 2),
        "from step 9 to 8 in the record at byte {}, the first of 2",
    ),
    "a START above": ([VERSION, scalar(9), start(5), scalar(4)], ("warning", "step", 3), "from step 9 to 4"),
    "an old START": ([VERSION, start(1), scalar(9), scalar(4)], ("warning", "step", 3), "from step 9 to 4"),
    "a step twice": (
        [VERSION, scalar(1), scalar(2), scalar(2)],
        ("warning", "repeat", 3),
        "'loss' has step 2 once more",
    ),
    "two kinds": ([VERSION, scalar(1), histogram(2)], ("warning", "kinds", 2), "is a scalar first, and a histogram"),
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_odd_is_found(path, what):
    events, (severity, kind, at), words = ODD[what]
    write(path, *events)
    offset = sum(map(len, frames(*events[:at])))
    assert found(path) == [(severity, kind, offset)]
    assert words.format(offset) in message(path)


FINE = {
    "threads that do not log in turn": [VERSION, scalar(1, "a"), scalar(2, "b", NOW - 1), scalar(3, "a", NOW - 3)],
    "a clock a little ahead": [VERSION, scalar(1, wall_time=time.time() + 3600)],
    "a START": [VERSION, scalar(8), scalar(9), start(5), scalar(5)],
    "a START at another one's restart": [VERSION, scalar(9), start(5), start(8), scalar(6)],
    "the lowest and the highest step": [VERSION, scalar(INT64[0]), scalar(INT64[1])],
    "tags that each have steps of their own": [
        VERSION,
        scalar(9, "a"),
        scalar(1, "b"),
        scalar(10, "a"),
        scalar(2, "b"),
    ],
}


@pytest.mark.parametrize("what", FINE)
def test_what_is_fine_is_not_told(path, what):
    write(path, *FINE[what])
    assert found(path) == []


@given(
    st.lists(
        st.one_of(st.builds(start, st.integers(0, 9)), st.builds(scalar, st.integers(0, 9), st.sampled_from("ab")))
    )
)
def test_steps_that_go_back_or_come_twice_are_counted(tmp_path_factory, events):
    expected = {}
    last = {}  # tag -> the index of its last event, and the step
    for i, event in enumerate(events):
        if event.HasField("summary"):
            tag = event.summary.value[0].tag
            before, step = last.get(tag, (i, -1))
            announced = any(one.HasField("session_log") and one.step <= event.step for one in events[before:i])
            if event.step <= step and not announced:
                kind = "step" if event.step < step else "repeat"
                offset, count = expected.get((kind, tag), (sum(map(len, frames(VERSION, *events[:i]))), 0))
                expected[kind, tag] = offset, count + 1
            last[tag] = i, event.step
    path = write(tmp_path_factory.mktemp("run") / "events.out.tfevents.1", VERSION, *events)
    (report,) = verify(path)
    assert [(one.what, one.message[1], one.offset) for one in report.findings] == [
        (*key, offset) for key, (offset, _) in expected.items()
    ]
    for one, (_, count) in zip(report.findings, expected.values(), strict=True):
        assert one.message.endswith(f", the first of {count}" if count > 1 else f"byte {one.offset}")


def test_a_run_is_all_its_files_in_the_order_of_their_names(tmp_path):
    write(tmp_path / "a" / "tfevents.1", VERSION, scalar(1), scalar(5))
    write(tmp_path / "a" / "tfevents.2", VERSION, scalar(3))
    write(tmp_path / "b" / "tfevents.1", VERSION, scalar(1))
    one, two, other = verify(tmp_path)
    assert (one.run, two.run, other.run) == ("a", "a", "b")
    assert not one.findings
    assert not other.findings
    (finding,) = two.findings
    assert (finding.path, finding.what) == (two.path, "step")
    write(tmp_path / "a" / "tfevents.2", VERSION, start(3), scalar(3))
    assert found(tmp_path) == []


def test_files_whose_names_are_in_another_order_than_their_times(tmp_path):
    for name, wall_time in (("9", NOW), ("10", NOW + 0.25)):
        version = Event(wall_time=wall_time, file_version="brain.Event:2")
        write(tmp_path / f"tfevents.1700000000.host.1.{name}", version, scalar(int(name), wall_time=wall_time))
    ten, nine = verify(tmp_path)
    assert not ten.findings
    assert [(one.what, one.offset) for one in nine.findings] == [("order", None), ("step", 40)]


def test_a_file_that_was_copied(tmp_path):
    one = write(tmp_path / "tfevents.1", VERSION, scalar(1), scalar(2))
    shutil.copy(one, tmp_path / "tfevents.2")
    write(tmp_path / "tfevents.3", VERSION, scalar(3, value=0.25))
    write(tmp_path / "other" / "tfevents.1", VERSION, scalar(1), scalar(2))
    reports = list(verify(tmp_path))
    assert [one.what for one in reports[1].findings] == ["copy"]
    assert reports[1].findings[0].message == "holds the very records of tfevents.1"
    assert [one.what for one in reports[2].findings] == ["step"]  # the copy begins at step 1 again
    assert reports[3].findings == []


def test_a_long_tag_is_named_by_its_beginning_and_escaped(path):
    write(path, VERSION, *[scalar(1, "\x1b[31m" + "x" * 1000)] * 2)
    assert len(message(path)) < 200
    assert message(path).startswith("'\\x1b[31mxxx")


def test_reports_are_plain_data(path):
    write(path, VERSION, scalar(1, wall_time=math.nan))
    (report,) = verify(path)
    assert json.loads(json.dumps(dataclasses.asdict(report)))["findings"][0]["offset"] == 40


# Damage


@pytest.mark.parametrize("size", range(1, 100))
def test_a_file_cut_at_every_byte(path, size):
    events = [VERSION, scalar(1), scalar(2)]
    ends = [sum(map(len, frames(*events[:n]))) for n in range(4)]
    whole = write(path, *events).read_bytes()
    path.write_bytes(whole[:size])
    records = sum(end <= size for end in ends) - 1
    (report,) = verify(path)
    torn = min(size, len(whole)) - ends[records]
    assert (report.bytes, report.damaged, report.records) == (min(size, len(whole)), torn, records)
    assert found(path) == [("error", "truncated", ends[records])] * bool(torn)
    assert found(path, live=True) == [("warning", "truncated", ends[records])] * bool(torn)


def test_the_torn_tail_of_a_live_run_is_that_of_its_last_file(tmp_path):
    for name in ("a/tfevents.1", "a/tfevents.2", "b/tfevents.1"):
        write(tmp_path / name, VERSION, scalar(1, tag=name))
        with (tmp_path / name).open("ab") as file:
            file.write(b"torn")
    assert [severity for severity, _, _ in found(tmp_path, live=True)] == ["error", "warning", "warning"]
    assert [severity for severity, _, _ in found(tmp_path)] == ["error"] * 3


def test_damage_in_the_middle(path):
    first, torn, text, last = frames(VERSION, scalar(1), b"\xff\xff", scalar(2))
    path.parent.mkdir()
    path.write_bytes(first + torn[:20] + text + bytes(30) + last)
    (report,) = verify(path)
    assert (report.records, report.values, report.damaged) == (2, 1, 20 + len(text) + 30)
    (finding,) = report.findings
    assert (finding.severity, finding.what, finding.offset) == ("error", "corrupt", len(first))
    assert finding.message == "wrong checksum of the data in the record at byte 40 (68 bytes, 2 records or more)"


def test_a_record_that_holds_no_event(path):
    write(path, VERSION, b"\xff\xff", scalar(1))
    assert found(path) == [("error", "corrupt", 40)]
    assert message(path) == "no Event message in the record at byte 40 (18 bytes)"


def test_damage_everywhere_is_told_in_few_words(path, monkeypatch):
    monkeypatch.setattr(check, "MOST", 3)
    write(path, VERSION, *[b"\xff", scalar(1)] * 5)
    (report,) = verify(path)
    corrupt = [one for one in report.findings if one.what == "corrupt"]
    assert len(corrupt) == 3
    assert report.damaged == 5 * 17
    assert corrupt[-1].message.endswith("(51 bytes, 3 records or more)")


def test_an_empty_file(path):
    write(path)
    assert found(path) == [("warning", "version", None)]


def test_where_there_is_nothing_to_read(tmp_path):
    assert found(tmp_path) == [("error", "missing", None)]
    assert found(tmp_path / "nothing") == [("error", "unreadable", None)]
    assert message(tmp_path / "nothing") == "No such file or directory"
    os.mkfifo(tmp_path / "tfevents.1")
    write(tmp_path / "tfevents.2", VERSION, scalar(1))
    assert found(tmp_path) == [("error", "unreadable", None)]


def test_a_directory_that_cannot_be_listed(tmp_path, monkeypatch):
    write(tmp_path / "a" / "tfevents", VERSION, scalar(1))
    (tmp_path / "b").mkdir()
    scandir = os.scandir

    def deny(path):
        if path.endswith("b"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    denied, report = verify(tmp_path)
    assert [(one.path, one.what) for one in denied.findings] == [(str(tmp_path / "b"), "unreadable")]
    assert report.findings == []


def test_a_disk_that_fails_on_the_way(path, monkeypatch):
    write(path, VERSION, b"\xff", scalar(1))

    def fail(*arguments):
        yield from list(frames_of(*arguments))[:2]
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    frames_of = check.read_frames
    monkeypatch.setattr(check, "read_frames", fail)
    assert found(path) == [("error", "unreadable", None)]
    (report,) = verify(path)
    assert report.records == 1
