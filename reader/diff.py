"""Two trees of runs compared: the scalars of each run and tag, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .load import Run, Scalars, last_of_steps


@dataclass(frozen=True)
class Difference:
    """What differs of one tag of one run.

    what: "missing" (the tag is on one side only), "steps" (some steps are), or "values"
    n: how many steps differ
    step, a, b: the one where it is worst (for values), or the first one, and the values there; None on a side that has
        none
    """

    run: str
    tag: str
    what: str
    n: int
    step: int
    a: float | None
    b: float | None


def compare(
    a: Mapping[str, Run], b: Mapping[str, Run], *, rtol: float = 0.0, atol: float = 0.0
) -> Iterator[Difference]:
    """The differences between what load_runs gave of two trees, by run and tag.

    Values are equal if |a - b| <= atol + rtol * |b|, as numpy.isclose has it, or if both are NaN. If a step was logged
    more than once, the last value counts. Wall times do not. Raises ValueError for a negative tolerance, or NaN.
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
    (step_a, value_a), (step_b, value_b) = _by_step(a), _by_step(b)
    only = np.setxor1d(step_a, step_b, assume_unique=True)
    if len(only):
        what = "missing" if a is None or b is None else "steps"
        first = int(only[0])
        yield Difference(run, tag, what, len(only), first, _at(first, step_a, value_a), _at(first, step_b, value_b))
    steps, in_a, in_b = np.intersect1d(step_a, step_b, assume_unique=True, return_indices=True)
    value_a, value_b = value_a[in_a], value_b[in_b]
    with np.errstate(invalid="ignore", over="ignore"):
        differ = ~np.isclose(value_a, value_b, rtol=rtol, atol=atol, equal_nan=True)
        distance = np.nan_to_num(np.abs(value_a - value_b), nan=np.inf)  # one NaN is as far as can be
    if differ.any():
        worst = np.argmax(np.where(differ, distance, -1))
        pair = float(value_a[worst]), float(value_b[worst])
        yield Difference(run, tag, "values", int(differ.sum()), int(steps[worst]), *pair)


def _by_step(scalars: Scalars | None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Steps in order, each with its last value; none of a tag that is not there."""
    if scalars is None:
        return np.empty(0, np.int64), np.empty(0, np.float64)
    order = np.argsort(scalars.step, kind="stable")
    step, value = scalars.step[order], scalars.value[order]
    kept = last_of_steps(step)
    return step[kept], value[kept]


def _at(wanted: int, step: NDArray[np.int64], value: NDArray[np.float64]) -> float | None:
    found = value[step == wanted]
    return float(found[0]) if len(found) else None
