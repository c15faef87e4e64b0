"""Kill a process that logs at a random instant. The file must hold, in order, all that was logged before the last
flush() that returned, and all that is older than AGE. It may end with one torn record.

The process notes in memory shared with its parent when each add_* returned, and how many had returned before the last
flush(). The memory outlives the process, and writing to it takes no system call. It logs bursts of scalars, histograms
and texts of up to megabytes, so that a signal can interrupt a large write, and images, which are counted separately
because another thread encodes them.

    python -m torture.kill COUNT SEED SIGNAL DIRECTORY      COUNT kills, one after another; then a line of JSON
"""

import json
import mmap
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from torture import readers
from torture.row import Row
from torture.scan import Event, frames, load

AGE = 0.25  # seconds
LIFE = 0.8  # the maximum seconds from the fork to the signal, which may come before there is a file
MOST = 50_000  # events of one process
ROUND = 100  # kills, after which RustBoard reads all files
WORKERS = 4  # processes that kill at the same time; they and their children mostly sleep


class Shared:
    """What the process did, for events (0) and images (1): the times in seconds, and the counts at the last flush()."""

    def __init__(self):
        room = memoryview(mmap.mmap(-1, 8 * (2 + 2 * MOST))).cast("d")
        self.flushed = room[:2]
        self.times = room[2 : 2 + MOST], room[2 + MOST :]

    def clear(self):
        for part in (self.flushed, *self.times):
            part[:] = memoryview(bytes(part.nbytes)).cast("d")

    def count(self, kind):
        times = self.times[kind]
        return next((i for i, when in enumerate(times) if when == 0), len(times))


def log(directory, seed, shared):
    import numpy as np

    import tbc

    rng = random.Random(seed)
    flushes = rng.choice([0, 0.3])  # the share of bursts that end with flush(); with none, only AGE is tested
    longest = rng.choice([2, 7])  # decimal digits of a text's length; a large one is written at once, with all before
    events, images = shared.times
    event = image = 0
    writer = tbc.SummaryWriter(directory)
    while True:
        for _ in range(int(10 ** rng.uniform(0, 2.5))):
            if event == MOST - 1:
                time.sleep(LIFE)
            kind = rng.random()
            if kind < 0.98:
                writer.add_scalar("scalar", float(event), event)
            elif kind < 0.995:
                writer.add_histogram("histogram", np.arange(event, event + 100), event)
            else:
                writer.add_text("text", "x" * int(10 ** rng.uniform(0, longest)), event)
            events[event] = time.monotonic()
            event += 1
        if rng.random() < 0.2:
            writer.add_image("image", np.full((3, 16, 16), image % 256, np.uint8), image)
            images[image] = time.monotonic()
            image += 1
        if rng.random() < flushes:
            writer.flush()
            shared.flushed[0], shared.flushed[1] = event, image
        time.sleep(rng.uniform(0, 0.05))


def wait(ready, nap):
    """Sleep `nap` s and write a byte, until ready(). Return by how many seconds in all these turns took longer than
    nap + 1 ms: so long the machine was busy, and may have delayed the writer's thread, too."""
    overslept, last = 0.0, time.monotonic()
    with tempfile.TemporaryFile(buffering=0) as file:
        while not ready():
            time.sleep(nap)
            file.write(b"x")
            now = time.monotonic()
            overslept += max(0, now - last - nap - 0.001)
            last = now
    return overslept


def size(directory):
    return sum(file.stat().st_size for file in Path(directory).iterdir())


def kill_one(directory, seed, number, shared):
    """Start and kill one process. Return (events it logged, bytes of a torn record, age in seconds of the oldest event
    that is not in the file, {tag: steps in the file})."""
    life = random.Random(~seed).uniform(0, LIFE)
    shared.clear()
    pid = os.fork()
    if pid == 0:
        try:
            log(directory, seed, shared)
        finally:
            os._exit(1)
    end = time.monotonic() + life
    overslept = wait(lambda: time.monotonic() > end, 0.01)
    if seed % 2:  # kill during the next write, halfway if it is a large one
        before, end = size(directory), end + LIFE
        overslept += wait(lambda: size(directory) != before or time.monotonic() > end, 0)
    killed = time.monotonic()
    os.kill(pid, number)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -number, f"the process ended before the kill: status {status}"
    logged = shared.count(0), shared.count(1)
    files = list(Path(directory).glob("*"))
    assert len(files) <= 1, files
    if not files:
        assert logged == (0, 0)
        return 0, 0, 0.0, {}
    records, torn = frames(files[0])
    loaded = load(files[0])
    assert loaded == records, f"TensorBoard's loader has {len(loaded)} records of {len(records)}"
    assert not records or Event.FromString(records[0]).file_version == "brain.Event:2"
    tags, steps = {}, ([], [])
    for record in records[1:]:
        event = Event.FromString(record)
        (value,) = event.summary.value
        steps[value.tag == "image"].append(event.step)
        tags.setdefault(value.tag, []).append(event.step)
    oldest = 0.0
    for kind, name in enumerate(("event", "image")):
        found = len(steps[kind])
        assert steps[kind] == list(range(found)), f"{name}s out of order, missing or twice"
        assert found <= logged[kind] + 1, f"{found} {name}s, but {logged[kind]} were logged"
        assert found >= shared.flushed[kind], f"{found} {name}s, but flush() returned after {shared.flushed[kind]:.0f}"
        if found < logged[kind]:
            oldest = max(oldest, killed - shared.times[kind][found])
    assert oldest < AGE + overslept, f"one of {oldest} s was lost, while the parent overslept {overslept} s"
    return sum(logged), torn, oldest, tags


def kill_many(count, first, number, root):
    import numpy  # noqa: F401 - once here, not in each child

    import tbc.kinds.images  # noqa: F401

    shared, results = Shared(), {}
    for seed in range(first, first + count):
        directory = Path(root, str(seed))
        directory.mkdir()
        try:
            results[seed] = kill_one(directory, seed, number, shared)
        except BaseException:
            print(f"seed {seed}, see {directory}", file=sys.stderr)
            raise
    print(json.dumps(results))


def kill_some(count, seed, number):
    """Kill in WORKERS processes, each of which imports once what its children need. At the end, RustBoard reads all."""
    root = tempfile.mkdtemp(prefix="tbc-kill-")  # is kept if a check fails
    shares, workers = [len(range(i, count, WORKERS)) for i in range(WORKERS)], []
    for i, share in enumerate(shares):
        arguments = [share, seed + sum(shares[:i]), int(number), root]
        command = [sys.executable, "-m", "torture.kill", *map(str, arguments)]
        options = {"cwd": Path(__file__).parent.parent, "text": True}
        workers.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options))
    results = {}
    for worker in workers:
        output, errors = worker.communicate(timeout=60 + 5 * count)
        assert worker.returncode == 0, errors
        results |= json.loads(output)
    if readers.has_rustboard:
        expected = {run: tags for run, (*_, tags) in results.items() if tags}
        with readers.RustBoard(root, once=True) as server:
            view = server.view(enough=lambda view: steps_of(view) == expected)
        wrong = [run for run in results if steps_of(view).get(run, {}) != expected.get(run, {})]
        assert not wrong, f"RustBoard does not show all of seeds {wrong}, see {root}"
    shutil.rmtree(root)
    return [result[:3] for result in results.values()]


def steps_of(view):
    return {run: {tag: [step for step, _ in points] for tag, points in tags.items()} for run, tags in view.items()}


def at_random(count, number=signal.SIGKILL, seed=None):
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    results = []
    for first in range(0, count, ROUND):
        results += kill_some(min(ROUND, count - first), seed + first, number)
    events, torn, oldest = zip(*results, strict=True)
    note = f"{sum(map(bool, torn))} torn tails; the oldest event lost was {1000 * max(oldest):.0f} ms old; seed {seed}"
    return Row(f"{signal.Signals(number).name} at a random instant", count, sum(events), 0, note)


if __name__ == "__main__":
    kill_many(*map(int, sys.argv[1:4]), sys.argv[4])
