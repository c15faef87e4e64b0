"""verify() and its command: findings in damaged, truncated and odd files; the kernel compared to pure Python."""

import bz2
import dataclasses
import errno
import gzip
import json
import lzma
import math
import os
import pickle
import re
import shutil
import time
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from helpers.eventfiles import NOW, VERSION, frames, histogram, scalar, start, write
from helpers.oracle import INT64
from hypothesis import given
from hypothesis import strategies as st
from torture import readers

import tbc
from tbc import _scan
from tbc.proto import Event
from tbc.reader import load_scalars, read_events, read_records, verifying
from tbc.reader.__main__ import main
from tbc.reader.tally import OddTag, Tally
from tbc.reader.verifying import verify
from tbc.testing import assert_valid, event_files, events

DATA = Path(__file__).parent / "data"
SOUND = ["pytorch.tfevents", "tensorflow.tfevents.v2"]


def found(path, **options):
    """Return (severity, kind, offset) of each finding at a path."""
    return [(one.severity, one.kind, one.offset) for report in verify(path, **options) for one in report.findings]


def message(path):
    """Return the message of the only finding at a path."""
    (finding,) = (one for report in verify(path) for one in report.findings)
    return finding.message


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "events.out.tfevents.1"


# What verify finds and does not find


@pytest.mark.parametrize("name", SOUND)
def test_what_others_wrote_is_intact(name):
    (report,) = verify(DATA / name)
    size = (DATA / name).stat().st_size
    values = sum(len(event.summary.value) for event in read_events(DATA / name))
    records = len(list(read_records(DATA / name)))
    assert report == verifying.Report(str(DATA / name), ".", size, 0, records, values, [])


def test_what_tbc_writes_is_intact(log_dir):
    for purge_step in (None, 5):
        with tbc.SummaryWriter(log_dir, purge_step=purge_step) as writer:
            for step in range(purge_step or 0, 10):
                writer.add_scalar("loss", step, step)
                writer.add_histogram("weights", np.arange(9), step)
                writer.add_text("note", "text", step)
    first, second = verify(log_dir)
    assert first.findings == []
    assert {(one.tag, one.kind, one.not_shown) for one in second.findings} == {
        (tag, "restart", 5) for tag in ("loss", "weights", "note/text_summary")
    }


ODD = {  # the events of a file, the finding and the index of its event, and words of the message
    "no version": ([scalar(1), scalar(2)], ("warning", "version", 0), "the first record is not a file_version"),
    "a NaN": (
        [VERSION, scalar(1, wall_time=math.nan)],
        ("error", "wall_time", 1),
        "wall_time is NaN, where TensorBoard's data server stops reading (at byte {})",
    ),
    "infinite": (
        [VERSION, scalar(1, wall_time=math.inf), scalar(2)],
        ("error", "wall_time", 1),
        "wall_time is infinite, so TensorBoard does not show the value (at byte {})",
    ),
    "minus infinite": ([VERSION, scalar(1, wall_time=-math.inf)], ("error", "wall_time", 1), "wall_time is infinite"),
    "zero": (
        [VERSION, scalar(1, wall_time=0), scalar(2)],
        ("warning", "wall_time", 1),
        "wall_time is 0, expected seconds since 1970 (at byte {})",
    ),
    "negative": ([VERSION, scalar(1, wall_time=-2.5)], ("warning", "wall_time", 1), "wall_time is -2.5"),
    "future": (
        [VERSION, scalar(1, wall_time=5e9), scalar(2)],
        ("warning", "wall_time", 1),
        "5000000000 is in the future",
    ),
    "back": (
        [VERSION, scalar(1, wall_time=NOW - 60)],
        ("warning", "wall_time", 1),
        "wall_time goes back by 60 s (at byte {})",
    ),
    "a step back": (
        [VERSION, scalar(9), scalar(4)],
        ("warning", "step", 2),
        "'loss' goes back from step 9 to 4 (at byte {}); ",
    ),
    "steps back": (
        [VERSION, scalar(9), scalar(8), scalar(7), scalar(8)],
        ("warning", "step", 2),
        "from step 9 to 8 (first at byte {}, 2 times); TensorBoard does not show 2 of its 4 values",
    ),
    "a START": (
        [VERSION, scalar(8), scalar(9), start(5), scalar(5)],
        ("info", "restart", 4),
        "from step 9 to 5 after a session start with purge_step (at byte {}); "
        "TensorBoard does not show 2 of its 3 values",
    ),
    "a START at another one's restart": (
        [VERSION, scalar(9), start(5), start(8), scalar(6)],
        ("info", "restart", 4),
        "does not show 1 of its 2 values",
    ),
    "a START above": ([VERSION, scalar(9), start(5), scalar(4)], ("warning", "step", 3), "from step 9 to 4"),
    "an old START": ([VERSION, start(1), scalar(9), scalar(4)], ("warning", "step", 3), "from step 9 to 4"),
    "a step twice": (
        [VERSION, scalar(1), scalar(2), scalar(2)],
        ("info", "repeat", 3),
        "'loss' was logged again at step 2 (at byte {}); TensorBoard does not show 1 of its 3 values",
    ),
    "two kinds": (
        [VERSION, scalar(1), histogram(2)],
        ("warning", "kinds", 2),
        "has values of the kinds scalar and histogram (at byte {})",
    ),
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


def dropped(events):
    """Return what verify must find about the steps of these events, by the rule of TensorBoard's data server:
    {(kind, tag): (index of the first event, how many events, how many values are dropped)}."""
    expected = {}
    kept = {}  # tag -> the steps that are left
    last = {}  # tag -> the index of its last event
    for i, event in enumerate(events):
        if event.HasField("summary"):
            tag, step = event.summary.value[0].tag, event.step
            steps = kept.setdefault(tag, [])
            gone = [one for one in steps if one >= step]
            if gone:
                announced = any(one.HasField("session_log") and one.step <= step for one in events[last[tag] : i])
                kind = "restart" if announced else "repeat" if steps[-1] == step else "step"
                first, times, values = expected.get((kind, tag), (i, 0, 0))
                expected[kind, tag] = first, times + 1, values + len(gone)
            kept[tag] = [one for one in steps if one < step] + [step]
            last[tag] = i
    return expected


steps_of_tags = st.lists(
    st.one_of(
        st.builds(start, st.integers(0, 20)),
        st.builds(scalar, st.integers(0, 20), st.sampled_from("ab")),
        st.builds(scalar, st.sampled_from([*INT64, -1, 0]), st.sampled_from("ab")),
    ),
    max_size=60,
)


@given(steps_of_tags)
def test_values_that_are_not_shown_are_counted(tmp_path_factory, events):
    expected = dropped(events)
    path = write(tmp_path_factory.mktemp("run") / "events.out.tfevents.1", VERSION, *events)
    (report,) = verify(path)
    offsets = {key: sum(map(len, frames(VERSION, *events[:first]))) for key, (first, _, _) in expected.items()}
    assert {(one.kind, one.tag): one.offset for one in report.findings} == offsets
    for one in report.findings:
        _, times, values = expected[one.kind, one.tag]
        assert one.not_shown == values
        assert (f", {times} times); " in one.message) == (times > 1)
        assert f"does not show {values} of its " in one.message


@pytest.mark.parametrize("make", [Tally, partial(_scan.Tally, {})])
@given(steps_of_tags, st.integers(1, 10), st.integers(4, 8))
def test_where_stretches_are_joined_the_count_is_a_bound(make, events, most, least):
    tally = make(most, least)
    tally.begin_file(math.inf)
    values = {}
    for event in events:
        if event.HasField("summary"):
            tag = event.summary.value[0].tag
            values[tag] = values.get(tag, 0) + 1
            tally.add_value(0, event.step, tag, "simple_value", "")
        else:
            tally.add_start(event.step)
    expected = dropped(events)
    found = {(one.cause, one.tag): one for one in map(OddTag._make, tally.odd_tags())}
    assert found.keys() == expected.keys()
    for tag in values:
        counted = sum(one.dropped for one in found.values() if one.tag == tag)
        truth = sum(values for (_, its_tag), (_, _, values) in expected.items() if its_tag == tag)
        is_least = any(one.is_least for one in found.values() if one.tag == tag)
        assert counted <= truth if is_least else counted == truth


@pytest.mark.parametrize("stride", [None, 1, 7])
def test_memory_goes_with_the_tags_not_the_values(stride):
    """The number of stretches is bounded, even if steps are never evenly spaced."""
    tally = Tally(most=1000, least=16)
    tally.begin_file(math.inf)
    for i in range(5000):
        step = i * stride if stride else i * i
        for tag in ("a", "b"):
            tally.add_value(0, step, tag, "simple_value", "")
    kept = sum(len(tag.stack) for tag in tally._tags.values())
    assert kept <= 1002 if stride is None else kept == 2


def outcome(path, kernel):
    with mock.patch.object(verifying, "_scan", verifying._scan if kernel else None):
        return list(map(repr, verify(path)))  # repr, since NaN != NaN


mixed_files = st.lists(
    st.one_of(
        event_files(),
        steps_of_tags.map(lambda events: b"".join(frames(VERSION, *events))),
        st.lists(st.binary(max_size=60), max_size=5).map(lambda data: b"".join(frames(*data))),
        st.just(b""),
    ),
    min_size=1,
    max_size=4,
)


@given(mixed_files, st.lists(st.tuples(st.integers(0), st.integers(0, 40), st.binary(max_size=40)), max_size=3))
def test_the_kernel_finds_what_python_finds(tmp_path_factory, files, changes):
    root = tmp_path_factory.mktemp("kernel")
    files = list(files)
    for at, gone, come in changes:
        i = at % len(files)
        at %= len(files[i]) + 1
        files[i] = files[i][:at] + come + files[i][at + gone :]
    for i, content in enumerate(files):
        (root / f"tfevents.{i}").write_bytes(content)
    assert outcome(root, kernel=True) == outcome(root, kernel=False)


def changed(event, how, at, byte):
    data = event.SerializeToString()
    at %= len(data) + 1
    return {
        "change": data[:at] + bytes([byte]) + data[at + 1 :],
        "cut": data[:at],
        "double": data[:at] + data[at:] * 2,
    }[how]


changed_messages = st.builds(
    changed, events(), st.sampled_from(["change", "cut", "double"]), st.integers(0, 1000), st.integers(0, 255)
)


@given(st.lists(changed_messages, max_size=5))
def test_the_kernel_takes_no_message_that_protobuf_refuses(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("kernel") / "tfevents"
    path.write_bytes(b"".join(frames(VERSION, *records)))
    assert outcome(path, kernel=True) == outcome(path, kernel=False)


def test_the_kernel_leaves_nothing_usual_to_python(tmp_path, monkeypatch):
    """The kernel handles healthy files of every kind, and steps and times that repeat or go back; Python is slow."""
    log(tbc.SummaryWriter(tmp_path / "tbc"))
    keras(tmp_path / "keras")
    odd = [scalar(i % 7, "тег", wall_time=i % 5) for i in range(50)]
    write(tmp_path / "odd" / "tfevents", VERSION, start(3), *odd, histogram(1), scalar(2))
    for name in SOUND:
        shutil.copy(DATA / name, tmp_path)
    expected = outcome(tmp_path, kernel=False)
    monkeypatch.setattr(verifying._Run, "_take", None)
    assert outcome(tmp_path, kernel=True) == expected


@pytest.mark.parametrize("size", [0, 100, 1 << 20, (1 << 20) - 76, 5 << 20])
def test_records_of_any_size(path, size):
    event = tensor(2, "large", "text")
    event.summary.value[0].tensor.tensor_content = bytes(size)
    write(path, VERSION, scalar(1), event, scalar(2))
    (report,) = verify(path)
    assert (report.records, report.values, report.findings) == (4, 3, [])
    path.write_bytes(path.read_bytes()[:-70])
    assert outcome(path, kernel=True) == outcome(path, kernel=False)


def test_a_run_is_all_its_files_in_the_order_of_their_names(tmp_path):
    write(tmp_path / "a" / "tfevents.1", VERSION, scalar(1), scalar(5))
    write(tmp_path / "a" / "tfevents.2", VERSION, scalar(3))
    write(tmp_path / "b" / "tfevents.1", VERSION, scalar(1))
    one, two, other = verify(tmp_path)
    assert (one.run, two.run, other.run) == ("a", "a", "b")
    assert not one.findings
    assert not other.findings
    (finding,) = two.findings
    assert (finding.path, finding.kind) == (two.path, "step")
    write(tmp_path / "a" / "tfevents.2", VERSION, start(3), scalar(3))
    assert [(severity, kind) for severity, kind, _ in found(tmp_path)] == [("info", "restart")]


def test_files_whose_names_are_in_another_order_than_their_times(tmp_path):
    for name, wall_time in (("9", NOW), ("10", NOW + 0.25)):
        version = Event(wall_time=wall_time, file_version="brain.Event:2")
        write(tmp_path / f"tfevents.1700000000.host.1.{name}", version, scalar(int(name), wall_time=wall_time))
    ten, nine = verify(tmp_path)
    assert not ten.findings
    assert [(one.kind, one.offset) for one in nine.findings] == [("order", None), ("step", 40)]


def test_a_file_that_was_copied(tmp_path):
    one = write(tmp_path / "tfevents.1", VERSION, scalar(1), scalar(2))
    shutil.copy(one, tmp_path / "tfevents.2")
    write(tmp_path / "tfevents.3", VERSION, scalar(3, value=0.25))
    write(tmp_path / "other" / "tfevents.1", VERSION, scalar(1), scalar(2))
    reports = list(verify(tmp_path))
    assert [one.kind for one in reports[1].findings] == ["copy"]
    assert reports[1].findings[0].message == "has exactly the same records as tfevents.1"
    assert [one.kind for one in reports[2].findings] == ["step"]  # the copy begins at step 1 again
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
    assert (finding.severity, finding.kind, finding.offset) == ("error", "corrupt", len(first))
    assert finding.message == "wrong checksum of the data in the record at byte 40 (68 bytes)"


def test_a_record_that_holds_no_event(path):
    write(path, VERSION, b"\xff\xff", scalar(1))
    assert found(path) == [("error", "corrupt", 40)]
    assert message(path) == "no Event message in the record at byte 40 (18 bytes)"


def test_a_record_that_ends_within_another_damage_is_one_finding(path):
    whole = write(path, VERSION, scalar(1), scalar(2)).read_bytes()
    path.write_bytes(whole[:45] + b"x" + whole[46:-1])
    assert found(path) == [("error", "corrupt", 40)]


WRONG = {  # what turns a good event file into a wrong one, and words of the finding
    "gzip": (gzip.compress, "compressed with gzip"),
    "xz": (lzma.compress, "compressed with xz"),
    "bzip2": (bz2.compress, "compressed with bzip2"),
    "zip": (lambda data: b"PK\x03\x04" + data, "a zip archive"),
    "a Git LFS pointer": (
        lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n",
        "a pointer of Git LFS",
    ),
    "a login page": (lambda data: b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>", "an HTML page"),
    "HTML": (lambda data: b"<HTML>" + b"x" * 10_000, "an HTML page"),
    "CRLF": (lambda data: data.replace(b"\n", b"\r\n"), "text-mode transfer"),
    "UTF-16": (lambda data: data.decode("latin-1").encode("utf-16"), "text in UTF-16"),
    "a byte order mark": (lambda data: b"\xef\xbb\xbf" + data, "byte order mark"),
    "UTF-8 that replaces": (lambda data: data.decode(errors="replace").encode(), "changed the file to text in UTF-8"),
    "UTF-8 of Latin-1": (lambda data: data.decode("latin-1").encode(), "changed the file to text in UTF-8"),
    "text": (lambda data: "step,loss\n1,0,5\né".encode() * 999, "plain text"),
    "one word": (lambda data: b"torn", "plain text"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_is_named(path, what):
    change, words = WRONG[what]
    whole = write(path, VERSION, *[scalar(step, "losses/train") for step in range(500)]).read_bytes()
    path.write_bytes(change(whole))
    (report,) = verify(path)
    (finding,) = report.findings
    assert (finding.severity, finding.kind) == ("error", "format")
    assert words in finding.message
    assert f"({report.damaged:,} bytes" in finding.message
    assert report.bytes == path.stat().st_size
    errors = []
    list(read_records(path, errors.append))
    assert len(errors) == 1
    assert words in str(errors[0])
    assert str(pickle.loads(pickle.dumps(errors[0]))) == str(errors[0])


def test_a_text_mode_transfer_that_spared_some_records_is_one_finding(path):
    data = [VERSION, *[scalar(step) if step % 2 else Event(wall_time=NOW, step=step + 11) for step in range(40)]]
    whole = write(path, *data).read_bytes()
    path.write_bytes(whole.replace(b"\n", b"\r\n"))
    (report,) = verify(path)
    assert report.records > 10
    assert [one.kind for one in report.findings] == ["format"]
    assert report.findings[0].message.endswith(f"({report.damaged:,} bytes in 20 places)")


@pytest.mark.parametrize("before", [0, 2])
def test_zeros_are_named(path, before):
    events = [VERSION, scalar(1)]
    size = len(write(path, *events[:before]).read_bytes())
    with path.open("ab") as file:
        file.write(bytes(5000))
    assert found(path) == [("error", "corrupt", size)]
    assert message(path) == f"zeros, perhaps left by a crash, in the record at byte {size} (5,000 bytes)"


def test_damage_of_one_text_mode_transfer_is_one_warning(path):
    whole = write(path, VERSION, *[scalar(step) for step in range(1000)]).read_bytes()
    path.write_bytes(whole.replace(b"\n", b"\r\n"))
    with pytest.warns(RuntimeWarning, match="text-mode transfer") as warned:
        assert load_scalars(path) == {}
    assert len(warned) == 1


def test_damage_everywhere_is_told_in_few_words(path, monkeypatch):
    monkeypatch.setattr(verifying, "MOST_FINDINGS", 3)
    write(path, VERSION, *[b"\xff", scalar(1)] * 5)
    (report,) = verify(path)
    corrupt = [one for one in report.findings if one.kind == "corrupt"]
    assert len(corrupt) == 3
    assert report.omitted == {"error corrupt": 2}
    assert report.damaged == 5 * 17
    assert corrupt[-1].message.endswith("(51 bytes in 3 places)")


def test_an_empty_file(path):
    write(path)
    assert found(path) == [("warning", "empty", None)]
    assert found(path, live=True) == [("info", "empty", None)]
    assert message(path) == "the file is empty"


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
    assert [(one.path, one.kind) for one in denied.findings] == [(str(tmp_path / "b"), "unreadable")]
    assert report.findings == []


def test_a_disk_that_fails_on_the_way(path, monkeypatch):
    write(path, VERSION, b"\xff", scalar(1))

    def fail(*arguments):
        yield from list(frames_of(*arguments))[:1]
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    frames_of = verifying.frames_of
    monkeypatch.setattr(verifying, "frames_of", fail)
    assert found(path) == [("error", "unreadable", None)]
    (report,) = verify(path)
    assert report.records == 1


# What verify returns and takes


def test_verify_returns_a_list_and_takes_paths(path):
    write(path, VERSION, scalar(1))
    (report,) = verify(str(path))
    assert verify(path) == verify(os.fsencode(path)) == [report]
    assert isinstance(report, verifying.Report)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (((3,), {}), TypeError, "not int"),
        (((None,), {}), TypeError, "not NoneType"),
        (((["runs"],), {}), TypeError, "not list"),
        ((("runs",), {"ignore": "stp"}), ValueError, "findings 'stp': did you mean 'step'"),
        ((("runs",), {"ignore": ["step", "wall-time"]}), ValueError, "findings 'wall-time': did you mean 'wall_time'"),
        ((("runs",), {"ignore": [3]}), TypeError, "must be a str, got 3"),
        ((("runs",), {"ignore": 3}), TypeError, "must be a str or several, got 3"),
    ],
)
def test_wrong_arguments_raise_at_once(arguments, error, words):
    for function in (verify, lambda path, **options: verifying.reports_of(path, False, **({"ignore": ()} | options))):
        with pytest.raises(error, match=re.escape(words)):
            function(*arguments[0], **arguments[1])


def test_kinds_can_be_ignored(path):
    write(path, scalar(5), scalar(4), scalar(4, wall_time=NOW - 60))
    kinds = ["version", "step", "wall_time", "repeat"]
    assert [one.kind for report in verify(path) for one in report.findings] == kinds
    for kind in kinds:
        left = [one.kind for report in verify(path, ignore=kind) for one in report.findings]
        assert left == [one for one in kinds if one != kind]
    assert verify(path, ignore=verifying.FINDING_KINDS) == [
        verifying.Report(str(path), ".", path.stat().st_size, 0, 3, 3, [], {}),
    ]
    assert set(kinds) < set(verifying.FINDING_KINDS)
    assert all(f"\n    {kind} " in verifying.__doc__ for kind in verifying.FINDING_KINDS)


def test_many_findings_are_counted(path, monkeypatch):
    monkeypatch.setattr(verifying, "MOST_FINDINGS", 10)
    tags = [f"tag{i}" for i in range(25)]
    write(path, VERSION, *[scalar(step, tag) for step in (2, 1) for tag in tags], *[scalar(1, tag) for tag in tags])
    (report,) = verify(path)
    assert [one.tag for one in report.findings if one.kind == "step"] == tags[:10]
    assert report.omitted == {"warning step": 15, "info repeat": 15}
    assert json.loads(json.dumps(dataclasses.asdict(report)))["omitted"] == report.omitted


# What healthy programs write


def hparams(tag):
    """Return an event of hyperparameters as torch and Lightning write it, without a step."""
    event = Event(wall_time=NOW)
    event.summary.value.add(tag=f"_hparams_/{tag}", metadata={"plugin_data": {"plugin_name": "hparams"}})
    return event


def tensor(step, tag, plugin, wall_time=NOW):
    """Return an event as TensorFlow 2 and Keras write it."""
    event = Event(step=step, wall_time=wall_time)
    value = event.summary.value.add(tag=tag, tensor={"dtype": 1, "float_val": [0.5]})
    value.metadata.plugin_data.plugin_name = plugin
    return event


def lightning(log_dir):
    """Log as Lightning does: `epoch` with each loss, and once more at the step of the validation."""
    for version in ("version_0", "version_1"):
        events = [hparams("experiment"), hparams("session_start_info"), hparams("session_end_info")]
        events += [scalar(0, "hp_metric", value=-1)]
        for epoch in range(3):
            for step in range(epoch * 100 + 49, epoch * 100 + 100, 50):
                events += [scalar(step, "train_loss"), scalar(step, "epoch")]
            events += [scalar(step, "val_loss"), scalar(step, "epoch")]
        write(log_dir / version / "events.out.tfevents.1700000000.host.1.0", VERSION, *events)


def hf_trainer(log_dir):
    """Log as HF Trainer does: the last log has `train/epoch` again, and so has each evaluation."""
    events = [tensor(0, "args/text_summary", "text"), tensor(0, "model_config/text_summary", "text")]
    for step in (500, 1000, 1500):
        events += [scalar(step, f"train/{name}") for name in ("loss", "grad_norm", "learning_rate", "epoch")]
        events += [scalar(step, f"eval/{name}") for name in ("loss", "runtime")] + [scalar(step, "train/epoch")]
    events += [scalar(1500, f"train/{name}") for name in ("train_runtime", "total_flos", "epoch")]
    write(log_dir / "Jan01_00-00-00_host" / "events.out.tfevents.1700000000.host.1.0", VERSION, *events)


def keras(log_dir):
    """Log as Keras does: the training's file has the graph, and the profiler may add an empty file."""
    for run in ("train", "validation"):
        graph = tensor(0, "keras", "graph_keras_model")
        metadata = Event(wall_time=NOW, tagged_run_metadata={"tag": "batch_2", "run_metadata": b""})
        trace = tensor(0, "train_function", "graph_run_metadata_graph")
        events = [graph, trace, metadata] if run == "train" else []
        for epoch in range(3):
            names = ["epoch_loss", "epoch_accuracy"] + (["epoch_learning_rate"] if run == "train" else [])
            if run == "validation":
                events += [tensor(100 * epoch + 100, "evaluation_loss_vs_iterations", "scalars")]
            events += [tensor(epoch, name, "scalars") for name in names]
            events += [tensor(epoch, "dense/kernel/histogram", "histograms")] if run == "train" else []
        write(log_dir / run / "events.out.tfevents.1700000000.host.1.2.v2", VERSION, *events)
    write(log_dir / "train" / "events.out.tfevents.1700000001.host.profile-empty", VERSION)


def sb3(log_dir):
    """Log as Stable-Baselines3 does: steps are not evenly spaced."""
    for run in ("PPO_1", "PPO_2"):
        events = []
        for i, step in enumerate((2048, 4096, 6000, 6001, 9007)):
            names = ["rollout/ep_rew_mean", "time/fps"] + (["train/loss"] if i else [])
            events += [scalar(step, name) for name in names]
        write(log_dir / run / "events.out.tfevents.1700000000.host.1.0", VERSION, *events)


def log(writer):
    for step in range(5):
        writer.add_scalar("loss", 0.5, step)
        writer.add_scalars("pair", {"a": 1, "b": 2}, step)
        writer.add_histogram("weights", np.arange(5.0), step)
        writer.add_text("note", "text", step)
        writer.add_image("image", np.zeros((3, 4, 4)), step)
        writer.add_pr_curve("curve", np.array([0, 1]), np.array([0.5, 0.6]), step)
    writer.add_hparams({"lr": 0.1}, {"accuracy": 0.5})
    writer.close()


def tbc_(log_dir):
    log(tbc.SummaryWriter(log_dir))


def torch_(log_dir):
    module = pytest.importorskip("torch.utils.tensorboard")
    log(module.SummaryWriter(log_dir))


def tensorboardx(log_dir):
    module = pytest.importorskip("tensorboardX")
    log(module.SummaryWriter(str(log_dir)))


@pytest.mark.parametrize("program", [lightning, hf_trainer, keras, sb3, tbc_, torch_, tensorboardx])
def test_healthy_trees_pass(tmp_path, program, capsys):
    program(tmp_path)
    assert [one for report in verify(tmp_path) for one in report.findings if one.severity != "info"] == []
    assert main(["verify", "--strict", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) < 10
    assert_valid(tmp_path, strict=True)


# Compared to TensorBoard's data server

LOGS = {  # what is logged, file by file
    "a restart": [[scalar(step) for step in range(100)], [scalar(step) for step in range(5, 17)]],
    "a restart that was announced": [[*map(scalar, range(100))], [start(50), *map(scalar, range(50, 60))]],
    "a START, and a tag that is not logged again": [
        [scalar(step, tag) for step in range(9) for tag in "ab"],
        [start(5), scalar(5, "a")],
    ],
    "no steps": [[scalar(0) for _ in range(1000)]],
    "one late value": [[*map(scalar, (1, 2, 3, 4, 2, 5))]],
    "writers in turn": [[scalar(step) for step in (0, 10, 1, 11, 2, 12)]],
    "three sessions": [[*map(scalar, range(0, 60, 2))], [*map(scalar, range(31, 90, 3))], [*map(scalar, range(9))]],
    "steps of no stride": [[scalar(step) for step in (1, 2, 4, 8, 16, 32, 64)], [scalar(9), scalar(33)]],
    "steps twice": [[scalar(step // 2, tag) for step in range(20) for tag in ("epoch", "loss")]],
    "steps that fall": [[*map(scalar, range(300, 0, -1))]],
    "negative steps": [[*map(scalar, (-5, -3, -4, 0))]],
    "tensors": [[tensor(step, "loss", "scalars") for step in (1, 2, 3, 2)]],
    "values without content": [[hparams("experiment"), hparams("experiment"), scalar(1)]],
}


@pytest.mark.skipif(not readers.has_rustboard, reason="no data server for this platform")
def test_what_is_not_shown_is_what_the_data_server_drops(tmp_path):
    for run, files in LOGS.items():
        for i, logged in enumerate(files):
            write(tmp_path / run / f"events.out.tfevents.{i}", VERSION, *logged)
    expected = {run: {} for run in LOGS}
    for report in verify(tmp_path):
        for event in read_events(report.path):
            for value in event.summary.value:
                if value.WhichOneof("value"):
                    expected[report.run][value.tag] = expected[report.run].get(value.tag, 0) + 1
        for one in report.findings:
            expected[report.run][one.tag] -= one.not_shown

    def counts(view):
        return {run: {tag: len(points) for tag, points in tags.items()} for run, tags in view.items()}

    with readers.RustBoard(tmp_path, once=True) as server:
        assert counts(server.view(lambda view: counts(view) == expected)) == expected
