/* Counts values between edges of the caller's choice, as numpy.histogram does. Bin i takes the values in
 * [edges[i], edges[i + 1]); the last bin also takes edges[i + 1]. Values outside all bins, NaN and
 * infinities are left out.
 */
#ifndef TBC_BINS_H
#define TBC_BINS_H

#include "status.h"
#include "values.h"
#include <stddef.h>

/* Sets the n_edges - 1 counts of the first `n` values. `edges` ascend; neighbours may be equal, and the first and last
 * infinite. NaN in `edges` makes the counts meaningless. Returns TBC_OK, TBC_NO_MEMORY, or TBC_TOO_LARGE for 2^31 edges
 * or more. */
tbc_status tbc_bins_count(double *counts, const double *edges, size_t n_edges, const tbc_array *values, size_t n);

#endif
