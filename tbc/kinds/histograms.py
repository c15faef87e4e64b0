"""Count histograms with other bins than the default ones: csrc/bins.c counts, with edges from the caller or numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tbc import _core, convert

Doubles = npt.NDArray[np.float64]
Moments = tuple[float, float, float, float, float]  # min, max, num, sum, sum_squares


def count(values: Any, bins: Any, max_bins: int | None) -> tuple[Moments, Doubles, Doubles, int]:
    """Return the moments of the finite values, limits and counts as an event holds them, and how many are not finite.

    bins: what numpy.histogram takes, or "tensorflow" for the default edges. max_bins: if there are more bins, merge
    neighbours, see `merge`. Raises ValueError for an empty array, for bins that numpy refuses, and if no finite value
    lies within the bins; TypeError for complex bins.
    """
    array, dtype = convert.kernel_array(values, any_order=True)
    moments, not_finite, default_counts = _core.count(array, dtype)
    edges: npt.NDArray[Any]
    if isinstance(bins, str) and bins == "tensorflow":
        counts, edges = np.frombuffer(default_counts), np.array(_core.default_edges())
    else:
        if isinstance(bins, np.ndarray):
            bins = bins.copy()  # another thread may change the array after the check
        try:
            edges = np.histogram_bin_edges(sample(array, dtype, moments, bins), bins)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"bins must be what numpy.histogram takes, got {bins!r}: {error}") from error
        edges = np.ascontiguousarray(convert.real(edges, "bins"), np.float64)
        if np.isnan(edges).any():
            raise ValueError(f"bins must not have NaN among their edges, got {bins!r}")
        counts = np.frombuffer(_core.count_between(array, dtype, edges))
    if max_bins is not None and convert.count(max_bins, "max_bins") < 1:
        raise ValueError(f"max_bins must be at least 1, got {max_bins!r}")
    if max_bins is not None and len(counts) > max_bins:
        counts, edges = merge(counts, edges, max_bins)
    limits, counts = trim(counts, edges)
    if not moments[2]:
        return moments, np.zeros(1), np.zeros(1), not_finite
    if not counts.any():
        raise ValueError(f"none of the {array.size} values lies within the bins {bins!r}")
    return moments, limits, counts, not_finite


def buckets(limits: Any, counts: Any) -> tuple[Doubles, Doubles]:
    """Return upper limits and counts as an event holds them. Raises ValueError if they are not vectors of one length.

    A tensor may also have rows of one number each, since torch's writer converts row by row.
    """
    for name, values in (("bucket_limits", limits), ("bucket_counts", counts)):
        try:
            len(values)
        except TypeError:
            got = f"{values!r} of type {type(values).__name__}"
            raise TypeError(f"{name} must be a vector or a list, got {got}") from None
    if len(limits) != len(counts):
        raise ValueError(f"there are {len(limits)} bucket_limits, but {len(counts)} bucket_counts")
    arrays = [
        np.ascontiguousarray(convert.real(convert.array_or_list(values), name), np.float64)
        for name, values in (("bucket_limits", limits), ("bucket_counts", counts))
    ]
    if arrays[0].size != arrays[1].size:
        raise ValueError(f"there are {arrays[0].size} bucket_limits, but {arrays[1].size} bucket_counts")
    vectors = (
        array.ndim == 1 or (convert.is_torch(values) and array.size == len(values))
        for array, values in zip(arrays, (limits, counts), strict=True)
    )
    if arrays[0].size and not all(vectors):
        shapes = f"{arrays[0].shape} and {arrays[1].shape}"
        raise ValueError(f"bucket_limits and bucket_counts must be vectors of one length, got shapes {shapes}")
    return arrays[0].ravel(), arrays[1].ravel()


def sample(array: npt.NDArray[Any], dtype: str, moments: Moments, bins: Any) -> Doubles:
    """Return the finite values that numpy needs to make edges: all for an estimator (str), else the range only."""
    if not isinstance(bins, str):
        return np.array(moments[:2])
    doubles: Doubles = np.array(convert.to_doubles(array, dtype))  # a copy: another thread may change the array
    return doubles[np.isfinite(doubles)]


def merge(counts: npt.NDArray[Any], edges: npt.NDArray[Any], max_bins: int) -> tuple[Any, Any]:
    """Merge runs of len(counts) // max_bins bins, as torch does. Rounding down leaves fewer than 2 * max_bins bins."""
    run = len(counts) // max_bins
    counts = np.pad(counts, (0, -len(counts) % run)).reshape(-1, run).sum(axis=1)
    return counts, np.append(edges[:-1:run], edges[-1])


def trim(counts: npt.NDArray[Any], edges: npt.NDArray[Any]) -> tuple[Doubles, Doubles]:
    """Turn n counts between n + 1 edges into upper limits and counts, without the empty bins at both ends.

    An event has no place for the lowest edge, so that edge becomes the limit of an empty first bucket.
    """
    filled = np.flatnonzero(counts)
    first, last = (filled[0], filled[-1]) if filled.size else (0, 0)
    padded = np.append(0, counts[first : last + 1])
    return np.ascontiguousarray(edges[first : last + 2], np.float64), np.ascontiguousarray(padded, np.float64)
