"""Read files that an attacker made to be slow: four times the file must take about four times as long.

    cd tests && python -m torture.hostile [TURNS]

Each shape repeats one thing that an attacker can put into a file any number of times.
"""

import gc
import os
import struct
import sys
import tempfile
import time
from itertools import chain
from unittest.mock import patch

import numpy as np
from torture.row import Row

from tbc import _core
from tbc.proto import Event
from tbc.reader import KINDS, load_runs, loader, read_values, verify
from tbc.reader.following import follow
from tbc.reader.load import Tree
from tbc.reader.records import mask
from tbc.reader.tags import matcher

N = 5000
MOST = 8.0  # the maximum ratio of times for four times the file: 4 is linear, 16 quadratic; caches and noise add to it


def scalar(tag, step=1):
    return Event(wall_time=1, step=step, summary={"value": [{"tag": tag, "simple_value": 1}]})


def start(step):
    return Event(wall_time=1, step=step, session_log={"status": 1})


def colliding_tags(n):
    """Return tags of 16 letters with the same hash, by the hash without a seed that csrc/scan.c had once."""
    with np.errstate(over="ignore"):
        factor = np.uint64(0x9E3779B97F4A7C15)
        inverse = np.uint64(pow(int(factor), -1, 1 << 64))
        random = np.random.default_rng(1)
        words = np.zeros((0, 2), np.uint64)
        while len(words) < n:
            first = random.integers(97, 123, (1 << 20, 8), dtype=np.uint8).view("<u8").ravel()
            hashed = (first ^ np.uint64(2 ^ 16 << 32)) * factor
            second = hashed ^ hashed >> np.uint64(32) ^ np.uint64(0x0123456789ABCDEF) * inverse
            is_ascii = second & np.uint64(0x8080808080808080) == 0
            words = np.concatenate([words, np.stack([first, second], 1)[is_ascii]])
    return [word.tobytes().decode() for word in words[:n]]


def damaged(n):
    for i in range(n):
        record = _core.frame(scalar(f"{i}").SerializeToString())
        yield record[:-1] + bytes([record[-1] ^ 1]) if i % 2 else record


def torn(n):
    """Put before each record the head of a record that would end one byte after the end of the file."""
    parts, rest = [], 0
    for i in range(n):
        record = _core.frame(scalar(f"{i}").SerializeToString())
        rest += len(record)
        length = struct.pack("<Q", rest + 1 - 4)
        parts += [record, length + struct.pack("<I", mask(_core.crc32c(length)))]
        rest += 12
    return reversed(parts)


def event_of(values):
    return [Event(wall_time=1, step=1, summary={"value": values})]


def plugins(n):
    """Yield one tag again and again, each time with another plugin."""
    for i in range(n):
        yield from event_of([{"tag": "x", "simple_value": 1, "metadata": {"plugin_data": {"plugin_name": f"{i}"}}}])


def odd(n):
    """Yield events with two contents, which the kernel leaves to protobuf."""
    for i in range(n):
        yield scalar(f"{i}").SerializeToString() + scalar(f"{i}").SerializeToString()


def tags_and_starts(n, steps):
    """Yield values of n tags, then starts of sessions at these steps, each followed by a value of another tag."""
    yield from (scalar(f"{i}", step) for step in range(3) for i in range(n))
    for i, step in enumerate(steps):
        yield from (start(step), scalar(f"{i}", step + 1))


SHAPES = {  # shape -> function(n): n events, data of records, or framed records
    "colliding tags": lambda n: map(scalar, colliding_tags(n)),
    "many tags": lambda n: (scalar(f"{i}") for i in range(n)),
    "tags that differ in their last bytes": lambda n: (scalar("x" * 500 + f"{i:08}") for i in range(n)),
    "plugins of a tag": plugins,
    "starts of one step": lambda n: chain(map(scalar, map(str, range(n))), [start(9)] * n),
    "starts of larger steps": lambda n: tags_and_starts(n, range(n)),
    "starts of smaller steps": lambda n: tags_and_starts(n, reversed(range(n))),
    "steps that go back": lambda n: (scalar("x", step) for step in (*range(n), *reversed(range(n)))),
    "tiny records": lambda n: [b""] * 4 * n,
    "scalars in one event": lambda n: event_of([{"tag": f"{i}", "simple_value": 1} for i in range(n)]),
    "values of a tag in one event": lambda n: event_of([{"tag": "x", "histo": {"num": 1}}] * n),
    "odd events": odd,
    "damaged records": damaged,
    "torn records": torn,
}


FILES = {  # shape -> function(n): the events of each of n files
    "files that go on": lambda n: ([scalar("x", i)] for i in range(n)),
    "files that begin again": lambda n: ([scalar("x", 0), scalar(f"{i}", 0)] for i in range(n)),
    "files that go back": lambda n: ([scalar("x", n - i)] for i in range(n)),
    "files with starts": lambda n: ([start(i), scalar("x", i), scalar(f"{i}", i)] for i in range(n)),
}


def write(logdir, shape, n):
    """Write the files of a shape."""

    def framed(part):
        if isinstance(part, Event):
            part = part.SerializeToString()
        return part if shape in ("damaged records", "torn records") else _core.frame(part)

    files = FILES[shape](n // 5) if shape in FILES else [SHAPES[shape](n)]
    os.mkdir(logdir)
    for i, parts in enumerate(files):
        with open(os.path.join(logdir, f"events.out.tfevents.{i:06}"), "wb") as file:
            file.write(b"".join(map(framed, [*parts])))


def totals(logdir):
    Tree(logdir, matcher(None), ignore).load_totals((matcher(None), set(KINDS), None, None))


def in_python(logdir):
    with patch.object(loader, "_scan", None):
        load_runs(logdir, purge=True, on_error=ignore)


def ignore(error):
    pass


def values(logdir):
    for entry in os.scandir(logdir):
        for _ in read_values(entry.path, ignore):
            pass


READERS = {
    "load_runs": lambda logdir: load_runs(logdir, purge=True, on_error=ignore),
    "load_totals": totals,
    "load_runs in pure Python": in_python,
    "read_values": values,
    "verify": lambda logdir: list(verify(logdir)),
    "follow": lambda logdir: sum(1 for _ in follow(logdir, idle=0, on_error=ignore)),
}


def growth(turns):
    worst = {}
    for shape in (*SHAPES, *FILES):
        with tempfile.TemporaryDirectory() as root:
            logdirs = [os.path.join(root, str(n)) for n in (N, 4 * N)]
            for logdir, n in zip(logdirs, (N, 4 * N), strict=True):
                write(logdir, shape, n)
            for name, read in READERS.items():
                seconds = []
                ratio = MOST
                while len(seconds) < turns or (ratio >= MOST and len(seconds) < 4 * turns):  # may be noise
                    seconds.append([seconds_of(read, logdir) for logdir in logdirs])
                    once, four_times = map(min, zip(*seconds, strict=True))
                    ratio = four_times / once
                assert ratio < MOST, f"{shape}, {name}: {once:.3g} s, {four_times:.3g} s for four times the file"
                worst[shape] = max(worst.get(shape, 0), ratio)
    note = "from n to 4n, at the worst: " + ", ".join(f"{shape} {ratio:.1f}" for shape, ratio in worst.items())
    return Row("files made to take the reader's time", len(SHAPES | FILES) * len(READERS), 0, 0, note)


def seconds_of(read, logdir):
    """Return the CPU seconds of all threads, as the machine may be busy, without Python's garbage collector, whose
    runs would add noise."""
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        read(logdir)
        return time.process_time() - start
    finally:
        gc.enable()


if __name__ == "__main__":
    print(growth(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
