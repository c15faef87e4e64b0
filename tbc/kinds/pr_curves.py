"""Compute precision-recall curves: csrc/pr_curve.c counts in one pass; `rows` computes the curve from these counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tbc import _core, convert

COUNTS = ("true_positive_counts", "false_positive_counts", "true_negative_counts", "false_negative_counts")
ROWS = (*COUNTS, "precision", "recall")
LEAST = 1e-7  # the smallest divisor of precision and recall, as in torch and TensorBoard

Doubles = npt.NDArray[np.float64]


def curve(labels: Any, predictions: Any, num_thresholds: int, weights: Any = None) -> tuple[Doubles, int, int]:
    """Return (rows, left_out, above): rows is (6, num_thresholds), the six ROWS at thresholds from 0 to 1.

    labels, predictions: arrays or tensors of real numbers of any type, of one shape. A label is 0 or 1, or between: 0.3
    counts as 0.3 positive and 0.7 negative. A prediction is from 0 to 1. weights: None, one number, or an array or a
    list with a number for each label. Examples that are masked (numpy.ma) in one of them are dropped, and not counted.
    left_out: the number of examples that are not finite or out of range. above: the number of predictions above 1. As
    in torch, a prediction above 1 counts as 1 if floor(prediction * (num_thresholds - 1)) is num_thresholds - 1.

    Raises ValueError for shapes that differ or num_thresholds out of range, TypeError for values that are not real
    numbers and a num_thresholds that is not an integer, NotImplementedError for other objects, such as lists, as torch
    does.
    """
    num_thresholds = convert.count(num_thresholds, "num_thresholds")
    if not 1 <= num_thresholds < 2**31:
        raise ValueError(f"num_thresholds must be from 1 to 2**31 - 1, got {num_thresholds!r}")
    labels, predictions, weights = convert.unmasked(labels, predictions, weights)
    (scores, score_type), (truth, truth_type) = convert.kernel_array(predictions), convert.kernel_array(labels)
    if truth.shape != scores.shape:
        raise ValueError(f"labels and predictions must be of one shape, got {truth.shape} and {scores.shape}")
    factors = None
    if weights is not None:
        bits, dtype = convert.kernel_array(convert.listed(weights))
        if bits.shape not in ((), (1,), scores.shape):
            raise ValueError(f"weights must be one number, or of shape {scores.shape}, got {bits.shape}")
        factors = np.broadcast_to(bits.reshape(-1), scores.size), dtype
    examples = (scores.reshape(-1), score_type), (truth.reshape(-1), truth_type)
    positives, negatives, left_out, above = _core.count_pr_curve(*examples, factors, num_thresholds)
    return rows(np.frombuffer(positives), np.frombuffer(negatives)), left_out, above


def rows(positives: Doubles, negatives: Doubles) -> Doubles:
    """Return the six ROWS. positives, negatives: the counts from each threshold to the next; the last one is at 1.

    tp and fp count all examples at or above a threshold: 1, 0, 2 become 3, 2, 2.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # weights of 1e308
        tp, fp = np.cumsum(positives[::-1])[::-1], np.cumsum(negatives[::-1])[::-1]
        tn, fn = fp[0] - fp, tp[0] - tp
        return np.stack([tp, fp, tn, fn, tp / np.maximum(LEAST, tp + fp), tp / np.maximum(LEAST, tp + fn)])


def from_rows(*values: Any) -> Doubles:
    """Stack six rows that the caller has computed. Raises ValueError if they are not vectors of one length, or empty,
    TypeError for values that are not real numbers."""
    for row, value in zip(ROWS, values, strict=True):
        if convert.is_number(value):
            raise ValueError(f"the rows of a curve must be vectors of one length, got the number {value!r} for {row}")
    arrays = [convert.real(convert.array_or_list(value), row) for row, value in zip(ROWS, values, strict=True)]
    if len({array.shape for array in arrays}) != 1 or arrays[0].ndim != 1 or arrays[0].size == 0:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(ROWS, arrays, strict=True))
        raise ValueError(f"the rows of a curve must be vectors of one length, got {shapes}")
    return np.stack(arrays).astype(np.float64)


def encode(rows: Doubles) -> bytes:
    """Return the rows as an event holds them, in float32."""
    with np.errstate(over="ignore"):
        return rows.astype("<f4").tobytes()
