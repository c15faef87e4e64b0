"""Fork at any moment, by any means, while threads log. A child must log to its own file, or to none; the parent's file
must hold the parent's events, each once, and nothing else.

The scripts run in new processes with a time limit, as they could hang.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path

from helpers.oracle import run_script
from torture.row import Row
from torture.scan import steps

LOGGING = """
import json, os, sys, threading, time, warnings, tbc
warnings.simplefilter("ignore")  # Python 3.12 warns of a fork in a process with threads
log_dir, count = sys.argv[1], int(sys.argv[2])
writer = tbc.SummaryWriter(log_dir)
stop = threading.Event()
logged = [0] * 4
def log(thread):
    while not stop.is_set():
        for _ in range(20):
            writer.add_scalar(f"parent {thread}", 1.0, logged[thread])
            logged[thread] += 1
        time.sleep(0.0005)
threads = [threading.Thread(target=log, args=(i,)) for i in range(4)]
for thread in threads: thread.start()
def fork(number):
    in_main_thread = threading.current_thread() is threading.main_thread()  # only here sys.exit() ends the process
    pid = os.fork()
    if pid == 0:
        for step in range(number % 4):
            writer.add_scalar(f"child {number}", 1.0, step)
        if number % 10 == 1:  # only some, as an exit of Python takes long
            writer.close()
            sys.exit()
        if number % 10 == 2 and in_main_thread:
            sys.exit()
        writer.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""

END = """
stop.set()
for thread in threads: thread.join()
writer.close()
print(json.dumps(logged))
"""

BY_ONE = """
for number in range(count): fork(number)
"""

BY_FOUR = """
def fork_some(first):
    for number in range(first, count, 4): fork(number)
forking = [threading.Thread(target=fork_some, args=(i,)) for i in range(4)]
for thread in forking: thread.start()
for thread in forking: thread.join()
"""


def storm(count, forks):
    with tempfile.TemporaryDirectory() as log_dir:
        result = run_script(LOGGING + forks + END, log_dir, count, timeout=60 + count)
        logged = json.loads(result.stdout)
        expected = [{f"child {i}": list(range(i % 4))} for i in range(count) if i % 4]
        expected.append({f"parent {i}": list(range(n)) for i, n in enumerate(logged)})
        found = [steps(path) for path in Path(log_dir).iterdir()]
    assert sorted(found, key=str) == sorted(expected, key=str)
    return sum(logged) + sum(i % 4 for i in range(count))


def while_threads_log(count):
    return Row("os.fork while 4 threads log", count, storm(count, BY_ONE), 0)


def in_threads(count):
    return Row("os.fork in 4 threads while 4 others log", count, storm(count, BY_FOUR), 0)


POOL = """
import multiprocessing, os, sys, tbc

inherited = None

def log(arguments):
    number, writer = arguments
    writer = writer or inherited
    for step in range(10):
        writer.add_scalar(f"task {number}", 1.0, step)

if __name__ == "__main__":
    log_dir, count, method = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    inherited = tbc.SummaryWriter(log_dir)
    inherited.add_scalar("parent", 1.0, 0)
    pool = multiprocessing.get_context(method).Pool(4, maxtasksperchild=1)
    tasks = [(number, None if method == "fork" else inherited) for number in range(count)]
    for step, _ in enumerate(pool.imap_unordered(log, tasks), 1):
        inherited.add_scalar("parent", 1.0, step)
    pool.close()
    pool.join()
"""


def pool(count, method):
    """Log in a pool. Its processes run one task, inherit the writer or get it pickled, and exit without atexit."""
    with tempfile.TemporaryDirectory() as directory:
        script, log_dir = Path(directory, "script.py"), Path(directory, "run")
        script.write_text(POOL)
        command = [sys.executable, script, log_dir, str(count), method]
        subprocess.run(command, cwd=directory, check=True, timeout=60 + 2 * count)
        found = [steps(path) for path in log_dir.iterdir()]
    expected = [{f"task {i}": list(range(10))} for i in range(count)] + [{"parent": list(range(count + 1))}]
    assert sorted(found, key=str) == sorted(expected, key=str)
    return Row(f"tasks of multiprocessing's {method}", count, 11 * count + 1, 0)


LOADER = """
import sys, torch, tbc
from torch.utils.data import DataLoader, Dataset

class Logging(Dataset):
    def __len__(self):
        return count
    def __getitem__(self, i):
        writer.add_scalar("item", float(i), i)
        return i

log_dir, count = sys.argv[1], int(sys.argv[2])
writer = tbc.SummaryWriter(log_dir)
for epoch in range(2):
    for step, batch in enumerate(DataLoader(Logging(), batch_size=10, num_workers=4)):
        writer.add_scalar("batch", float(batch.sum()), step + epoch * count // 10)
"""


def data_loader(count):
    """Log each item in workers of torch's DataLoader, in two epochs. count: the items, a multiple of 10."""
    what = "items of torch's DataLoader, 4 workers"
    if importlib.util.find_spec("torch") is None:
        return Row(what, 0, 0, 0, "skipped: torch is not installed")
    with tempfile.TemporaryDirectory() as log_dir:
        run_script(LOADER, log_dir, count, timeout=120 + count)
        found = [steps(path) for path in Path(log_dir).iterdir()]
    (parent,) = (tags for tags in found if "batch" in tags)
    assert parent == {"batch": list(range(2 * count // 10))}
    items = [tags["item"] for tags in found if tags is not parent]
    assert all(steps == sorted(steps) for steps in items)
    assert sorted(chain(*items)) == sorted(2 * list(range(count)))
    return Row(what, 2 * count, 2 * count + 2 * count // 10, 0)
