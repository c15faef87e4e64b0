"""tbc.compat.tensorboardx.GlobalSummaryWriter: one file, and one count of steps, for all processes.

Tests that start processes do so in a script with a time limit: a hang is a failure.
"""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading

import pytest
from helpers.oracle import read_back, run_script

from tbc.compat.tensorboardx import GlobalSummaryWriter
from tbc.reader import find_event_files, read_events

PRELUDE = """
import multiprocessing, os, signal, sys, threading, time, warnings
import numpy as np
from tbc.compat.tensorboardx import GlobalSummaryWriter

warnings.simplefilter("error")
warnings.filterwarnings("ignore", ".* is multi-threaded, use of fork")
log_dir = sys.argv[1]
fork = multiprocessing.get_context("fork")
writer = GlobalSummaryWriter(log_dir)

def start(work, arguments):
    processes = [fork.Process(target=work, args=(argument,)) for argument in arguments]
    for process in processes: process.start()
    return processes

def run(work, arguments):
    processes = start(work, arguments)
    for process in processes: process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)
"""


def run_writer(script, log_dir):
    return run_script(PRELUDE + script, log_dir)


def logged(log_dir):
    """Return {tag: values} of the only file, in its order; check that the steps of each tag count from 0."""
    assert len(find_event_files(log_dir)) == 1
    found = {}
    for event in read_back(log_dir):
        (value,) = event.summary.value
        values = found.setdefault(value.tag, [])
        assert event.step == len(values), value.tag
        content = {"simple_value": value.simple_value, "tensor": value.tensor.string_val, "image": value.image}
        values.append(content[value.WhichOneof("value")])
    return found


def test_steps_are_counted_by_tag(log_dir):
    writer = GlobalSummaryWriter(log_dir)
    for value in (5, [6], "7"):
        writer.add_scalar("a b", value, walltime=9.5)
        writer.add_text("a b", str(value))
    writer.add_scalar("a_b", 8)  # becomes the tag a_b, too
    writer.add_image("image", [[0, 0.5]], dataformats="HW")
    with pytest.raises(NotImplementedError):
        writer.add_scalar("a b", object())  # raises, and does not count as a step
    writer.add_scalar("a b", 9)
    assert writer.file_writer.get_logdir() == log_dir
    writer.close()
    found = logged(log_dir)
    assert found["a_b"] == [5, 6, 7, 8, 9]
    assert [*map(list, found["a b/text_summary"])] == [[b"5"], [b"[6]"], [b"7"]]
    assert len(found["image"]) == 1
    assert read_back(log_dir)[0].wall_time == 9.5


def test_kinds_are_counted_apart(log_dir):
    writer = GlobalSummaryWriter(log_dir)
    writer.add_scalar("x", 1)
    writer.add_image("x", [[0, 0.5]], dataformats="HW")
    writer.close()
    assert [event.step for event in read_back(log_dir)] == [0, 0]


def test_without_other_processes_nothing_is_started(log_dir):
    run_writer(
        """
writer.add_scalar("x", 1)
assert threading.active_count() == 1
assert multiprocessing.active_children() == []
        """,
        log_dir,
    )
    assert logged(log_dir) == {"x": [1]}


@pytest.mark.parametrize("end", ["writer.close()", ""])
def test_processes_of_a_pool(log_dir, end):
    run_writer(
        f"""
def work(k):
    writer.add_scalar("loss", k)
    writer.add_text("note", str(k))
    writer.add_scalar(f"mine/{{k % 3}}", [k])

with fork.Pool(3) as pool:
    pool.map(work, range(200))
    writer.add_scalar("loss", 200)
{end}
        """,
        log_dir,
    )
    found = logged(log_dir)
    assert sorted(found["loss"]) == list(range(201))
    assert sorted(int(value[0]) for value in found["note/text_summary"]) == list(range(200))
    assert {tag: len(values) for tag, values in found.items() if "mine" in tag} == {
        "mine/0": 67,
        "mine/1": 67,
        "mine/2": 66,
    }


def test_processes_and_threads_at_a_time(log_dir):
    """Some messages are large and go through the pipe in many pieces."""
    run_writer(
        """
pixels = np.random.default_rng(0).integers(0, 256, (8, 3, 64, 64), np.uint8)

def log(k):
    for step in range(20):
        writer.add_image("image", pixels[k])
        writer.add_scalar("x", k)

def work(k):
    threads = [threading.Thread(target=log, args=(number,)) for number in (k, k + 1)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

processes = start(work, [0, 2, 4])
work(6)
for process in processes: process.join()
        """,
        log_dir,
    )
    found = logged(log_dir)
    assert sorted(found["x"]) == sorted(20 * list(range(8)))
    files = [image.encoded_image_string for image in found["image"]]
    assert sorted(files.count(file) for file in set(files)) == [20] * 8


def test_the_exit_waits_for_what_has_been_sent(log_dir):
    run_writer(
        """
handle = writer._inbox._handle

def slowly(*message):
    time.sleep(0.005)
    handle(*message)

writer._inbox._handle = slowly
run(lambda k: [writer.add_scalar("x", k) for k in range(100)], [0])
        """,
        log_dir,
    )
    assert logged(log_dir) == {"x": list(range(100))}


def test_a_child_of_a_child(log_dir):
    run_writer(
        """
def work(depth):
    writer.add_scalar("depth", depth)
    if depth < 3:
        run(work, [depth + 1])
    writer.close()  # does nothing in this process

run(work, [1])
        """,
        log_dir,
    )
    assert logged(log_dir) == {"depth": [1, 2, 3]}


def test_a_process_of_multiprocessing_may_have_made_it(log_dir):
    """Such a process ends with os._exit, so atexit handlers do not run."""
    run_writer(
        """
def work(k):
    mine = GlobalSummaryWriter(log_dir + "/mine")
    child = fork.Process(target=lambda: [mine.add_scalar("x", k) for k in range(1000)])
    child.start()

run(work, [0])
        """,
        log_dir,
    )
    assert logged(os.path.join(log_dir, "mine")) == {"x": list(range(1000))}


@pytest.mark.parametrize("method", sorted({"spawn", "forkserver"} & set(multiprocessing.get_all_start_methods())))
def test_it_goes_to_a_process_that_is_started(tmp_path, method):
    (tmp_path / "script.py").write_text("""
import multiprocessing, sys
from tbc.compat.tensorboardx import GlobalSummaryWriter

def work(writer, depth):
    for k in range(100):
        writer.add_scalar("x", k)
    if depth:
        go(writer, depth - 1)
    writer.close()

def go(writer, depth):
    context = multiprocessing.get_context(sys.argv[1])
    processes = [context.Process(target=work, args=(writer, depth)) for _ in range(2)]
    for process in processes: process.start()
    for process in processes: process.join()
    assert [process.exitcode for process in processes] == [0, 0]

if __name__ == "__main__":
    writer = GlobalSummaryWriter("run")
    writer.add_scalar("x", -1)
    go(writer, 1)
    writer.close()
""")
    subprocess.run([sys.executable, "script.py", method], cwd=tmp_path, check=True, timeout=60)
    assert sorted(logged(str(tmp_path / "run"))["x"]) == sorted([-1, *6 * list(range(100))])


@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_not_pickled_elsewhere(log_dir, how):
    writer = GlobalSummaryWriter(log_dir)
    with pytest.raises(RuntimeError, match="through inheritance"):
        how(writer)
    writer.close()


def test_what_is_wrong_is_raised_where_it_is_called(log_dir):
    run_writer(
        """
WRONG = [
    (NotImplementedError, lambda: writer.add_scalar("x", object())),
    (AssertionError, lambda: writer.add_scalar("x", [1, 2])),
    (TypeError, lambda: writer.add_scalar(3, 1)),
    (ValueError, lambda: writer.add_scalar("x", 1, walltime="now")),
    (AssertionError, lambda: writer.add_image("x", np.zeros((3, 4)))),
    (TypeError, lambda: writer.add_text("x", 3)),
]

def work(_):
    for kind, call in WRONG:
        try:
            call()
        except kind:
            pass
        else:
            raise AssertionError(kind)
    writer.add_scalar("x", 1)

work(0)
run(work, [0])
        """,
        log_dir,
    )
    assert logged(log_dir) == {"x": [1, 1]}


def test_a_killed_process_harms_no_other(log_dir):
    run_writer(
        """
pixels = np.random.default_rng(0).integers(0, 256, (3, 256, 256), np.uint8)

def flood(_):
    while True:
        writer.add_image("flood", pixels)

def work(k):
    for step in range(50):
        writer.add_scalar("x", k)

for k in range(10):
    (victim,) = start(flood, [0])
    (other,) = start(work, [k])
    time.sleep(0.05 + k / 100)
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    other.join()
    assert other.exitcode == 0
writer.close()
        """,
        log_dir,
    )
    assert sorted(logged(log_dir)["x"]) == sorted(50 * list(range(10)))


def test_the_process_with_the_file_has_ended(log_dir):
    script = """
writer.smw.flush()
empty = writer.smw.stats().written
if os.fork() == 0:
    parent = os.getppid()
    writer.add_scalar("x", 1)
    while os.getppid() == parent:
        time.sleep(0.01)
    warnings.simplefilter("always")
    for k in range(10_000):  # more than a pipe holds
        writer.add_scalar("x", 2)
    os._exit(0)
while writer.smw.stats().written == empty:
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""
    result = run_script(PRELUDE + script, log_dir, check=False)
    assert "RuntimeWarning: nothing is logged any more: the process with the file has ended" in result.stderr
    assert logged(log_dir) == {"x": [1]}


def test_nothing_is_created_if_it_does_not_write(tmp_path):
    run_script(
        """
import multiprocessing, os, sys
from tbc.compat.tensorboardx import GlobalSummaryWriter

writer = GlobalSummaryWriter(sys.argv[1], write_to_disk=False)
def work():
    writer.add_scalar("x", object())
    writer.add_image("x", None)
    writer.add_text("x", None)
    writer.close()
work()
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
assert child.exitcode == 0
assert not os.path.exists(sys.argv[1])
        """,
        tmp_path / "run",
    )


def test_the_log_goes_on_after_close(log_dir):
    run_writer(
        """
run(lambda k: writer.add_scalar("x", k), [0, 1])
writer.close()
run(lambda k: writer.add_scalar("x", k), [2])
        """,
        log_dir,
    )
    values = [
        [event.summary.value[0].simple_value for event in read_events(path) if event.summary.value]
        for path in find_event_files(log_dir)
    ]
    assert list(map(sorted, values)) == [[0, 1], [2]]


def test_close_in_the_middle_of_messages(log_dir):
    run_writer(
        """
pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64), np.uint8)

def work(k):
    for _ in range(50):
        writer.add_image("x", pixels)

processes = start(work, [0, 1])
while any(process.is_alive() for process in processes):
    threads = [threading.Thread(target=writer.close) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
        """,
        log_dir,
    )
    steps = [event.step for path in find_event_files(log_dir) for event in read_events(path) if event.summary.value]
    assert steps == list(range(100))


def test_close_tells_what_befell_the_calls_of_others(log_dir):
    run_writer(
        """
import shutil
writer.close()
shutil.rmtree(log_dir)
open(log_dir, "w").close()  # a file in place of the directory
run(lambda k: writer.add_scalar("x", k), [0])
for expected in (OSError, None):
    try:
        writer.close()
        assert expected is None
    except OSError as error:
        assert expected is OSError and error.filename.startswith(log_dir), error
        """,
        log_dir,
    )


def test_all_modules_share_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = threading.active_count()
    writer = GlobalSummaryWriter.getSummaryWriter()
    assert writer is GlobalSummaryWriter.getSummaryWriter()
    assert os.listdir("runs") == [os.path.basename(writer.smw.logdir)]
    assert threading.active_count() == threads
    writer.close()
