"""Compare tbc.reader with TensorBoard's readers and tbparse, then measure time and memory for a large file.

The files have just been written, so the system has cached them as far as it has room.
"""

import gc
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple
from unittest.mock import patch

import grpc
import numpy as np
import tbparse
import tensorboard_data_server
from growth import table
from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator
from tensorboard.data.grpc_provider import GrpcDataProvider, make_stub
from timing import digits

import tbc
from tbc.reader import load, loader, records, to_dataset

GB = 10**9
PEER_ROUNDS = 3  # the other readers take many seconds each
TAGS = [f"metric/{k}" for k in range(10)]
NOTE = """\
Medians of {rounds} rounds of tbc, {peer_rounds} of the others, and of 10,000 runs. tbc reads a run with load_scalars,
on one core, and several with load_runs. In pure Python (nothing compiled) it reads a tenth, and its seconds are
multiplied by ten. RustBoard is TensorBoard's data server, on all cores: as TensorBoard starts it, it checks no
checksums. Of a picture of 1 MB, load_runs and load_scalars read only the beginning.
"""


class Layout(NamedTuple):
    """A directory of scalars: the number of runs, each with one file, of steps, and the tags."""

    runs: int
    steps: int
    tags: list[str]

    @property
    def points(self):
        return self.runs * self.steps * len(self.tags)


# What to do with a large file, and the number it returns for each block of the file. Blocks repeat the same steps.
STATEMENTS = {
    "nothing except the imports": ("0", 0),
    "every event: read_events": ("sum(1 for event in read_events(path))", 10_510),
    "an index of all: load_runs": ("len(load_runs(path, purge=False)['.'].values['image']['picture'])", 10),
    "the scalars of one tag: load_scalars": ("len(load_scalars(path, tags='metric/0')['metric/0'])", 1000),
}
PROCESS = """
import json, sys, time
import numpy
from tbc.reader import read_events
from tbc.reader.load import load_runs, load_scalars

path = sys.argv[1]
start = time.perf_counter()
count = {count}
seconds = time.perf_counter() - start
try:
    with open("/proc/self/status") as file:  # ru_maxrss would begin with the parent's
        peak = next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
except FileNotFoundError:  # this is not Linux
    peak = float("nan")
print(json.dumps([count, seconds, peak]))
"""


def measure(rounds):
    peer_rounds = min(rounds, PEER_ROUNDS)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # RustBoard keeps all files open
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else 12_000, hard))
    print(NOTE.format(rounds=rounds, peer_rounds=peer_rounds))
    print(f"{'the same scalars':44}{'seconds':>10}{'scalars/s':>14}{'/ tbc':>10}")
    results = {
        "one run": measure_readers(Layout(1, 100_000, TAGS), rounds, peer_rounds, Layout(1, 10_000, TAGS)),
        "100 runs": measure_readers(Layout(100, 1000, TAGS), rounds, peer_rounds, Layout(10, 1000, TAGS)),
        "10,000 runs": measure_readers(Layout(10_000, 100, TAGS[:3]), peer_rounds, peer_rounds),
    }
    rates = {
        "runs, by load_runs": 10_000 / results["10,000 runs"]["tbc"]["seconds"],
        "lines, by dump into /dev/null": dumped_lines_per_second(peer_rounds),
    }
    table("A second", rates)
    with tempfile.TemporaryDirectory() as directory:
        memory = measure_memory(Path(directory), [1, 10] if rounds > 2 else [1])
    commands = measure_commands(1000 if rounds > 2 else 10)
    return results | {"a second": rates, "memory": memory, "commands": commands}


# --- the same scalars, read by all ---


def measure_readers(layout, rounds, peer_rounds, tenth=None):
    """Print and return the rows of a layout. Without `tenth`, a tenth of the layout, slow readers are skipped."""
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as part:
        size = write(whole, layout)
        if tenth:
            write(part, tenth)
        print(f"{layout.points:,} in {layout.runs:,} file{'s'[: layout.runs > 1]}, {size / 1e6:.0f} MB:", flush=True)
        turns = []
        for i in range(rounds):
            turns.append({"tbc": seconds(read_with_tbc, whole, layout)})
            if i < peer_rounds:
                turns[-1] |= rustboard(whole, layout)
            if i < peer_rounds and not tenth:
                turns[-1]["tbc, into Parquet: to_dataset"] = seconds(write_dataset, whole, layout)
            if i < peer_rounds and tenth:
                with patch.object(loader, "_scan", None), patch.object(records, "crc32c", records.crc32c_in_python):
                    turns[-1]["tbc in pure Python"] = 10 * seconds(read_with_tbc, part, tenth)
                turns[-1]["EventAccumulator"] = seconds(read_with_accumulator, whole, layout)
                turns[-1]["tbparse"] = seconds(read_with_tbparse, whole, layout)
    rows = {}
    for name in turns[0]:
        taken = median(turn[name] for turn in turns if name in turn)
        ratio = median(turn[name] / turn["tbc"] for turn in turns if name in turn)
        rows[name] = {"seconds": taken, "scalars/s": layout.points / taken, "ratio": ratio}
        print(f"    {name:40}{taken:>10.3f}{layout.points / taken:>14,.0f}{digits(ratio):>10}", flush=True)
    return rows


def write(logdir, layout):
    """Write the event files; return their size in bytes. A single run is the directory itself."""
    for run in range(layout.runs):
        with tbc.SummaryWriter(Path(logdir, f"{run:05}" if layout.runs > 1 else "")) as writer:
            for step in range(layout.steps):
                for tag in layout.tags:
                    writer.add_scalar(tag, 1 / (step + 1), step)
    return sum(file.stat().st_size for file in Path(logdir).rglob("*tfevents*"))


def seconds(read, logdir, layout):
    gc.collect()
    start = time.perf_counter()
    n = read(logdir, layout)
    taken = time.perf_counter() - start
    assert n == layout.points, f"{read.__name__}: {n:,} of {layout.points:,} scalars"
    return taken


def read_with_tbc(logdir, layout):
    runs = [load.load_scalars(logdir)] if layout.runs == 1 else [r.scalars for r in load.load_runs(logdir).values()]
    return sum(len(scalars) for run in runs for scalars in run.values())


def write_dataset(logdir, layout):
    with tempfile.TemporaryDirectory() as destination:
        return to_dataset(logdir, destination).rows


def read_with_accumulator(logdir, layout):
    n = 0
    for directory in Path(logdir).iterdir() if layout.runs > 1 else [logdir]:
        accumulator = EventAccumulator(str(directory), STORE_EVERYTHING_SIZE_GUIDANCE)
        accumulator.Reload()
        n += sum(len(accumulator.Scalars(tag)) for tag in accumulator.Tags()["scalars"])
    return n


def read_with_tbparse(logdir, layout):
    return len(tbparse.SummaryReader(logdir, extra_columns={"dir_name", "wall_time"}).scalars)


def rustboard(logdir, layout):
    """Return the seconds from RustBoard's start until it has loaded all, and until Python has received all by gRPC.

    Return no rows where RustBoard is not installed, or may not open so many files.
    """
    binary = tensorboard_data_server.server_binary()
    if binary is None or layout.runs + 100 > resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
        return {}
    command = [binary, f"--logdir={logdir}", "--samples-per-plugin=scalars=all", "--reload=once", "--port=0"]
    command += ["--die-after-stdin", "--verbose"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        address = next(line.split()[-1] for line in server.stderr if line.startswith("listening on"))
        next(line for line in server.stderr if "Finished load cycle" in line)
        loaded = time.perf_counter() - start
        with grpc.insecure_channel(address, [("grpc.max_receive_message_length", 1 << 30)]) as channel:
            provider = GrpcDataProvider(address, make_stub(channel))
            runs = provider.read_scalars(None, experiment_id="", plugin_name="scalars", downsample=layout.points)
        read = time.perf_counter() - start
    n = sum(len(scalars) for run in runs.values() for scalars in run.values())
    assert n == layout.points, f"RustBoard: {n:,} of {layout.points:,} scalars"
    return {"RustBoard": loaded, "RustBoard, until Python has them": read}


def dumped_lines_per_second(rounds):
    layout = Layout(1, 10_000, TAGS)
    with tempfile.TemporaryDirectory() as logdir:
        write(logdir, layout)
        return layout.points / median(seconds(dump, logdir, layout) for _ in range(rounds))


def dump(logdir, layout):
    command = [sys.executable, "-m", "tbc.reader", "dump", logdir]
    subprocess.run(command, stdout=subprocess.DEVNULL, cwd=logdir, check=True)  # outside the clone
    return layout.points


# --- a large file ---


def measure_memory(directory, sizes):
    """Print and return rows for a file that grows to each size in GB."""
    if shutil.disk_usage(directory).free < 1.5 * sizes[-1] * GB:
        print(f"\n{directory} has less than {1.5 * sizes[-1]:.1f} GB of room: no large file is read.")
        return {}
    print(f"\n{'a large file, once, in its own process':44}{'seconds':>10}{'peak, MiB':>14}")
    head, block = head_and_block()
    path = directory / "events.out.tfevents.0.large"
    path.write_bytes(head)
    n = 0
    results = {}
    for size in sizes:
        with path.open("ab") as file:
            while file.tell() < size * GB:
                file.write(block)
                n += 1
        print(f"{size} GB: {10_000 * n:,} scalars, {500 * n:,} histograms of 20 kB, {10 * n:,} images of 1 MB:")
        rows = results[f"{size} GB"] = {}
        for name, (expression, per_block) in STATEMENTS.items():
            command = [sys.executable, "-c", PROCESS.format(count=expression), str(path)]
            output = subprocess.run(command, stdout=subprocess.PIPE, cwd=directory, check=True).stdout
            count, taken, peak = json.loads(output)
            assert count // n == per_block, f"{name}: {count:,} in {n:,} blocks"
            rows[name] = {"seconds": taken, "peak, MiB": peak}
            print(f"    {name:40}{taken:>10.3f}{digits(peak):>14}", flush=True)
    return results


# --- the commands, on much of one thing ---

COMMAND = """
import contextlib, json, os, sys, time
import numpy
from tbc.reader.__main__ import main

start = time.perf_counter()
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    status = main(sys.argv[1:])
seconds = time.perf_counter() - start
try:
    with open("/proc/self/status") as file:
        peak = next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
except FileNotFoundError:  # this is not Linux
    peak = float("nan")
print(json.dumps([status, seconds, peak]))
"""


def measure_commands(times):
    """Print and return rows for the commands. The largest file repeats 300,000 scalars so many times."""
    print(f"\n{'a command, once, in its own process':44}{'seconds':>10}{'peak, MiB':>14}")
    many_tags = Layout(1, 5, [f"layer/{k:06}/weights" for k in range(200_000)])
    results = {}
    for layout in (many_tags, Layout(1, 900_000, TAGS)):
        with tempfile.TemporaryDirectory() as directory:
            size = write(directory, layout)
            name = f"{len(layout.tags):,} tags, {layout.points:,} scalars, {size / 1e6:,.0f} MB"
            results[name] = run_commands(name, directory, ["tags", "stats", "show *", "tail", "verify", "export"])
    with tempfile.TemporaryDirectory() as directory:
        layout = Layout(1, 30_000, TAGS)
        size = write(directory, layout) * times
        name = f"{len(layout.tags):,} tags, {times * layout.points:,} scalars, {size / 1e6:,.0f} MB"
        if shutil.disk_usage(directory).free < 1.5 * size:
            print(f"{name}: {directory} has less than {1.5 * size / 1e6:,.0f} MB of room, skipped.")
            return results
        (path,) = Path(directory).iterdir()
        data = path.read_bytes()
        with path.open("ab") as file:
            for _ in range(times - 1):
                file.write(data)
        results[name] = run_commands(name, directory, ["tags", "stats", "tail"])
    return results


def run_commands(name, directory, commands):
    print(f"{name}:")
    rows = {}
    for line in commands:
        command, *more = line.split()
        arguments = [sys.executable, "-c", COMMAND, command, directory, *more]
        output = subprocess.run(arguments, stdout=subprocess.PIPE, cwd=directory, check=True).stdout
        status, taken, peak = json.loads(output)
        assert status == 0, f"{line}: exit status {status}"
        rows[line] = {"seconds": taken, "peak, MiB": peak}
        print(f"    {line:40}{taken:>10.3f}{digits(peak):>14}", flush=True)
    return rows


def head_and_block():
    """Return the first record of an event file, and a block of 21 MB of records, which a file may repeat."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=10_000).astype(np.float32)
    picture = rng.integers(0, 256, (3, 592, 592), np.uint8)  # noise, which PNG cannot compress
    with tempfile.TemporaryDirectory() as logdir:
        with tbc.SummaryWriter(logdir) as writer:
            for step in range(1000):
                for tag in TAGS:
                    writer.add_scalar(tag, 1 / (step + 1), step)
                if step % 2 == 0:
                    writer.add_histogram("weights", weights, step, bins=1250)
                if step % 100 == 0:
                    writer.add_image("picture", picture, step)
        (file,) = Path(logdir).iterdir()
        data = file.read_bytes()
    end = records.end_of(0, records.HEAD.unpack_from(data)[0])
    return data[:end], data[end:]
