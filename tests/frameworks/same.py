"""Compare two directories of runs: every value, by its meaning."""

import math
import re
from dataclasses import fields, is_dataclass
from fnmatch import fnmatch

import numpy as np
from tensorboard.compat.proto.graph_pb2 import GraphDef

from tbc.reader import compare, find_event_files, load_runs, read_events
from tbc.reader.kinds import Histogram

# The parts of a run's name that differ each time: the time, as seconds or as a date, and Ray's random letters.
MOMENT = re.compile(
    r"\d{10}\.\d+|[A-Z][a-z]{2}\d\d_\d\d-\d\d-\d\d(?=_)|\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d|(?<=fit_)[0-9a-f]{5}(?=_)"
)
TIMES = {"start_time", "end_time"}  # fields of hyperparameters that torch's writer does not set
SUMS = {"sum", "sum_squares"}  # fields of histograms


def load(log_dir):
    """Load runs, with MOMENT removed from their names; runs of the same name are numbered in the order of time."""
    runs, named = load_runs(log_dir, purge=False), {}
    for name in sorted(runs):
        named.setdefault(MOMENT.sub("*", name), []).append(runs[name])
    return {f"{name} ({i})": run for name, several in named.items() for i, run in enumerate(several)}


def differences(a, b, timed=()):
    """Yield (tag, what differs) between the runs of two directories.

    timed: patterns of tags whose values are times or speeds; only their steps are compared.
    """
    for difference in compare(a, b):
        if difference.what != "values" or not any(fnmatch(difference.tag, pattern) for pattern in timed):
            yield difference.tag, str(difference)
    ours, theirs = values_of(a), values_of(b)
    for run, kind, tag in sorted(ours.keys() ^ theirs.keys()):
        yield tag, f"{run}: only one side has the {kind} {tag!r}"
    for key in sorted(ours.keys() & theirs.keys()):
        run, kind, tag = key
        first, second = ours[key], theirs[key]
        steps = first.step.tolist()
        if steps != second.step.tolist():
            yield tag, f"{run}: {first!r}, {second!r}"
            continue
        unequal = [i for i in range(len(steps)) if not same(meaning(first, i), meaning(second, i))]
        if unequal:
            what = f"{first[unequal[0]]!r}, {second[unequal[0]]!r}"
            yield tag, f"{run}: {len(unequal)} times the {kind} {tag!r}, first at step {steps[unequal[0]]}: {what}"


def values_of(runs):
    """Return all values except scalars, by run, kind and tag."""
    return {
        (name, kind, tag): values
        for name, run in runs.items()
        for kind, tags in run.values.items()
        for tag, values in tags.items()
    }


def meaning(values, i):
    if values.kind == "graph":
        return GraphDef.FromString(values[i])
    if values.kind == "image":
        return np.array([np.asarray(values[i].image(n)) for n in range(len(values[i].files))])
    return values[i]


def same(a, b):
    if is_dataclass(a) and type(a) is type(b):
        names = {field.name for field in fields(a)} - TIMES - SUMS
        return all(same(getattr(a, name), getattr(b, name)) for name in names) and same_sums(a, b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b


def same_sums(a, b):
    """Return whether the sums are the same except for rounding, which differs between numpy and tbc."""
    if not isinstance(a, Histogram):
        return True
    most = a.num * max(abs(a.min), abs(a.max))
    return math.isclose(a.sum, b.sum, rel_tol=1e-9, abs_tol=1e-12 * most) and math.isclose(a.sum_squares, b.sum_squares)


def events(log_dir):
    """Return the number of events in each file, in the order of the files."""
    return [sum(1 for _ in read_events(path)) for path in find_event_files(log_dir)]
