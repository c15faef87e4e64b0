/* Histograms on TensorFlow's default buckets: counts and moments of an array in one pass.
 *
 * The edges are 0 and +-1e-12 * 1.1^k below 1e20, made by repeated multiplication so that every rounding is the one of
 * torch and TensorFlow: 1549 of them. Bucket i counts the values in [edges[i - 1], edges[i]); bucket 0 is always empty,
 * and there so that counts and edges pair up. The counts are those of numpy.histogram on these edges; where numpy drops
 * what lies beyond the outermost edges, the outermost buckets take it. Values that are not finite are left out of
 * counts and moments, and counted apart. Moments are sums of doubles.
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
    size_t first, last;  /* the buckets that say it all: from the empty one below the least value to the greatest's */
    double counts[TBC_EDGES]; /* set from first to last */
} tbc_histogram;

/* The 1549 edges, ascending. */
const double *tbc_histogram_edges(void);

/* The first `n` values. */
void tbc_histogram_count(tbc_histogram *histogram, const tbc_array *values, size_t n);

#endif
