/* Histograms on TensorFlow's default buckets: counts and moments of an array in one pass.
 *
 * The 1549 edges are 0 and +-1e-12 * 1.1^k below 1e20. Repeated multiplication makes them, so every rounding is that of
 * torch and TensorFlow. Bucket i counts the values in [edges[i - 1], edges[i]). Bucket 0 is always empty: it makes as
 * many counts as edges. The counts are those of numpy.histogram on these edges, except that the outermost buckets also
 * take the values beyond the outermost edges, which numpy drops. Values that are not finite are counted only in
 * not_finite. Moments are sums of doubles.
 */
#ifndef TBC_HISTOGRAM_H
#define TBC_HISTOGRAM_H

#include "values.h"
#include <stddef.h>
#include <stdint.h>

enum { TBC_EDGES = 1549 };

typedef struct tbc_histogram {
    uint64_t num;        /* values counted */
    uint64_t not_finite; /* values left out */
    double min, max;     /* 0 where nothing was counted */
    double sum, sum_squares;
    size_t first, last;  /* the buckets to write: from the empty one below min to the one of max */
    double counts[TBC_EDGES]; /* set from first to last */
} tbc_histogram;

/* Returns the 1549 edges, ascending. */
const double *tbc_histogram_edges(void);

/* Counts the first `n` values. */
void tbc_histogram_count(tbc_histogram *histogram, const tbc_array *values, size_t n);

#endif
