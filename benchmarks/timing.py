"""Measure the cost of a statement.

A case is the source of a statement, which is compiled into a loop, so that the loop calls no function of the benchmark.
It runs in two passes: one as a whole, for the CPU time, and one that reads the clock around each call, for the time
that the caller waits.
"""

import statistics
import tempfile
import time
from contextlib import contextmanager
from typing import NamedTuple

PASS_SECONDS = 0.12  # of a pass, final flush included, unless a single call takes longer

LOOPS = """
def whole(writer, first, n):
    for i in range(first, first + n):
        {statement}

def each(writer, first, n):
    times = []
    for i in range(first, first + n):
        start = perf_counter_ns()
        {statement}
        times.append(perf_counter_ns() - start)
    return times
"""


class Cost(NamedTuple):
    """The cost of a call, in microseconds."""

    median: float  # how long the caller waits
    p99: float
    cpu: float  # of the process: all threads, the final flush included
    loop: float  # how long the caller waits on average, in the pass without a clock in its loop


def loops(statement, names):
    """Return the two loops around a statement. Its variables are `names`, a `writer`, and the step `i`."""
    namespace = {**names, "perf_counter_ns": time.perf_counter_ns}
    exec(LOOPS.format(statement=statement), namespace)
    return namespace["whole"], namespace["each"]


def medians(costs):
    return Cost(*(statistics.median(figures) for figures in zip(*costs, strict=True)))


class Subject:
    """A kind of writer that makes the call of a case."""

    def __init__(self, make, statement, names):
        self.make = make
        self.whole, self.each = loops(statement, names)
        self.n = calls_within(PASS_SECONDS, self._seconds)

    def measure(self):
        """Measure one round, which is two passes."""
        with self._writer() as writer:
            cpu, wall = time.process_time(), time.perf_counter()
            self.whole(writer, 1, self.n)
            wall = time.perf_counter() - wall
            writer.flush()
            cpu = time.process_time() - cpu
            times = sorted(self.each(writer, self.n + 1, self.n))
        clock = clock_nanoseconds()
        median, p99 = (max(0, times[int(part * len(times))] - clock) / 1e3 for part in (0.5, 0.99))
        return Cost(median, p99, cpu / self.n * 1e6, wall / self.n * 1e6)

    def _seconds(self, n):
        with self._writer() as writer:
            start = time.perf_counter()
            self.whole(writer, 1, n)
            writer.flush()
            return time.perf_counter() - start

    @contextmanager
    def _writer(self):
        """Yield a writer on a new directory, after one call, which imports what is needed."""
        with tempfile.TemporaryDirectory() as log_dir:
            writer = self.make(log_dir)
            self.whole(writer, 0, 1)
            writer.flush()
            yield writer
            writer.close()


def calls_within(limit, seconds):
    """Return how many calls fit into `limit` seconds, at least 1. seconds(n) makes n calls and returns their time."""
    n, taken = 1, seconds(1)
    while taken < limit / 8:
        n *= 4
        taken = seconds(n)
    return max(1, int(n * limit / taken))


def clock_nanoseconds():
    """Return what reading the clock adds to the time of a call."""
    _, each = loops("pass", {})
    return statistics.median(each(None, 0, 1000))


def seconds_per_call(statements, names, rounds, limit=0.02):
    """Return the seconds per call of each statement: the median of rounds in which the statements take turns."""
    measured = []
    for statement in statements:
        whole, _ = loops(statement, names)
        whole(None, 0, 1)

        def seconds(n, whole=whole):
            start = time.perf_counter()
            whole(None, 0, n)
            return time.perf_counter() - start

        measured.append((seconds, calls_within(limit, seconds)))
    turns = [[seconds(n) / n for seconds, n in measured] for _ in range(rounds)]
    return [statistics.median(times) for times in zip(*turns, strict=True)]


def digits(figure):
    """Format a figure for a table, with at least three digits."""
    if figure is None:
        return "-"
    return f"{figure:,.{0 if figure >= 100 else 1 if figure >= 10 else 2}f}"
