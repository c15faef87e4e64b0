"""Try to make tbc lose something, and print a table of how often that was tried: `make torture`.

    cd tests && python -m torture.run                   all; it takes a while
    cd tests && python -m torture.run --quick           all, each a few times
    cd tests && python -m torture.run kill forks.pool   some, by the names in TORTURES
    cd tests && python -m torture.run --json FILE       all, and write the rows to a file

If something is lost, twice, out of order or hangs, the test fails with an AssertionError and the seed that repeats it.
The other tests still run, and the exit status is 1.
"""

import argparse
import importlib
import json
import signal
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path

TORTURES = [  # function, how often, how often with --quick, and further arguments
    ("kill.at_random", 1000, 20, {}),
    ("kill.at_random", 100, 10, {"number": signal.SIGTERM}),
    ("forks.while_threads_log", 1000, 50, {}),
    ("forks.in_threads", 1000, 50, {}),
    ("forks.pool", 200, 10, {"method": "fork"}),
    ("forks.pool", 200, 10, {"method": "forkserver"}),
    ("forks.pool", 20, 5, {"method": "spawn"}),
    ("forks.data_loader", 10_000, 100, {}),
    ("threads.at_once", 1_000_000, 10_000, {}),
    ("threads.signals", 1_000_000, 20_000, {}),
    ("threads.finalizers", 1_000_000, 20_000, {}),
    ("threads.closing", 5000, 100, {}),
    ("threads.writers", 1000, 100, {}),
    ("names.in_one_second", 1000, 100, {}),
    ("names.in_containers", 1000, 100, {}),
    ("names.as_the_clock_is_set", 1000, 100, {}),
    ("disk.nth_call", 1_000_000, 60, {}),  # at most all cases there are
    ("disk.full_disk", 60, 4, {}),
    ("disk.size_limit", 60, 4, {}),
    ("disk.read_only", 1, 1, {}),
    ("disk.taken_away", 120, 12, {}),
    ("disk.full_queue", 30, 3, {}),
    ("memory.nth_malloc", 1000, 10, {}),
    ("memory.loading", 200, 20, {}),
    ("model.random_walks", 500, 30, {}),
    ("differential.calls", 20_000, 1000, {}),
    ("hostile.growth", 5, 2, {}),  # turns
    ("fuzz.values", 120, 10, {}),  # seconds
    ("fuzz.command_line", 120, 10, {}),
    ("fuzz.columns", 120, 10, {}),
    ("fuzz.kernel", 120, 10, {}),
    ("fuzz.memory", 10_000, 200, {}),
    ("sanitize.driver", 1, 1, {}),
    ("sanitize.suite", 1000, 3, {}),  # files of tests
]


def torture(name, count, arguments):
    module, _, function = name.partition(".")
    return getattr(importlib.import_module(f"torture.{module}"), function)(count, **arguments)


def table(rows):
    lines = ["| what was tried | times | events | lost | seconds | |", "| --- | ---: | ---: | ---: | ---: | --- |"]
    for row, seconds in rows:
        lines.append(f"| {row.what} | {row.tried:,} | {row.events:,} | {row.lost} | {seconds:.0f} | {row.note} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="python -m torture.run")
    parser.add_argument("names", nargs="*", help="a module, or module.function; all by default")
    parser.add_argument("--quick", action="store_true", help="each a few times")
    parser.add_argument("--json", metavar="FILE", help="write the rows there, too")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores SIGINT
    rows, failed = [], []
    for name, count, quick, arguments in TORTURES:
        if options.names and not {name, name.partition(".")[0]} & set(options.names):
            continue
        start = time.monotonic()
        try:
            row = torture(name, quick if options.quick else count, arguments)
            rows.append((row, time.monotonic() - start))
            print(row, flush=True)
        except Exception:
            failed.append(name)
            traceback.print_exc()
    print(table(rows))
    if options.json:
        found = [{**asdict(row), "seconds": round(seconds, 1)} for row, seconds in rows]
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(f"FAILED: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
