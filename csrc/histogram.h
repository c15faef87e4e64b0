/* Histograms on TensorFlow's default buckets: counts and moments of an array in one pass.
 *
 * The 1549 edges are 0 and +-1e-12 * 1.1^k below 1e20. Repeated multiplication makes the edges, so they round as in
 * torch and TensorFlow. Bucket i counts the values in [edges[i - 1], edges[i]). Bucket 0 is always empty, so that there
 * are as many counts as edges. The counts are those of numpy.histogram on these edges, except that buckets 1 and 1548
 * also take the values beyond the outermost edges, which numpy drops. Values that are not finite are counted only in
 * not_finite. Sums are computed in double.
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
    double min, max;     /* 0 if num is 0 */
    double sum, sum_squares;
    size_t first, last;  /* the buckets to write: from the one before min's to max's; both 0 if num is 0 */
    double counts[TBC_EDGES]; /* set only from first to last */
} tbc_histogram;

/* Returns the 1549 edges, ascending. */
const double *tbc_histogram_edges(void);

/* Sets *histogram from the first `n` values. */
void tbc_histogram_count(tbc_histogram *histogram, const tbc_array *values, size_t n);

#endif
