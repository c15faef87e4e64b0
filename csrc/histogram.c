/* How the bucket of a value is found: the top 16 bits of a double (sign, exponent, four bits of the mantissa) cut the
 * line into 65536 cells, each narrower than a bucket, so that at most one edge lies inside a cell. A table holds for
 * every cell the bucket of its smallest value and that edge: one load and one compare give the bucket, exactly.
 *
 * Values are taken in blocks that stay in the first-level cache: converted to double (exact, but for 64-bit integers,
 * which round as they do in numpy), summed up, counted.
 */
#include "histogram.h"
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

enum { CELLS = 1 << 16, BLOCK = 512, LANES = 4 };

typedef struct cell {
    double split;    /* values from here on belong to the next bucket; infinity where no edge is inside */
    uint32_t bucket; /* of the values below */
} cell;

static double edges[TBC_EDGES];
static cell cells[CELLS];
static pthread_once_t edges_once = PTHREAD_ONCE_INIT, cells_once = PTHREAD_ONCE_INIT;

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t to_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* How many edges are at or below `value`: the bucket, before the outermost ones take in what lies beyond. */
static uint32_t edges_upto(double value)
{
    uint32_t low = 0, high = TBC_EDGES;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (edges[middle] <= value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void make_edges(void)
{
    const int zero = TBC_EDGES / 2;
    int k = 1;
    for (double edge = 1e-12; edge < 1e20; edge *= 1.1, k++) {
        edges[zero + k] = edge;
        edges[zero - k] = -edge;
    }
}

const double *tbc_histogram_edges(void)
{
    pthread_once(&edges_once, make_edges);
    return edges;
}

/* Takes milliseconds, so it waits for the first histogram; every SummaryWriter asks for the edges. */
static void make_cells(void)
{
    tbc_histogram_edges();
    for (uint64_t i = 0; i < CELLS; i++) {
        double one_end = from_bits(i << 48), other_end = from_bits((i + 1) * ((uint64_t)1 << 48) - 1);
        double smallest = i < CELLS / 2 ? one_end : other_end, largest = i < CELLS / 2 ? other_end : one_end;
        uint32_t bucket = edges_upto(smallest);
        int split = edges_upto(largest) > bucket && bucket > 0 && bucket + 1 < TBC_EDGES;
        cells[i].split = split ? edges[bucket] : INFINITY;
        cells[i].bucket = bucket < 1 ? 1 : bucket < TBC_EDGES ? bucket : TBC_EDGES - 1;
    }
}

/* IEEE half precision: five bits of exponent, ten of mantissa. */
static double from_half(uint16_t half)
{
    uint64_t sign = (uint64_t)(half >> 15) << 63, exponent = half >> 10 & 31, mantissa = half & 1023;
    double magnitude = exponent == 0 ? (double)mantissa * 0x1p-24
                     : from_bits((exponent == 31 ? (uint64_t)2047 : exponent + 1023 - 15) << 52 | mantissa << 42);
    return from_bits(to_bits(magnitude) | sign);
}

/* The upper half of a float. */
static double from_bfloat(uint16_t bfloat)
{
    uint32_t bits = (uint32_t)bfloat << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* One loader a type: n values into doubles. The second loop, with its stride known, is the one that vectorises. */
#define LOADER(name, type, convert)                                                                           \
    static void name(double *to, const char *from, ptrdiff_t stride, size_t n)                                \
    {                                                                                                         \
        type value;                                                                                           \
        if (stride != (ptrdiff_t)sizeof value)                                                                \
            for (size_t i = 0; i < n; i++) {                                                                  \
                memcpy(&value, from + (ptrdiff_t)i * stride, sizeof value);                                   \
                to[i] = convert(value);                                                                       \
            }                                                                                                 \
        else                                                                                                  \
            for (size_t i = 0; i < n; i++) {                                                                  \
                memcpy(&value, from + i * sizeof value, sizeof value);                                        \
                to[i] = convert(value);                                                                       \
            }                                                                                                 \
    }

LOADER(load_float64, double, (double))
LOADER(load_float32, float, (double))
LOADER(load_float16, uint16_t, from_half)
LOADER(load_bfloat16, uint16_t, from_bfloat)
LOADER(load_int8, int8_t, (double))
LOADER(load_int16, int16_t, (double))
LOADER(load_int32, int32_t, (double))
LOADER(load_int64, int64_t, (double))
LOADER(load_uint8, uint8_t, (double))
LOADER(load_uint16, uint16_t, (double))
LOADER(load_uint32, uint32_t, (double))
LOADER(load_uint64, uint64_t, (double))

static const struct {
    void (*load)(double *to, const char *from, ptrdiff_t stride, size_t n);
    size_t size;
} types[] = {
    [TBC_FLOAT64] = {load_float64, 8}, [TBC_FLOAT32] = {load_float32, 4}, [TBC_FLOAT16] = {load_float16, 2},
    [TBC_BFLOAT16] = {load_bfloat16, 2}, [TBC_INT8] = {load_int8, 1}, [TBC_INT16] = {load_int16, 2},
    [TBC_INT32] = {load_int32, 4}, [TBC_INT64] = {load_int64, 8}, [TBC_UINT8] = {load_uint8, 1},
    [TBC_UINT16] = {load_uint16, 2}, [TBC_UINT32] = {load_uint32, 4}, [TBC_UINT64] = {load_uint64, 8},
};

size_t tbc_dtype_size(tbc_dtype dtype)
{
    return types[dtype].size;
}

/* Moves the finite values of a block to its front; answers how many there are. */
static size_t keep_finite(double *values, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (fabs(values[i]) <= DBL_MAX)
            values[kept++] = values[i];
    return kept;
}

typedef struct moments {
    double min, max, sum, sum_squares;
} moments;

/* Of a block that is not empty. Four sums side by side, since one would wait for itself at every addition. */
static moments moments_of(const double *values, size_t n)
{
    double min[LANES], max[LANES], sum[LANES] = {0}, squares[LANES] = {0};
    for (int lane = 0; lane < LANES; lane++)
        min[lane] = max[lane] = values[0];
    for (size_t i = 0; i < n; i++) {
        size_t lane = i % LANES;
        double value = values[i];
        min[lane] = value < min[lane] ? value : min[lane];
        max[lane] = value > max[lane] ? value : max[lane];
        sum[lane] += value;
        squares[lane] += value * value;
    }
    return (moments){
        .min = fmin(fmin(min[0], min[1]), fmin(min[2], min[3])),
        .max = fmax(fmax(max[0], max[1]), fmax(max[2], max[3])),
        .sum = (sum[0] + sum[1]) + (sum[2] + sum[3]),
        .sum_squares = (squares[0] + squares[1]) + (squares[2] + squares[3]),
    };
}

void tbc_histogram_count(tbc_histogram *histogram, const void *data, size_t n, ptrdiff_t stride, tbc_dtype dtype)
{
    pthread_once(&cells_once, make_cells);
    uint64_t tally[TBC_EDGES] = {0};
    moments total = {.min = INFINITY, .max = -INFINITY};
    double block[BLOCK];

    histogram->num = 0;
    for (size_t done = 0; done < n; done += BLOCK) {
        size_t size = n - done < BLOCK ? n - done : BLOCK;
        types[dtype].load(block, (const char *)data + (ptrdiff_t)done * stride, stride, size);
        moments part = moments_of(block, size);
        if (!(part.sum_squares <= DBL_MAX)) { /* a value that is not finite leaves its mark here */
            size = keep_finite(block, size);
            if (size == 0)
                continue;
            part = moments_of(block, size);
        }
        histogram->num += size;
        total.min = fmin(total.min, part.min);
        total.max = fmax(total.max, part.max);
        total.sum += part.sum;
        total.sum_squares += part.sum_squares;
        for (size_t i = 0; i < size; i++) {
            const cell *cell = &cells[to_bits(block[i]) >> 48];
            tally[cell->bucket + (block[i] >= cell->split)]++;
        }
    }
    histogram->not_finite = n - histogram->num;

    size_t first = 0, last = 0;
    if (histogram->num == 0) {
        total.min = total.max = 0;
    } else {
        for (first = 0; tally[first + 1] == 0; first++) { }
        for (last = TBC_EDGES - 1; tally[last] == 0; last--) { }
    }
    histogram->min = total.min;
    histogram->max = total.max;
    histogram->sum = total.sum;
    histogram->sum_squares = total.sum_squares;
    histogram->first = first;
    histogram->last = last;
    for (size_t i = first; i <= last; i++)
        histogram->counts[i] = (double)tally[i];
}
