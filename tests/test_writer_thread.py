"""Promises of the writer thread. Most tests run in a process with a time limit: a hang is a failure."""

import os
import sys
import textwrap
import time

import pytest
from helpers.oracle import only_value, read_back, run_script

import tbc
from tbc.reader import find_event_files, read_events


def logged_steps(log_dir):
    return [event.step for event in read_back(log_dir)]


EXITS = {
    "the end of the script": "",
    "sys.exit": "sys.exit(0)",
    "an exception": "raise SystemExit",
    "another thread": "threading.Thread(target=lambda: [time.sleep(0.05), log(1000, 1100)]).start()",
    "atexit": "atexit.register(log, 1000, 1100)",
    "a cycle": "writer.me = writer",
}


@pytest.mark.parametrize("how", EXITS)
def test_an_exit_without_close_loses_nothing(log_dir, how):
    script = f"""
        import atexit, sys, threading, time, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        def log(start, stop):
            for step in range(start, stop):
                writer.add_scalar("x", 1.0, step)
        log(0, 1000)
        {EXITS[how]}
    """
    run_script(script, log_dir)
    assert logged_steps(log_dir) == list(range(1100 if how in ("another thread", "atexit") else 1000))


def test_an_exit_without_close_waits_for_images(log_dir):
    run_script(
        """
        import atexit, sys, numpy as np, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        atexit.register(lambda: writer.add_image("image", np.zeros((3, 50, 50)), 20))  # the encoder is gone by then
        for step in range(20):
            writer.add_image("image", np.random.rand(3, 300, 300), step)
        """,
        log_dir,
    )
    assert logged_steps(log_dir) == list(range(21))


def test_what_is_logged_last_of_all_is_written(log_dir):
    """An exit handler that runs after tbc's own logs to a writer that is never freed."""
    run_script(
        """
        import atexit, ctypes, sys, numpy as np, tbc
        def log():
            for step in range(100):
                writer.add_scalar("x", 1.0, step)
            writer.add_image("image", np.zeros((3, 50, 50)), 100)
        atexit.register(log)
        writer = tbc.SummaryWriter(sys.argv[1])
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(writer))
        """,
        log_dir,
    )
    assert logged_steps(log_dir) == list(range(101))


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="Linux tells how often a thread has slept")
def test_a_program_that_flushes_does_not_wait_for_the_thread(log_dir):
    """On a fast disk, neither a flush nor the first event after it wakes the thread. Waking takes many times as long,
    and milliseconds where other programs use the processor."""
    result = run_script(
        """
        import os, sys, time, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        (thread,) = set(os.listdir("/proc/self/task")) - {str(os.getpid())}
        def sleeps():
            with open(f"/proc/self/task/{thread}/status") as file:
                return next(line for line in file if line.startswith("voluntary"))
        writer.add_scalar("x", 1.0, 0)
        woken = 0
        for step in range(1, 41):
            writer.flush()
            time.sleep(0.005)
            before = sleeps()
            writer.add_scalar("x", 1.0, step)
            writer.flush()
            time.sleep(0.005)
            woken += sleeps() != before
        print(woken)
        """,
        log_dir,
    )
    assert int(result.stdout) < 20


def test_records_come_without_flush_and_flush_makes_them_come(log_dir):
    writer = tbc.SummaryWriter(log_dir, flush_secs=1000)
    (path,) = find_event_files(log_dir)
    for step in range(5):
        size = os.path.getsize(path)
        writer.add_scalar("x", 1.0, step)
        deadline = time.monotonic() + 5  # 0.1 s is promised; a busy machine gets more
        while os.path.getsize(path) == size and time.monotonic() < deadline:
            time.sleep(0.01)
        assert os.path.getsize(path) > size
    for step in range(5, 100):
        writer.add_scalar("x", 1.0, step)
        writer.flush()
        assert list(read_events(path))[-1].step == step
    writer.close()


SETTLED = """
import os, sys, time
def resources():
    tasks = os.listdir("/proc/self/task") if sys.platform == "linux" else [1]
    return len(os.listdir("/dev/fd")), len(tasks)
def settled(expected):
    deadline = time.monotonic() + 5  # a thread that was joined is listed for a moment more
    while resources() != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    assert resources() == expected, (resources(), expected)
"""


def test_10_000_files_one_after_another_leave_nothing_behind(tmp_path):
    script = """
        import tbc
        writer = tbc.FileWriter(sys.argv[1])
        writer.close()
        import resource
        fds, _ = resources()
        for i in range(10_000):
            writer.reopen()
            os.remove(writer._event_file.path)
            writer.close()
            if i == 1000:
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        settled((fds, 1))
        growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
        assert growth < (1000 if sys.platform == "linux" else 1_000_000), growth  # KiB there, bytes on macOS
    """
    run_script(SETTLED + textwrap.dedent(script), tmp_path / "run", timeout=300)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_thread_has_a_name(log_dir):
    """`top -H` shows the name."""
    script = """
        import glob, sys, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        while True:  # until it runs
            names = [open(path).read().strip() for path in glob.glob("/proc/self/task/*/comm")]
            if "tbc-writer" in names:
                break
    """
    run_script(script, log_dir)


def test_many_open_files_share_a_thread(tmp_path):
    script = """
        import tbc
        fds, _ = resources()
        writer = tbc.SummaryWriter(sys.argv[1])
        writer.add_scalars("x", {str(i): i for i in range(200)}, 7)
        settled((fds + 201, 2 if sys.platform == "linux" else 1))
        writer.close()
        settled((fds, 1))
    """
    run_script(SETTLED + textwrap.dedent(script), tmp_path / "run")
    for i in range(200):
        event, value = only_value(tmp_path / "run" / f"x_{i}")
        assert (event.step, value.simple_value) == (7, i)


# A FIFO that nobody reads stands for a stuck disk.
STUCK = """
import os, signal, sys, threading, time, warnings, tbc
from tbc import _core
path = sys.argv[1]
os.mkfifo(path)
reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
_core.set_queue_limit(1 << 20)
file = _core.BaseEventFile()
file.attach(os.open(path, os.O_WRONLY), path, 100)
"""


def test_a_full_queue_waits_without_the_gil(tmp_path):
    """While the call waits, other threads run. Nothing is lost."""
    script = """
        done = []
        def log():
            for step in range(30):
                file.event(bytes(100_000))
                done.append(step)
        thread = threading.Thread(target=log)
        thread.start()
        thread.join(1)
        assert thread.is_alive() and 5 < len(done) < 25, done  # the queue is full, and this thread still runs
        os.set_blocking(reader, True)
        size = 0
        while size < 30 * 100_016:
            size += len(os.read(reader, 1 << 20))
        thread.join(10)
        assert not thread.is_alive()
        file.close()
    """
    run_script(STUCK + textwrap.dedent(script), tmp_path / "fifo")


def test_ctrl_c_interrupts_whatever_waits(tmp_path):
    script = """
        for call in (lambda: [file.event(bytes(100_000)) for _ in range(100)], file.flush, file.close, file.close):
            try:
                threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
                call()
            except KeyboardInterrupt:
                pass
            else:
                raise AssertionError("not interrupted")
        os.close(reader)  # from now on the write fails, and the exit need not wait for it
    """
    run_script(STUCK + textwrap.dedent(script), tmp_path / "fifo")


def test_a_fork_does_not_wait_for_a_stuck_write(tmp_path):
    """A thousand forks would take 20 minutes if each waited a second."""
    script = """
        import tbc.file_writer  # has the hooks around a fork
        warnings.simplefilter("ignore")
        file.event(bytes(1_000_000))
        for _ in range(1000):
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        os.close(reader)
    """
    run_script(STUCK + textwrap.dedent(script), tmp_path / "fifo")


def test_an_exit_waits_a_bounded_time_for_a_stuck_write(tmp_path):
    """The exit reports what is lost, and writes events of other files."""
    script = """
        well = tbc.SummaryWriter(path + "-run")
        well.add_scalar("x", 1.0, 0)
        well.flush()
        stuck = tbc.FileWriter(path + "-stuck", must_open=None)._event_file
        stuck.attach(os.open(path, os.O_WRONLY), path, 100)
        stuck.event(bytes(1_000_000))
        file.event(bytes(100))
        time.sleep(0.3)
        later = tbc.SummaryWriter(path + "-later")  # it is not known yet whether its disk is fast
        later.add_scalar("x", 1.0, 0)
        later.flush()
        later.add_scalar("x", 1.0, 1)
        well.add_scalar("x", 1.0, 1)
    """
    output = run_script(STUCK + textwrap.dedent(script), tmp_path / "fifo")
    assert "events logged last are lost: a write has not ended for 10 s" in output.stderr
    assert logged_steps(tmp_path / "fifo-run") == logged_steps(tmp_path / "fifo-later") == [0, 1]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
def test_a_failing_disk_does_not_hold_up_other_files(tmp_path):
    run_script(
        """
        import os, sys, numpy as np, tbc
        from tbc import _core
        _core.set_queue_limit(1 << 20)
        sick, well = _core.BaseEventFile(), tbc.SummaryWriter(sys.argv[1])
        sick.attach(os.open("/dev/full", os.O_WRONLY), "/dev/full", 0)
        try:
            for _ in range(1000):
                sick.event(bytes(10_000))
        except OSError as error:
            assert error.filename == "/dev/full"
        else:
            raise AssertionError("no error")
        for step in range(100):
            well.add_scalar("x", 1.0, step)
            well.add_image("image", np.zeros((3, 20, 20)), step)
        well.close()
        """,
        tmp_path / "run",
    )
    assert sorted(logged_steps(tmp_path / "run")) == sorted([*range(100)] * 2)


@pytest.mark.parametrize("call", ["flush", "close"])
def test_a_failing_disk_is_told_with_errno_and_path(log_dir, call):
    """RLIMIT_FSIZE leaves no room for this file or another one. The error ends when the limit is lifted."""
    run_script(
        f"""
        import errno, resource, sys, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        path = writer.file_writer._file_name
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        writer.add_text("x", "x" * 1000, 0)
        for _ in range(2):
            try:
                writer.{call}()
            except OSError as error:
                assert (error.errno, error.filename) == (errno.EFBIG, path), error
            else:
                raise AssertionError("no error")
        writer.add_scalar("x", 1.0, 1)  # still accepted
        assert not writer.file_writer._event_file.closed and writer.stats().error.errno == errno.EFBIG
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        writer.{call}()
        assert writer.stats().error is None
        """,
        log_dir,
    )
    assert logged_steps(log_dir) == [0, 1]


def test_a_disk_that_fails_at_exit_is_told(log_dir):
    result = run_script(
        """
        import resource, sys, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        writer.add_text("text", "long " * 1000)
        """,
        log_dir,
    )
    assert "RuntimeWarning: events logged last are lost: [Errno 27]" in result.stderr
    assert log_dir in result.stderr
