"""repair() and its command: all good records are copied, and no copy stands where TensorBoard reads the originals."""

import errno
import os
from pathlib import Path

import pytest
from helpers.eventfiles import VERSION, frames, scalar, write
from helpers.oracle import bytes_of
from hypothesis import given
from hypothesis import strategies as st
from torture import readers

from tbc.reader import find_event_files, read_events, repairing
from tbc.reader.repairing import repair
from tbc.reader.verifying import verify

DATA = Path(__file__).parent / "data"
SOUND = ["pytorch.tfevents", "tensorflow.tfevents.v2"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "events.out.tfevents.1"


def damaged(whole, changes):
    """Return the bytes with changes, each (where, how many bytes to remove, what to insert)."""
    for at, gone, come in changes:
        at %= len(whole) + 1
        whole = whole[:at] + come + whole[at + gone :]
    return whole


changes = st.lists(
    st.tuples(st.integers(0), st.integers(0, 60), st.binary(max_size=60) | st.integers(0, 60).map(bytes)), max_size=5
)
events = st.lists(
    st.one_of(st.just(VERSION), st.just(b"\xff\xff"), st.builds(scalar, st.integers(0, 99), st.sampled_from("ab")))
)


@given(events, changes)
def test_repair_keeps_what_is_good_and_says_what_is_lost(tmp_path_factory, events, changes):
    root = tmp_path_factory.mktemp("repair")
    path = root / "run" / "tfevents"
    path.parent.mkdir()
    whole = damaged(b"".join(frames(*events)), changes)
    path.write_bytes(whole)

    (result,) = repair(path, root / "copy")
    kept = list(read_events(path, on_error=lambda error: None))
    copied = Path(result.copy).read_bytes()
    left = b""  # the bytes of the file that were not lost
    end = 0
    for place in result.lost:
        assert end <= place.offset
        left += whole[end : place.offset]
        end = place.offset + place.length
    left += whole[end:]
    assert left == copied[len(copied) - len(left) :]
    assert (result.records, result.bytes) == (len(kept), len(left))
    assert result.version_added == (bool(kept) and not kept[0].HasField("file_version"))
    assert list(map(bytes_of, read_events(result.copy)))[result.version_added :] == list(map(bytes_of, kept))

    (report,) = verify(path)
    told = {(one.offset, one.kind) for one in report.findings if one.kind in ("corrupt", "truncated", "format")}
    assert told == {(place.offset, place.kind) for place in result.lost}
    assert (report.bytes, report.damaged) == (len(whole), sum(place.length for place in result.lost))
    (after,) = verify(result.copy)
    assert not {"corrupt", "truncated"} & {one.kind for one in after.findings}
    assert kept == [] or "version" not in {one.kind for one in after.findings}


@pytest.mark.skipif(not readers.has_rustboard, reason="no data server for this platform")
def test_tensorboard_reads_all_of_what_was_repaired(tmp_path):
    points = [(step, 0.5) for step in range(9)]
    parts = frames(VERSION, *[scalar(step) for step, _ in points])
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "tfevents").write_bytes(
        b"".join([*parts[1:3], bytes(64), *parts[3:6], b"torn", *parts[6:]])
    )
    repair(tmp_path / "runs", tmp_path / "repaired")
    expected = {"a": {".": {"loss": points}}}
    for view in readers.fresh(tmp_path / "repaired", expected).values():
        assert view == expected


def test_a_tree_is_copied_byte_for_byte(tmp_path):
    names = ["tfevents.1", "..a/tfevents.1", "a/tfevents.1", "a/tfevents.2", "a/b/c.tfevents"]
    for name in names:
        write(tmp_path / "runs" / name, VERSION, scalar(1, tag=name))
    (tmp_path / "runs" / "notes.txt").touch()
    results = repair(tmp_path / "runs", tmp_path / "copy")
    assert [(result.records, result.version_added, result.lost) for result in results] == [(2, False, [])] * 5
    assert find_event_files(tmp_path / "copy") == [str(tmp_path / "copy" / name) for name in names]
    for name in names:
        assert (tmp_path / "copy" / name).read_bytes() == (tmp_path / "runs" / name).read_bytes()
    assert not (tmp_path / "copy" / "notes.txt").exists()


@pytest.mark.parametrize("name", SOUND)
def test_what_others_wrote_is_copied_byte_for_byte(tmp_path, name):
    (result,) = repair(DATA / name, tmp_path)
    assert Path(result.copy) == tmp_path / name
    assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes()


def test_an_empty_file_stays_empty(tmp_path, path):
    write(path)
    (result,) = repair(path, tmp_path / "copy")
    assert Path(result.copy).read_bytes() == b""
    assert not result.version_added


def test_copies_do_not_stand_where_the_originals_are_read(tmp_path, path, monkeypatch):
    write(path, VERSION, scalar(1))
    (tmp_path / "link").symlink_to(path.parent)
    for destination in (path.parent, path.parent / "copy", tmp_path, "/", tmp_path / "link", tmp_path / "link" / "x"):
        for source in (path, path.parent, tmp_path / "link", tmp_path / "link" / path.name):
            with pytest.raises(ValueError, match="expected a directory that is neither in"):
                repair(source, destination)
    monkeypatch.chdir(path.parent)
    with pytest.raises(ValueError, match=r"\.: expected a directory that is neither in"):
        repair(path.name, ".")
    with pytest.raises(ValueError, match="expected a local directory"):
        repair(path, "s3://bucket/copy")
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.fixture
def linked(tmp_path):
    """A tree of links to runs outside it, with a loop."""
    for run in ("a", "b/deep"):
        write(tmp_path / "store" / run / "tfevents.1", VERSION, scalar(1))
    write(tmp_path / "files" / "tfevents.2", VERSION, scalar(2))
    tree = tmp_path / "tree"
    (tree / "run").mkdir(parents=True)
    (tree / "a").symlink_to("../store/a")
    (tree / "b").symlink_to("../store/b")
    (tree / "run" / "tfevents.3").symlink_to("../../files/tfevents.2")
    (tree / "run" / "loop").symlink_to("..")
    return tree


def content(root):
    """Return {path: content} of all files below a directory, without links."""
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and not path.is_symlink()}


def test_what_links_lead_to_is_copied_into_files(tmp_path, linked):
    before = content(tmp_path)
    errors = []
    results = repair(linked, tmp_path / "copy", errors.append)
    assert [os.path.relpath(result.copy, tmp_path / "copy") for result in results] == [
        "a/tfevents.1",
        "b/deep/tfevents.1",
        "run/tfevents.3",
    ]
    assert [error.filename for error in errors] == [str(linked / "run" / "loop")]
    after = content(tmp_path)
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 3
    assert not any(path.is_symlink() for path in (tmp_path / "copy").rglob("*"))


def test_copies_do_not_stand_where_links_lead_to_the_originals(tmp_path, linked):
    (linked / "out").symlink_to("../to come")  # its target is read as a part of the tree
    (tmp_path / "link").symlink_to("store/b")
    (tmp_path / "half" / "deeper").mkdir(parents=True)
    (tmp_path / "half" / "b").symlink_to("../store/b")
    (tmp_path / "half" / "run").symlink_to("deeper")
    before = content(tmp_path)
    for destination in [
        *("store", "store/a", "store/a/x", "store/b/x", "store/b/deep", "files", "files/x", "to come", "to come/x"),
        *("link", "link/x", "tree/a", "tree/a/x", "tree/run/loop/y", "tree/out/x", "tree", ".", "half"),
    ]:
        with pytest.raises(ValueError, match="expected a directory that is neither in"):
            repair(linked, tmp_path / destination, lambda error: None)
    assert content(tmp_path) == before
    (tmp_path / "half" / "b").unlink()
    assert len(repair(linked, tmp_path / "half", lambda error: None)) == 3
    assert (tmp_path / "half" / "deeper" / "tfevents.3").exists()


def test_the_call_does_it_all(tmp_path, path):
    write(path, VERSION, scalar(1))
    results = repair(path, tmp_path / "copy")
    assert isinstance(results, list)
    assert (tmp_path / "copy" / path.name).exists()
    each = repairing.repair_each(path, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert [result.records for result in each] == [2]


def test_no_file_is_overwritten(tmp_path):
    for name in ("tfevents.1", "tfevents.2"):
        write(tmp_path / "runs" / name, VERSION, scalar(1))
    there = tmp_path / "copy" / "tfevents.1"
    there.parent.mkdir()
    there.write_bytes(b"here first")
    with pytest.raises(FileExistsError):
        repair(tmp_path / "runs", tmp_path / "copy")
    errors = []
    (result,) = repair(tmp_path / "runs", tmp_path / "copy", errors.append)
    assert result.copy == str(tmp_path / "copy" / "tfevents.2")
    assert [(error.errno, error.filename) for error in errors] == [(errno.EEXIST, str(there))]
    assert there.read_bytes() == b"here first"


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_nothing_half_written_stays(tmp_path, path, monkeypatch, call, error):
    write(path, VERSION, scalar(1))
    seen = []

    def fail(*arguments):
        seen.extend(entry.name for entry in (tmp_path / "copy").iterdir())
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)):
        repair(path, tmp_path / "copy")
    assert sorted("tfevents" in name for name in seen) == [False, True]  # TensorBoard does not read the unfinished file
    assert list((tmp_path / "copy").iterdir()) == []


def test_a_file_that_cannot_be_read_does_not_keep_the_others_from_being_copied(tmp_path):
    os.mkdir(tmp_path / "runs")
    os.mkfifo(tmp_path / "runs" / "tfevents.1")
    write(tmp_path / "runs" / "tfevents.2", VERSION, scalar(1))
    errors = []
    (result,) = repair(tmp_path / "runs", tmp_path / "copy", errors.append)
    assert result.path.endswith("tfevents.2")
    assert [error.filename for error in errors] == [str(tmp_path / "runs" / "tfevents.1")]
    assert [entry.name for entry in (tmp_path / "copy").iterdir()] == ["tfevents.2"]


def test_files_at_a_url(tmp_path):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    whole = b"".join(frames(VERSION, scalar(1)))
    memory.pipe("/check/a/tfevents.1", whole + b"torn")
    (report,) = verify("memory://check")
    assert [(one.kind, one.offset) for one in report.findings] == [("truncated", len(whole))]
    (result,) = repair("memory://check", tmp_path)
    assert Path(result.copy) == tmp_path / "a" / "tfevents.1"
    assert Path(result.copy).read_bytes() == whole
    assert [place.length for place in result.lost] == [4]


def test_a_key_of_a_bucket_does_not_lead_out_of_the_destination(tmp_path, monkeypatch):
    monkeypatch.setattr(repairing, "find_event_files", lambda *_: ["memory://check/../../tfevents.1"])
    with pytest.raises(ValueError, match="expected a file below memory://check"):
        repair("memory://check", tmp_path / "copy")


def test_where_there_is_nothing_to_copy_or_no_directory_to_copy_to(tmp_path, path):
    with pytest.raises(FileNotFoundError):
        repair(tmp_path / "none", tmp_path / "copy")
    write(path, VERSION)
    with pytest.raises(NotADirectoryError):
        repair(tmp_path / "run", path)
