/* How the bucket of a value is found: the top 16 bits of a double (sign, exponent, four bits of the mantissa) cut the
 * line into 65536 cells, each narrower than a bucket, so that at most one edge lies inside a cell. A table holds for
 * every cell a number to add to the bits of the double: what that leaves in the top 16 bits is the bucket, the carry
 * from the lower 48 being the exact compare with the edge. One load, one addition and one shift, in integers.
 *
 * The bits of a negative double grow as the value falls, so its buckets are tallied in that order: slot 0 for -0,
 * slots 1 to 774 for buckets 774 to 1; then slots 775 to 1548, for the buckets of these numbers; and one for values
 * that are not finite.
 *
 * Values are taken a block at a time: loaded as doubles, then counted and summed up in one loop, since the integer
 * units do the one and the floating-point units the other.
 */
#include "histogram.h"
#include "bits.h"
#include <float.h>
#include <math.h>
#include <pthread.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { CELLS = 1 << 16, CELL_BITS = 48, ZERO = TBC_EDGES / 2, NOT_FINITE = TBC_EDGES, SLOTS };

static double edges[TBC_EDGES];
static uint64_t cells[CELLS];
static pthread_once_t edges_once = PTHREAD_ONCE_INIT, cells_once = PTHREAD_ONCE_INIT;

static void make_edges(void)
{
    int k = 1;
    for (double edge = 1e-12; edge < 1e20; edge *= 1.1, k++) {
        edges[ZERO + k] = edge;
        edges[ZERO - k] = -edge;
    }
}

const double *tbc_histogram_edges(void)
{
    pthread_once(&edges_once, make_edges);
    return edges;
}

/* Outwards from 0, on either side. A bucket holds its lower edge, so below 0 the next slot begins just beyond an edge,
 * and the first of them just beyond 0. The last slot has no end, but for what is not finite. */
static void make_cells(void)
{
    const uint64_t infinity = tbc_double_bits(INFINITY) >> CELL_BITS;
    for (uint64_t negative = 0; negative < 2; negative++) {
        const double *next_edge = tbc_histogram_edges() + (negative ? ZERO : ZERO + 1);
        uint64_t slot = negative ? 0 : ZERO + 1, last = negative ? ZERO : TBC_EDGES - 1;
        for (uint64_t i = 0; i < CELLS / 2; i++) {
            const uint64_t begin = negative << 63 | i << CELL_BITS, end = (i + 1) << CELL_BITS;
            const uint64_t next = tbc_double_bits(*next_edge) + negative;
            uint64_t *cell = &cells[begin >> CELL_BITS];
            *cell = ((i < infinity ? slot : NOT_FINITE) << CELL_BITS) - begin;
            if (slot < last && next < end) {
                *cell += end - next;
                next_edge++;
                slot++;
            }
        }
    }
}

/* The bits come from memory: a trip through a floating-point register would take longer. */
static uint64_t slot_of(const double *value)
{
    uint64_t bits;
    memcpy(&bits, value, sizeof bits);
    return (cells[bits >> CELL_BITS] + bits) >> CELL_BITS;
}

static size_t bucket_of(double value)
{
    uint64_t slot = slot_of(&value);
    return slot > ZERO ? slot : ZERO + 1 - slot;
}

typedef struct moments {
    double min, max, sum, sum_squares;
} moments;

static const moments none = {.min = INFINITY, .max = -INFINITY};

static moments joined(moments a, moments b)
{
    return (moments){
        .min = a.min < b.min ? a.min : b.min,
        .max = a.max > b.max ? a.max : b.max,
        .sum = a.sum + b.sum,
        .sum_squares = a.sum_squares + b.sum_squares,
    };
}

/* The slow way, for the rare block where it matters. */
static moments moments_of_finite(const double *values, size_t n)
{
    moments all = none;
    for (size_t i = 0; i < n; i++)
        if (fabs(values[i]) <= DBL_MAX)
            all = joined(all, (moments){values[i], values[i], values[i], values[i] * values[i]});
    return all;
}

/* Two doubles that are computed with at once. Said in C, the lesser and the greater take several instructions, and the
 * whole count a quarter longer; SSE2, which every x86-64 has, knows them by one each. */
typedef double pair __attribute__((vector_size(16)));

#ifdef __SSE2__
static pair lesser(pair a, pair b) { return _mm_min_pd(a, b); }
static pair greater(pair a, pair b) { return _mm_max_pd(a, b); }
#else
static pair lesser(pair a, pair b) { return (pair){a[0] < b[0] ? a[0] : b[0], a[1] < b[1] ? a[1] : b[1]}; }
static pair greater(pair a, pair b) { return (pair){a[0] > b[0] ? a[0] : b[0], a[1] > b[1] ? a[1] : b[1]}; }
#endif

/* Tallies the values and answers their moments, which are of no use where a value is not finite. Two pairs of sums,
 * since one would wait for itself at every addition. */
static moments take(uint64_t *tally, const double *values, size_t n)
{
    pair min = {INFINITY, INFINITY}, max = -min, sum[2] = {{0}}, squares[2] = {{0}};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 2; k++) {
            const double *at = values + i + 2 * k;
            tally[slot_of(at)]++;
            tally[slot_of(at + 1)]++;
            pair value;
            memcpy(&value, at, sizeof value);
            min = lesser(min, value);
            max = greater(max, value);
            sum[k] += value;
            squares[k] += value * value;
        }
    sum[0] += sum[1];
    squares[0] += squares[1];
    moments all = joined((moments){min[0], max[0], sum[0][0], squares[0][0]},
                         (moments){min[1], max[1], sum[0][1], squares[0][1]});
    for (; i < n; i++) {
        tally[slot_of(values + i)]++;
        all = joined(all, (moments){values[i], values[i], values[i], values[i] * values[i]});
    }
    return all;
}

void tbc_histogram_count(tbc_histogram *histogram, const tbc_array *values, size_t n)
{
    pthread_once(&cells_once, make_cells);
    uint64_t tally[SLOTS] = {0};
    moments total = none;
    double block[TBC_BLOCK];

    for (size_t done = 0; done < n; done += TBC_BLOCK) {
        size_t size = n - done < TBC_BLOCK ? n - done : TBC_BLOCK;
        tbc_array_load(block, values, done, size);
        moments part = take(tally, block, size);
        if (!(part.sum_squares <= DBL_MAX)) /* a value that is not finite leaves its mark here */
            part = moments_of_finite(block, size);
        total = joined(total, part);
    }
    histogram->not_finite = tally[NOT_FINITE];
    histogram->num = n - histogram->not_finite;
    if (histogram->num == 0)
        total.min = total.max = 0;
    histogram->min = total.min;
    histogram->max = total.max;
    histogram->sum = total.sum;
    histogram->sum_squares = total.sum_squares;

    histogram->first = histogram->num == 0 ? 0 : bucket_of(total.min) - 1;
    histogram->last = histogram->num == 0 ? 0 : bucket_of(total.max);
    tally[ZERO + 1] += tally[0];
    histogram->counts[histogram->first] = 0;
    for (size_t i = histogram->first + 1; i <= histogram->last; i++)
        histogram->counts[i] = (double)tally[i > ZERO ? i : ZERO + 1 - i];
}
