/* Counts between edges of the caller's, as numpy.histogram answers them: bin i takes what lies in
 * [edges[i], edges[i + 1]), the last bin what equals its upper edge, too. What lies outside is left out, and so is what
 * is not finite.
 */
#ifndef TBC_BINS_H
#define TBC_BINS_H

#include "status.h"
#include "values.h"
#include <stddef.h>

/* Sets the n_edges - 1 counts of the first `n` values. `edges`: ascending, but neighbours may be equal, and the
 * outermost infinite. (NaN among them makes the counts meaningless.) TBC_NO_MEMORY; TBC_TOO_LARGE for 2^31 edges. */
tbc_status tbc_bins_count(double *counts, const double *edges, size_t n_edges, const tbc_array *values, size_t n);

#endif
