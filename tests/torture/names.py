"""Test the names of files where clock and process number do not help: containers that share a directory, a clock that
is set back. No file may be opened by two processes, and each must sort after all files that were there, since
TensorBoard reads them in order.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path

from torture.row import Row
from torture.scan import steps

SECONDS = 1_700_000_000
HERE = Path(__file__).parent
can_preload = sys.platform == "linux"
can_unshare = can_preload and shutil.which("unshare") is not None and os.geteuid() == 0

LOG = """
import sys, tbc
log_dir, process, files = sys.argv[1], sys.argv[2], int(sys.argv[3])
writer = tbc.SummaryWriter(log_dir)
sys.stdin.readline()  # all start together
for step in range(files):
    writer.add_scalar(process, 1.0, step)
    writer.close()
"""


def shim(directory):
    library = Path(directory, "names.so")
    flags = ["-std=c11", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([os.environ.get("CC", "cc"), *flags, HERE / "names.c", "-o", library], check=True)
    return library


def preloaded(library):
    """Return LD_PRELOAD with the library in front of what is preloaded already, such as a sanitizer."""
    return f"{library} {os.environ.get('LD_PRELOAD', '')}"


def run_together(log_dir, processes, files, wrapper=(), environment=()):
    """Start processes that log `files` files each, all at the same moment. wrapper: a command that starts a process."""
    commands = [
        [*wrapper, sys.executable, "-c", LOG, log_dir, str(process), str(files)] for process in range(processes)
    ]
    options = {"cwd": HERE.parent, "env": os.environ | dict(environment), "text": True}
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, **options) for command in commands]
    for process in processes:
        process.stdin.close()
    assert [process.wait(120) for process in processes] == [0] * len(processes)


def check(log_dir, processes, files, in_order=True):
    """Assert that each file holds one event of one process, and that the names sort the events of each process."""
    paths = sorted(Path(log_dir).iterdir())
    found = {}
    for path in paths:
        for tag, numbers in steps(path).items():
            found.setdefault(tag, []).extend(numbers)
    if not in_order:
        found = {tag: sorted(numbers) for tag, numbers in found.items()}
    assert found == {str(process): list(range(files)) for process in range(processes)}
    return len(paths)


def in_one_second(count, blind=False):
    """Log in processes with the same process number, host and second. count: files of all, a multiple of 10.

    blind: they see another's file only when they try to make one of the same name.
    """
    what = "files of one second, pid and host"
    if not can_preload:
        return Row(what, 0, 0, 0, "skipped: LD_PRELOAD is Linux's")
    processes, files = 10, count // 10
    with tempfile.TemporaryDirectory() as directory:
        log_dir = Path(directory, "run")
        environment = {"LD_PRELOAD": preloaded(shim(directory)), "TORTURE_SECONDS": str(SECONDS), "TORTURE_PID": "7"}
        environment |= {"TORTURE_BLIND": "yes"} if blind else {}
        run_together(log_dir, processes, files, environment=environment)
        made = check(log_dir, processes, files, in_order=not blind)
    return Row(what, made, count, 0)


def in_containers(count):
    """Log in processes with separate namespaces, in which each has the process number 2 and the same host name."""
    what = "files of containers with one pid and host"
    if not can_unshare:
        return Row(what, 0, 0, 0, "skipped: not root on Linux")
    processes, files = 10, count // 10
    with tempfile.TemporaryDirectory() as directory:
        log_dir = Path(directory, "run")
        inside = 'echo box >/proc/sys/kernel/hostname; "$@"; exit $?'  # the shell is process 1
        unshare = ["unshare", "--pid", "--uts", "--fork", "--mount-proc", "sh", "-c", inside, "sh"]
        run_together(log_dir, processes, files, wrapper=unshare)
        assert all(".box.2." in path.name for path in log_dir.iterdir())
        made = check(log_dir, processes, files)
    return Row(what, made, count, 0)


CLOCK = """
import ctypes, json, os, sys, tbc
shim, log_dir, clocks = ctypes.CDLL(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])

for step, clock in enumerate(clocks):
    shim.torture_seconds(ctypes.c_longlong(clock))
    if step % 5 == 0:
        writer = tbc.SummaryWriter(log_dir)
    writer.add_scalar("x", 1.0, step)
    writer.close()
"""


def as_the_clock_is_set(count, seed=None):
    """Set the clock back and forth between files, within a process and from one to the next.

    count: files, a multiple of 100.
    """
    what = "files while the clock is set to and fro"
    if not can_preload:
        return Row(what, 0, 0, 0, "skipped: LD_PRELOAD is Linux's")
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        log_dir, library = Path(directory, "run"), shim(directory)
        for first in range(0, count, 100):
            clocks = [SECONDS + rng.choice([-100_000, -1, 0, 0, 1, 100]) for _ in range(100)]
            script = CLOCK.replace("enumerate(clocks)", f"enumerate(clocks, {first})")
            command = [sys.executable, "-c", script, library, log_dir, str(clocks)]
            environment = {**os.environ, "LD_PRELOAD": preloaded(library), "TORTURE_SECONDS": "1"}
            subprocess.run(command, cwd=HERE.parent, env=environment, check=True, timeout=120)
        numbers = [steps(path).get("x", []) for path in sorted(log_dir.iterdir())]
    assert list(chain(*numbers)) == list(range(count)), f"seed {seed}"
    return Row(what, count, count, 0, f"seed {seed}")
