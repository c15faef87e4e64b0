"""Events of 256 KiB and more, which are made outside the lock, and images that wait to be encoded. Small events do not
wait for either.
"""

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers.oracle import read_back, run_script
from hypothesis import given, settings
from hypothesis import strategies as st

import tbc
from tbc import _core
from tbc.proto import Event, Summary
from tbc.reader import find_event_files, read_events

LARGE = 256 << 10
STUCK = """
import os, resource, sys, threading, warnings, numpy as np, tbc
from tbc import _core, encoder_thread
reader, writer = os.pipe()
file = _core.BaseEventFile()
file.attach(writer, "a pipe", 0)
"""


def in_parts(data):
    file = _core.LargeBytes()
    for start in range(0, len(data), 100_000):
        file.add(data[start : start + 100_000])
    return file


KINDS = {
    "text": lambda file, n: file.text("x", "t" * n, 1, 2.0),
    "tensor": lambda file, n: file.tensor("x", np.arange(n) % 7, "i8", 1, 2.0),
    "sound": lambda file, n: file.audio("x", 8000, 1, n // 2, n, lambda to: to.__setitem__(slice(n), b"s" * n), 1, 2.0),
    "image": lambda file, n: file.image("x", 1, 1, 3, bytes(n), 1, 2.0),
    "image in parts": lambda file, n: file.image("x", 1, 1, 3, in_parts(bytes(n)), 1, 2.0),
    "images": lambda file, n: file.images("x", 1, 1, [bytes(n // 2), in_parts(b"b" * (n // 2))], 1, 2.0),
    "scalars": lambda file, n: file.scalars({f"{i:0100}": i for i in range(n // 100)}, 1, 2.0),
    "histogram": lambda file, n: file.histogram_raw("x", range(5), np.arange(n // 16.0), np.ones(n // 16), 1, 2.0),
    "PR curve": lambda file, n: file.pr_curve("x", bytes(n // 24 * 24), 1, 2.0),
    "summary": lambda file, n: file.summary(Summary(value=[{"tag": "t" * n}]).SerializeToString(), 1, 2.0),
    "description": lambda file, n: file.scalar("x", 1.0, 1, 2.0, description="d" * n),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(n=st.integers(-3000, 3000))
def test_an_event_is_the_same_on_either_side_of_the_bound(tmp_path_factory, kind, n):
    """The oracle is the buffer of a single event, which does not know the bound."""
    buffer = _core.EventBuffer()
    KINDS[kind](buffer, LARGE + n)
    log_dir = tmp_path_factory.mktemp("run")
    with tbc.FileWriter(log_dir) as writer:
        KINDS[kind](writer._event_file, LARGE + n)
    is_same = Path(writer._event_file.path).read_bytes().endswith(_core.frame(bytes(buffer)))
    assert is_same  # a comparison in the assert would make pytest print megabytes


def test_small_and_large_events_keep_their_order(log_dir):
    """The events of each thread keep their order, even while other threads close the file."""
    threads, rounds = 4, 30

    def log(thread):
        for step in range(rounds):
            writer.add_tensor(f"{thread}", np.full(LARGE >> (2 if step % 3 else 6), step, np.float32), step)
            writer.add_scalar(f"{thread}", step, step)

    with tbc.SummaryWriter(log_dir) as writer:
        file = writer.file_writer
        loggers = [threading.Thread(target=log, args=(thread,)) for thread in range(threads)]
        for logger in loggers:
            logger.start()
        while any(logger.is_alive() for logger in loggers):
            file.close()
    steps = {str(thread): [] for thread in range(threads)}
    for path in find_event_files(log_dir):
        for event in read_events(path):
            for value in event.summary.value:
                steps[value.tag].append(event.step)
    assert steps == {str(thread): [step for step in range(rounds) for _ in "ab"] for thread in range(threads)}


def test_a_small_event_waits_for_no_large_one(tmp_path):
    """Nobody reads the pipe, so a large event is stuck. The next large one waits, and small ones are queued."""
    run_script(
        STUCK
        + """
_core.set_queue_limit(1 << 20)
file.tensor("x", np.zeros(10 << 20, np.uint8), "u1", 0)
later = threading.Thread(target=file.tensor, args=("x", np.zeros(10 << 20, np.uint8), "u1", 1))
later.start()
for step in range(1000):
    file.scalar("x", 1.0, step)
assert later.is_alive() and file.raw_stats()[0] < 12 << 20, file.raw_stats()
os.set_blocking(reader, False)
while later.is_alive() or file.raw_stats()[0]:
    try:
        os.read(reader, 1 << 20)
    except BlockingIOError:
        later.join(0.001)
"""
    )


def test_a_small_event_waits_for_no_pixels(tmp_path):
    """The encoder is blocked. An image that exceeds the limit waits for it, and so does the next image."""
    run_script(
        STUCK
        + """
_core.set_queue_limit(1 << 20)
go = threading.Event()
encoder_thread.run(go.wait)
with tbc.SummaryWriter(sys.argv[1]) as writer:
    writer.add_image("x", np.zeros((3, 1000, 1000), np.uint8), 0)
    later = threading.Thread(target=writer.add_image, args=("x", np.zeros((3, 1000, 1000), np.uint8), 1))
    later.start()
    for step in range(1000):
        writer.add_scalar("x", 1.0, step)
    later.join(0.5)
    assert later.is_alive() and writer.stats().queued < 4 << 20, writer.stats()
    go.set()
    later.join()
os.close(reader)
""",
        tmp_path,
    )
    assert sum(len(event.summary.value) for event in read_back(tmp_path)) == 1002


def test_a_stuck_disk_bounds_what_images_leave(tmp_path):
    """An image is large while it waits, and small as a record. Records count toward the limit, too."""
    run_script(
        STUCK
        + """
_core.set_queue_limit(100_000)
logged = []
def log():
    for step in range(1000):
        reservation = file.reserve(50_000)
        file.image("x", 1, 1, 3, bytes(10_000), step)
        reservation.release()
        logged.append(step)
logger = threading.Thread(target=log, daemon=True)
logger.start()
logger.join(1)
assert 5 < len(logged) < 20, logged
os.close(reader)
""",
        tmp_path,
    )


def test_what_is_too_large_is_told_before_it_is_copied(tmp_path):
    run_script(
        STUCK
        + """
os.close(reader)
writer = tbc.SummaryWriter(sys.argv[1])
zeros = np.zeros(2**31, np.uint8)  # it takes no memory until it is touched
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for log in (lambda: writer.add_tensor("x", zeros), lambda: writer.add_audio("x", zeros.view(np.int16))):
    try:
        log()
    except ValueError as error:
        assert "2 GiB" in str(error), error
    else:
        raise AssertionError("no error")
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10
writer.close()
""",
        tmp_path,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is counted in other units elsewhere")
def test_memory_that_large_things_take(tmp_path):
    """A sound and a tensor need their size once more; many files need little when nothing is queued."""
    run_script(
        STUCK
        + """
os.close(reader)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4 / 1024
with tbc.SummaryWriter(sys.argv[1]) as writer:
    sound = np.zeros((2, 16 << 20), np.int16)
    sound[:] = 7
    writer.add_audio("x", sound[:, :1000])
    before = peak()
    writer.add_audio("x", sound)
    writer.flush()
    assert peak() - before < 1.2 * 64, peak() - before
    writer.add_tensor("x", sound)
    writer.flush()
    assert peak() - before < 1.2 * 64, peak() - before
files = [tbc.FileWriter(f"{sys.argv[1]}/{i}") for i in range(100)]
some = np.zeros(200 << 10, np.uint8)
before = resident()
for _ in range(3):
    for file in files:
        for _ in range(5):
            file._event_file.tensor("x", some, "u1")
        file.flush()
assert resident() - before < 20, resident() - before
""",
        tmp_path,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux starts the peak of memory anew")
@pytest.mark.parametrize(("kind", "times"), [("photo", 2.2), ("noise", 3.2), ("clip", 2.2)])
def test_memory_that_pixels_take(tmp_path, kind, times):
    """An image needs memory for a copy, for the encoded file, and for the event."""
    run_script(
        STUCK
        + """
os.close(reader)
kind, size = sys.argv[2], 48_000_000
def memory(name):
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith(name)).split()[1]) * 1024
def pixels(size):
    noise = np.resize(np.random.default_rng(0).integers(0, 256, 10**6 + 3, np.uint8), size)
    if kind == "photo":
        noise >>= 5
    return noise.reshape((1, -1, 3, 400, 400) if kind == "clip" else (3, 400, -1))
with tbc.SummaryWriter(sys.argv[1]) as writer:
    add = writer.add_video if kind == "clip" else writer.add_image
    add("x", pixels(480_000))
    writer.flush()
    large = pixels(size)
    before = memory("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    add("x", large)
    writer.flush()
    times = (memory("VmHWM") - before) / size
assert times < float(sys.argv[3]), times
""",
        tmp_path,
        kind,
        times,
    )


def test_the_event_of_a_sound_that_cannot_be_filled_in_is_given_up(log_dir):
    def fail(view):
        raise KeyboardInterrupt

    with tbc.FileWriter(log_dir) as writer:
        file = writer._event_file
        with pytest.raises(KeyboardInterrupt):
            file.audio("x", 8000, 1, 10, 64, fail)
        assert file.stats().queued == 0
        kept = []
        with pytest.raises(KeyboardInterrupt):
            file.audio("x", 8000, 1, 10, 64, lambda view: (kept.append(view), fail(view)))
        with pytest.raises(ValueError, match="released"):
            kept[0][0]
        writer.add_event(Event(step=3))
    assert [event.step for event in read_back(log_dir)] == [3]
