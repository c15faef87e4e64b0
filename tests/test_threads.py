"""Threads, signal handlers, finalizers and close() on one writer; many writers in one process.

Some tests call torture/threads.py with small counts.
"""

import os
import sys

import pytest
from helpers.oracle import run_script
from torture import threads
from torture.scan import steps


def test_threads_at_once():
    threads.at_once(5000)


def test_flush_in_a_signal_handler():
    threads.signals(10_000)


def test_flush_in_finalizers_at_exit_and_in_a_thread():
    threads.finalizers(10_000)


def test_close_while_others_log():
    threads.closing(100)


def test_close_comes_to_an_end_while_others_never_pause(log_dir):
    run_script(
        """
        import sys, threading, tbc
        file = tbc.FileWriter(sys.argv[1])
        stop = threading.Event()
        def log():
            while not stop.is_set():
                try:
                    file._event_file.scalar("x", 1.0)
                except OSError:  # it is closed
                    pass
        threads = [threading.Thread(target=log) for _ in range(4)]
        for thread in threads: thread.start()
        for _ in range(10):
            file.close()
            file.reopen()
        stop.set()
        for thread in threads: thread.join()
        """,
        log_dir,
    )


def test_many_writers_share_a_thread():
    threads.writers(100)


def test_an_exit_in_a_signal_handler(log_dir, tmp_path):
    """Many programs exit in the handler of SIGTERM, which may interrupt any call."""
    result = run_script(
        """
        import os, signal, sys, threading, tbc
        writer = tbc.SummaryWriter(sys.argv[1])
        def handler(*_):
            writer.close()
            print(step)
            sys.exit(0)
        signal.signal(signal.SIGTERM, handler)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        step = -1
        while True:
            writer.add_scalar("x", 1.0, step + 1)
            step += 1
        """,
        log_dir,
    )
    (path,) = (tmp_path / "run").iterdir()
    last = int(result.stdout)
    assert steps(path)["x"] in (list(range(last + 1)), list(range(last + 2)))  # a step is counted after its call


def test_more_files_than_a_process_may_have(log_dir):
    """The OSError names the file, and open files stay usable."""
    run_script(
        """
        import errno, os, resource, sys, tbc
        resource.setrlimit(resource.RLIMIT_NOFILE, (50, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        writers = []
        try:
            while True:
                writers.append(tbc.SummaryWriter(f"{sys.argv[1]}/{len(writers)}"))
        except OSError as error:
            assert error.errno == errno.EMFILE, error
            assert error.filename.startswith(f"{sys.argv[1]}/{len(writers)}"), error
        assert len(writers) > 20
        for step in range(100):
            for writer in writers:
                writer.add_scalar("x", 1.0, step)
        for writer in writers:
            writer.close()
        tbc.SummaryWriter(sys.argv[1] + "/again").close()
        """,
        log_dir,
    )
    for run in os.scandir(log_dir):
        files = list(os.scandir(run))
        assert run.name == "again" or [steps(file.path) for file in files] in ([], [{"x": list(range(100))}])


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
