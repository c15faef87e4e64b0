"""Forks: the child neither hangs nor writes its parent's events; its first event goes to a file of its own.

The tests call torture/forks.py with small counts.
"""

import importlib.util
import multiprocessing
import subprocess
import sys
from itertools import chain

import pytest
from helpers.oracle import read_back, run_script
from torture import forks
from torture.scan import steps

from tbc.reader import find_event_files, read_events


def all_steps(log_dir):
    """Return the steps in each file of a directory."""
    return [[event.step for event in read_events(path) if event.summary.value] for path in find_event_files(log_dir)]


@pytest.mark.parametrize("storm", [forks.while_threads_log, forks.in_threads])
def test_forks_while_threads_log(storm):
    storm(40)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_tasks_of_multiprocessing(method):
    forks.pool(6, method)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_workers_of_a_data_loader():
    forks.data_loader(40)


def test_a_fork_brings_no_warning(log_dir):
    """From Python 3.12 on, os.fork warns if the process has threads. tbc's threads must have ended by then.

    The test prints warnings, because os.fork does not raise them as errors.
    """
    result = run_script(
        """
        import os, sys, warnings, numpy as np, tbc
        warnings.simplefilter("always")
        writer = tbc.SummaryWriter(sys.argv[1])
        for step in range(20):
            writer.add_scalar("x", 1.0, step)
            pid = os.fork()
            if pid == 0:
                writer.add_scalar("child", 1.0, step)
                writer.close()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        """,
        log_dir,
    )
    assert result.stderr == ""


def test_a_child_of_a_child_has_a_file_of_its_own(log_dir, tmp_path):
    run_script(
        """
        import os, sys, warnings, tbc
        warnings.simplefilter("ignore")
        writer = tbc.SummaryWriter(sys.argv[1])
        for generation in range(10):
            writer.add_scalar("x", 1.0, generation)
            writer.add_scalars("runs", {"key": 1.0}, generation)
            pid = os.fork()
            if pid != 0:
                assert os.waitpid(pid, 0)[1] == 0
                break
        """,
        log_dir,
    )
    for path in (tmp_path / "run", tmp_path / "run" / "runs_key"):
        found = [steps(file) for file in path.iterdir() if file.is_file()]
        assert sorted(chain(*(tags.values() for tags in found))) == [[i] for i in range(10)]


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
    """The child inherits held locks and conditions with waiting threads; it must not need them."""
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
    """Such a process ends with os._exit, so atexit handlers do not run."""
    (tmp_path / "script.py").write_text("""
import multiprocessing, os, sys, tbc

def work(log_dir):
    global writer  # keeps the writer alive until the exit
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
        assert [event.step for event in read_back(tmp_path / f"child{i}")] == list(range(100))
