"""Failing disks: what the documentation promises, case by case, and a few hundred faults of tests/torture/disk.py."""

import os
import sys
from pathlib import Path

import pytest
from helpers.oracle import read_back
from torture import disk, faults, model, readers

import tbc
from tbc.reader import TruncatedRecordError, find_event_files, read_events

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the shim is made for glibc")

START = """
import errno, os, sys, time, warnings, tbc
from tbc import _core
from tbc.reader import find_event_files, read_events
log_dir = sys.argv[1]

def error_of(call):
    try:
        call()
    except OSError as error:
        return error.errno, error.filename
    raise AssertionError("no error")
"""


def run(script, *arguments):
    return faults.run(START + faults.dedent(script), *arguments)


def steps_of(path):
    """Return the steps in a file, and whether the file ends within a record."""
    steps = []
    try:
        for event in read_events(path):
            if event.summary.value:
                steps.append(event.step)
    except TruncatedRecordError:
        return steps, True
    return steps, False


def test_the_shim_knows_all_calls_that_can_fail():
    assert not faults.unknown_calls()


def test_the_readers_stop_at_a_tear(tmp_path):
    """TensorBoard's readers stop at a torn record, so the oracle must stop there too."""
    ends = []
    with tbc.SummaryWriter(tmp_path / "whole") as writer:
        path = writer.file_writer._event_file.path
        for step in range(1, 5):
            writer.add_scalar("x", step, step)
            writer.flush()
            ends.append(os.path.getsize(path))
    data = Path(path).read_bytes()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / os.path.basename(path)).write_bytes(data[: ends[1] + 20] + data[ends[2] :])
    seen = {"whole": {".": {"x": [(1, 1), (2, 2), (3, 3), (4, 4)]}}, "torn": {".": {"x": [(1, 1), (2, 2)]}}}
    for view in readers.fresh(tmp_path, seen).values():
        assert view == seen
    with readers.Readers(tmp_path) as watchers:
        for case, expected in seen.items():
            for view in watchers.live(case, lambda view, expected=expected: view == expected).values():
                assert view == expected


# --- a disk without room ---


def test_events_are_dropped_and_counted_when_the_queue_is_full(log_dir):
    """The newest events are dropped, with one warning. The queued ones are written when the disk recovers."""
    run(
        """
        _core.set_queue_limit(100_000)
        writer = tbc.SummaryWriter(log_dir)
        path = writer.file_writer._event_file.path
        faults.arm(faults.WRITE, error=errno.ENOSPC, part=20)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for step in range(10_000):
                writer.add_scalar("x", 1.0, step)
        (warning,) = [warning for warning in told if "events are dropped" in str(warning.message)]
        assert warning.category is RuntimeWarning and path in str(warning.message), warning
        assert len(told) <= 2, told  # one warning that the disk fails, and one that events are dropped
        stats = writer.stats()
        assert 0 < stats.queued < 100_100, stats  # the size of an event is estimated when it is queued
        assert 7_000 < stats.dropped < 9_000, stats
        assert stats.retries > 0 and stats.rotations == 0, stats
        assert (stats.error.errno, stats.error.filename) == (errno.ENOSPC, path), stats
        faults.disarm()
        time.sleep(0.1)
        writer.flush()
        writer.add_scalar("x", 1.0, 10_000)
        writer.flush()
        after = writer.stats()
        assert (after.queued, after.dropped, after.error) == (0, stats.dropped, None), after
        assert 0 < after.written < os.path.getsize(path), after  # the file also has its first record
        writer.close()
        print(stats.dropped)
        """,
        log_dir,
    )
    (path,) = find_event_files(log_dir)
    steps, torn = steps_of(path)
    assert steps == [*range(len(steps) - 1), 10_000]
    assert not torn


@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT", "EAGAIN", "ENOMEM", "EINTR"])
def test_a_transient_error_keeps_the_file(log_dir, error):
    """Writing continues at the byte where it stopped. EINTR does not count as an error."""
    run(
        f"""
        writer = tbc.SummaryWriter(log_dir)
        faults.arm(faults.WRITE, 1, 3, error=errno.{error}, part=20)
        for step in range(100):
            writer.add_scalar("x", 1.0, step)
        while writer.stats().queued:
            time.sleep(0.01)
        assert faults.hits() == 3
        retries = 0 if {error!r} == "EINTR" else 2  # the first call is cut short
        stats = writer.stats()
        assert (stats.retries, stats.rotations, stats.error) == (retries, 0, None), stats
        writer.close()
        """,
        log_dir,
    )
    assert [event.step for event in read_back(log_dir)] == list(range(100))


def test_images_and_embeddings_are_dropped_and_counted_too(log_dir):
    run(
        """
        import numpy as np
        _core.set_queue_limit(100_000)
        writer = tbc.SummaryWriter(log_dir)
        faults.arm(faults.WRITE, error=errno.ENOSPC)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            while writer.stats().dropped == 0:
                writer.add_scalar("x", 1.0, 0)
            dropped = writer.stats().dropped
            for step in range(10):
                writer.add_image("image", np.zeros((3, 50, 50)), step)
                writer.add_embedding(np.zeros((100, 20)), tag=f"{step}")
            assert error_of(writer.flush)[0] == errno.ENOSPC
        assert writer.stats().dropped == dropped + 20, (writer.stats(), dropped)
        assert sum("events are dropped" in str(warning.message) for warning in told) == 1
        faults.disarm()
        time.sleep(0.1)
        writer.flush()
        writer.add_image("image", np.zeros((3, 50, 50)), 10)
        writer.close()
        """,
        log_dir,
    )
    images = [event.step for event in read_back(log_dir) if event.summary.value[0].tag == "image"]
    assert images == [10]


def test_a_full_queue_raises_if_that_is_asked_for(log_dir):
    run(
        """
        _core.set_queue_limit(100_000)
        writer = tbc.SummaryWriter(log_dir, on_disk_error="raise")
        faults.arm(faults.WRITE, error=errno.EDQUOT)
        step = 0
        try:
            while step < 10_000:
                writer.add_scalar("x", 1.0, step)
                step += 1
        except OSError as error:
            assert (error.errno, error.filename) == (errno.EDQUOT, writer.file_writer._event_file.path)
        assert step < 10_000
        assert writer.stats().dropped == 0
        faults.disarm()
        time.sleep(0.1)
        writer.flush()
        writer.add_scalar("x", 1.0, step)
        writer.close()
        """,
        log_dir,
    )
    steps = [event.step for event in read_back(log_dir)]
    assert steps == list(range(len(steps)))
    assert len(steps) > 1000


def test_a_disk_that_begins_to_fail_is_told_of_once(log_dir):
    """The warning comes long before the queue is full: if the process is killed, queued events are lost."""
    run(
        """
        writer = tbc.SummaryWriter(log_dir)
        faults.arm(faults.WRITE, error=errno.ENOSPC)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for step in range(3):
                writer.add_scalar("x", 1.0, step)
                assert error_of(writer.flush)[0] == errno.ENOSPC
        (warning,) = told
        assert warning.category is RuntimeWarning and "wait in memory" in str(warning.message), warning
        faults.disarm()
        writer.close()
        """,
        log_dir,
    )
    assert [event.step for event in read_back(log_dir)] == [0, 1, 2]


def test_a_full_queue_waits_if_that_is_asked_for(log_dir):
    """While the call waits, other threads run and Ctrl-C works. Nothing is lost."""
    run(
        """
        import signal, threading
        _core.set_queue_limit(100_000)
        writer = tbc.SummaryWriter(log_dir, on_disk_error="wait")
        faults.arm(faults.WRITE, error=errno.ENOSPC)
        step = 0
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            while True:
                writer.add_scalar("x", 1.0, step)
                step += 1
        except KeyboardInterrupt:
            pass
        threading.Timer(0.5, faults.disarm).start()
        for step in range(step, 5000):
            writer.add_scalar("x", 1.0, step)
        writer.close()
        """,
        log_dir,
    )
    assert [event.step for event in read_back(log_dir)] == list(range(5000))


def test_what_went_to_a_deleted_file_and_is_in_memory_is_written_again(log_dir):
    run(
        """
        writer = tbc.SummaryWriter(log_dir)
        faults.arm(faults.WRITE, error=errno.ENOSPC, part=200)
        for step in range(20):
            writer.add_scalar("x", 1.0, step)
        assert error_of(writer.flush)[0] == errno.ENOSPC
        (path,) = find_event_files(log_dir)
        assert os.path.getsize(path) > 200
        os.remove(path)
        faults.disarm()
        writer.flush()
        writer.close()
        """,
        log_dir,
    )
    assert [event.step for event in read_back(log_dir)] == list(range(20))


def test_what_is_written_while_the_file_is_deleted_is_written_again(log_dir):
    run(
        """
        writer = tbc.SummaryWriter(log_dir)
        faults.delete_behind_write(writer.file_writer._event_file.path)
        for step in range(20):
            writer.add_scalar("x", 1.0, step)
        writer.flush()
        assert writer.stats().error is None
        writer.close()
        """,
        log_dir,
    )
    assert [event.step for event in read_back(log_dir)] == list(range(20))


def test_another_policy_is_refused(log_dir):
    for make in (tbc.SummaryWriter, tbc.FileWriter):
        with pytest.raises(ValueError, match="on_disk_error"):
            make(log_dir, on_disk_error="ignore")
    assert not os.path.exists(log_dir)


def test_close_may_be_called_again(log_dir):
    """If close() raises, the file stays open with its queue, and further events are queued."""
    run(
        """
        writer = tbc.SummaryWriter(log_dir)
        path = writer.file_writer._event_file.path
        writer.add_scalar("x", 1.0, 0)
        faults.arm(faults.WRITE, error=errno.ENOSPC, part=10)
        for _ in range(2):
            assert error_of(writer.flush) == (errno.ENOSPC, path)
            assert error_of(writer.close) == (errno.ENOSPC, path)
        writer.add_scalar("x", 1.0, 1)
        assert writer.file_writer._event_file.path == path
        faults.disarm()
        time.sleep(0.1)
        writer.close()
        writer.close()
        assert writer.file_writer is None
        """,
        log_dir,
    )
    assert [event.step for event in read_back(log_dir)] == [0, 1]


def test_a_file_that_cannot_be_made_now_is_made_later(log_dir):
    """The constructor raises at once. An add_* that needs a new file later queues the event until there is one."""
    run(
        """
        faults.arm(faults.OPEN, error=errno.ENOSPC)
        number, name = error_of(lambda: tbc.SummaryWriter(log_dir))
        assert number == errno.ENOSPC and name.startswith(log_dir), name
        assert not os.path.exists(log_dir) or not os.listdir(log_dir)
        faults.disarm()
        writer = tbc.SummaryWriter(log_dir)
        writer.add_scalar("x", 1.0, 0)
        writer.close()
        faults.arm(faults.OPEN, error=errno.ENOSPC)
        writer.add_scalar("x", 1.0, 1)
        writer.add_scalars("run", {"a": 1.0}, 1)
        number, name = error_of(writer.flush)
        assert number == errno.ENOSPC and name.startswith(log_dir), name
        assert writer.stats().queued > 0 and writer.stats().error.errno == errno.ENOSPC, writer.stats()
        faults.disarm()
        writer.add_scalar("x", 1.0, 2)
        time.sleep(0.1)
        writer.close()
        """,
        log_dir,
    )
    first, second = find_event_files(log_dir)[:2]
    assert (steps_of(first), steps_of(second)) == (([0], False), ([1, 2], False))
    (run_file,) = find_event_files(log_dir + "/run_a")
    assert steps_of(run_file) == ([1], False)


# --- a file that is lost ---


@pytest.mark.parametrize("error", ["EIO", "ESTALE", "EBADF", "EFBIG", "EROFS"])
def test_an_error_that_does_not_go_away_starts_a_new_file(log_dir, error):
    """The new file sorts after the torn one, which does not change. It has the torn record and all that follow."""
    run(
        f"""
        writer = tbc.SummaryWriter(log_dir)
        path = writer.file_writer._event_file.path
        writer.add_scalar("x", 1.0, 0)
        writer.flush()
        faults.arm(faults.WRITE, 1, 2, error=errno.{error}, part=100)
        for step in range(1, 6):
            writer.add_scalar("x", 1.0, step)
        while writer.stats().queued:
            time.sleep(0.01)
        assert faults.hits() == 2
        size = os.path.getsize(path)
        writer.add_scalar("x", 1.0, 6)
        writer.close()
        assert os.path.getsize(path) == size
        """,
        log_dir,
    )
    torn, new = sorted(find_event_files(log_dir))
    before, is_torn = steps_of(torn)
    assert is_torn
    assert steps_of(new) == (list(range(len(before), 7)), False)
    assert len(before) > 1


def test_files_without_events_are_not_left_behind(log_dir):
    run(
        """
        writer = tbc.SummaryWriter(log_dir)
        faults.arm(faults.WRITE, error=errno.EIO)
        writer.add_scalar("x", 1.0, 0)
        for _ in range(5):
            error_of(writer.flush)
        faults.disarm()
        time.sleep(0.1)
        writer.close()
        """,
        log_dir,
    )
    (path,) = find_event_files(log_dir)
    assert steps_of(path) == ([0], False)


def test_a_directory_that_is_removed_is_made_again(log_dir):
    run(
        """
        import shutil
        writer = tbc.SummaryWriter(log_dir + "/deep/down")
        writer.add_scalar("x", 1.0, 0)
        writer.flush()
        shutil.rmtree(log_dir)
        writer.add_scalar("x", 1.0, 1)
        writer.flush()
        assert writer.stats().rotations == 1, writer.stats()
        assert find_event_files(log_dir) == [writer.file_writer._event_file.path]
        writer.close()
        """,
        log_dir,
    )
    (path,) = find_event_files(log_dir)
    assert steps_of(path) == ([1], False)


def test_a_sync_that_fails_is_told_and_starts_a_new_file(log_dir):
    """After a failed fsync the disk's content is unknown, and a second fsync may succeed wrongly."""
    run(
        """
        writer = tbc.SummaryWriter(log_dir)
        path = writer.file_writer._event_file.path
        writer.add_scalar("x", 1.0, 0)
        faults.arm(faults.FSYNC, 1, 1, error=errno.EIO)
        number, name = error_of(lambda: writer.flush(sync=True))
        assert number == errno.EIO and name.startswith(log_dir), name
        writer.add_scalar("x", 1.0, 1)
        writer.flush(sync=True)
        assert faults.seen() > 2
        assert writer.file_writer._event_file.path > path
        writer.close()
        """,
        log_dir,
    )
    assert [steps_of(path) for path in sorted(find_event_files(log_dir))] == [([0], False), ([1], False)]


SYNCED = """
place = os.path.join(log_dir, "new", "er", "est")
log = iter(range(1000))

def sync():
    writer.flush(sync=True)
    assert faults.dirty(log_dir) == [], faults.dirty(log_dir)

def give_up():
    writer.add_summary(Summary(), next(log))
    writer.flush()
    faults.arm(faults.WRITE, 1, 1, error=errno.EIO)
    writer.add_summary(Summary(), next(log))
    writer.flush()
    faults.disarm()
"""


def test_a_sync_covers_the_files_before_and_all_directories(log_dir):
    """The shim records every write, name and fsync, so it knows what is unsynced."""
    run(
        SYNCED
        + """
        from tbc.proto import Summary
        writer = tbc.FileWriter(place)
        assert len(faults.dirty(log_dir)) > 3, faults.dirty(log_dir)
        sync()
        for _ in range(3):
            give_up()
        assert writer.stats().rotations == 3 and len(faults.dirty(log_dir)) == 5, faults.dirty(log_dir)
        sync()
        for _ in range(3):
            writer.add_summary(Summary(), next(log))
            writer.close()
        assert len(faults.dirty(log_dir)) == 4, faults.dirty(log_dir)
        sync()
        """.replace("\n        ", "\n"),
        log_dir,
    )


def test_a_sync_that_fails_is_told_or_made_up_for(log_dir):
    """If the N-th fsync, open or fstat of a sync fails, flush() raises or nothing is left unsynced."""
    run(
        SYNCED
        + """
        from tbc.proto import Summary
        told = 0
        for kind in (faults.FSYNC, faults.OPEN, faults.FSTAT):
            for n in range(1, 12):
                directory = os.path.join(log_dir, str(kind), str(n))
                writer = tbc.FileWriter(directory)
                for _ in range(2):
                    give_up()
                faults.arm(kind, n, 1, error=errno.EIO)
                try:
                    writer.flush(sync=True)
                except OSError as error:
                    assert error.errno == errno.EIO, error
                    told += 1
                else:
                    assert faults.dirty(directory) == [], (kind, n, faults.dirty(directory))
                faults.disarm()
                writer.add_summary(Summary(), next(log))  # after a failure, in a new file
                writer.flush(sync=True)
                writer.close()
        assert told > 15, told

        writer = tbc.FileWriter(place)
        writer.add_summary(Summary(), next(log))
        writer.flush()
        faults.arm(faults.MEMORY, 1, 1)
        writer.close()
        assert faults.hits() == 1
        writer.add_summary(Summary(), next(log))
        assert error_of(lambda: writer.flush(sync=True))[0] == errno.ENOMEM
        writer.flush(sync=True)
        """.replace("\n        ", "\n"),
        log_dir,
    )


def test_a_directory_without_permission(tmp_path):
    """Root may write everywhere, so the test becomes the user nobody for a while."""
    run(
        """
        import tempfile
        tbc.SummaryWriter(log_dir).close()  # import everything now: the user nobody may not read the files
        root = os.getuid() == 0
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o777)
            if root:
                os.seteuid(65534)
            log_dir = directory + "/run"
            writer = tbc.SummaryWriter(log_dir)
            writer.add_scalar("x", 1.0, 0)
            writer.flush()
            os.chmod(log_dir, 0o555)
            number, name = error_of(lambda: tbc.SummaryWriter(log_dir))
            assert number == errno.EACCES and name.startswith(log_dir), name
            os.chmod(log_dir, 0o777)
            os.remove(writer.file_writer._event_file.path)
            os.chmod(log_dir, 0o555)
            writer.add_scalar("x", 1.0, 1)
            number, name = error_of(writer.flush)
            assert number == errno.EACCES and name.startswith(log_dir), name
            os.chmod(log_dir, 0o777)
            writer.close()
            (path,) = find_event_files(log_dir)
            assert [event.step for event in read_events(path) if event.summary.value] == [1]
            if root:
                os.seteuid(0)
        """,
        tmp_path,
    )


# --- the same, checked with TensorBoard's readers; `make torture` runs many more ---

FEW = [
    (disk.nth_call, 24),
    (disk.full_disk, 4),
    (disk.size_limit, 4),
    (disk.read_only, 1),
    (disk.taken_away, 14),
    (disk.full_queue, 3),
    (model.random_walks, 30),
]


@pytest.mark.parametrize(("torture", "count"), FEW, ids=lambda value: getattr(value, "__name__", None))
def test_torture(torture, count):
    row = torture(count)
    assert row.lost == 0
    if row.tried == 0:
        pytest.skip(row.note)
