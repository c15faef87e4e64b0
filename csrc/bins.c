/* The place of a value is the number of edges that are not above the value. Place 0 is below all bins, place i + 1 is
 * bin i, and place n_edges is above all bins.
 *
 * A search of all edges would take longer than everything else. So the line is divided into cells, and a table has for
 * each cell the number of edges in earlier cells. No edge of an earlier cell is above the value, and every edge of a
 * later cell is; only the few edges of the value's cell must be searched. The function from value to cell may round in
 * any way, but must not decrease. Its choice only decides how many edges share a cell: a linear function suits even
 * distances; the bits of a float, which grow like a logarithm, suit distances that grow with the edges.
 *
 * Example with 4 linear cells: the edges 0, 1, 2, 10 are in the cells 0, 0, 0, 3, and the table is 0, 3, 3, 3. Value 5
 * is in cell 1, so its place is 3: bin 2. Value 1.5 is in cell 0. Of the 3 edges there, 2 are not above 1.5: bin 1.
 *
 * Every value takes as many steps of the search as the fullest cell needs. A step may look at edges of later cells,
 * but these are above the value and not counted. A step is a loop over a block. The loop has no branches, so the
 * results of comparisons are added and shifted as numbers.
 */
#include "bins.h"
#include "bits.h"
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { CELLS = 4096, FEW_STEPS = 2 /* if linear cells need more, logarithmic cells are tried */ };

typedef struct cells {
    bool logarithmic;
    double first, last;     /* values outside are clamped to these */
    double origin, scale;   /* cell = (value or its ordinal - origin) * scale */
    unsigned steps;         /* of a search: every cell has fewer than 2^steps edges */
    uint32_t before[CELLS]; /* edges in earlier cells */
} cells;

typedef struct block {
    double values[TBC_BLOCK];
    uint32_t places[TBC_BLOCK]; /* first the cell; then the place, as far as the search has found it */
} block;

static double clamp_to_float(double value)
{
    return value > -FLT_MAX ? value < FLT_MAX ? value : FLT_MAX : -FLT_MAX;
}

/* Returns the bits of `value` as a float, changed so that they grow with the value: the bits of negative floats have
 * the opposite order. Adding 0 turns -0 into 0. */
static double ordinal(double value)
{
    const int32_t bits = (int32_t)tbc_float_bits((float)value + 0.0F);
    return bits ^ (bits >> 31 & INT32_MAX);
}

/* NaN goes to the first cell. Its comparisons with edges are all false, so its place is 0. */
static void find_cells(block *block, const cells *cells, size_t n)
{
    const bool logarithmic = cells->logarithmic;
    const double first = cells->first, last = cells->last, origin = cells->origin, scale = cells->scale;
    for (size_t i = 0; i < n; i++) {
        double value = block->values[i];
        value = value > first ? value : first;
        value = value < last ? value : last;
        block->places[i] = (uint32_t)(int32_t)(((logarithmic ? ordinal(value) : value) - origin) * scale);
    }
}

static void make_cells(cells *cells, bool logarithmic, const double *edges, size_t n_edges)
{
    const double first = clamp_to_float(edges[0]), last = clamp_to_float(edges[n_edges - 1]);
    const double origin = logarithmic ? ordinal(first) : first, end = logarithmic ? ordinal(last) : last;
    const double scale = end - origin > FLT_MIN ? (CELLS - 1) / (end - origin) : 0;
    *cells = (struct cells){.logarithmic = logarithmic, .first = first, .last = last, .origin = origin, .scale = scale};

    block block;
    for (size_t done = 0; done < n_edges; done += TBC_BLOCK) {
        size_t size = n_edges - done < TBC_BLOCK ? n_edges - done : TBC_BLOCK;
        memcpy(block.values, edges + done, size * sizeof *edges);
        find_cells(&block, cells, size);
        for (size_t i = 0; i < size; i++)
            cells->before[block.places[i]]++;
    }
    uint32_t before = 0;
    for (size_t cell = 0; cell < CELLS; cell++) {
        const uint32_t inside = cells->before[cell];
        while (inside >> cells->steps != 0)
            cells->steps++;
        cells->before[cell] = before;
        before += inside;
    }
}

/* Finds the place of each value by binary search. The last step also tallies. */
static void search_and_tally(uint64_t *tally, block *block, const cells *cells, const double *edges, size_t n)
{
    for (size_t i = 0; i < n; i++)
        block->places[i] = cells->before[block->places[i]];
    for (unsigned step = cells->steps - 1; step > 0; step--) {
        const double *middle = edges + ((size_t)1 << step) - 1;
        for (size_t i = 0; i < n; i++)
            block->places[i] += (uint32_t)(middle[block->places[i]] <= block->values[i]) << step;
    }
    for (size_t i = 0; i < n; i++) {
        const uint32_t place = block->places[i];
        tally[place + (edges[place] <= block->values[i])]++;
    }
}

static void count(uint64_t *tally, const double *edges, size_t n_edges, const tbc_array *values, size_t n)
{
    cells linear, logarithmic;
    const cells *best = &linear;
    make_cells(&linear, false, edges, n_edges);
    if (linear.steps > FEW_STEPS) {
        make_cells(&logarithmic, true, edges, n_edges);
        best = logarithmic.steps < linear.steps ? &logarithmic : &linear;
    }
    block block;
    for (size_t done = 0; done < n; done += TBC_BLOCK) {
        size_t size = n - done < TBC_BLOCK ? n - done : TBC_BLOCK;
        tbc_array_load(block.values, values, done, size);
        find_cells(&block, best, size);
        search_and_tally(tally, &block, best, edges, size);
    }
}

tbc_status tbc_bins_count(double *counts, const double *edges, size_t n_edges, const tbc_array *values, size_t n)
{
    if (n_edges < 2)
        return TBC_OK;
    if (n_edges > INT32_MAX)
        return TBC_TOO_LARGE;
    double *inner = malloc(3 * n_edges * sizeof *inner);
    uint64_t *tally = calloc(n_edges + 1, sizeof *tally);
    if (inner != NULL && tally != NULL) {
        memcpy(inner, edges, n_edges * sizeof *inner);
        inner[n_edges - 1] = nextafter(inner[n_edges - 1], INFINITY); /* the last bin takes its upper edge */
        for (size_t i = 0; i < n_edges && inner[i] == -INFINITY; i++)
            inner[i] = -DBL_MAX; /* leaves out -infinity; no edge is above infinity, so infinity is left out, too */
        for (size_t i = n_edges; i < 3 * n_edges; i++)
            inner[i] = NAN; /* a search may look less than 2^steps beyond the last edge */
        count(tally, inner, n_edges, values, n);
        for (size_t bin = 0; bin + 1 < n_edges; bin++)
            counts[bin] = (double)tally[bin + 1];
    }
    const tbc_status status = inner != NULL && tally != NULL ? TBC_OK : TBC_NO_MEMORY;
    free(inner);
    free(tally);
    return status;
}
