"""Measure how cost and memory grow, and what happens when the disk is too slow.

Each measurement runs in its own process, which starts with little memory and does not load torch or the other writers.
"""

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from statistics import median

import numpy as np
from timing import digits

import tbc
from tbc import _core

MIB = 1 << 20
CALLS = 200_000  # of add_scalar, for each point of a curve
THREADS = 8  # that log to a disk that stalls
SIZES = [10, 100, 1000, 2000]  # MB of a large value; the limit of an event is 2 GiB

# A pipe stands for a slow disk. This program is its reader: it reads `size` bytes, sleeps `seconds`, and so on.
READER = """
import os, sys, time
size, seconds = int(sys.argv[1]), float(sys.argv[2])
while True:
    left = size
    while left > 0:
        data = os.read(0, min(left, 1 << 16))
        if not data:
            sys.exit()
        left -= len(data)
    time.sleep(seconds)
"""

# A process that only sleeps, and prints the maximum delay of its wake-ups in ms.
BYSTANDER = """
import sys, threading, time
end = threading.Thread(target=sys.stdin.read)
end.start()
longest = 0.0
while end.is_alive():
    due = time.perf_counter() + 0.0002
    time.sleep(0.0002)
    longest = max(longest, time.perf_counter() - due)
print(1e3 * longest)
"""


def measure(rounds):
    seconds = 4 if rounds > 2 else 1
    curves = [
        curve("add_scalar, us: tags", by_tags, [1, 100, 1000, 10_000, 100_000]),
        curve("add_scalar, us: MiB that wait", by_depth, [0, 1, 4, 16, 60]),
        curve("add_histogram, ns a value: values", by_size, [10**k for k in range(2, 9)]),
        curve("add_scalar, us: open writers", by_writers, [1, 10, 100, 1000]),
        curve("add_scalar, us: threads (one has the GIL)", by_threads, [1, 2, 4, 8, 16]),
    ]
    title = f"{THREADS} threads log scalars, with room for 8 MiB, on a disk that stalls for 0.5 s after each 8 MiB"
    tables = [
        table("Memory that a million scalars take", apart(memory, 1) | apart(memory, 100_000)),
        table("A burst of 200 images of 3x512x512, with room for 64 MiB, on a disk of 20 MiB/s", apart(burst)),
        table(title, apart(stall, seconds)),
        table("A loop of pure Python while all of these threads wait", apart(pace_in_stall, seconds)),
        table("Another file meanwhile, on a disk that does not stall", apart(file_in_stall, seconds)),
        large_things(SIZES if rounds > 2 else SIZES[:2]),
    ]
    return dict(curves + tables)


def apart(function, *arguments):
    """Return function(*arguments), called in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def curve(title, function, points):
    values = [apart(function, point) for point in points]
    print(f"{title:<42}" + "".join(f"{point:>12,}" for point in points))
    print(" " * 42 + "".join(f"{digits(value):>12}" for value in values), flush=True)
    return title, dict(zip(points, values, strict=True))


def table(title, figures):
    print(f"\n{title}:")
    for name, value in figures.items():
        print(f"{digits(value):>16}  {name}", flush=True)
    return title, figures


def large_things(sizes):
    title = "The longest add_scalar while another thread logs one large thing, ms"
    print(f"""
{title}:
(add_scalar is due every 0.4 ms, with the writer of the large thing and with another one. A process that only sleeps
shows what the machine adds; Python adds 5 ms when it changes threads. Each figure is the minimum of three turns, or of
fewer if one is below 10 ms. Then how long the large call takes, and until it is flushed; its peak memory in MB.)""")
    rows = {}
    for kind in LARGE:
        for megabytes in sizes:
            turns = [apart(during, kind, megabytes)]
            while len(turns) < 3 and min(max(turn["its writer"], turn["another"]) for turn in turns) > 10:
                turns.append(apart(during, kind, megabytes))
            row = {name: min(turn[name] for turn in turns) for name in turns[0]}
            if not rows:
                print(" " * 24 + "".join(f"{name:>16}" for name in row))
            rows[f"{kind}, {megabytes:,} MB"] = row
            figures = "".join(f"{digits(value):>16}" for value in row.values())
            print(f"{kind:<14}{megabytes:>7,} MB{figures}", flush=True)
    return title, rows


# --- the curves: a figure for each point ---


def by_tags(n):
    with new_writer() as writer:
        tags = [f"tag/{k}" for k in range(n)]
        return microseconds(lambda: log([writer], tags), CALLS)


def by_depth(mib):
    """Measure add_scalar while so many MiB wait in the queue, since nobody reads the pipe."""
    reader, pipe = os.pipe()
    file = _core.BaseEventFile()
    file.attach(pipe, "a pipe", 100)
    for _ in range(mib):
        file.event(bytes(MIB))
    figure = microseconds(lambda: [file.scalar("x", 0.5, i) for i in range(5000)], 5000)
    os.close(reader)
    with suppress(OSError):  # a broken pipe
        file.close()
    return figure


def by_size(n):
    values = np.resize(np.random.default_rng(0).normal(size=10**6).astype(np.float32), n)
    calls = max(1, 10**6 // n)
    with new_writer() as writer:
        return 1e3 * microseconds(lambda: [writer.add_histogram("h", values, i) for i in range(calls)], calls * n)


def by_writers(n):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else 4096, hard))
    with ExitStack() as stack:
        writers = [stack.enter_context(new_writer()) for _ in range(n)]
        return microseconds(lambda: log(writers, ["x"]), CALLS)


def by_threads(n):
    with new_writer() as writer, ThreadPoolExecutor(n) as pool:
        return microseconds(lambda: list(pool.map(log, [[writer]] * n, [["x"]] * n, [CALLS // n] * n)), CALLS)


def log(writers, tags, calls=CALLS):
    """Log scalars, with each writer and tag in turn."""
    for i in range(calls // (len(writers) * len(tags))):
        for writer in writers:
            for tag in tags:
                writer.add_scalar(tag, 0.5, i)


def microseconds(run, calls):
    """Return the microseconds of a call: the median of three runs, after a first one that does not count."""
    times = []
    for _ in range(4):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) / calls * 1e6)
    return median(times[1:])


# --- small calls during a large one ---


def noise(*shape):
    return np.resize(np.random.default_rng(0).integers(0, 256, 10**6 + 3, np.uint8), shape)


def add_noise(writer, size):
    side = int((size / 3) ** 0.5)
    image = noise(3, side, side)
    return lambda: writer.add_image("image", image)


def add_photo(writer, size):
    """Log a gradient with noise, which compresses like a photograph."""
    side = int((size / 3) ** 0.5)
    image = noise(3, side, side)
    image >>= 5
    image += np.linspace(0, 200, side).astype(np.uint8)
    return lambda: writer.add_image("image", image)


def add_clip(writer, size):
    clip = noise(1, -(-size // (3 * 512 * 512)), 3, 512, 512)
    return lambda: writer.add_video("clip", clip)


def add_tensor(writer, size):
    tensor = noise(size // 4, 4).view(np.float32)
    return lambda: writer.add_tensor("tensor", tensor)


def add_sound(writer, size):
    sound = noise(2, size // 2).view(np.int16)
    return lambda: writer.add_audio("sound", sound)


LARGE = {
    "image, photo": add_photo,
    "image, noise": add_noise,
    "clip": add_clip,
    "tensor": add_tensor,
    "sound, int16": add_sound,
}


def during(kind, megabytes):
    """Measure what one large value costs, and how long calls of add_scalar take meanwhile."""
    with new_writer() as writer, new_writer() as other:
        add = LARGE[kind](writer, megabytes * 10**6)
        log([writer, other], ["x"], 1000)
        longest, seconds = {writer: 0.0, other: 0.0}, []

        def run():
            start = time.perf_counter()
            for work in (add, writer.flush):
                work()
                seconds.append(time.perf_counter() - start)

        thread = threading.Thread(target=run)
        command = [sys.executable, "-c", BYSTANDER]
        bystander = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        time.sleep(0.2)  # until it has started
        with Peak() as memory:
            thread.start()
            while thread.is_alive():
                for each in longest:
                    due = time.perf_counter() + 0.0002
                    time.sleep(0.0002)  # the wait for the GIL afterwards counts, too
                    each.add_scalar("x", 0.5)
                    longest[each] = max(longest[each], time.perf_counter() - due)
        late = float(bystander.communicate()[0])
    return {
        "its writer": 1e3 * longest[writer],
        "another": 1e3 * longest[other],
        "a process": late,
        "its call": 1e3 * seconds[0],
        "flushed": 1e3 * seconds[1],
        "MB of memory": memory.growth * MIB / 1e6,
    }


# --- memory, and the queue under load ---


def memory(tags):
    names = [f"tag/{k}" for k in range(tags)]
    with new_writer() as writer:
        writer.add_scalar("x", 0.5)
        before = resident()
        log([writer], names, 10**6)
        writer.flush()
        return {f"MiB, of {tags:,} tags": resident() - before}


def burst():
    image = np.random.default_rng(0).normal(0.5, 0.03, (3, 512, 512)).clip(0, 1).astype(np.float32)
    with new_writer(MIB, 0.05) as writer:
        writer.add_image("image", image)
        writer.flush()
        with Peak() as peak:
            waits = []
            begin = time.perf_counter()
            for i in range(200):
                start = time.perf_counter()
                writer.add_image("image", image, i)
                waits.append(time.perf_counter() - start)
            writer.flush()
            seconds = time.perf_counter() - begin
    return {
        "images a second": 200 / seconds,
        "ms add_image takes, the median": 1e3 * median(waits),
        "ms add_image takes at most": 1e3 * max(waits),
        "MiB of memory at the peak": peak.growth,
    }


def stall(seconds):
    with stalled_threads(0.5) as (counts, longest), Peak() as peak:
        time.sleep(seconds)
        rates = [count / seconds for count in counts]
    return {
        "events a second": sum(rates),
        "events a second of the slowest thread": min(rates),
        "events a second of the fastest thread": max(rates),
        "ms add_scalar takes at most": 1e3 * max(longest),
        "MiB of memory at the peak": peak.growth,
    }


def pace_in_stall(seconds):
    """Measure a loop while the disk stalls and all threads wait for room: if they held the GIL, the loop would stop."""
    alone, _ = pace(1)
    with stalled_threads(seconds + 2):
        time.sleep(1)
        rate, longest = pace(seconds)
    return {"% of the pace it has alone": 100 * rate / alone, "ms it stands still at most": 1e3 * longest}


def file_in_stall(seconds):
    """Measure another file meanwhile: if a lock were held during a write, its calls would take half a second, too."""
    calls, arrivals = [], []
    with stalled_threads(0.5), new_writer() as writer:
        time.sleep(1)
        path, end = writer.file_writer._event_file.path, time.perf_counter() + seconds
        while time.perf_counter() < end:
            size, start = os.path.getsize(path), time.perf_counter()
            writer.add_scalar("x", 0.5)
            calls.append(time.perf_counter() - start)
            while os.path.getsize(path) == size:
                time.sleep(0.001)
            arrivals.append(time.perf_counter() - start)
    return {
        "us add_scalar takes, the median": 1e6 * median(calls),
        "us add_scalar takes at most": 1e6 * max(calls),
        "ms until the event is in the file, the median (at most 100 are promised where no disk stalls)": 1e3
        * median(arrivals),
        "ms until the event is in the file at most": 1e3 * max(arrivals),
    }


@contextmanager
def new_writer(size=None, seconds=0):
    """Yield a SummaryWriter. With a size, it writes to a pipe whose reader takes so many bytes and sleeps, in turn."""
    with tempfile.TemporaryDirectory() as log_dir, tbc.SummaryWriter(log_dir) as writer:
        if size is None:
            yield writer
            return
        reader, pipe = os.pipe()
        process = subprocess.Popen([sys.executable, "-c", READER, str(size), str(seconds)], stdin=reader)
        os.close(reader)
        writer.file_writer.close()
        writer.file_writer._event_file.attach(pipe, "a pipe", 100)
        yield writer
        writer.close()
        process.wait()


@contextmanager
def stalled_threads(stall):
    """Run THREADS threads that log, on a disk that takes 8 MiB and stalls so many seconds, in turn. Yield the number of
    events that each has logged, and the longest call of each."""
    _core.set_queue_limit(8 * MIB)
    counts, longest, stop = [0] * THREADS, [0.0] * THREADS, threading.Event()

    def run(k):
        while not stop.is_set():
            start = time.perf_counter()
            writer.add_scalar("x", 0.5, counts[k])
            longest[k] = max(longest[k], time.perf_counter() - start)
            counts[k] += 1

    with new_writer(8 * MIB, stall) as writer:
        threads = [threading.Thread(target=run, args=(k,)) for k in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield counts, longest
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def pace(seconds):
    """Return the turns a second of a loop, and its longest turn in seconds."""
    turns, longest = 0, 0.0
    start = last = time.perf_counter()
    while last < start + seconds:
        now = time.perf_counter()
        longest = max(longest, now - last)
        last = now
        turns += 1
    return turns / (last - start), longest


class Peak:
    """The maximum by which the memory of the process grows, in MiB; NaN if the system is not Linux."""

    def __enter__(self):
        self.before, self.growth = resident(), float("nan")
        with suppress(FileNotFoundError), open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # resets VmHWM, the peak
        return self

    def __exit__(self, *_):
        with suppress(FileNotFoundError), open("/proc/self/status") as file:
            peak = next(line for line in file if line.startswith("VmHWM"))
            self.growth = int(peak.split()[1]) / 1024 - self.before


def resident():
    """Return the memory in use in MiB; NaN if the system is not Linux."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / MIB
    except FileNotFoundError:
        return float("nan")
