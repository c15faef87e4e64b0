"""Compare two trees of runs: every value of every kind, run by run, tag by tag, step by step."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .describe import brief
from .events import Value
from .load import load_runs
from .pairs import (
    Apart,
    Indices,
    Tolerance,
    UnreadableError,
    elements_apart,
    numbers_text,
    part_text,
    unreadable,
    value_apart,
)
from .series import Run, Scalars, Values, named_by_time
from .tags import Patterns, kinds_of, matcher

Series: TypeAlias = "Scalars | Values"


@dataclass(frozen=True)
class Difference:
    """How one tag of one run differs. There is at most one Difference for each run, tag, kind and `what`.

    run, tag, kind: where the values are; kind is one of KINDS
    what: "missing" (a or b has no such tag), "steps" (a or b lacks some steps), "values" (values differ), or
        "unreadable" (a value cannot be read or decoded, and the bytes of the two differ)
    count: how many values differ or are missing
    step: the step of the two values that differ most, or of the first two if no number measures the difference. For
        "missing" and "steps": the lowest step that a or b lacks
    a, b: the values at that step: numbers for scalars, a short description for other kinds; None where there is none
    text: how the two values differ; for "missing" and "steps", the value that is there
    run_b: the name of the run in b if it differs from `run` (see compare), else None
    """

    run: str
    tag: str
    kind: str
    what: str
    count: int
    step: int
    a: float | str | None
    b: float | str | None
    text: str
    run_b: str | None = None


@dataclass
class Comparison:
    """The differences, and how much was compared.

    runs: how many were compared. tags: how many, by kind. values: how many; a pair counts once
    excluded_runs, excluded_tags: how many the caller excluded; a tag counts once for each kind
    """

    differences: list[Difference] = field(default_factory=list)
    runs: int = 0
    tags: Counter[str] = field(default_factory=Counter)
    values: int = 0
    excluded_runs: int = 0
    excluded_tags: int = 0


def compare(
    a: Mapping[str, Run] | str | os.PathLike[str],
    b: Mapping[str, Run] | str | os.PathLike[str],
    *,
    rtol: float = 0.0,
    atol: float = 0.0,
    exclude_runs: Patterns = None,
    exclude_tags: Patterns = None,
    exclude_kinds: str | Iterable[str] | None = None,
) -> list[Difference]:
    """Compare two trees of runs and return the differences, by run, tag and kind. An empty list means no difference.

    a, b: what load_runs returned, or a path, for which load_runs(path) is called
    rtol, atol: numbers are equal if |a - b| <= atol + rtol * |b|, as in numpy.isclose, or if both are NaN. This holds
        for scalars, tensors, pixels, samples, and the numbers in histograms, PR curves, meshes and hyperparameters.
        Both are 0 by default
    exclude_runs, exclude_tags: what not to compare: a name, a glob (* matches any text), a compiled regular expression,
        or several of these
    exclude_kinds: the kinds not to compare, of KINDS. To choose the kinds, runs, tags or steps to compare, pass what
        load_runs(path, kinds=..., runs=..., tags=..., steps=...) returns

    Values are equal if their contents are, however they were stored: images by their pixels, sounds by their samples,
    graphs by their nodes, in any order. If Pillow or `wave` cannot read a file, its bytes are compared. These are not
    compared: wall times, the times in hyperparameters, titles and descriptions of tags, and how many files a run has.
    If a step was logged several times, the first values are compared, then the second ones, and so on.

    add_hparams names its child run by the time. Such child runs, if their names are only in a or only in b, are paired
    within their parent, in order of time: the first of a with the first of b, and so on.

    One pair of values is in memory at a time. Raises TypeError for other arguments, ValueError for a tolerance below 0
    or NaN, OSError for a path that cannot be read.
    """
    return comparison(a, b, rtol, atol, exclude_runs, exclude_tags, exclude_kinds).differences


def comparison(
    a: Any,
    b: Any,
    rtol: float = 0.0,
    atol: float = 0.0,
    exclude_runs: Patterns = None,
    exclude_tags: Patterns = None,
    exclude_kinds: Any = None,
) -> Comparison:
    """Compare as `compare` does; return also how much was compared."""
    tolerance = Tolerance(_tolerance("rtol", rtol), _tolerance("atol", atol))
    is_excluded_run = matcher([] if exclude_runs is None else exclude_runs)
    is_excluded_tag = matcher([] if exclude_tags is None else exclude_tags)
    no_kinds = set() if exclude_kinds is None else kinds_of(exclude_kinds)
    done = Comparison()
    runs_a, runs_b = _runs("a", a), _runs("b", b)
    for name_a, name_b in _matched(runs_a, runs_b):
        if any(name is not None and is_excluded_run(name) for name in (name_a, name_b)):
            done.excluded_runs += 1
            continue
        series_a = _series(runs_a[name_a] if name_a is not None else None)
        series_b = _series(runs_b[name_b] if name_b is not None else None)
        run = name_b if name_a is None else name_a
        run_b = None if name_b == run or name_b is None else name_b
        done.runs += 1
        for tag, kind in sorted({*series_a, *series_b}):
            if is_excluded_tag(tag) or kind in no_kinds:
                done.excluded_tags += 1
                continue
            done.tags[kind] += 1
            done.values += _compare_series(
                (run or "", tag, kind, run_b),
                series_a.get((tag, kind)),
                series_b.get((tag, kind)),
                tolerance,
                done.differences,
            )
    return done


def _tolerance(name: str, number: float) -> float:
    if isinstance(number, str) or not hasattr(number, "__float__"):
        raise TypeError(f"{name} must be a number, got {number!r}")
    tolerance = float(number)
    if not tolerance >= 0:
        raise ValueError(f"{name} must be 0 or more, got {number!r}")
    return tolerance


def _runs(name: str, runs: Any) -> Mapping[str, Run]:
    if isinstance(runs, str | os.PathLike):
        return load_runs(runs)
    if isinstance(runs, Mapping) and all(isinstance(run, Run) for run in runs.values()):
        return runs
    got = type(runs).__name__
    if isinstance(runs, Mapping):
        got += f" of {type(next(run for run in runs.values() if not isinstance(run, Run))).__name__}"
    raise TypeError(f"{name} must be a path or what load_runs returns, a dict of Run; got a {got}")


def _matched(a: Iterable[str], b: Iterable[str]) -> list[tuple[str | None, str | None]]:
    """Return pairs of names of runs, sorted, with None for a run that is missing in a or b.

    Runs are paired by name. Child runs that are named by the time and have no partner are paired in order of time.
    """
    names_a, names_b = set(a), set(b)
    both = [(name, name) for name in names_a & names_b]
    timed_a, timed_b = named_by_time(names_a - names_b), named_by_time(names_b - names_a)
    timed = [
        pair
        for parent in timed_a.keys() & timed_b.keys()
        for pair in zip(timed_a[parent], timed_b[parent], strict=False)
    ]
    matched = {name for pair in (*both, *timed) for name in pair}
    only_a: list[tuple[str | None, str | None]] = [(name, None) for name in names_a - matched]
    only_b: list[tuple[str | None, str | None]] = [(None, name) for name in names_b - matched]
    return sorted([*both, *timed, *only_a, *only_b], key=lambda pair: pair[0] or pair[1] or "")


def _series(run: Run | None) -> dict[tuple[str, str], Series]:
    """Return the Scalars and Values of a run, by (tag, kind)."""
    return {} if run is None else {(tag, kind): values for tag, kind, values in run.all()}


# --- one tag ---


def _compare_series(
    where: tuple[str, str, str, str | None],
    a: Series | None,
    b: Series | None,
    tolerance: Tolerance,
    differences: list[Difference],
) -> int:
    """Append the differences of one tag; return how many values were compared or are only in a or b."""
    run, tag, kind, run_b = where
    step_a, step_b = (np.empty(0, np.int64) if series is None else series.step for series in (a, b))
    if kind == "file_version" and len(step_a) and len(step_b):
        # Each file has one, and how many files a run has is not compared: the last one of the shorter is repeated.
        order = np.arange(max(len(step_a), len(step_b)))
        index_a, index_b = np.minimum(order, len(step_a) - 1), np.minimum(order, len(step_b) - 1)
        only_a = only_b = np.empty(0, np.intp)
    else:
        index_a, index_b, only_a, only_b = _paired(step_a, step_b)

    def add(what: str, count: int, step: int, i: int | None, j: int | None, text: str = "") -> None:
        ends = [None if n is None else _said(series, n) for series, n in ((a, i), (b, j))]
        text = text or next(part_text(end) if isinstance(end, float) else end for end in ends if end is not None)
        differences.append(Difference(run, tag, kind, what, count, step, ends[0], ends[1], text, run_b))

    if len(only_a) or len(only_b):
        what = "missing" if a is None or b is None else "steps"
        first = min((int(step[only].min()) for step, only in ((step_a, only_a), (step_b, only_b)) if len(only)))
        i, j = (
            next(iter(only[step[only] == first].tolist()), None) for step, only in ((step_a, only_a), (step_b, only_b))
        )
        add(what, len(only_a) + len(only_b), first, i, j)
    if isinstance(a, Scalars) and isinstance(b, Scalars):
        differ, distance = elements_apart(a.value[index_a], b.value[index_b], tolerance)
        if len(differ):
            worst = differ[np.argmax(distance)]
            i, j = int(index_a[worst]), int(index_b[worst])
            add("values", len(differ), int(step_a[i]), i, j, numbers_text(float(a.value[i]), float(b.value[j])))
    elif isinstance(a, Values) and isinstance(b, Values):
        counts: Counter[str] = Counter()
        worst_of: dict[str, tuple[int, int, Apart]] = {}
        for i, j in zip(index_a.tolist(), index_b.tolist(), strict=True):
            found = _pair_apart(a, i, b, j, tolerance)
            if found is None:
                continue
            what, apart = found
            counts[what] += 1
            if what not in worst_of or apart.distance > worst_of[what][2].distance:
                worst_of[what] = i, j, apart
        for what, (i, j, apart) in worst_of.items():
            add(what, counts[what], int(step_a[i]), i, j, apart.text)
    return len(index_a) + len(only_a) + len(only_b)


def _paired(a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[Indices, Indices, Indices, Indices]:
    """Pair two arrays of steps. Return the indices in a and in b of the pairs, in the order of a, and then the indices
    of the values that are only in a and only in b.

    The n-th value of a step in a is paired with the n-th value of this step in b.
    """
    if np.array_equal(a, b):
        every, nothing = np.arange(len(a)), np.empty(0, np.intp)
        return every, every, nothing, nothing
    _, step = np.unique(np.concatenate([a, b]), return_inverse=True)
    nth_a, nth_b = _nth(step[: len(a)]), _nth(step[len(a) :])
    key = step * (max(nth_a.max(initial=0), nth_b.max(initial=0)) + 1) + np.concatenate([nth_a, nth_b])
    _, index_a, index_b = np.intersect1d(key[: len(a)], key[len(a) :], assume_unique=True, return_indices=True)
    order = np.argsort(index_a)
    only_a, only_b = np.ones(len(a), bool), np.ones(len(b), bool)
    only_a[index_a] = only_b[index_b] = False
    return index_a[order], index_b[order], np.flatnonzero(only_a), np.flatnonzero(only_b)


def _nth(step: NDArray[np.intp]) -> Indices:
    """Return for each element how often it occurs before its index."""
    order = np.argsort(step, kind="stable")
    in_order = step[order]
    nth = np.empty(len(step), np.intp)
    nth[order] = np.arange(len(step)) - np.searchsorted(in_order, in_order)
    return nth


def _said(series: Series | None, index: int) -> float | str:
    """Return the number of a scalar, or a short description of another value."""
    if isinstance(series, Scalars):
        return float(series.value[index])
    assert series is not None
    try:
        return brief(series.message(index))
    except (OSError, ValueError) as error:
        return f"unreadable: {error}"


def _pair_apart(a: Values, i: int, b: Values, j: int, tolerance: Tolerance) -> tuple[str, Apart] | None:
    """Return what differs ("values" or "unreadable") and how; None if the values are equal."""
    values: list[Value] = []
    problems: dict[str, str] = {}
    for side, series, index in (("first", a, i), ("second", b, j)):
        try:
            values.append(series.message(index))
        except (OSError, ValueError) as error:
            problems[side] = str(error)
    try:
        if problems:
            raise UnreadableError(unreadable(problems))
        apart = value_apart(values[0], values[1], tolerance)
    except UnreadableError as error:
        return "unreadable", Apart(math.inf, str(error))
    return None if apart is None else ("values", apart)
