/* How the bucket of a value is found: the top bits of a number (sign, exponent, four bits of the mantissa) divide the
 * line into cells. Each cell is narrower than a bucket, so at most one edge is inside it. A table has one number
 * for each cell. This number is added to the bits of the value; the top bits of the sum are the slot. Slots are buckets
 * in another order. The carry from the low bits is the exact comparison with the edge. A value takes one load from the
 * table, one addition and two shifts.
 *
 * Example: the doubles from 1 to 1.0625 are a cell, with the top 16 bits 0x3FF0. Edge 1065, which is 1.00897, is inside
 * this cell. The number of the cell is (1065 << 48) - bits(1) + bits(1.0625) - bits(1.00897). For a value below the
 * edge, the sum is less than 1066 << 48: slot 1065. From the edge on, the sum is at least that: slot 1066.
 *
 *   slot          values                                       bucket
 *   0             -0                                           775
 *   1 to 774      negative; their bits grow as values fall     774 to 1
 *   775 to 1548   0 and positive                               775 to 1548
 *   1549          not finite                                   none
 *
 * Values are counted and summed a block at a time in one loop, since the integer units count while the floating-point
 * units sum. There are two such loops: one for contiguous floats, the most common input, which are read in place; and
 * one for doubles, to which all other values are converted.
 */
#include "histogram.h"
#include "bits.h"
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    ZERO = TBC_EDGES / 2, NOT_FINITE = TBC_EDGES, SLOTS,
    DOUBLE_LOW_BITS = 48, DOUBLE_CELLS = 1 << (64 - DOUBLE_LOW_BITS), /* bits below the top bits; number of cells */
    FLOAT_LOW_BITS = 19, FLOAT_CELLS = 1 << (32 - FLOAT_LOW_BITS),
};

static double edges[TBC_EDGES];
static uint64_t double_cells[DOUBLE_CELLS];
static uint32_t float_cells[FLOAT_CELLS];
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

/* Goes from 0 to infinity, then from -0 to -infinity. A bucket includes its lower edge, so a negative slot begins at
 * the first double below an edge, and slot 1 at the first below 0. The last slot of each sign ends only at infinity. */
static void make_double_cells(void)
{
    const uint64_t infinity = tbc_double_bits(INFINITY) >> DOUBLE_LOW_BITS;
    for (uint64_t negative = 0; negative < 2; negative++) {
        const double *next_edge = tbc_histogram_edges() + (negative ? ZERO : ZERO + 1);
        uint64_t slot = negative ? 0 : ZERO + 1, last = negative ? ZERO : TBC_EDGES - 1;
        for (uint64_t i = 0; i < DOUBLE_CELLS / 2; i++) {
            const uint64_t begin = negative << 63 | i << DOUBLE_LOW_BITS, end = (i + 1) << DOUBLE_LOW_BITS;
            const uint64_t next = tbc_double_bits(*next_edge) + negative;
            uint64_t *cell = &double_cells[begin >> DOUBLE_LOW_BITS];
            *cell = ((i < infinity ? slot : NOT_FINITE) << DOUBLE_LOW_BITS) - begin;
            if (slot < last && next < end) {
                *cell += end - next;
                next_edge++;
                slot++;
            }
        }
    }
}

/* Returns the slot of a double. Reads its bits from memory, since moving them from a floating-point register would take
 * longer. For the same reason the callers of float_slot read the bits of a float from memory. */
static uint64_t double_slot(const void *value)
{
    uint64_t bits;
    memcpy(&bits, value, sizeof bits);
    return (double_cells[bits >> DOUBLE_LOW_BITS] + bits) >> DOUBLE_LOW_BITS;
}

static uint32_t float_slot(uint32_t bits)
{
    return (float_cells[bits >> FLOAT_LOW_BITS] + bits) >> FLOAT_LOW_BITS;
}

static uint32_t slot_of(double value) { return (uint32_t)double_slot(&value); }

/* For each cell, finds by bisection the first float whose slot is not that of the first float in the cell. */
static void make_float_cells(void)
{
    const uint32_t size = (uint32_t)1 << FLOAT_LOW_BITS;
    for (uint32_t i = 0; i < FLOAT_CELLS; i++) {
        const uint32_t begin = i << FLOAT_LOW_BITS, slot = slot_of(tbc_float_from_bits(begin));
        uint32_t same = 0, next = size;
        while (next - same > 1) {
            uint32_t middle = (same + next) / 2;
            *(slot_of(tbc_float_from_bits(begin + middle)) == slot ? &same : &next) = middle;
        }
        float_cells[i] = (slot << FLOAT_LOW_BITS) - begin + (size - next);
    }
}

static void make_cells(void)
{
    make_double_cells();
    make_float_cells();
}

static size_t bucket_of(double value)
{
    size_t slot = slot_of(value);
    return slot > ZERO ? slot : ZERO + 1 - slot;
}

typedef struct moments {
    double min, max, sum, sum_squares;
} moments;

static const moments no_moments = {.min = INFINITY, .max = -INFINITY};

static moments merged(moments a, moments b)
{
    return (moments){
        .min = a.min < b.min ? a.min : b.min,
        .max = a.max > b.max ? a.max : b.max,
        .sum = a.sum + b.sum,
        .sum_squares = a.sum_squares + b.sum_squares,
    };
}

static moments with_value(moments all, double value)
{
    return merged(all, (moments){value, value, value, value * value});
}

/* Skips values that are not finite. Slow: used only for blocks whose sum of squares is NaN or infinite. */
static moments moments_of_finite(const double *values, size_t n)
{
    moments all = no_moments;
    for (size_t i = 0; i < n; i++)
        if (fabs(values[i]) <= DBL_MAX)
            all = with_value(all, values[i]);
    return all;
}

/* Vectors. Minimum, maximum and halves take one or two instructions each in SSE2, which every x86-64 has. In plain C
 * they take more, and the whole count takes a quarter longer. */
typedef double doubles __attribute__((vector_size(16)));
typedef float floats __attribute__((vector_size(16)));
typedef floats floats_anywhere __attribute__((may_alias, aligned(1)));

#ifdef __SSE2__
static doubles min_doubles(doubles a, doubles b) { return _mm_min_pd(a, b); }
static doubles max_doubles(doubles a, doubles b) { return _mm_max_pd(a, b); }
static floats min_floats(floats a, floats b) { return _mm_min_ps(a, b); }
static floats max_floats(floats a, floats b) { return _mm_max_ps(a, b); }
static doubles low_half(floats a) { return _mm_cvtps_pd(a); }
static doubles high_half(floats a) { return _mm_cvtps_pd(_mm_movehl_ps(a, a)); }
#else
#define CHOOSE(name, vector, compare)                                                                         \
    static vector name(vector a, vector b)                                                                    \
    {                                                                                                         \
        for (size_t i = 0; i < sizeof a / sizeof a[0]; i++)                                                   \
            a[i] = a[i] compare b[i] ? a[i] : b[i];                                                           \
        return a;                                                                                             \
    }
CHOOSE(min_doubles, doubles, <)
CHOOSE(max_doubles, doubles, >)
CHOOSE(min_floats, floats, <)
CHOOSE(max_floats, floats, >)
static doubles low_half(floats a) { return (doubles){a[0], a[1]}; }
static doubles high_half(floats a) { return (doubles){a[2], a[3]}; }
#endif

/* Tally values and return their moments. The moments are useless if a value is not finite. There are two vectors of
 * sums, since each addition to a vector waits for the previous addition to that vector. `count_floats` reads most
 * values twice. If the memory changes between the two reads, the tally and the moments are of different values. */
static moments count_doubles(uint64_t *tally, const void *values, size_t n)
{
    const char *at = values, *end = at + n * sizeof(double);
    doubles min = {INFINITY, INFINITY}, max = -min, sum[2] = {{0}}, squares[2] = {{0}};
    while (end - at >= 2 * (ptrdiff_t)sizeof min)
        for (size_t k = 0; k < 2; k++, at += sizeof min) {
            doubles two;
            memcpy(&two, at, sizeof two);
            tally[double_slot(at)]++;
            tally[double_slot(at + sizeof(double))]++;
            min = min_doubles(min, two);
            max = max_doubles(max, two);
            sum[k] += two;
            squares[k] += two * two;
        }
    moments all = no_moments;
    for (size_t i = 0; i < 2; i++)
        all = merged(all, (moments){min[i], max[i], sum[0][i] + sum[1][i], squares[0][i] + squares[1][i]});
    for (double value; at < end; at += sizeof value) {
        memcpy(&value, at, sizeof value);
        tally[double_slot(at)]++;
        all = with_value(all, value);
    }
    return all;
}

static moments count_floats(uint64_t *tally, const void *values, size_t n)
{
    const char *at = values, *end = at + n * sizeof(float);
    floats min = {INFINITY, INFINITY, INFINITY, INFINITY}, max = -min;
    doubles sum[2] = {{0}}, squares[2] = {{0}};
    for (; end - at >= (ptrdiff_t)sizeof min; at += sizeof min) {
        const floats four = *(const volatile floats_anywhere *)at;
        for (size_t k = 0; k < 4; k++)
            tally[float_slot(tbc_read_bits(at + k * sizeof(float)))]++;
        min = min_floats(min, four);
        max = max_floats(max, four);
        const doubles halves[] = {low_half(four), high_half(four)};
        for (size_t k = 0; k < 2; k++) {
            sum[k] += halves[k];
            squares[k] += halves[k] * halves[k];
        }
    }
    moments all = no_moments;
    for (size_t i = 0; i < 4; i++)
        all = merged(all, (moments){min[i], max[i], sum[i / 2][i % 2], squares[i / 2][i % 2]});
    for (; at < end; at += sizeof(float)) {
        const uint32_t bits = tbc_read_bits(at);
        tally[float_slot(bits)]++;
        all = with_value(all, tbc_float_from_bits(bits));
    }
    return all;
}

void tbc_histogram_count(tbc_histogram *histogram, const tbc_array *values, size_t n)
{
    pthread_once(&cells_once, make_cells);
    const bool floats_in_place = values->dtype == TBC_FLOAT32 && values->stride == sizeof(float);
    uint64_t tally[SLOTS] = {0};
    moments total = no_moments;
    double block[TBC_BLOCK];

    for (size_t done = 0; done < n; done += TBC_BLOCK) {
        size_t size = n - done < TBC_BLOCK ? n - done : TBC_BLOCK;
        if (!floats_in_place)
            tbc_array_load(block, values, done, size);
        moments part = floats_in_place ? count_floats(tally, (const float *)values->data + done, size)
                                       : count_doubles(tally, block, size);
        if (!(part.sum_squares <= DBL_MAX)) { /* true if any value is not finite, or if squares overflow */
            tbc_array_load(block, values, done, size);
            part = moments_of_finite(block, size);
        }
        total = merged(total, part);
    }
    /* If values change during the count, only the tally or only the moments may have seen finite values. */
    const bool any_finite = tally[NOT_FINITE] < n && total.min <= total.max;
    histogram->num = any_finite ? n - tally[NOT_FINITE] : 0;
    histogram->not_finite = n - histogram->num;
    if (!any_finite)
        total = (moments){0};
    histogram->min = total.min;
    histogram->max = total.max;
    histogram->sum = total.sum;
    histogram->sum_squares = total.sum_squares;

    histogram->first = any_finite ? bucket_of(total.min) - 1 : 0;
    histogram->last = any_finite ? bucket_of(total.max) : 0;
    tally[ZERO + 1] += tally[0];
    histogram->counts[histogram->first] = 0;
    for (size_t i = histogram->first + 1; i <= histogram->last; i++)
        histogram->counts[i] = (double)tally[i > ZERO ? i : ZERO + 1 - i];
}
