"""Two trees of runs compared: the scalars of each run and tag, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .load import Run, Scalars


@dataclass(frozen=True)
class Difference:
    """What differs of one tag of one run.

    what: "missing" (the tag is on one side only), "steps" (some steps are), or "values"
    count: how many of them
    step, a, b: the one where values are furthest apart, or the first step of one side only, and the values there; None
        on a side that has none
    """

    run: str
    tag: str
    what: str
    count: int
    step: int
    a: float | None
    b: float | None


def compare(
    a: Mapping[str, Run], b: Mapping[str, Run], *, rtol: float = 0.0, atol: float = 0.0
) -> Iterator[Difference]:
    """The differences between what load_runs gave of two trees, by run and tag.

    Values are equal if |a - b| <= atol + rtol * |b|, as numpy.isclose has it, or if both are NaN. Of a step that was
    logged several times the first values are compared with each other, then the second ones, and so on: with
    load_runs(purge=False) nothing is left out. Wall times do not count. Raises ValueError for a negative tolerance, or
    NaN.
    """
    if not (rtol >= 0 and atol >= 0):
        raise ValueError(f"a tolerance must be 0 or more, got rtol={rtol!r}, atol={atol!r}")
    for run in sorted({*a, *b}):
        ours = a[run].scalars if run in a else {}
        theirs = b[run].scalars if run in b else {}
        for tag in sorted({*ours, *theirs}):
            yield from _compare_tag(run, tag, ours.get(tag), theirs.get(tag), rtol, atol)


def _compare_tag(
    run: str, tag: str, a: Scalars | None, b: Scalars | None, rtol: float, atol: float
) -> Iterator[Difference]:
    (step_a, nth_a, value_a), (step_b, nth_b, value_b) = _in_order(a), _in_order(b)
    steps = np.concatenate([step_a, step_b])
    if nth_a.any() or nth_b.any():
        pairs = np.stack([steps, np.concatenate([nth_a, nth_b])], axis=1)
        _, key = np.unique(pairs, axis=0, return_inverse=True)
    else:
        key = steps
    key_a, key_b = key[: len(step_a)], key[len(step_a) :]
    only_a, only_b = ~np.isin(key_a, key_b), ~np.isin(key_b, key_a)
    if only_a.any() or only_b.any():
        what = "missing" if a is None or b is None else "steps"
        first = int(np.concatenate([step_a[only_a], step_b[only_b]]).min())
        ends = (_at(first, step_a[only_a], value_a[only_a]), _at(first, step_b[only_b], value_b[only_b]))
        yield Difference(run, tag, what, int(only_a.sum() + only_b.sum()), first, *ends)
    step, value_a, value_b = step_a[~only_a], value_a[~only_a], value_b[~only_b]
    with np.errstate(invalid="ignore", over="ignore"):
        differ = ~np.isclose(value_a, value_b, rtol=rtol, atol=atol, equal_nan=True)
        distance = np.nan_to_num(np.abs(value_a - value_b), nan=np.inf)  # one NaN is as far as can be
    if differ.any():
        worst = np.argmax(np.where(differ, distance, -1))
        pair = float(value_a[worst]), float(value_b[worst])
        yield Difference(run, tag, "values", int(differ.sum()), int(step[worst]), *pair)


def _in_order(scalars: Scalars | None) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Steps in order, how often each was there before, and the values; nothing of a tag that is not there."""
    if scalars is None:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64)
    order = np.argsort(scalars.step, kind="stable")
    step = scalars.step[order]
    first = np.searchsorted(step, step)
    return step, np.arange(len(step)) - first, scalars.value[order]


def _at(wanted: int, step: NDArray[np.int64], value: NDArray[np.float64]) -> float | None:
    found = value[step == wanted]
    return float(found[0]) if len(found) else None
