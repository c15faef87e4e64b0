/* A block takes one step after the other: each is a loop without branches, which compilers make vector code of, up to
 * the last, which adds to the buckets. What is to be left out has the bucket LEFT_OUT by then.
 *
 * Predictions crowd: those of a good model are near 0 and near 1. An addition waits for the one before where both are
 * to the same bucket, so a few buckets, as there usually are, exist LANES times, neighbours add to different ones, and
 * all are added up in the end. There the two sums of a bucket lie side by side, for one addition of two doubles, and
 * LEFT_OUT has a place like any bucket. Many buckets would need too much room for this, and are not as crowded.
 */
#include "pr_curve.h"
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { LEFT_OUT = -1, FEW = 256, LANES = 4, BLOCK = 256 }; /* a smaller block than others have: it has three arrays */

typedef struct sums {
    double positive, negative;
} sums;

typedef struct block {
    double values[BLOCK]; /* predictions, then labels, then weights */
    int32_t buckets[BLOCK];
    sums sums[BLOCK]; /* what to add to the bucket */
} block;

/* No comparison is true of NaN. Only what an int32_t can hold is converted. Answers how many are above 1. */
#define FIND_BUCKETS(name, real)                                                                              \
    static uint32_t name(block *block, size_t n, int32_t thresholds)                                          \
    {                                                                                                         \
        const real scale = (real)(thresholds - 1), too_large = (real)0x1p31;                                  \
        uint32_t above = 0;                                                                                   \
        for (size_t i = 0; i < n; i++) {                                                                      \
            real value = (real)block->values[i], product = value * scale;                                     \
            product = product >= 0 ? product : LEFT_OUT;                                                      \
            product = product < too_large ? product : LEFT_OUT;                                               \
            int32_t bucket = (int32_t)product;                                                                \
            block->buckets[i] = bucket < thresholds ? bucket : LEFT_OUT;                                      \
            above += value > 1;                                                                               \
        }                                                                                                     \
        return above;                                                                                         \
    }

FIND_BUCKETS(find_buckets_float, float)
FIND_BUCKETS(find_buckets_double, double)

static void use_labels(block *block, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double label = block->values[i], rest = 1 - label;
        block->sums[i] = (sums){label, rest};
        block->buckets[i] = label * rest >= 0 ? block->buckets[i] : LEFT_OUT; /* from 0 to 1: one comparison for two */
    }
}

static void use_weights(block *block, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double weight = block->values[i];
        block->sums[i].positive *= weight;
        block->sums[i].negative *= weight;
        block->buckets[i] = fabs(weight) <= DBL_MAX ? block->buckets[i] : LEFT_OUT;
    }
}

static uint32_t count_left_out(const block *block, size_t n)
{
    uint32_t left_out = 0;
    for (size_t i = 0; i < n; i++)
        left_out += block->buckets[i] == LEFT_OUT;
    return left_out;
}

/* `lane` has LEFT_OUT first. The copy tells the compiler that the sum to be added is not the one added to. */
static inline void add(sums *lane, const block *block, size_t i)
{
    const sums value = block->sums[i];
    sums *sum = lane + 1 + (ptrdiff_t)block->buckets[i];
    sum->positive += value.positive;
    sum->negative += value.negative;
}

static void add_to_few(sums (*lanes)[1 + FEW], const block *block, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            add(lanes[lane], block, i + lane);
    for (; i < n; i++)
        add(lanes[0], block, i);
}

static void add_to_many(double *positives, double *negatives, const block *block, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t bucket = block->buckets[i];
        if (bucket != LEFT_OUT) {
            positives[bucket] += block->sums[i].positive;
            negatives[bucket] += block->sums[i].negative;
        }
    }
}

void tbc_pr_curve_count(tbc_pr_curve *curve, const tbc_array *predictions, const tbc_array *labels,
                        const tbc_array *weights, size_t n)
{
    const tbc_dtype dtype = predictions->dtype;
    const bool as_float = dtype == TBC_FLOAT32 || dtype == TBC_FLOAT16 || dtype == TBC_BFLOAT16;
    const size_t thresholds = curve->thresholds;
    const size_t few = thresholds <= FEW ? thresholds : 0; /* that many, or it is many */
    double *positives = curve->positives, *negatives = curve->negatives;
    sums lanes[LANES][1 + FEW];
    block block;

    curve->left_out = curve->above = 0;
    memset(positives, 0, thresholds * sizeof *positives);
    memset(negatives, 0, thresholds * sizeof *negatives);
    for (size_t lane = 0; lane < LANES; lane++)
        memset(lanes[lane], 0, (1 + few) * sizeof(sums));
    for (size_t done = 0; done < n; done += BLOCK) {
        size_t size = n - done < BLOCK ? n - done : BLOCK;
        tbc_array_load(block.values, predictions, done, size);
        curve->above += (as_float ? find_buckets_float : find_buckets_double)(&block, size, (int32_t)thresholds);
        tbc_array_load(block.values, labels, done, size);
        use_labels(&block, size);
        if (weights != NULL) {
            tbc_array_load(block.values, weights, done, size);
            use_weights(&block, size);
        }
        curve->left_out += count_left_out(&block, size);
        if (few > 0)
            add_to_few(lanes, &block, size);
        else
            add_to_many(positives, negatives, &block, size);
    }
    for (size_t bucket = 0; bucket < few; bucket++)
        for (size_t lane = 0; lane < LANES; lane++) {
            positives[bucket] += lanes[lane][1 + bucket].positive;
            negatives[bucket] += lanes[lane][1 + bucket].negative;
        }
}
