/* A block goes through one step after the other. Each step is a loop without branches, which compilers vectorise; only
 * the last step, which adds to the buckets, is not. By then an example to be left out has the bucket LEFT_OUT.
 *
 * If labels are bytes, all 0 or 1, and there are no weights, a block is counted in integers. Else it is summed in
 * doubles; the two sums of a bucket are adjacent, so that one instruction can add both.
 *
 * The predictions of a good model crowd near 0 and near 1, and an addition waits for the one before if both are to the
 * same bucket. So up to 256 buckets exist LANES times: neighbouring examples add to different lanes, and the lanes are
 * added up in the end. In a lane LEFT_OUT has a place like any bucket. More buckets would need too much memory for
 * this, and are less crowded.
 */
#include "pr_curve.h"
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { LEFT_OUT = -1, FEW_BUCKETS = 256, LANES = 4, BLOCK = 256 }; /* the block is small, since it has many arrays */

typedef struct sums {
    double positive, negative;
} sums;

typedef struct block {
    double values[BLOCK]; /* predictions, then labels, then weights */
    int32_t buckets[BLOCK];
    int32_t slots[BLOCK]; /* where an example is counted in integers */
    sums sums[BLOCK];     /* or what it adds to its bucket */
} block;

typedef struct lane { /* LEFT_OUT comes first */
    uint64_t counts[2 * (1 + FEW_BUCKETS)]; /* for each bucket, of label 0, then of label 1 */
    sums sums[1 + FEW_BUCKETS];
} lane;

/* No comparison is true for NaN. Only products that fit an int32_t are converted. Predictions may change meanwhile:
   each is loaded once, and its bucket is in range when it is stored. Returns how many are above 1. */
#define FIND_BUCKETS(name, source, real)                                                                      \
    static uint32_t name(block *block, const void *predictions, size_t n, int32_t thresholds)                 \
    {                                                                                                         \
        const real scale = (real)(thresholds - 1), too_large = (real)0x1p31;                                  \
        uint32_t above = 0;                                                                                   \
        for (size_t i = 0; i < n; i++) {                                                                      \
            source loaded;                                                                                    \
            memcpy(&loaded, (const char *)predictions + i * sizeof loaded, sizeof loaded);                    \
            real value = (real)loaded, product = value * scale;                                               \
            product = product >= 0 ? product : LEFT_OUT;                                                      \
            product = product < too_large ? product : LEFT_OUT;                                               \
            int32_t bucket = (int32_t)product;                                                                \
            block->buckets[i] = bucket < thresholds ? bucket : LEFT_OUT;                                      \
            above += value > 1;                                                                               \
        }                                                                                                     \
        return above;                                                                                         \
    }

FIND_BUCKETS(find_buckets_of_floats, float, float)
FIND_BUCKETS(find_buckets_as_float, double, float)
FIND_BUCKETS(find_buckets, double, double)

/* Finds slots, and returns whether all labels are 0 or 1. Labels may change between the two loops. */
static bool find_slots(block *block, const uint8_t *labels, size_t n)
{
    uint8_t bits = 0;
    for (size_t i = 0; i < n; i++)
        bits |= labels[i];
    for (size_t i = 0; i < n; i++)
        block->slots[i] = 2 * (block->buckets[i] - LEFT_OUT) + (labels[i] & 1);
    return bits <= 1;
}

static void load_labels(block *block, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double label = block->values[i], rest = 1 - label;
        block->sums[i] = (sums){label, rest};
        block->buckets[i] = label * rest >= 0 ? block->buckets[i] : LEFT_OUT; /* true from 0 to 1 only */
    }
}

static void multiply_by_weights(block *block, size_t n)
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

static void count_in_lanes(lane *lanes, const block *block, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lanes[k].counts[block->slots[i + k]]++;
    for (; i < n; i++)
        lanes[0].counts[block->slots[i]]++;
}

/* The copy lets the compiler assume that the two sums do not overlap. */
static inline void add(sums *to, const block *block, size_t i)
{
    const sums value = block->sums[i];
    sums *sum = to + block->buckets[i] - LEFT_OUT;
    sum->positive += value.positive;
    sum->negative += value.negative;
}

static void add_in_lanes(lane *lanes, const block *block, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            add(lanes[k].sums, block, i + k);
    for (; i < n; i++)
        add(lanes[0].sums, block, i);
}

static void add_in_place(tbc_pr_curve *curve, const block *block, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t bucket = block->buckets[i];
        if (bucket != LEFT_OUT) {
            curve->positives[bucket] += block->sums[i].positive;
            curve->negatives[bucket] += block->sums[i].negative;
        }
    }
}

void tbc_pr_curve_count(tbc_pr_curve *curve, const tbc_array *predictions, const tbc_array *labels,
                        const tbc_array *weights, size_t n)
{
    const tbc_dtype dtype = predictions->dtype;
    const bool as_float = dtype == TBC_FLOAT32 || dtype == TBC_FLOAT16 || dtype == TBC_BFLOAT16;
    const bool floats_in_place = dtype == TBC_FLOAT32 && predictions->stride == sizeof(float);
    const bool bytes = tbc_dtype_size(labels->dtype) == 1 && labels->stride == 1;
    const bool few = curve->thresholds <= FEW_BUCKETS, countable = bytes && few && weights == NULL;
    const int32_t thresholds = (int32_t)curve->thresholds;
    lane lanes[LANES];
    block block;

    curve->left_out = curve->above = 0;
    memset(curve->positives, 0, curve->thresholds * sizeof(double));
    memset(curve->negatives, 0, curve->thresholds * sizeof(double));
    for (size_t k = 0; few && k < LANES; k++) {
        memset(lanes[k].counts, 0, 2 * (1 + curve->thresholds) * sizeof *lanes[k].counts);
        memset(lanes[k].sums, 0, (1 + curve->thresholds) * sizeof *lanes[k].sums);
    }
    for (size_t done = 0; done < n; done += BLOCK) {
        const size_t size = n - done < BLOCK ? n - done : BLOCK;
        if (floats_in_place) {
            const float *floats = (const float *)predictions->data + done;
            curve->above += find_buckets_of_floats(&block, floats, size, thresholds);
        } else {
            tbc_array_load(block.values, predictions, done, size);
            curve->above += (as_float ? find_buckets_as_float : find_buckets)(&block, block.values, size, thresholds);
        }
        if (countable && find_slots(&block, (const uint8_t *)labels->data + done, size)) {
            curve->left_out += count_left_out(&block, size);
            count_in_lanes(lanes, &block, size);
            continue;
        }
        tbc_array_load(block.values, labels, done, size);
        load_labels(&block, size);
        if (weights != NULL) {
            tbc_array_load(block.values, weights, done, size);
            multiply_by_weights(&block, size);
        }
        curve->left_out += count_left_out(&block, size);
        if (few)
            add_in_lanes(lanes, &block, size);
        else
            add_in_place(curve, &block, size);
    }
    for (size_t i = 0; few && i < curve->thresholds; i++)
        for (size_t k = 0; k < LANES; k++) {
            curve->positives[i] += lanes[k].sums[1 + i].positive + (double)lanes[k].counts[2 * (1 + i) + 1];
            curve->negatives[i] += lanes[k].sums[1 + i].negative + (double)lanes[k].counts[2 * (1 + i)];
        }
}
