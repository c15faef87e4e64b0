/* How the bucket of a value is found: the top 16 bits of a double (sign, exponent, four bits of the mantissa) cut the
 * line into 65536 cells, each narrower than a bucket, so that at most one edge lies inside a cell. A table holds for
 * every cell the bucket of its smallest value and that edge: one load and one compare give the bucket, exactly.
 *
 * Values are taken a block at a time: loaded as doubles, summed up, counted.
 */
#include "histogram.h"
#include "bits.h"
#include <float.h>
#include <math.h>
#include <pthread.h>

enum { CELLS = 1 << 16, LANES = 4 };

typedef struct cell {
    double split;    /* values from here on belong to the next bucket; infinity where no edge is inside */
    uint32_t bucket; /* of the values below */
} cell;

static double edges[TBC_EDGES];
static cell cells[CELLS];
static pthread_once_t edges_once = PTHREAD_ONCE_INIT, cells_once = PTHREAD_ONCE_INIT;

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
        double one_end = tbc_double_from_bits(i << 48), other_end = tbc_double_from_bits((i + 1) * ((uint64_t)1 << 48) - 1);
        double smallest = i < CELLS / 2 ? one_end : other_end, largest = i < CELLS / 2 ? other_end : one_end;
        uint32_t bucket = edges_upto(smallest);
        int split = edges_upto(largest) > bucket && bucket > 0 && bucket + 1 < TBC_EDGES;
        cells[i].split = split ? edges[bucket] : INFINITY;
        cells[i].bucket = bucket < 1 ? 1 : bucket < TBC_EDGES ? bucket : TBC_EDGES - 1;
    }
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
    const tbc_array array = {data, stride, dtype};
    uint64_t tally[TBC_EDGES] = {0};
    moments total = {.min = INFINITY, .max = -INFINITY};
    double block[TBC_BLOCK];

    histogram->num = 0;
    for (size_t done = 0; done < n; done += TBC_BLOCK) {
        size_t size = n - done < TBC_BLOCK ? n - done : TBC_BLOCK;
        tbc_array_load(block, &array, done, size);
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
            const cell *cell = &cells[tbc_double_bits(block[i]) >> 48];
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
