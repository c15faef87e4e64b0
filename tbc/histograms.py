"""Histograms on other buckets than the default ones, which csrc/histogram.c counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tbc import _core, convert

Doubles = npt.NDArray[np.float64]
Moments = tuple[float, float, float, float, float]  # min, max, num, sum, sum_squares


def count(values: Any, bins: Any, max_bins: int | None) -> tuple[Moments, Doubles, Doubles, int]:
    """Returns the moments of the finite values, limits and counts as an event holds them, and how many are not finite.

    bins: what numpy.histogram takes, or "tensorflow" for the default edges. max_bins: merges neighbours until there are
    about as many, in torch's way. Raises ValueError for an empty array, for bins that numpy refuses, and when no value
    lies within the bins.
    """
    array, dtype = convert.kernel_array(values)
    moments, not_finite, default_counts = _core.count(array, dtype)
    edges: npt.NDArray[Any]
    if isinstance(bins, str) and bins == "tensorflow":
        counts, edges = np.frombuffer(default_counts), np.array(_core.default_edges())
    else:
        doubles = convert.to_doubles(array, dtype)
        counts, edges = np.histogram(doubles[np.isfinite(doubles)] if not_finite else doubles, bins)
    if max_bins is not None and max_bins < 1:
        raise ValueError(f"max_bins must be at least 1, got {max_bins!r}")
    if max_bins is not None and len(counts) > max_bins:
        counts, edges = merge(counts, edges, max_bins)
    limits, counts = trim(counts, edges)
    if not moments[2]:
        return moments, np.zeros(1), np.zeros(1), not_finite
    if not counts.any():
        raise ValueError(f"none of the {array.size} values lies within the bins {bins!r}")
    return moments, limits, counts, not_finite


def merge(counts: npt.NDArray[Any], edges: npt.NDArray[Any], max_bins: int) -> tuple[Any, Any]:
    """Merges runs of len(counts) // max_bins bins; since that is rounded down, up to twice max_bins may be left."""
    run = len(counts) // max_bins
    counts = np.pad(counts, (0, -len(counts) % run)).reshape(-1, run).sum(axis=1)
    return counts, np.append(edges[:-1:run], edges[-1])


def trim(counts: npt.NDArray[Any], edges: npt.NDArray[Any]) -> tuple[Doubles, Doubles]:
    """n counts between n + 1 edges as upper limits and counts, without the empty bins at both ends.

    An event has no place for the lowest edge, so it becomes the limit of an empty bucket in front.
    """
    filled = np.flatnonzero(counts)
    first, last = (filled[0], filled[-1]) if filled.size else (0, 0)
    padded = np.append(0, counts[first : last + 1])
    return np.ascontiguousarray(edges[first : last + 2], np.float64), np.ascontiguousarray(padded, np.float64)
