/* Counts for precision-recall curves: the positive and the negative weight in each of `thresholds` buckets of
 * predictions from 0 to 1. A curve is made of the sums from each bucket to the last.
 *
 * The bucket of a prediction is floor(prediction * (thresholds - 1)), as in torch. With 5 thresholds, 0.6 has bucket 2,
 * and the last bucket takes 1 to just below 1.25. The product is rounded to the type of the prediction, as in torch;
 * but 16-bit floats are multiplied as 32-bit floats, and integers as doubles. All sums are sums of doubles.
 */
#ifndef TBC_PR_CURVE_H
#define TBC_PR_CURVE_H

#include "values.h"
#include <stddef.h>
#include <stdint.h>

typedef struct tbc_pr_curve {
    size_t thresholds;             /* 1 to INT32_MAX */
    double *positives, *negatives; /* for each bucket, the sums of label * weight and of (1 - label) * weight */
    uint64_t left_out; /* examples with no bucket, a value that is not finite, or a label outside 0 to 1 */
    uint64_t above;    /* predictions above 1, left out or not */
} tbc_pr_curve;

/* Counts `n` examples. The caller sets `thresholds` and the arrays. Without weights (NULL) each example weighs 1. */
void tbc_pr_curve_count(tbc_pr_curve *curve, const tbc_array *predictions, const tbc_array *labels,
                        const tbc_array *weights, size_t n);

#endif
