/* Precision-recall curves: how much positive and how much negative weight has its prediction in which of `thresholds`
 * buckets from 0 to 1. The sums from each bucket to the last are what a curve is made of.
 *
 * The bucket of a prediction is floor(prediction * (thresholds - 1)), as in torch: the last has 1, and a little more.
 * The product is rounded as it is there, to the type of the prediction; but the floats of 16 bits are multiplied as
 * floats of 32, and integers as doubles. All sums are sums of doubles.
 */
#ifndef TBC_PR_CURVE_H
#define TBC_PR_CURVE_H

#include "values.h"
#include <stddef.h>
#include <stdint.h>

/* Sets positives[bucket] to the sum of label * weight, and negatives[bucket] to that of (1 - label) * weight, for each
 * of the `thresholds` buckets, 1 to INT32_MAX of them. The arrays have `n` values each; without weights (NULL) each
 * weighs 1.
 *
 * Answers how many were left out: what has no bucket, is not finite, or has a label that is not from 0 to 1. */
uint64_t tbc_pr_curve_count(const tbc_array *predictions, const tbc_array *labels, const tbc_array *weights, size_t n,
                            size_t thresholds, double *positives, double *negatives);

#endif
