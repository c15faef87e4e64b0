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

typedef struct tbc_pr_curve {
    size_t thresholds;             /* 1 to INT32_MAX */
    double *positives, *negatives; /* of each bucket: the sum of label * weight, and that of (1 - label) * weight */
    uint64_t left_out; /* examples that have no bucket, are not finite, or have a label that is not from 0 to 1 */
    uint64_t above;    /* predictions above 1, whether they are left out or not */
} tbc_pr_curve;

/* Counts `n` examples; the caller sets `thresholds` and where the sums go. Without weights (NULL) each weighs 1. */
void tbc_pr_curve_count(tbc_pr_curve *curve, const tbc_array *predictions, const tbc_array *labels,
                        const tbc_array *weights, size_t n);

#endif
