"""What the writer thread promises, each in a process of its own with a time limit: a hang is a failure."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from oracle import only_value, read_back, run_script

import tbc
from tbc.reader import find_event_files, read_events


def logged_steps(log_dir):
    return [event.step for event in read_back(log_dir)]


def all_steps(log_dir):
    """Of all files in a directory, file by file."""
    return [[event.step for event in read_events(path) if event.summary.value] for path in find_event_files(log_dir)]


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
    """By a handler that runs after tbc's own, to a writer that nothing ever frees."""
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


def test_sigkill_loses_nothing_older_than_a_quarter_of_a_second(log_dir):
    script = """
        import os, signal, sys, time, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        for step in range(5000):
            writer.add_scalar("x", 1.0, step)
        time.sleep(0.25)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run_script(script, log_dir, check=False).returncode == -signal.SIGKILL
    assert logged_steps(log_dir) == list(range(5000))


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


def test_16_threads_at_once(log_dir):
    run_script(
        """
        import sys, threading, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        def log(thread):
            for step in range(2000):
                writer.add_scalar(f"thread {thread}", float(step), step)
                if step % 500 == 0:
                    writer.flush()
        threads = [threading.Thread(target=log, args=(i,)) for i in range(16)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        writer.close()
        """,
        log_dir,
    )
    steps = {}
    for event in read_back(log_dir):
        steps.setdefault(event.summary.value[0].tag, []).append(event.step)
    assert steps == {f"thread {i}": list(range(2000)) for i in range(16)}


def test_closing_while_others_log(log_dir):
    """Each event lands in one of the files, in order."""
    run_script(
        """
        import sys, threading, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        def log(thread):
            for step in range(500):
                try:
                    writer.add_scalar(f"thread {thread}", 1.0, step)
                except OSError:  # the file was closed between the look at it and the call
                    writer.add_scalar(f"thread {thread}", 1.0, step)
        threads = [threading.Thread(target=log, args=(i,)) for i in range(4)]
        for thread in threads: thread.start()
        while any(thread.is_alive() for thread in threads): writer.close()
        for thread in threads: thread.join()
        """,
        log_dir,
    )
    steps = {}
    for path in find_event_files(log_dir):
        for event in read_events(path):
            for value in event.summary.value:
                steps.setdefault(value.tag, []).append(event.step)
    assert steps == {f"thread {i}": list(range(500)) for i in range(4)}


FORKS = {
    "os._exit": "writer.flush(); os._exit(0)",
    "sys.exit": "sys.exit(0)",
    "close": "writer.close(); os._exit(0)",
}


@pytest.mark.parametrize("end", FORKS)
def test_a_forked_child_writes_a_file_of_its_own(log_dir, end):
    run_script(
        f"""
        import os, sys, threading, warnings, numpy as np, tbc
        warnings.simplefilter("ignore")  # from 3.12 on Python may warn of threads at a fork
        writer = tbc.SummaryWriter(sys.argv[1])
        for step in range(100):
            writer.add_scalar("parent", 1.0, step)
        pid = os.fork()
        if pid == 0:
            writer.add_scalar("child", 1.0, 1000)
            writer.add_image("child", np.zeros((3, 9, 9)), 1001)
            {FORKS[end]}
        for step in range(100, 200):
            writer.add_scalar("parent", 1.0, step)
        assert os.waitpid(pid, 0)[1] == 0
        """,
        log_dir,
    )
    parent, child = sorted(all_steps(log_dir))
    assert parent == list(range(200))
    assert child == [1000, 1001]


def test_a_fork_while_images_are_encoded_and_threads_log(log_dir):
    run_script(
        """
        import os, sys, threading, time, warnings, numpy as np, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        stop = threading.Event()
        def log():
            step = 0
            while not stop.is_set():
                writer.add_scalar("parent", 1.0, step)
                step += 1
                time.sleep(0.0005)
        threads = [threading.Thread(target=log) for _ in range(4)]
        for thread in threads: thread.start()
        warnings.simplefilter("ignore")  # these threads are the script's own
        for i in range(50):
            writer.add_image("image", np.zeros((3, 100, 100)), i)
            pid = os.fork()
            if pid == 0:
                if i % 2:
                    writer.add_scalar("child", 1.0, i)
                writer.flush()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        for thread in threads: thread.join()
        """,
        log_dir,
    )
    files = [list(read_events(path)) for path in find_event_files(log_dir)]
    children = [events for events in files if len(events) == 2 and events[1].summary.value[0].tag == "child"]
    assert sorted(events[1].step for events in children) == list(range(1, 50, 2))
    (parent,) = (events for events in files if len(events) != 2)
    images = [event.step for event in parent if event.summary.value and event.summary.value[0].tag == "image"]
    assert images == list(range(50))
    assert len(files) == 26


def test_a_fork_while_threads_flush_and_open_files(log_dir):
    """The child inherits conditions with waiting threads and locks that are taken; it must need none of them."""
    run_script(
        """
        import os, sys, threading, warnings, tbc
        warnings.simplefilter("ignore")  # these threads are the script's own
        log_dir = sys.argv[1]
        writer = tbc.SummaryWriter(log_dir)
        stop = threading.Event()
        def flush():
            while not stop.is_set():
                writer.add_scalar("x", 1.0)
                writer.flush()
        def open_files():
            other = tbc.SummaryWriter(log_dir + "-other")
            while not stop.is_set():
                other.add_scalar("x", 1.0)
                other.close()
        threads = [threading.Thread(target=target) for target in (flush,) * 4 + (open_files,) * 2]
        for thread in threads: thread.start()
        for i in range(150):
            pid = os.fork()
            if pid == 0:
                writer.add_scalars("child", {"key": 1.0}, i)
                writer.close()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        for thread in threads: thread.join()
        """,
        log_dir,
        timeout=120,
    )
    assert sorted(all_steps(log_dir + "/child_key")) == [[i] for i in range(150)]


@pytest.mark.parametrize(
    "method", sorted(set(multiprocessing.get_all_start_methods()) & {"fork", "spawn", "forkserver"})
)
def test_a_process_of_multiprocessing_loses_nothing(tmp_path, method):
    """It ends by os._exit, past atexit and past exit()."""
    (tmp_path / "script.py").write_text("""
import multiprocessing, os, sys, tbc

def work(log_dir):
    global writer  # which nobody drops before the exit
    writer = tbc.SummaryWriter(log_dir)
    for step in range(100):
        writer.add_scalar("x", 1.0, step)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    writer = tbc.SummaryWriter("parent")
    processes = [context.Process(target=work, args=(f"child{i}",)) for i in range(3)]
    for process in processes: process.start()
    for process in processes: process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
""")
    subprocess.run([sys.executable, "script.py", method], cwd=tmp_path, check=True, timeout=60)
    for i in range(3):
        assert logged_steps(tmp_path / f"child{i}") == list(range(100))


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
            os.remove(writer.path)
            writer.close()
            if i == 1000:
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        settled((fds, 1))
        growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
        assert growth < (1000 if sys.platform == "linux" else 1_000_000), growth  # KiB there, bytes on macOS
    """
    run_script(SETTLED + textwrap.dedent(script), tmp_path / "run", timeout=300)


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


# A FIFO nobody reads is the slowest of disks.
STUCK = """
import os, signal, sys, threading, warnings, tbc
from tbc import _core
path = sys.argv[1]
os.mkfifo(path)
reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
_core.set_queue_limit(1 << 20)
file = _core.EventFile()
file.attach(os.open(path, os.O_WRONLY), path, 100)
"""


def test_a_full_queue_waits_without_the_gil(tmp_path):
    """The call waits, other threads run, and nothing is lost."""
    script = """
        done = []
        def log():
            for step in range(30):
                file.event(bytes(100_000))
                done.append(step)
        thread = threading.Thread(target=log)
        thread.start()
        thread.join(1)
        assert thread.is_alive() and 5 < len(done) < 25, done  # full, and this thread runs all the same
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
    script = """
        import tbc.file_writer  # has the hooks around a fork
        warnings.simplefilter("ignore")
        file.event(bytes(1_000_000))
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        os.close(reader)
    """
    run_script(STUCK + textwrap.dedent(script), tmp_path / "fifo")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
def test_a_failing_disk_does_not_hold_up_other_files(tmp_path):
    run_script(
        """
        import os, sys, numpy as np, tbc
        from tbc import _core
        _core.set_queue_limit(1 << 20)
        sick, well = _core.EventFile(), tbc.SummaryWriter(sys.argv[1])
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
    """RLIMIT_FSIZE leaves no room for the file, nor for another one. When it is lifted, the error ends."""
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
        writer.add_scalar("x", 1.0, 1)  # accepted all the while
        assert not writer.file_writer.closed and writer.stats().error.errno == errno.EFBIG
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


def test_flush_in_a_signal_handler(log_dir):
    run_script(
        """
        import signal, sys, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        signal.signal(signal.SIGALRM, lambda *_: writer.flush())
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for step in range(30_000):
            writer.add_scalar("x", 1.0, step)
            if step % 1000 == 0:
                writer.flush()
        signal.setitimer(signal.ITIMER_REAL, 0)
        """,
        log_dir,
    )
    assert logged_steps(log_dir) == list(range(30_000))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_signals_stay_with_the_programs_threads(log_dir):
    run_script(
        """
        import os, sys, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        (thread,) = set(os.listdir("/proc/self/task")) - {str(os.getpid())}
        status = open(f"/proc/self/task/{thread}/status").read()
        blocked = int(status.split("SigBlk:")[1].split()[0], 16)
        assert all(blocked >> number - 1 & 1 for number in (1, 2, 10, 12, 14, 15, 17)), hex(blocked)
        """,
        log_dir,
    )
