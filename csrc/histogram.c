/* How the bucket of a value is found: the top bits of a number (sign, exponent, four bits of the mantissa) cut the line
 * into cells, each narrower than a bucket, so that at most one edge lies inside a cell. A table holds for every cell a
 * number to add to the bits of the value: what that leaves in the top bits is the bucket, the carry from the lower ones
 * being the exact compare with the edge. One load, one addition and one shift, in integers.
 *
 * The bits of a negative number grow as the value falls, so its buckets are tallied in that order: slot 0 for -0,
 * slots 1 to 774 for buckets 774 to 1; then slots 775 to 1548, for the buckets of the others; and one for values
 * that are not finite.
 *
 * Values are taken a block at a time, counted and summed up in one loop, since the integer units do the one and the
 * floating-point units the other. There are two such loops: for floats where they lie, since most of what is counted is
 * a tensor of them, and for doubles, which all else is loaded as.
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
    DOUBLE_LOW_BITS = 48, DOUBLE_CELLS = 1 << (64 - DOUBLE_LOW_BITS), /* lower bits; cells */
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

/* Outwards from 0, on either side. A bucket holds its lower edge, so below 0 the next slot begins just beyond an edge,
 * and the first of them just beyond 0. The last slot has no end, but for what is not finite. */
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

/* The slot of a double, and of the bits of a float. They come from memory: a trip through a floating-point register
 * would take longer. */
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

/* Where the next slot begins within a cell, the doubles know: bisection finds the first float of it. */
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

/* The slow way, for the rare block where it matters. */
static moments moments_of_finite(const double *values, size_t n)
{
    moments all = no_moments;
    for (size_t i = 0; i < n; i++)
        if (fabs(values[i]) <= DBL_MAX)
            all = with_value(all, values[i]);
    return all;
}

/* Numbers that are computed with at once. Said in C, the lesser, the greater and the halves take several instructions,
 * and the whole count a quarter longer; SSE2, which every x86-64 has, knows them by one each. */
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

/* These two tally values and answer their moments, which are of no use where one is not finite. Two vectors of sums,
 * since one would wait for itself at every addition. `count_floats` reads each value twice, from memory that may
 * change: its tally is of one set of values then, and its moments are of another. */
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
        if (!(part.sum_squares <= DBL_MAX)) { /* a value that is not finite leaves its mark here */
            tbc_array_load(block, values, done, size);
            part = moments_of_finite(block, size);
        }
        total = merged(total, part);
    }
    /* Values that change may leave finite ones in the tally and none in the moments, or none in it and some in them. */
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
