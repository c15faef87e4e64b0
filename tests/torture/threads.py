"""Use one writer in threads, signal handlers, finalizers and close() at the same time, and many writers in one process.

The scripts run in new processes with a time limit, as they could hang.
"""

import json
import mmap
import struct
import tempfile
from pathlib import Path

import google_crc32c
import numpy as np
from helpers.oracle import run_script
from torture.row import Row
from torture.scan import HEAD, TAIL, Event, steps

FIRST = 1 << 21  # the first step: steps from here to 1 << 28 take 4 bytes, so that all records have the same size

AT_ONCE = """
import sys, threading, tbc
threads, count, first = map(int, sys.argv[2:])
writer = tbc.SummaryWriter(sys.argv[1])
def log(thread):
    tag = f"thread {thread:02}"
    for i in range(count):
        writer.add_scalar(tag, float(i), first + i)
        if i % 50_000 == 0:
            writer.flush()
started = [threading.Thread(target=log, args=(i,)) for i in range(threads)]
for thread in started: thread.start()
for thread in started: thread.join()
writer.close()
"""


def at_once(count, threads=16):
    """Log with many threads. count: events of each thread, at most 16 million, which a float32 can count."""
    with tempfile.TemporaryDirectory() as log_dir:
        run_script(AT_ONCE, log_dir, threads, count, FIRST, timeout=60 + threads * count / 50_000)
        (path,) = Path(log_dir).iterdir()
        check_at_once(path, count, threads)
    return Row(f"{threads} threads on one writer", threads, threads * count, 0)


def check_at_once(path, count, threads):
    """Check each record by the place of its bytes, as parsing so many messages would take long."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        length, _ = HEAD.unpack_from(content)  # of the first record, which holds the version
        start = HEAD.size + length + TAIL.size
        head = content[start : start + HEAD.size]
        length, _ = HEAD.unpack(head)
        size = HEAD.size + length + TAIL.size
        assert len(content) - start == size * threads * count
        example = content[start + HEAD.size : start + size - TAIL.size]
        tag = Event.FromString(example).summary.value[0].tag.encode()
        places = {
            "head": ("S12", 0),  # its last byte is not 0, so numpy does not cut it
            "step": ("<u4", HEAD.size + 10),  # after the wall time and a key
            "tag": ("S9", HEAD.size + example.index(tag)),
            "value": ("<f4", HEAD.size + example.index(tag) + 10),
        }
        formats, offsets = zip(*places.values(), strict=True)
        record = np.dtype({"names": [*places], "formats": formats, "offsets": offsets, "itemsize": size})
        records = np.frombuffer(content, record, offset=start).copy()
        rest = memoryview(content)[start:]
        for data, stored in struct.iter_unpack(f"<{HEAD.size}x{length}sI", rest):
            crc = google_crc32c.value(data)
            assert (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF == stored
        rest.release()
    assert (records["head"] == head).all()
    for thread in range(threads):
        mine = records[records["tag"] == f"thread {thread:02}".encode()]
        assert (mine["value"] == np.arange(count)).all(), f"thread {thread}"
        step = sum((mine["step"] >> 8 * i & 127) << 7 * i for i in range(4))  # a varint
        assert (step == FIRST + np.arange(count)).all(), f"thread {thread}"


SIGNALS = """
import signal, sys, threading, numpy as np, tbc
count = int(sys.argv[2])
writer = tbc.SummaryWriter(sys.argv[1])
calls = depth = 0
def handler(*_):
    global calls, depth
    writer.add_scalar("handler", 1.0, calls)
    calls += 1
    depth += 1
    if depth < 5: alarm()  # may interrupt the flush below
    writer.flush()
    depth -= 1
    alarm()
def alarm():
    signal.setitimer(signal.ITIMER_REAL, 0.001)
signal.signal(signal.SIGALRM, handler)
alarm()
for step in range(count):
    writer.add_scalar("scalar", 1.0, step)
    if step % 10 == 0:
        writer.add_histogram("histogram", np.arange(100), step // 10)
        writer.add_text("text", "text", step // 10)
    if step % 100 == 0:
        writer.add_image("image", np.zeros((3, 9, 9)), step // 100)
        writer.flush()
signal.signal(signal.SIGALRM, signal.SIG_IGN)
writer.close()
print(calls)
"""


def signals(count):
    """Call flush() and add_scalar() in a signal handler, a thousand times a second."""
    calls, found = calls_and_steps(SIGNALS, count)
    expected = {"scalar": count, "histogram": -(-count // 10), "text/text_summary": -(-count // 10)}
    expected |= {"image": -(-count // 100), "handler": calls}
    check_counts(found, expected)
    return Row("flush() in a signal handler, 1 kHz", calls, sum(expected.values()), 0)


def calls_and_steps(script, count):
    """Run a script; return the number that it prints, and the steps of each tag in its only file."""
    with tempfile.TemporaryDirectory() as log_dir:
        result = run_script(script, log_dir, count, timeout=60 + count / 1000)
        (path,) = Path(log_dir).iterdir()
        return int(result.stdout), steps(path)


def check_counts(found, expected):
    assert {tag: len(steps) for tag, steps in found.items()} == {tag: n for tag, n in expected.items() if n}
    for tag, n in expected.items():
        assert found.get(tag, []) == list(range(n)), f"{tag} is out of order"


FINALIZERS = """
import atexit, gc, sys, threading, tbc
count = int(sys.argv[2])
writer = tbc.SummaryWriter(sys.argv[1])
calls = 0
class Flushing:
    def __init__(self):
        self.me = self  # a cycle: gc calls __del__, in the middle of anything that allocates
    def __del__(self):
        global calls
        writer.add_scalar("finalizer", 1.0, calls)
        calls += 1
        writer.flush()
def flush():
    while not done.wait(0.001):
        writer.flush()
def at_exit():
    writer.add_scalar("exit", 1.0, 0)
    writer.flush()
    print(calls)
atexit.register(at_exit)
gc.set_threshold(200)
done = threading.Event()
thread = threading.Thread(target=flush)
thread.start()
for step in range(count):
    writer.add_scalar("scalar", 1.0, step)
    if step % 100 == 0:
        Flushing()
done.set()
thread.join()
gc.collect()
"""


def finalizers(count):
    """Call flush() in __del__ in the garbage collector, in another thread and in atexit."""
    calls, found = calls_and_steps(FINALIZERS, count)
    expected = {"scalar": count, "finalizer": calls, "exit": 1}
    assert calls == -(-count // 100)
    check_counts(found, expected)
    return Row("flush() in __del__, atexit and a thread", calls, sum(expected.values()), 0)


CLOSING = """
import json, sys, threading, time, tbc
count = int(sys.argv[2])
writer = tbc.SummaryWriter(sys.argv[1])
stop = threading.Event()
logged = [0] * 4
def log(thread):
    while not stop.is_set():
        for _ in range(20):
            try:
                writer.add_scalar(f"thread {thread}", 1.0, logged[thread])
            except OSError:  # the file was closed after the writer had looked it up
                continue
            logged[thread] += 1
        time.sleep(0.0005)
def close():
    for _ in range(count // 2):
        writer.close()
        time.sleep(0.0005)
threads = [threading.Thread(target=log, args=(i,)) for i in range(4)]
closing = [threading.Thread(target=close) for _ in range(2)]
for thread in threads + closing: thread.start()
for thread in closing: thread.join()
stop.set()
for thread in threads: thread.join()
writer.close()
writer.close()
print(json.dumps(logged))
"""


def closing(count):
    """Close a writer in two threads, `count` times in all, while four others log to it, which opens a new file."""
    with tempfile.TemporaryDirectory() as log_dir:
        result = run_script(CLOSING, log_dir, count, timeout=60 + count / 10)
        logged = json.loads(result.stdout)
        files = sorted(Path(log_dir).iterdir())
        found = {}
        for path in files:
            for tag, numbers in steps(path).items():
                found.setdefault(tag, []).extend(numbers)
    check_counts(found, {f"thread {i}": n for i, n in enumerate(logged)})
    return Row("close() while 4 threads log", count, sum(logged), 0, f"{len(files)} files")


WRITERS = """
import os, resource, sys, threading, tbc
count = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
writers = [tbc.SummaryWriter(f"{sys.argv[1]}/{i}") for i in range(count)]
for step in range(10):
    for writer in writers:
        writer.add_scalar("x", 1.0, step)
if sys.platform == "linux":
    assert len(os.listdir("/proc/self/task")) == 2, os.listdir("/proc/self/task")
for writer in writers:
    writer.flush()
"""


def writers(count):
    """Have `count` writers open at the same time, with one C thread for all; they are not closed."""
    with tempfile.TemporaryDirectory() as log_dir:
        run_script(WRITERS, log_dir, count, timeout=60 + count / 10)
        runs = list(Path(log_dir).iterdir())
        assert len(runs) == count
        for run in runs:
            (path,) = run.iterdir()
            assert steps(path) == {"x": list(range(10))}
    return Row("writers open at once in a process", count, 10 * count, 0, "1 thread of C")
