/* Runs every kernel on memory that another thread changes; `make csrc-test` uses AddressSanitizer and UBSan for it.
 *
 * It tests the rule of values.h: if values change at any time, results may be wrong, but addresses may not. The thread
 * sets all values to one number, then all to another, so that a kernel that reads twice gets both: finite and NaN, 0
 * and 255, in range and out of range. Results are checked only as far as they hold for any values.
 *
 * There is no build with ThreadSanitizer: it would report each of these races, which are intended.
 */
#define _POSIX_C_SOURCE 200809L

#include "bins.h"
#include "bits.h"
#include "crc32c.h"
#include "decimal.h"
#include "event.h"
#include "histogram.h"
#include "pixels.h"
#include "pr_curve.h"
#include "record.h"
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

enum { HANG = 120, DTYPES = 12, ARRAYS = 3, NUMBERS = 9 };

static void fail(const char *condition, int line)
{
    fprintf(stderr, "%s:%d: %s\n", __FILE__, line, condition);
    _exit(1);
}

/* 1, NaN, infinity, -infinity, 0, 255, -1, the largest, the smallest. */
static const uint64_t floats[][NUMBERS] = {
    [TBC_FLOAT64] = {0x3FF0000000000000, 0x7FF8000000000000, 0x7FF0000000000000, 0xFFF0000000000000, 0,
                     0x406FE00000000000, 0xBFF0000000000000, 0x7FEFFFFFFFFFFFFF, 1},
    [TBC_FLOAT32] = {0x3F800000, 0x7FC00000, 0x7F800000, 0xFF800000, 0, 0x437F0000, 0xBF800000, 0x7F7FFFFF, 1},
    [TBC_FLOAT16] = {0x3C00, 0x7E00, 0x7C00, 0xFC00, 0, 0x5BF8, 0xBC00, 0x7BFF, 1},
    [TBC_BFLOAT16] = {0x3F80, 0x7FC0, 0x7F80, 0xFF80, 0, 0x437F, 0xBF80, 0x7F7F, 1},
};

static uint64_t number(tbc_dtype dtype, size_t i)
{
    const uint64_t sign = (uint64_t)1 << (8 * tbc_dtype_size(dtype) - 1);
    const uint64_t integers[NUMBERS] = {1, UINT64_MAX, 255, 254, 0, 2, sign, sign - 1, 128};
    return dtype <= TBC_BFLOAT16 ? floats[dtype][i] : integers[i];
}

/* --- the thread that writes --- */

static struct changing {
    tbc_array array;
    size_t n;
} changing[ARRAYS];
static atomic_bool stopped;

static void set_all(const struct changing *values, uint64_t bits)
{
    const size_t size = tbc_dtype_size(values->array.dtype);
    volatile uint8_t *at = (volatile uint8_t *)values->array.data;
    for (size_t i = 0; i < values->n; i++)
        for (size_t k = 0; k < size; k++)
            at[(ptrdiff_t)i * values->array.stride + (ptrdiff_t)k] = (uint8_t)(bits >> 8 * k);
}

static void *write_values(void *unused)
{
    (void)unused;
    for (size_t round = 0; !atomic_load(&stopped); round++)
        for (size_t k = 0; k < 2 * ARRAYS; k++) {
            const struct changing *values = &changing[k % ARRAYS];
            /* mostly 1 and another number: only values that have a bucket become addresses, and few others have one */
            const size_t i = k < ARRAYS ? round % 8 == 7 ? round / 8 % NUMBERS : 0 : 1 + round / 8 % (NUMBERS - 1);
            set_all(values, number(values->array.dtype, i));
        }
    return unused;
}

/* --- the kernels --- */

static void count_histogram(const struct changing *values, tbc_buffer *buffer)
{
    tbc_histogram *h = malloc(sizeof *h); /* in a block of its own, so that the sanitizer sees a write beyond it */
    double sum = 0;
    tbc_histogram_count(h, &values->array, values->n);
    CHECK(h->num + h->not_finite == values->n && h->first <= h->last && h->last < TBC_EDGES);
    CHECK(isfinite(h->min) && isfinite(h->max) && h->min <= h->max);
    for (size_t i = h->first; i <= h->last; i++)
        sum += h->counts[i];
    CHECK(sum >= 0 && sum <= (double)values->n);
    tbc_event_histogram(buffer, (tbc_stamp){0}, &(tbc_label){0}, &(tbc_moments){0},
                        tbc_histogram_edges() + h->first, h->counts + h->first, h->last - h->first + 1);
    free(h);
}

/* `edges` change, too: numpy checks that they ascend before the kernel reads them. */
static void count_bins(const struct changing *values, const struct changing *edges)
{
    const double fixed[] = {-1e300, -1, 0, 0.5, 1, 255, 1e300};
    const bool use_fixed = edges->array.dtype != TBC_FLOAT64 || edges->array.stride != sizeof(double);
    const size_t n_edges = use_fixed ? sizeof fixed / sizeof *fixed : edges->n;
    double *counts = malloc(n_edges * sizeof *counts), sum = 0;
    CHECK(tbc_bins_count(counts, use_fixed ? fixed : edges->array.data, n_edges, &values->array, values->n) == TBC_OK);
    for (size_t i = 0; i + 1 < n_edges; i++)
        sum += counts[i];
    CHECK(sum >= 0 && sum <= (double)values->n);
    free(counts);
}

static void count_pr_curve(size_t thresholds, bool weighted)
{
    const size_t n = changing[0].n, size = thresholds * sizeof(double);
    double sum = 0;
    tbc_pr_curve curve = {.thresholds = thresholds, .positives = malloc(size), .negatives = malloc(size)};
    tbc_pr_curve_count(&curve, &changing[0].array, &changing[1].array, weighted ? &changing[2].array : NULL, n);
    CHECK(curve.left_out <= n && curve.above <= n);
    for (size_t i = 0; i < thresholds; i++)
        sum += curve.positives[i] + curve.negatives[i];
    CHECK(weighted || (sum >= 0 && sum <= (double)n));
    free(curve.positives);
    free(curve.negatives);
}

/* Scales the values as an image of one row: with one channel, then with three channels, one after another. */
static void scale_pixels(const struct changing *values)
{
    for (size_t channels = 1; channels <= 3 && channels <= values->n; channels += 2) {
        const size_t width = values->n / channels, size = width * channels;
        const ptrdiff_t stride = values->array.stride;
        const tbc_tiles tiles = {
            .data = values->array.data, .dtype = values->array.dtype,
            .frames = 1, .images = 1, .height = 1, .width = width, .channels = channels,
            .width_stride = stride, .channel_stride = (ptrdiff_t)width * stride, .rows = 1, .columns = 1,
        };
        uint8_t *pixels = malloc(size);
        tbc_pixels_scale(pixels, &tiles);
        tbc_pixels_scale_in_double(pixels, &tiles);
        if (tiles.dtype == TBC_UINT8)
            tbc_pixels_copy(pixels, &tiles);
        free(pixels);
    }
}

/* Runs the functions that read contiguous memory as it is. */
static void encode_bytes(const struct changing *values, tbc_buffer *buffer)
{
    const tbc_bytes bytes = {values->array.data, values->n * tbc_dtype_size(values->array.dtype)};
    const int64_t shape = (int64_t)values->n;
    const tbc_label label = {.tag = bytes};
    tbc_crc32c(bytes.data, bytes.size);
    const size_t start = tbc_record_begin(buffer);
    tbc_event_tensor(buffer, (tbc_stamp){0}, &label, bytes, &(tbc_tensor){TBC_DT_STRING, &shape, 1, &bytes, 1});
    uint8_t *sound = tbc_event_audio(buffer, (tbc_stamp){0}, &label, 8000, 1, shape, bytes.size);
    memset(sound, 0, bytes.size);
    tbc_event_image(buffer, (tbc_stamp){0}, &label, 1, 1, 1, bytes);
    tbc_event_pr_curve(buffer, (tbc_stamp){0}, &label, bytes, values->n / 6);
    tbc_buffer_append(buffer, bytes.data, bytes.size);
    CHECK(tbc_record_end(buffer, start) == TBC_OK);
    tbc_record_seal(buffer->data + start, buffer->size - start);
    if (values->array.dtype == TBC_FLOAT32) {
        char *text = malloc(values->n * (TBC_DECIMAL_MAX + 1));
        CHECK(tbc_decimal_table(text, values->array.data, 1, values->n) <= values->n * (TBC_DECIMAL_MAX + 1));
        free(text);
    }
    if (values->array.dtype == TBC_FLOAT64)
        tbc_event_histogram(buffer, (tbc_stamp){0}, &label, &(tbc_moments){0}, values->array.data, values->array.data,
                            values->n);
}

static void run_kernels(void)
{
    static const size_t thresholds[] = {1, 256, 300}; /* few, FEW_BUCKETS of pr_curve.c, and more */
    tbc_buffer buffer = {0};
    for (size_t i = 0; i < ARRAYS; i++) {
        const struct changing *values = &changing[i];
        count_histogram(values, &buffer);
        count_bins(values, &changing[(i + 1) % ARRAYS]);
        scale_pixels(values);
        if (values->array.stride == (ptrdiff_t)tbc_dtype_size(values->array.dtype))
            encode_bytes(values, &buffer);
        count_pr_curve(thresholds[i], false);
        count_pr_curve(thresholds[i], true);
    }
    tbc_buffer_free(&buffer);
}

/* --- arrays of all types --- */

static char *make(struct changing *values, size_t n, tbc_dtype dtype, ptrdiff_t stride)
{
    const size_t size = tbc_dtype_size(dtype), step = (size_t)(stride < 0 ? -stride : stride);
    const size_t extent = (n - 1) * step + size;
    char *memory = malloc(extent); /* ends where the array ends */
    *values = (struct changing){{stride < 0 ? memory + extent - size : memory, stride, dtype}, n};
    set_all(values, number(dtype, 0));
    return memory;
}

static void check(const tbc_dtype *dtypes, int layout, size_t n, int times)
{
    char *memory[ARRAYS];
    pthread_t thread;
    for (size_t i = 0; i < ARRAYS; i++) {
        const ptrdiff_t size = (ptrdiff_t)tbc_dtype_size(dtypes[i]);
        const ptrdiff_t strides[] = {size, -size, 2 * size + 1, 0};
        memory[i] = make(&changing[i], n, dtypes[i], strides[layout]);
    }
    atomic_store(&stopped, false);
    CHECK(pthread_create(&thread, NULL, write_values, NULL) == 0);
    for (int i = 0; i < times; i++)
        run_kernels();
    atomic_store(&stopped, true);
    CHECK(pthread_join(thread, NULL) == 0);
    for (size_t i = 0; i < ARRAYS; i++)
        free(memory[i]);
}

int main(void)
{
    static const size_t lengths[] = {1, 3, 257, 1100};
    static const int times[] = {60, 60, 10, 4};
    alarm(HANG);
    for (int dtype = 0; dtype < DTYPES; dtype++)
        for (int layout = 0; layout < 4; layout++)
            for (size_t i = 0; i < 4; i++)
                check((const tbc_dtype[]){(tbc_dtype)dtype, (tbc_dtype)((dtype + 7) % DTYPES),
                                          (tbc_dtype)((dtype + 5) % DTYPES)}, layout, lengths[i], times[i]);
    /* what the kernels read in place: contiguous floats, and labels that are bytes */
    for (size_t i = 0; i < 4; i++)
        check((const tbc_dtype[]){TBC_FLOAT32, TBC_UINT8, TBC_FLOAT64}, 0, lengths[i], 20 * times[i]);
    printf("changing values: passed\n");
}
