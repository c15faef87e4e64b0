/* Tests of csrc without Python; `make csrc-test` runs them under AddressSanitizer, UBSan and ThreadSanitizer.
 *
 * The parsers of frames and protobuf fields here, which read what csrc wrote, share no code with it. No test depends on
 * how long something takes; clocks only limit how long a test waits. Files are unlinked as soon as they are made, and
 * read through a second descriptor.
 */
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#else
#define _POSIX_C_SOURCE 200809L
#endif

#include "bins.h"
#include "crc32c.h"
#include "decimal.h"
#include "event.h"
#include "histogram.h"
#include "pixels.h"
#include "pr_curve.h"
#include "queue.h"
#include "record.h"
#include "scan.h"
#include "siphash.h"
#include "tally.h"
#include "writer.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

#if !defined(HANG)
#define HANG 120 /* seconds after which a hanging test is ended; valgrind needs more */
#endif
#if !defined(FORKS)
#define FORKS 1 /* 0 skips the tests that fork: QEMU 7 ends a child that starts threads */
#endif

enum { THREADS = 8, EVENTS = 20000, FILES = 3 };

static const size_t usual_limit = (size_t)64 << 20; /* as in queue.c */

/* Does not call exit(), whose handlers would wait for threads that hang. */
static void fail(const char *condition, int line)
{
    fprintf(stderr, "%s:%d: %s\n", __FILE__, line, condition);
    _exit(1);
}

static void sleep_ms(long milliseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000}, NULL);
}

/* --- reading: bytes, frames, fields; each function removes what it returns from the view --- */

typedef struct view {
    const uint8_t *data;
    size_t size;
} view;

static view take(view *from, uint64_t size)
{
    CHECK(size <= from->size);
    view taken = {from->data, size};
    from->data += size;
    from->size -= size;
    return taken;
}

static uint64_t take_fixed(view *from, size_t size)
{
    view bytes = take(from, size);
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)bytes.data[i] << 8 * i;
    return value;
}

static bool equal(view bytes, tbc_bytes expected)
{
    return bytes.size == expected.size && memcmp(bytes.data, expected.data, bytes.size) == 0;
}

static uint32_t crc_of(view bytes)
{
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < bytes.size; i++) {
        crc ^= bytes.data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1) * 0x82F63B78;
    }
    return ~crc;
}

static uint32_t mask(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8; }

static view take_frame(view *file)
{
    view head = take(file, 8);
    CHECK(take_fixed(file, 4) == mask(crc_of(head)));
    view data = take(file, take_fixed(&head, 8));
    CHECK(take_fixed(file, 4) == mask(crc_of(data)));
    return data;
}

static uint64_t take_varint(view *from)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        uint64_t byte = take_fixed(from, 1);
        value |= (byte & 127) << shift;
        if (byte < 128)
            return value;
    }
    CHECK(!"a varint of ten bytes at most");
    return 0;
}

/* Decodes a binary floating-point number from the widths of its parts. */
static double from_parts(uint64_t bits, int exponent_bits, int mantissa_bits)
{
    const int bias = (1 << (exponent_bits - 1)) - 1, exponent = (int)(bits >> mantissa_bits) & (2 * bias + 1);
    const double mantissa = ldexp((double)(bits & (((uint64_t)1 << mantissa_bits) - 1)), -mantissa_bits);
    const double sign = bits >> (exponent_bits + mantissa_bits) != 0 ? -1 : 1;
    if (exponent == 2 * bias + 1)
        return mantissa == 0 ? sign * INFINITY : NAN;
    return sign * (exponent == 0 ? ldexp(mantissa, 1 - bias) : ldexp(1 + mantissa, exponent - bias));
}

/* Return the next field of the message, which must have this number and the type in the name of the function. */
static uint64_t take_uint(view *message, unsigned number)
{
    CHECK(take_varint(message) == (number << 3 | 0));
    return take_varint(message);
}

static double take_double(view *message, unsigned number)
{
    CHECK(take_varint(message) == (number << 3 | 1));
    return from_parts(take_fixed(message, 8), 11, 52);
}

static view take_bytes(view *message, unsigned number)
{
    CHECK(take_varint(message) == (number << 3 | 2));
    return take(message, take_varint(message));
}

/* Returns the only field of the message. */
static view only_bytes(view message, unsigned number)
{
    view bytes = take_bytes(&message, number);
    CHECK(message.size == 0);
    return bytes;
}

/* --- crc32c and record --- */

static void test_crc32c_vectors(void)
{
    static const uint8_t read_pdu[48] = {1, 0xC0, [16] = 0x14, [22] = 4, [27] = 0x14, [31] = 0x18, 0x28, [40] = 2};
    uint8_t zeros[32] = {0}, ones[32], up[32], down[32];
    for (int i = 0; i < 32; i++) {
        ones[i] = 0xFF;
        up[i] = (uint8_t)i;
        down[i] = (uint8_t)(31 - i);
    }
    const struct {
        view data;
        uint32_t crc;
    } vectors[] = { /* RFC 3720, B.4, and no data */
        {{zeros, 32}, 0x8A9136AA}, {{ones, 32}, 0x62A8AB43}, {{up, 32}, 0x46DD794E}, {{down, 32}, 0x113FDB5C},
        {{read_pdu, 48}, 0xD9963A56}, {{zeros, 0}, 0},
    };
    const tbc_crc32c_path *paths;
    size_t n_paths = tbc_crc32c_paths(&paths);
    CHECK(n_paths >= 1);
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const view data = vectors[i].data;
        CHECK(crc_of(data) == vectors[i].crc);
        CHECK(tbc_crc32c(data.data, data.size) == vectors[i].crc);
        CHECK(tbc_record_mask(vectors[i].crc) == mask(vectors[i].crc));
        for (size_t path = 0; path < n_paths; path++)
            CHECK(~paths[path].run(0xFFFFFFFF, data.data, data.size) == vectors[i].crc);
    }
}

/* The memory ends where the data ends, so that the sanitizer sees if one byte too many is read. */
static void test_crc32c_paths(void)
{
    const tbc_crc32c_path *paths;
    size_t n_paths = tbc_crc32c_paths(&paths);
    for (size_t size = 0; size <= 20000; size += size < 600 ? 1 : 997)
        for (size_t align = 0; align < 16; align++) {
            uint8_t *memory = malloc(align + size);
            for (size_t i = 0; i < align + size; i++)
                memory[i] = (uint8_t)rand();
            for (size_t path = 0; path < n_paths; path++)
                CHECK(~paths[path].run(0xFFFFFFFF, memory + align, size) == crc_of((view){memory + align, size}));
            free(memory);
        }
}

static void test_record(void)
{
    static const size_t sizes[] = {0, 1, 11, 4096, 100000};
    static char data[100000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)rand();
    tbc_buffer buffer = {0};
    for (size_t i = 0; i < 5; i++) {
        size_t start = tbc_record_begin(&buffer);
        tbc_buffer_append(&buffer, data, sizes[i]);
        CHECK(tbc_record_end(&buffer, start) == TBC_OK);

        start = tbc_record_begin(&buffer); /* a frame that fails is removed, and the frames around it stay whole */
        CHECK(tbc_buffer_extend(&buffer, SIZE_MAX) == NULL);
        tbc_event_scalar(&buffer, (tbc_stamp){0, 0}, &(tbc_label){.tag = TBC_BYTES("not written")}, 0);
        CHECK(tbc_record_end(&buffer, start) == TBC_NO_MEMORY);
        CHECK(buffer.size == start && buffer.status == TBC_OK);
    }
    tbc_record_seal(buffer.data, buffer.size);
    view file = {buffer.data, buffer.size};
    for (size_t i = 0; i < 5; i++)
        CHECK(equal(take_frame(&file), (tbc_bytes){data, sizes[i]}));
    CHECK(file.size == 0);
    tbc_buffer_free(&buffer);

    uint8_t few[100]; /* said to be 2 GiB: only the size of an event is checked, its bytes are not read */
    buffer = (tbc_buffer){few, (size_t)INT32_MAX + 1 + TBC_RECORD_HEAD, SIZE_MAX / 4, TBC_OK};
    CHECK(tbc_record_end(&buffer, 0) == TBC_TOO_LARGE && buffer.size == 0 && buffer.status == TBC_OK);
}

/* --- events --- */

/* Empties the buffer of an event; returns what follows wall time and step. The bytes are valid until the next event. */
static view event_in(tbc_buffer *buffer, tbc_stamp at)
{
    view event = {buffer->data, buffer->size};
    CHECK(buffer->status == TBC_OK);
    tbc_buffer_rewind(buffer, 0);
    CHECK(take_double(&event, 1) == at.wall_time);
    CHECK(at.step == 0 || (int64_t)take_uint(&event, 2) == at.step);
    return event;
}

/* Does the same; returns the content of the event's only value. */
static view value_in(tbc_buffer *buffer, tbc_stamp at, tbc_bytes tag)
{
    view value = only_bytes(only_bytes(event_in(buffer, at), 5), 1);
    CHECK(equal(take_bytes(&value, 1), tag));
    return value;
}

/* Returns the tensor of a value that belongs to a plugin. */
static view tensor_of(view value, unsigned dtype, tbc_bytes plugin)
{
    CHECK(equal(only_bytes(only_bytes(take_bytes(&value, 9), 1), 1), plugin));
    view tensor = only_bytes(value, 8);
    CHECK(take_uint(&tensor, 1) == dtype);
    return tensor;
}

static void check_scalars(tbc_buffer *buffer, tbc_stamp at, tbc_bytes tag, double number)
{
    const float single = (float)number;
    const tbc_bytes single_bytes = {(const char *)&single, 4}, number_bytes = {(const char *)&number, 8};
    tbc_event_scalar(buffer, at, &(tbc_label){.tag = tag}, single);
    view value = value_in(buffer, at, tag);
    CHECK(take_varint(&value) == (2 << 3 | 5) && equal(value, single_bytes));
    tbc_event_scalar_float(buffer, at, &(tbc_label){.tag = tag}, single);
    CHECK(equal(only_bytes(tensor_of(value_in(buffer, at, tag), 1, TBC_BYTES("scalars")), 5), single_bytes));
    tbc_event_scalar_double(buffer, at, &(tbc_label){.tag = tag}, number);
    CHECK(equal(only_bytes(tensor_of(value_in(buffer, at, tag), 2, TBC_BYTES("scalars")), 6), number_bytes));
}

static void check_histogram(tbc_buffer *buffer, tbc_stamp at, tbc_bytes tag, size_t n)
{
    double limits[100], counts[100];
    for (size_t i = 0; i < n; i++) {
        limits[i] = (double)i - 7.5;
        counts[i] = (double)(i * i);
    }
    tbc_event_histogram(buffer, at, &(tbc_label){.tag = tag}, &(tbc_moments){-1, 2, 3, 4, 5}, limits, counts, n);
    view histo = only_bytes(value_in(buffer, at, tag), 5);
    CHECK(take_double(&histo, 1) == -1 && take_double(&histo, 2) == 2 && take_double(&histo, 3) == 3);
    CHECK(take_double(&histo, 4) == 4 && take_double(&histo, 5) == 5);
    CHECK(equal(take_bytes(&histo, 6), (tbc_bytes){(const char *)limits, 8 * n}));
    CHECK(equal(only_bytes(histo, 7), (tbc_bytes){(const char *)counts, 8 * n}));
}

static void check_image_and_text(tbc_buffer *buffer, tbc_stamp at, tbc_bytes tag, tbc_bytes bytes)
{
    const tbc_label label = {.tag = tag};
    tbc_event_image(buffer, at, &label, 480, 0, -1, bytes); /* 0 is not written, a negative number takes ten bytes */
    view image = only_bytes(value_in(buffer, at, tag), 4);
    CHECK(take_uint(&image, 1) == 480 && take_uint(&image, 3) == UINT64_MAX && equal(only_bytes(image, 4), bytes));
    tbc_event_tensor(buffer, at, &label, TBC_BYTES("text"), &(tbc_tensor){TBC_DT_STRING, &(int64_t){1}, 1, &bytes, 1});
    view tensor = tensor_of(value_in(buffer, at, tag), 7, TBC_BYTES("text"));
    view dim = only_bytes(take_bytes(&tensor, 2), 2);
    CHECK(take_uint(&dim, 1) == 1 && dim.size == 0 && equal(only_bytes(tensor, 8), bytes));
}

static void check_audio(tbc_buffer *buffer, tbc_stamp at, tbc_bytes tag, tbc_bytes bytes)
{
    const float rate = 44100;
    uint8_t *file = tbc_event_audio(buffer, at, &(tbc_label){.tag = tag}, rate, 2, 300, bytes.size);
    CHECK(file != NULL);
    if (bytes.size > 0)
        memcpy(file, bytes.data, bytes.size);
    view audio = only_bytes(value_in(buffer, at, tag), 6);
    CHECK(take_varint(&audio) == (1 << 3 | 5) && audio.size >= 4 && memcmp(audio.data, &rate, 4) == 0);
    audio.data += 4, audio.size -= 4;
    CHECK(take_uint(&audio, 2) == 2 && take_uint(&audio, 3) == 300 && equal(take_bytes(&audio, 4), bytes));
    CHECK(equal(only_bytes(audio, 5), TBC_BYTES("audio/wav")));
}

static void check_pr_curve(tbc_buffer *buffer, tbc_stamp at, tbc_bytes tag, size_t n)
{
    static char rows[6 * 4 * 300] = "floats";
    const tbc_bytes bytes = {rows, 6 * 4 * n};
    tbc_event_pr_curve(buffer, at, &(tbc_label){.tag = tag}, bytes, n);
    view value = value_in(buffer, at, tag);
    view plugin = only_bytes(take_bytes(&value, 9), 1);
    CHECK(equal(take_bytes(&plugin, 1), TBC_BYTES("pr_curves")));
    view content = only_bytes(plugin, 2), tensor = only_bytes(value, 8);
    CHECK(take_uint(&content, 2) == n && content.size == 0);
    CHECK(take_uint(&tensor, 1) == TBC_DT_FLOAT);
    view shape = take_bytes(&tensor, 2), six = take_bytes(&shape, 2), many = only_bytes(shape, 2);
    CHECK(take_uint(&six, 1) == 6 && take_uint(&many, 1) == n && equal(only_bytes(tensor, 5), bytes));
}

/* All other types are in tensor_content; a dimension of 0 is an empty message. */
static void check_tensor(tbc_buffer *buffer, tbc_stamp at, tbc_bytes tag, tbc_bytes bytes)
{
    tbc_event_tensor(buffer, at, &(tbc_label){.tag = tag}, TBC_BYTES("tensor"),
                     &(tbc_tensor){9, (int64_t[]){0, 1 << 20}, 2, &bytes, 1});
    view tensor = tensor_of(value_in(buffer, at, tag), 9, TBC_BYTES("tensor"));
    view shape = take_bytes(&tensor, 2), none = take_bytes(&shape, 2), many = only_bytes(shape, 2);
    CHECK(none.size == 0 && take_uint(&many, 1) == 1 << 20 && equal(only_bytes(tensor, 4), bytes));
}

static void check_label(tbc_buffer *buffer, tbc_stamp at, tbc_bytes tag, tbc_bytes name, tbc_bytes description)
{
    tbc_event_scalar(buffer, at, &(tbc_label){tag, name, description}, 1);
    view value = value_in(buffer, at, tag);
    if (name.size != 0 || description.size != 0) {
        view metadata = take_bytes(&value, 9);
        CHECK(name.size == 0 || equal(take_bytes(&metadata, 2), name));
        CHECK(description.size == 0 || equal(take_bytes(&metadata, 3), description));
        CHECK(metadata.size == 0);
    }
    CHECK(take_varint(&value) == (2 << 3 | 5) && value.size == 4);
}

static void check_many_scalars(tbc_buffer *buffer, tbc_stamp at, const tbc_bytes *tags, size_t n)
{
    static const double values[] = {0.5, -1e300, NAN};
    tbc_event_scalars(buffer, at, tags, values, n);
    view summary = only_bytes(event_in(buffer, at), 5);
    for (size_t i = 0; i < n; i++) {
        const float value = (float)values[i];
        view one = take_bytes(&summary, 1);
        CHECK(equal(take_bytes(&one, 1), tags[i]));
        CHECK(take_varint(&one) == (2 << 3 | 5) && equal(one, (tbc_bytes){(const char *)&value, 4}));
    }
    CHECK(summary.size == 0);
}

static void check_others(tbc_buffer *buffer, tbc_stamp at, tbc_bytes bytes)
{
    tbc_event_version(buffer, at);
    view event = event_in(buffer, at);
    CHECK(equal(take_bytes(&event, 3), TBC_BYTES("brain.Event:2")));
    CHECK(equal(only_bytes(only_bytes(event, 10), 1), TBC_BYTES("tbc")));
    tbc_event_session_start(buffer, at);
    view session = only_bytes(event_in(buffer, at), 7);
    CHECK(take_uint(&session, 1) == 1 && session.size == 0);
    tbc_event_summary(buffer, at, bytes);
    CHECK(equal(only_bytes(event_in(buffer, at), 5), bytes));
}

static void test_events(void)
{
    static const int64_t steps[] = {INT64_MIN, -1, 0, 1, INT64_MAX};
    static const double numbers[] = {0, -0.0, 1.5, -FLT_MAX, FLT_MIN / 8, INFINITY, NAN};
    static char text[20000]; /* its size is a varint of three bytes */
    memset(text, 'x', sizeof text);
    const tbc_bytes tags[] = {TBC_BYTES(""), TBC_BYTES("loss/train"), {text, 300}};
    tbc_buffer buffer = {0};
    for (size_t i = 0; i < 15; i++) {
        const tbc_stamp at = {1.7e9 + 0.25, steps[i / 3]};
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            check_scalars(&buffer, at, tags[i % 3], numbers[k]);
        for (size_t n = 0; n <= 100; n += 20)
            check_histogram(&buffer, at, tags[i % 3], n);
        for (size_t size = 0; size <= sizeof text; size = 5 * size + 31) {
            check_image_and_text(&buffer, at, tags[i % 3], (tbc_bytes){text, size});
            check_audio(&buffer, at, tags[i % 3], (tbc_bytes){text, size});
            check_tensor(&buffer, at, tags[i % 3], (tbc_bytes){text, size});
        }
        for (size_t n = 1; n <= 300; n += 126)
            check_pr_curve(&buffer, at, tags[i % 3], n);
        for (size_t n = 0; n <= 3; n++) {
            check_label(&buffer, at, tags[i % 3], n & 1 ? TBC_BYTES("name") : tags[0], n & 2 ? tags[2] : tags[0]);
            check_many_scalars(&buffer, at, tags, n);
        }
        check_others(&buffer, at, tags[i % 3]);
    }
    tbc_buffer_free(&buffer);
}

/* --- histogram --- */

static double element(const char *at, tbc_dtype dtype, size_t size)
{
    static const int exponent_bits[] = {11, 8, 5, 8};
    view bytes = {(const uint8_t *)at, size};
    uint64_t bits = take_fixed(&bytes, size);
    int width = 8 * (int)size;
    if (dtype <= TBC_BFLOAT16)
        return from_parts(bits, exponent_bits[dtype], width - 1 - exponent_bits[dtype]);
    return dtype >= TBC_UINT8 ? (double)bits : (double)((int64_t)(bits << (64 - width)) / ((int64_t)1 << (64 - width)));
}

static size_t naive_bucket(double value)
{
    const double *edges = tbc_histogram_edges();
    size_t bucket = 0;
    while (bucket < TBC_EDGES && edges[bucket] <= value)
        bucket++;
    return bucket < 1 ? 1 : bucket < TBC_EDGES ? bucket : TBC_EDGES - 1;
}

/* Sums may differ by rounding, since the order of additions differs. Sums that overflow a double are not compared. */
static bool alike(double sum, long double expected, long double magnitude)
{
    return magnitude > DBL_MAX || fabsl(sum - expected) <= 1e-12L * magnitude + DBL_MIN;
}

static void check_count(const char *data, size_t n, ptrdiff_t stride, tbc_dtype dtype, size_t size)
{
    double counts[TBC_EDGES] = {0}, num = 0, min = INFINITY, max = -INFINITY;
    long double sum = 0, magnitude = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        double value = element(data + (ptrdiff_t)i * stride, dtype, size);
        if (!isfinite(value))
            continue;
        num++;
        counts[naive_bucket(value)]++;
        min = fmin(min, value);
        max = fmax(max, value);
        sum += value;
        magnitude += fabs(value);
        squares += (long double)value * value;
    }
    tbc_histogram got;
    memset(&got, 0xFF, sizeof got); /* NaN where nothing is set */
    tbc_histogram_count(&got, &(tbc_array){data, stride, dtype}, n);
    CHECK((double)got.num == num && got.not_finite == n - got.num);
    CHECK(num > 0 ? got.min == min && got.max == max : got.min == 0 && got.max == 0);
    CHECK(alike(got.sum, sum, magnitude) && alike(got.sum_squares, squares, squares));
    CHECK(num > 0 ? got.first < got.last && counts[got.first + 1] > 0 && counts[got.last] > 0 : got.last == 0);
    for (size_t i = 0; i < TBC_EDGES; i++)
        CHECK(counts[i] == (i >= got.first && i <= got.last ? got.counts[i] : 0));
}

static void test_histogram_dtypes(void)
{
    static const size_t item[] = {8, 4, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8}, lengths[] = {0, 1, 511, 512, 513, 1300};
    for (tbc_dtype dtype = TBC_FLOAT64; dtype <= TBC_UINT64; dtype++)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            CHECK(tbc_dtype_size(dtype) == item[dtype]);
            ptrdiff_t size = (ptrdiff_t)item[dtype], n = (ptrdiff_t)lengths[i];
            const ptrdiff_t strides[] = {size, -size, 2 * size + 1, -2 * size - 1, 0};
            for (size_t k = 0; k < sizeof strides / sizeof *strides; k++) {
                ptrdiff_t stride = strides[k], extent = n == 0 ? 0 : (n - 1) * (stride < 0 ? -stride : stride) + size;
                char *memory = malloc((size_t)extent), *first = stride < 0 && n > 0 ? memory + extent - size : memory;
                for (ptrdiff_t at = 0; at < extent; at++)
                    memory[at] = (char)rand();
                for (ptrdiff_t at = 0; at < n && dtype == TBC_FLOAT64; at++) /* 2^-64 to 2^80: most within the edges */
                    first[at * stride + 7] = (char)(0x3C + rand() % 9 + rand() % 2 * 0x80);
                check_count(first, (size_t)n, stride, dtype, (size_t)size);
                free(memory);
            }
        }
}

static void test_histogram_values(void)
{
    static uint16_t halves[1 << 16]; /* every half and every bfloat16 */
    for (size_t i = 0; i < 1 << 16; i++)
        halves[i] = (uint16_t)i;
    check_count((const char *)halves, 1 << 16, 2, TBC_FLOAT16, 2);
    check_count((const char *)halves, 1 << 16, 2, TBC_BFLOAT16, 2);

    static double near[3 * TBC_EDGES]; /* every edge and its neighbours */
    for (size_t i = 0; i < TBC_EDGES; i++) {
        near[3 * i] = tbc_histogram_edges()[i];
        near[3 * i + 1] = nextafter(near[3 * i], -INFINITY);
        near[3 * i + 2] = nextafter(near[3 * i], INFINITY);
    }
    check_count((const char *)near, 3 * TBC_EDGES, 8, TBC_FLOAT64, 8);

    const double extremes[] = {NAN, DBL_MAX, -INFINITY, -DBL_MAX, INFINITY, DBL_MIN / 2, -DBL_MIN / 2, 0.0, -0.0};
    for (size_t i = 0; i < 9; i++)
        for (size_t n = 0; n <= 9 - i; n++)
            check_count((const char *)(extremes + i), n, 8, TBC_FLOAT64, 8);
    for (size_t i = 0; i < 5; i += 2)
        check_count((const char *)(extremes + i), 1000, 0, TBC_FLOAT64, 8); /* nothing finite */
}

/* --- bins --- */

static void check_bins(const double *edges, size_t n_edges, const double *values, size_t n)
{
    double *counts = malloc(n_edges * sizeof *counts);
    CHECK(tbc_bins_count(counts, edges, n_edges, &(tbc_array){values, 8, TBC_FLOAT64}, n) == TBC_OK);
    for (size_t bin = 0; bin + 1 < n_edges; bin++) {
        const double low = edges[bin], high = edges[bin + 1];
        const bool closed = bin + 2 == n_edges;
        double expected = 0;
        for (size_t i = 0; i < n; i++)
            expected += isfinite(values[i]) && values[i] >= low && (values[i] < high || (closed && values[i] == high));
        CHECK(counts[bin] == expected);
    }
    free(counts);
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Edges of many spacings. The values are these edges, their neighbours, and numbers far from any edge. */
static void test_bins(void)
{
    static const double special[] = {0, -0.0, 1, DBL_TRUE_MIN, -DBL_TRUE_MIN, FLT_MIN, FLT_TRUE_MIN, FLT_MAX, -FLT_MAX,
                                     1e-50, -1e-50, 1e300, -1e300, DBL_MAX, -DBL_MAX, INFINITY, -INFINITY, NAN};
    static const size_t lengths[] = {0, 1, 2, 3, 7, 100, 600};
    enum { SPECIAL = sizeof special / sizeof *special, MOST = 600 };
    double edges[MOST], values[3 * MOST + SPECIAL];
    for (int spacing = 0; spacing < 8; spacing++)
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            const size_t n = lengths[k];
            for (size_t i = 0; i < n; i++) {
                const double at = (double)i - (double)n / 3, random = rand() % 1000 - 500;
                const double of[] = {at / 7, 1e6 + at / 1e9, copysign(pow(1.1, fabs(at)), at), at * DBL_TRUE_MIN,
                                     ldexp(random, rand() % 2000 - 1000), floor(at / 10), special[i % (SPECIAL - 1)],
                                     i == 0 ? -INFINITY : i == n - 1 ? INFINITY : at};
                edges[i] = of[spacing];
            }
            qsort(edges, n, sizeof *edges, compare_doubles);
            for (size_t i = 0; i < n; i++) {
                values[3 * i] = edges[i];
                values[3 * i + 1] = nextafter(edges[i], -INFINITY);
                values[3 * i + 2] = nextafter(edges[i], INFINITY);
            }
            memcpy(values + 3 * n, special, sizeof special);
            check_bins(edges, n, values, 3 * n + SPECIAL);
            check_bins(edges, n, values, 0);
        }

    double small[] = {-1, 0, 5, 4000, 6000, 8188}; /* a cell ends at 0, and -0 must be in the cell of 0 */
    for (size_t i = 0; i < 6; i++)
        small[i] *= FLT_TRUE_MIN;
    check_bins(small, 6, special, SPECIAL);

    const double senseless[] = {3, NAN, -1, INFINITY, NAN, -INFINITY, 2, NAN}; /* wrong counts, but no wrong address */
    for (size_t n = 2; n <= 8; n++)
        CHECK(tbc_bins_count(values, senseless, n, &(tbc_array){special, 8, TBC_FLOAT64}, SPECIAL) == TBC_OK);
    CHECK(tbc_bins_count(values, special, (size_t)1 << 31, &(tbc_array){special, 8, TBC_FLOAT64}, 1) == TBC_TOO_LARGE);

    const int8_t bytes[] = {5, -1, 9, 0, 9, 9}; /* every second one, backwards */
    double counts[2];
    const tbc_array array = {bytes + 5, -2, TBC_INT8};
    CHECK(tbc_bins_count(counts, (const double[]){-1, 0, 9}, 3, &array, 3) == TBC_OK);
    CHECK(counts[0] == 1 && counts[1] == 2);
}

/* --- pr_curve --- */

static void check_curve(const tbc_array *predictions, const tbc_array *labels, const tbc_array *weights, size_t n,
                        size_t thresholds)
{
    const tbc_array *const arrays[] = {predictions, labels, weights};
    const size_t size = thresholds * sizeof(double);
    double *got[2] = {malloc(size), malloc(size)};
    long double *sums[2], *magnitude = calloc(thresholds, sizeof *magnitude);
    uint64_t left_out = 0, above = 0;
    for (int i = 0; i < 2; i++) {
        sums[i] = calloc(thresholds, sizeof *sums[i]);
        memset(got[i], 0xFF, size); /* NaN where nothing is set */
    }
    for (size_t i = 0; i < n; i++) {
        double value[] = {0, 0, 1}; /* prediction, label, weight */
        for (int k = 0; k < 3; k++)
            if (arrays[k] != NULL) {
                const char *data = (const char *)arrays[k]->data + (ptrdiff_t)i * arrays[k]->stride;
                value[k] = element(data, arrays[k]->dtype, tbc_dtype_size(arrays[k]->dtype));
            }
        above += value[0] > 1;
        double product = value[0] * (double)(thresholds - 1);
        if (predictions->dtype >= TBC_FLOAT32 && predictions->dtype <= TBC_BFLOAT16)
            product = (float)value[0] * (float)(thresholds - 1);
        if (!isfinite(value[0]) || !isfinite(value[1]) || !isfinite(value[2]) || value[1] < 0 || value[1] > 1
            || floor(product) < 0 || floor(product) > (double)(thresholds - 1)) {
            left_out++;
            continue;
        }
        size_t bucket = (size_t)floor(product);
        sums[0][bucket] += value[1] * value[2];
        sums[1][bucket] += (1 - value[1]) * value[2];
        magnitude[bucket] += fabs(value[2]);
    }
    tbc_pr_curve curve = {.thresholds = thresholds, .positives = got[0], .negatives = got[1]};
    tbc_pr_curve_count(&curve, predictions, labels, weights, n);
    CHECK(curve.left_out == left_out && curve.above == above);
    for (int i = 0; i < 2; i++) {
        for (size_t bucket = 0; bucket < thresholds; bucket++)
            CHECK(alike(got[i][bucket], sums[i][bucket], magnitude[bucket]));
        free(got[i]);
        free(sums[i]);
    }
    free(magnitude);
}

/* Returns numbers from 2^-8 to just above 1; of integers 0 and 1; and now and then any bits. */
static void put_probability(char *at, tbc_dtype dtype)
{
    static const uint64_t one[] = {0x3FF0000000000000, 0x3F800000, 0x3C00, 0x3F80};
    static const int mantissa_bits[] = {52, 23, 10, 7};
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | (rand() & 255);
    if (rand() % 16 != 0)
        bits = dtype >= TBC_INT8 ? bits & 1 : one[dtype] + 1 - bits % ((uint64_t)8 << mantissa_bits[dtype]);
    for (size_t i = 0; i < tbc_dtype_size(dtype); i++)
        at[i] = (char)(bits >> 8 * i);
}

/* The caller frees `memory`, which ends where the array ends. */
static tbc_array probabilities(char **memory, size_t n, tbc_dtype dtype, ptrdiff_t gap, int sign)
{
    ptrdiff_t size = (ptrdiff_t)tbc_dtype_size(dtype), stride = sign * (size + gap);
    size_t extent = n == 0 ? 0 : (n - 1) * (size_t)(stride < 0 ? -stride : stride) + (size_t)size;
    *memory = malloc(extent);
    tbc_array array = {stride < 0 && n > 0 ? *memory + extent - size : *memory, stride, dtype};
    for (size_t i = 0; i < n; i++)
        put_probability((char *)array.data + (ptrdiff_t)i * stride, dtype);
    return array;
}

static void test_pr_curve_dtypes(void)
{
    static const size_t lengths[] = {0, 1, 3, 512, 513, 1300}, thresholds[] = {1, 2, 127, 256, 257, 1000};
    for (int i = 0; i < 12 * 12 * 6; i++) {
        const tbc_dtype dtypes[] = {i % 12, i / 12 % 12, rand() % 12};
        const size_t n = lengths[i / 144];
        tbc_array arrays[3];
        char *memory[3];
        for (int k = 0; k < 3; k++)
            arrays[k] = probabilities(&memory[k], n, dtypes[k], rand() % 4, rand() % 3 - 1);
        for (size_t k = 0; k < 6; k++)
            check_curve(&arrays[0], &arrays[1], k % 2 == 0 ? NULL : &arrays[2], n, thresholds[k]);
        check_curve(&arrays[0], &arrays[1], &arrays[2], n, 127);
        for (int k = 0; k < 3; k++)
            free(memory[k]);
    }
}

/* Every prediction with every label and every weight. */
static void check_combinations(const double *predictions, size_t n_predictions, size_t thresholds)
{
    const double labels[] = {0, 1, 0.25, -0.0, nextafter(1, 0), nextafter(1, 2), -DBL_TRUE_MIN, -1, 2, DBL_MAX,
                             -DBL_MAX, NAN, INFINITY, -INFINITY};
    const double weights[] = {1, 0, 0.3, -2, 1e300, NAN, INFINITY, -INFINITY};
    const size_t n_labels = sizeof labels / sizeof *labels, n_weights = sizeof weights / sizeof *weights;
    const size_t n = n_predictions * n_labels;
    double *doubles = malloc(n * sizeof *doubles), *label = malloc(n * sizeof *label);
    float *floats = malloc(n * sizeof *floats);
    for (size_t i = 0; i < n; i++) {
        doubles[i] = predictions[i / n_labels];
        floats[i] = fabs(doubles[i]) <= FLT_MAX || !isfinite(doubles[i]) ? (float)doubles[i] : FLT_MAX;
        label[i] = labels[i % n_labels];
    }
    const tbc_array arrays[] = {{doubles, 8, TBC_FLOAT64}, {floats, 4, TBC_FLOAT32}};
    const tbc_array label_array = {label, 8, TBC_FLOAT64};
    for (int i = 0; i < 2; i++) {
        check_curve(&arrays[i], &label_array, NULL, n, thresholds);
        for (size_t k = 0; k < n_weights; k++)
            check_curve(&arrays[i], &label_array, &(tbc_array){&weights[k], 0, TBC_FLOAT64}, n, thresholds);
    }
    free(doubles);
    free(floats);
    free(label);
}

static void test_pr_curve_values(void)
{
    static const size_t thresholds[] = {1, 2, 127, 256, 257, 1000, 100000};
    for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++) {
        const double steps = (double)(thresholds[i] - 1), over = 1 + 1 / steps; /* infinity if there are no steps */
        const double predictions[] = {
            0, -0.0, 1, 0.5, 1 + DBL_EPSILON, 1 + FLT_EPSILON, 1 - DBL_EPSILON / 2, 1 - FLT_EPSILON / 2, over,
            nextafter(over, 0), nextafter(over, 2), nextafterf((float)over, 0), nextafterf((float)over, 2), 2, -1,
            DBL_TRUE_MIN, -DBL_TRUE_MIN, FLT_TRUE_MIN, -FLT_TRUE_MIN, -DBL_EPSILON, 0x1p31 / steps, 0x1p32 / steps,
            0x1p63 / steps, 0x1p64 / steps, 1e30, -1e30, DBL_MAX, -DBL_MAX, NAN, INFINITY, -INFINITY,
        };
        check_combinations(predictions, sizeof predictions / sizeof *predictions, thresholds[i]);
    }

    double near[3 * 127]; /* every edge and its neighbours */
    for (size_t i = 0; i < 127; i++) {
        near[3 * i] = (double)i / 126;
        near[3 * i + 1] = nextafter(near[3 * i], -1);
        near[3 * i + 2] = nextafter(near[3 * i], 2);
    }
    check_combinations(near, 3 * 127, 127);

    static uint16_t halves[1 << 16]; /* every half and every bfloat16; so many thresholds round their products */
    for (size_t i = 0; i < 1 << 16; i++)
        halves[i] = (uint16_t)i;
    const tbc_array one = {&(uint8_t){1}, 0, TBC_UINT8};
    for (tbc_dtype dtype = TBC_FLOAT16; dtype <= TBC_BFLOAT16; dtype++)
        check_curve(&(tbc_array){halves, 2, dtype}, &one, NULL, 1 << 16, 1000000);

    const float some[] = {-0.0F, 0.5F, 0.5F, 1, 1.25F, 1.5F, -0.25F}; /* and a few whose results are written out */
    const uint8_t ones[] = {1, 0, 1, 1, 0, 1, 1};
    const tbc_array by_hand = {some, 4, TBC_FLOAT32}, labels = {ones, 1, TBC_UINT8};
    double positives[3], negatives[3];
    tbc_pr_curve curve = {.thresholds = 3, .positives = positives, .negatives = negatives};
    tbc_pr_curve_count(&curve, &by_hand, &labels, NULL, 7);
    CHECK(curve.left_out == 2 && curve.above == 2);
    CHECK(positives[0] == 1 && positives[1] == 1 && positives[2] == 1);
    CHECK(negatives[0] == 0 && negatives[1] == 1 && negatives[2] == 1);
}

/* --- pixels --- */

static int expected_pixel(double product)
{
    return product >= 255 ? 255 : product > 0 ? (int)product : 0;
}

static void check_pixels(tbc_tiles tiles, int layout)
{
    static const double odd[] = {0, -0.0, 1, 0.5, 1.0 / 255, 254.999 / 255, -1, 2, 1e300, -1e300, INFINITY, NAN,
                                 99.999999999 / 255}; /* less than 100 / 255 as a double, but not as a float */
    static const tbc_dtype dtypes[] = {TBC_FLOAT64, TBC_FLOAT32, TBC_UINT8, TBC_FLOAT64, TBC_FLOAT32};
    static void (*const kernels[])(uint8_t *, const tbc_tiles *) = {
        tbc_pixels_scale, tbc_pixels_scale, tbc_pixels_copy, tbc_pixels_scale_in_double, tbc_pixels_scale_in_double,
    };
    const size_t row = tiles.width * tiles.channels, pitch = tiles.columns * row;
    const size_t n = tiles.frames * tiles.images * tiles.height * row;
    const size_t frame_size = tiles.rows * tiles.height * pitch, size = tiles.frames * frame_size;
    double *doubles = malloc(n * sizeof *doubles);
    float *floats = malloc(n * sizeof *floats);
    uint8_t *bytes = malloc(n), *got = malloc(size);
    const void *const data[] = {doubles, floats, bytes, doubles, floats};
    for (size_t i = 0; i < n; i++) {
        doubles[i] = i % 5 == 0 ? odd[i / 5 % 13] : rand() / (double)RAND_MAX;
        floats[i] = (float)doubles[i];
        bytes[i] = (uint8_t)rand();
    }
    const ptrdiff_t h = (ptrdiff_t)tiles.height, w = (ptrdiff_t)tiles.width, c = (ptrdiff_t)tiles.channels;
    const ptrdiff_t strides[4][3] = {{w * c, c, 1}, {w, 1, h * w}, {c, h * c, 1}, {w, 1, 0}}; /* HWC, CHW, WHC, gray */
    const ptrdiff_t *stride = strides[layout], frames = (ptrdiff_t)tiles.frames;
    for (int k = 0; k < 5; k++) {
        const ptrdiff_t each = (ptrdiff_t)tbc_dtype_size(dtypes[k]);
        tiles.data = data[k];
        tiles.dtype = dtypes[k];
        tiles.frame_stride = h * w * c * each;
        tiles.image_stride = frames * h * w * c * each;
        tiles.height_stride = stride[0] * each;
        tiles.width_stride = stride[1] * each;
        tiles.channel_stride = stride[2] * each;
        memset(got, 77, size);
        kernels[k](got, &tiles);
        for (size_t i = 0; i < size; i++) {
            const size_t y = i % frame_size / pitch, x = i % pitch / tiles.channels;
            const size_t tile = y / tiles.height * tiles.columns + x / tiles.width;
            const ptrdiff_t image = (ptrdiff_t)tile * frames + (ptrdiff_t)(i / frame_size);
            const ptrdiff_t at = image * h * w * c + (ptrdiff_t)y % h * stride[0] + (ptrdiff_t)x % w * stride[1] +
                                 (ptrdiff_t)i % c * stride[2];
            if (tile >= tiles.images) {
                CHECK(got[i] == 77);
                continue;
            }
            const int expected[] = {
                expected_pixel(floats[at] * 255.0F), expected_pixel(floats[at] * 255.0F), bytes[at],
                expected_pixel(doubles[at] * 255), expected_pixel((double)floats[at] * 255),
            };
            CHECK(got[i] == expected[k]);
        }
    }
    free(doubles);
    free(floats);
    free(bytes);
    free(got);
}

static void test_pixels(void)
{
    static const size_t sides[] = {1, 2, 7, 16, 17, 18, 511, 513};
    for (int layout = 0; layout < 4; layout++)
        for (size_t channels = 1; channels <= TBC_CHANNELS; channels++)
            for (size_t i = 0; i < 8; i++)
                for (size_t k = 0; k < 3; k++) {
                    tbc_tiles tiles = {.frames = 1, .images = 1, .height = sides[k], .width = sides[i],
                                       .channels = channels, .rows = 1, .columns = 1};
                    check_pixels(tiles, layout);
                    tiles.frames = 2, tiles.images = 4, tiles.rows = 2, tiles.columns = 3;
                    check_pixels(tiles, layout);
                }
}

/* --- decimal --- */

static void check_decimal(float value)
{
    char text[TBC_DECIMAL_MAX + 1], *end;
    size_t size = tbc_decimal_put(text, value);
    CHECK(size <= TBC_DECIMAL_MAX);
    text[size] = 0;
    float back = strtof(text, &end);
    CHECK(end == text + size && (isnan(value) ? isnan(back) : tbc_float_bits(back) == tbc_float_bits(value)));
}

static void test_decimal(void)
{
    static const float powers[] = {1e-5F, 1e-4F, 0.001F, 0.1F, 1, 10, 1e8F, 1e9F, 1e10F, 1e38F};
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 9973) /* of every exponent and sign, NaN and infinity too */
        check_decimal(tbc_float_from_bits((uint32_t)bits));
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++)
        for (uint32_t k = 0; k < 200; k++)
            check_decimal(tbc_float_from_bits(tbc_float_bits(powers[i]) - 100 + k));
    const float specials[] = {0, -0.0F, INFINITY, -INFINITY, NAN, FLT_MAX, -FLT_MIN, FLT_TRUE_MIN};
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
        check_decimal(specials[i]);

    char table[6 * (TBC_DECIMAL_MAX + 1)];
    const float rows[] = {0, -1.5F, 100, 1e-7F, 0.5F, 123456792};
    const tbc_bytes expected = TBC_BYTES("0\t-1.5\t100\n1.00000001e-07\t0.5\t123456792\n");
    CHECK(equal((view){(const uint8_t *)table, tbc_decimal_table(table, rows, 2, 3)}, expected));
}

/* --- writer --- */

static int temp_file(void)
{
    char path[4096];
    const char *directory = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/csrc_test.XXXXXX", directory != NULL ? directory : "/tmp");
    int fd = mkstemp(path);
    CHECK(fd >= 0 && unlink(path) == 0);
    return fd;
}

static off_t size_of(int fd)
{
    struct stat file;
    CHECK(fstat(fd, &file) == 0);
    return file.st_size;
}

static tbc_writer *open_writer(int fd)
{
    tbc_writer *writer = tbc_writer_new();
    CHECK(fd >= 0 && tbc_writer_attach(writer, fd, TBC_RAISE, 1000000) == TBC_OK && tbc_writer_is_open(writer));
    return writer;
}

static tbc_status flush_all(tbc_writer *writer)
{
    tbc_flush flush;
    tbc_status status;
    tbc_writer_flush_begin(writer, &flush);
    do
        status = tbc_writer_flush_wait(writer, &flush, 1000);
    while (status == TBC_WAITING);
    return status;
}

static void close_writer(tbc_writer *writer)
{
    tbc_frame frame;
    tbc_status status;
    while ((status = tbc_writer_close(writer, 100)) == TBC_WAITING) { }
    CHECK(status == TBC_OK);
    CHECK(tbc_writer_begin(writer, &frame, 0, TBC_SMALL, 0, false) == TBC_CLOSED && !tbc_writer_is_open(writer));
    tbc_writer_free(writer);
}

static atomic_int now = 1; /* seconds since 1970; it differs for each event, so that each looks for its file */

/* The tag of an event says which thread logged it. */
static tbc_status try_append(tbc_writer *writer, int thread, int64_t step)
{
    const char tag = (char)('0' + thread);
    tbc_frame frame;
    tbc_status status = tbc_writer_begin(writer, &frame, 64, TBC_SMALL, now++, false);
    if (status != TBC_OK)
        return status;
    tbc_event_scalar(frame.to, (tbc_stamp){1.5, step}, &(tbc_label){.tag = {&tag, 1}}, 1);
    status = tbc_writer_end(writer, &frame);
    return status == TBC_FAILING ? TBC_OK : status;
}

static void append(tbc_writer *writer, int thread, int64_t step, int64_t end)
{
    while (step < end) {
        tbc_status status = try_append(writer, thread, step);
        CHECK(status == TBC_OK || status == TBC_FULL);
        if (status == TBC_OK)
            step++;
        else
            CHECK(tbc_writer_wait(writer, 64, TBC_SMALL, 1000) == TBC_OK);
    }
}

/* Reads and closes a file. It must have, for each thread, the steps first, first + by, ... below end, in this order. */
static void check_file(int fd, int threads, int64_t first, int64_t by, int64_t end)
{
    int64_t next[THREADS];
    for (int thread = 0; thread < threads; thread++)
        next[thread] = first;
    size_t size = (size_t)size_of(fd), got = 0;
    uint8_t *data = malloc(size);
    for (ssize_t n = 1; n > 0; got += (size_t)n)
        n = pread(fd, data + got, size - got, (off_t)got);
    CHECK(got == size && close(fd) == 0);
    for (view file = {data, size}; file.size > 0;) {
        view event = take_frame(&file);
        take_double(&event, 1);
        int64_t step = event.data[0] == 2 << 3 ? (int64_t)take_uint(&event, 2) : 0;
        view value = only_bytes(only_bytes(event, 5), 1), tag = take_bytes(&value, 1);
        int thread = tag.data[0] - '0';
        CHECK(tag.size == 1 && thread >= 0 && thread < threads && step == next[thread]);
        next[thread] += by;
    }
    for (int thread = 0; thread < threads; thread++)
        CHECK(next[thread] >= end && next[thread] - by < end);
    free(data);
}

typedef struct job {
    pthread_t id;
    int thread, n_writers;
    int64_t events;
    tbc_writer **writers;
} job;

/* Event i goes to the writer i % n_writers. With one writer it pauses, since test_fork needs it to log for a while. */
static void *log_events(void *argument)
{
    const job *job = argument;
    for (int64_t i = 0; i < job->events; i++) {
        append(job->writers[i % job->n_writers], job->thread, i, i + 1);
        if (job->n_writers == 1 && i % 64 == 0)
            sleep_ms(1);
    }
    return NULL;
}

static void check_threads(int64_t events, size_t limit)
{
    int fds[FILES];
    tbc_writer *writers[FILES];
    job jobs[THREADS];
    tbc_queue_set_limit(limit);
    for (int i = 0; i < FILES; i++)
        writers[i] = open_writer(dup(fds[i] = temp_file()));
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (job){.thread = i, .n_writers = FILES, .events = events, .writers = writers};
        CHECK(pthread_create(&jobs[i].id, NULL, log_events, &jobs[i]) == 0);
    }
    for (int i = 0; i < 300; i++)
        CHECK(flush_all(writers[i % FILES]) == TBC_OK);
    for (int i = 0; i < THREADS; i++)
        pthread_join(jobs[i].id, NULL);
    for (int i = 0; i < FILES; i++) {
        CHECK(flush_all(writers[i]) == TBC_OK);
        close_writer(writers[i]);
        check_file(fds[i], THREADS, i, FILES, events);
    }
    tbc_queue_set_limit(usual_limit);
}

static void test_threads(void) { check_threads(EVENTS, usual_limit); }

static void test_threads_in_a_full_queue(void) { check_threads(EVENTS / 10, 1000); }

/* Events are written without a flush, though a linger of 1000 s was asked for: 100 ms is the longest. */
static void test_fresh(void)
{
    int fd = temp_file();
    tbc_writer *writer = open_writer(dup(fd));
    for (int64_t step = 0; step < 3; step++) {
        off_t before = size_of(fd);
        append(writer, 0, step, step + 1);
        for (int i = 0; size_of(fd) == before; i++) {
            CHECK(i < 1000);
            sleep_ms(5);
        }
    }
    tbc_flush idle; /* a flush that has nothing to do does not wait */
    tbc_writer_flush_begin(writer, &idle);
    CHECK(tbc_writer_flush_wait(writer, &idle, 0) == TBC_OK);
    close_writer(writer);
    check_file(fd, 1, 0, 1, 3);
}

static int entries(const char *path)
{
    int n = 0;
    DIR *directory = opendir(path);
    while (directory != NULL && readdir(directory) != NULL)
        n++;
    if (directory != NULL)
        closedir(directory);
    return n;
}

static void test_open_close(void)
{
    tbc_writer_pause(); /* the thread of the previous test may be about to end */
    int fd = temp_file(), fds = entries("/proc/self/fd"), threads = entries("/proc/self/task");
    for (int64_t i = 0; i < 2000; i++) {
        tbc_writer *writer = open_writer(dup(fd));
        append(writer, 0, i, i + 1);
        CHECK(flush_all(writer) == TBC_OK);
        close_writer(writer);
    }
    CHECK(entries("/proc/self/fd") == fds);
    for (int i = 0; entries("/proc/self/task") != threads; i++) { /* a joined thread is listed for a moment */
        CHECK(i < 1000);
        sleep_ms(5);
    }
    check_file(fd, 1, 0, 1, 2000);
}

static void *close_in_thread(void *writer)
{
    close_writer(writer);
    return NULL;
}

/* The thread is in a write to a pipe that is too small for it. */
static void test_close_waits(void)
{
    char bytes[4096];
    int ends[2], fd = temp_file();
    CHECK(pipe(ends) == 0);
    tbc_writer *writer = open_writer(ends[1]);
    append(writer, 0, 0, EVENTS);
    ssize_t n = read(ends[0], bytes, 1);
    pthread_t closer;
    CHECK(pthread_create(&closer, NULL, close_in_thread, writer) == 0);
    for (sleep_ms(20); n > 0; n = read(ends[0], bytes, sizeof bytes))
        CHECK(write(fd, bytes, (size_t)n) == n);
    pthread_join(closer, NULL);
    CHECK(close(ends[0]) == 0);
    check_file(fd, 1, 0, 1, EVENTS);
}

typedef struct copying {
    pthread_t id;
    int from, to;
} copying;

static void *copy_all(void *argument)
{
    const copying *copying = argument;
    char bytes[4096];
    for (ssize_t n; (n = read(copying->from, bytes, sizeof bytes)) > 0;)
        CHECK(write(copying->to, bytes, (size_t)n) == n);
    close(copying->from);
    return NULL;
}

/* While nobody reads the pipe, the queue fills; its buffer gets too large to be kept when it is empty. */
static void test_full(void)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    copying copying = {.from = ends[0], .to = temp_file()};
    tbc_writer *writer = open_writer(ends[1]);
    tbc_queue_set_limit(2 << 20);
    tbc_status status;
    int64_t n = 0;
    while ((status = try_append(writer, 0, n)) == TBC_OK)
        n++;
    CHECK(status == TBC_FULL && size_of(copying.to) == 0);
    CHECK(pthread_create(&copying.id, NULL, copy_all, &copying) == 0);
    append(writer, 0, n, n + 1000); /* waits for room */
    CHECK(flush_all(writer) == TBC_OK);
    tbc_queue_set_limit(0); /* an empty queue takes a record of any size; bytes of closed files are not counted */
    append(writer, 0, n + 1000, n + 1001);
    tbc_writer_pause();
    CHECK(flush_all(writer) == TBC_OK);
    tbc_queue_set_limit(usual_limit);
    close_writer(writer);
    pthread_join(copying.id, NULL);
    check_file(copying.to, 1, 0, 1, n + 1001);
}

/* On a slow disk, what is written makes room before all is written. */
static void test_room_comes_back(void)
{
    char bytes[4096];
    int ends[2];
    CHECK(pipe(ends) == 0);
    tbc_writer *writer = open_writer(ends[1]);
    tbc_queue_set_limit(4 << 20);
    int64_t n = 0;
    while (try_append(writer, 0, n) == TBC_OK)
        n++;
    for (int i = 0; try_append(writer, 0, n) == TBC_FULL; i++) {
        tbc_writer_wait(writer, 64, TBC_SMALL, 1);
        CHECK(i < 3 << 8 && read(ends[0], bytes, sizeof bytes) > 0); /* at most 3 of 4 MiB */
    }
    CHECK(close(ends[0]) == 0);
    CHECK(flush_all(writer) == TBC_ERRNO && errno == EPIPE);
    CHECK(tbc_writer_close(writer, 1000) == TBC_ERRNO && errno == EPIPE && tbc_writer_is_open(writer));
    tbc_queue_set_limit(usual_limit);
    tbc_writer_free(writer); /* the thread tries again until the process ends */
}

enum { LARGE = 5 << 20 };

static void begin_large(tbc_writer *writer, tbc_frame *frame, int64_t step, bool waited)
{
    static char bytes[LARGE];
    const tbc_label label = {.tag = {"0", 1}, .description = {bytes, LARGE}};
    CHECK(tbc_writer_begin(writer, frame, LARGE, TBC_LARGE, now++, waited) == TBC_OK && frame->to == &frame->own);
    tbc_event_scalar(frame->to, (tbc_stamp){1.5, step}, &label, 1);
}

/* A large event is made without the lock, and takes its place among the others when it ends. */
static void test_large(void)
{
    int fd = temp_file();
    tbc_frame frame;
    tbc_writer *writer = open_writer(fd), *other = open_writer(temp_file());
    append(writer, 0, 0, 2);
    begin_large(writer, &frame, 4, false);
    CHECK(tbc_writer_stats(writer).queued >= LARGE); /* the small ones may be written by now */
    append(other, 0, 0, 1);
    append(writer, 0, 2, 4);
    CHECK(tbc_writer_end(writer, &frame) == TBC_OK);
    append(writer, 0, 5, 7);
    CHECK(flush_all(writer) == TBC_OK && tbc_writer_stats(writer).queued == 0);
    CHECK(tbc_writer_begin(writer, &frame, (size_t)1 << 31, TBC_LARGE, 1.5, false) == TBC_TOO_LARGE);
    begin_large(writer, &frame, 0, false);
    tbc_writer_abandon(writer, &frame);
    CHECK(tbc_writer_stats(writer).queued == 0);
    begin_large(writer, &frame, 7, false);
    int copy = dup(fd), next = temp_file(), next_copy = dup(next);
    CHECK(tbc_writer_close(writer, 1000) == TBC_OK && tbc_writer_end(writer, &frame) == TBC_CLOSED);
    check_file(copy, 1, 0, 1, 7);
    CHECK(tbc_writer_attach(writer, next, TBC_RAISE, 1000) == TBC_OK && tbc_writer_end(writer, &frame) == TBC_OK);
    CHECK(flush_all(writer) == TBC_OK && tbc_writer_stats(writer).queued == 0);
    check_file(next_copy, 1, 7, 1, 8);
    close_writer(writer);
    close_writer(other);
}

/* Small events find room however many large things are queued, and large ones however many small ones. A queue that
   holds none of a kind takes one, whatever the limit. */
static void test_room_of_large_things(void)
{
    int ends[2];
    tbc_frame frame;
    CHECK(pipe(ends) == 0);
    copying copying = {.from = ends[0], .to = temp_file()};
    tbc_writer *writer = open_writer(ends[1]);
    tbc_queue_set_limit(LARGE / 2);
    begin_large(writer, &frame, 0, false);
    CHECK(tbc_writer_end(writer, &frame) == TBC_OK && tbc_writer_stats(writer).queued > LARGE / 2);
    CHECK(tbc_writer_begin(writer, &frame, LARGE, TBC_LARGE, 1.5, false) == TBC_FULL);
    CHECK(tbc_writer_reserve(writer, 1, 1.5) == TBC_FULL);
    int64_t n = 1;
    while (try_append(writer, 0, n) == TBC_OK)
        n++;
    CHECK(n > LARGE / 2 / 100);
    begin_large(writer, &frame, n++, true); /* made from reserved bytes */
    CHECK(tbc_writer_end(writer, &frame) == TBC_OK);
    CHECK(pthread_create(&copying.id, NULL, copy_all, &copying) == 0);
    CHECK(flush_all(writer) == TBC_OK && tbc_writer_stats(writer).queued == 0);
    CHECK(tbc_writer_reserve(writer, LARGE, 1.5) == TBC_OK);
    CHECK(tbc_writer_begin(writer, &frame, LARGE, TBC_LARGE, 1.5, false) == TBC_FULL);
    tbc_writer_release(writer, LARGE);
    tbc_queue_set_limit(usual_limit);
    close_writer(writer);
    pthread_join(copying.id, NULL);
    check_file(copying.to, 1, 0, 1, n);
}

enum { CHUNKS = 60 };

static time_t seconds_of_chunks(void)
{
    static char bytes[1 << 20];
    int ends[2];
    struct timespec begin, end;
    CHECK(pipe(ends) == 0);
    tbc_writer *writer = open_writer(ends[1]);
    for (int i = 0; i < CHUNKS; i++) {
        tbc_frame frame;
        CHECK(tbc_writer_begin(writer, &frame, sizeof bytes, TBC_LARGE, 1.5, false) == TBC_OK);
        tbc_buffer_append(frame.to, bytes, sizeof bytes);
        CHECK(tbc_writer_end(writer, &frame) == TBC_OK);
    }
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (size_t got = 0; got < CHUNKS * sizeof bytes;) {
        ssize_t n = read(ends[0], bytes, sizeof bytes);
        CHECK(n > 0);
        got += (size_t)n;
        append(writer, 0, 0, 1);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK(close(ends[0]) == 0);
    tbc_writer_free(writer);
    return end.tv_sec - begin.tv_sec;
}

/* Events that come while a chunk is written do not make the next chunk linger: that would take 60 times 0.1 s, in every
   run. A busy machine may take as long in some runs. */
static void test_chunks_do_not_linger(void)
{
    for (int attempt = 0; seconds_of_chunks() > HANG / 30; attempt++)
        CHECK(attempt < 5);
}

static void check_write_error(int fd, int error)
{
    tbc_writer *writer = open_writer(fd);
    for (int64_t i = 0; i < 3; i++) {
        append(writer, 0, i, i + 1);
        errno = 0;
        CHECK(flush_all(writer) == TBC_ERRNO && errno == error);
    }
    tbc_queue_set_limit(1);
    errno = 0;
    CHECK(try_append(writer, 0, 3) == TBC_ERRNO && errno == error);
    tbc_queue_set_limit(usual_limit);
    CHECK(tbc_writer_stats(writer).error == error && tbc_writer_stats(writer).retries >= 3);
    tbc_writer_free(writer);
}

static void test_write_errors(void)
{
    check_write_error(open("/dev/null", O_RDONLY), EBADF);
    if (access("/dev/full", W_OK) == 0)
        check_write_error(open("/dev/full", O_WRONLY), ENOSPC);
}

/* Writing to a file that may not grow stops in the middle of a record, and later continues there. */
static void test_write_resumes(void)
{
    int fd = temp_file();
    tbc_writer *writer = open_writer(dup(fd));
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, limit.rlim_max}) == 0);
    append(writer, 0, 0, 100);
    errno = 0;
    CHECK(flush_all(writer) == TBC_ERRNO && errno == EFBIG && size_of(fd) == 1000);
    append(writer, 0, 100, 200);

    tbc_flush flush; /* may fail with EFBIG at first, and for no other reason */
    tbc_status status;
    tbc_writer_flush_begin(writer, &flush);
    sleep_ms(20);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    while (size_of(fd) == 1000)
        sleep_ms(1);
    errno = 0;
    while ((status = tbc_writer_flush_wait(writer, &flush, 1000)) != TBC_OK)
        CHECK(status == TBC_WAITING || errno == EFBIG);
    close_writer(writer);
    check_file(fd, 1, 0, 1, 200);
}

/* --- event files --- */

static char directory[1024];

static tbc_place temp_place(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/csrc_test.XXXXXX", parent != NULL ? parent : "/tmp");
    CHECK(mkdtemp(directory) != NULL);
    return (tbc_place){directory, ".suffix", "", 0};
}

/* Finds a file in `directory`, if there is any. */
static bool find_file(char path[TBC_PATH_MAX])
{
    bool found = false;
    DIR *names = opendir(directory);
    CHECK(names != NULL);
    for (struct dirent *entry; (entry = readdir(names)) != NULL;)
        if (entry->d_name[0] != '.') {
            snprintf(path, TBC_PATH_MAX, "%s/%s", directory, entry->d_name);
            found = true;
        }
    closedir(names);
    return found;
}

static tbc_writer *open_in(const tbc_place *place, tbc_policy policy)
{
    tbc_writer *writer = tbc_writer_new();
    CHECK(tbc_writer_open(writer, place, policy, 0, false) == TBC_OK);
    return writer;
}

static int open_file_of(const tbc_writer *writer, char path[TBC_PATH_MAX])
{
    tbc_writer_path(writer, path, TBC_PATH_MAX);
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0);
    return fd;
}

static void *log_and_flush(void *argument)
{
    const job *job = argument;
    for (int64_t i = 0; i < job->events; i++) {
        append(job->writers[0], job->thread, i, i + 1);
        if (i % 7 == 0)
            CHECK(flush_all(job->writers[0]) == TBC_OK);
    }
    return NULL;
}

/* Many threads flush, and so write in the place of the writer's thread. */
static void test_flushes(void)
{
    char path[TBC_PATH_MAX];
    job jobs[THREADS];
    tbc_place place = temp_place();
    tbc_writer *writer = open_in(&place, TBC_RAISE);
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (job){.thread = i, .events = EVENTS / 10, .writers = &writer};
        CHECK(pthread_create(&jobs[i].id, NULL, log_and_flush, &jobs[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(jobs[i].id, NULL);
    int fd = open_file_of(writer, path);
    close_writer(writer);
    check_file(fd, THREADS, 0, 1, EVENTS / 10);
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
}

/* After the file and its directory are deleted, what is logged next goes to a new file that sorts after the old one. */
static void test_deleted_file(void)
{
    char path[TBC_PATH_MAX], next[TBC_PATH_MAX];
    tbc_place place = temp_place();
    tbc_writer *writer = open_in(&place, TBC_DROP);
    append(writer, 0, 0, 100);
    CHECK(flush_all(writer) == TBC_OK);
    check_file(open_file_of(writer, path), 1, 0, 1, 100);
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
    append(writer, 0, 100, 200);
    CHECK(flush_all(writer) == TBC_OK && tbc_writer_sync(writer, 1000) == TBC_OK);
    check_file(open_file_of(writer, next), 1, 100, 1, 200);
    CHECK(strcmp(path, next) < 0 && tbc_writer_stats(writer).rotations == 1);
    close_writer(writer);
    CHECK(unlink(next) == 0 && rmdir(directory) == 0);
}

/* What was logged before the directory was removed is gone, too; the next event makes the directory again. */
static void test_removed_directory(void)
{
    char path[TBC_PATH_MAX];
    tbc_place place = temp_place();
    tbc_writer *writer = tbc_writer_new();
    CHECK(tbc_writer_open(writer, &place, TBC_DROP, 100, false) == TBC_OK);
    append(writer, 0, 0, 100);
    CHECK(flush_all(writer) == TBC_OK);
    append(writer, 0, 100, 200);
    int fd = open_file_of(writer, path);
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
    sleep_ms(200);
    CHECK(flush_all(writer) == TBC_OK && tbc_writer_stats(writer).rotations == 0 && access(directory, F_OK) != 0);
    check_file(fd, 1, 0, 1, 200);
    append(writer, 0, 200, 300);
    CHECK(flush_all(writer) == TBC_OK && tbc_writer_stats(writer).rotations == 1);
    check_file(open_file_of(writer, path), 1, 200, 1, 300);

    append(writer, 0, 300, 400);
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
    append(writer, 0, 400, 401); /* makes the directory again, and so writes what still waited, too */
    close_writer(writer);
    CHECK(find_file(path) && entries(directory) == 3);
    check_file(open(path, O_RDONLY), 1, 300, 1, 401);
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
}

/* A program that deletes a file may be about to remove its directory: a new file would make that fail. */
static void test_deleted_file_is_left_for_a_moment(void)
{
    char path[TBC_PATH_MAX];
    tbc_place place = temp_place();
    tbc_writer *writer = tbc_writer_new();
    CHECK(tbc_writer_open(writer, &place, TBC_DROP, 100, false) == TBC_OK);
    append(writer, 0, 0, 1);
    tbc_writer_path(writer, path, sizeof path);
    CHECK(unlink(path) == 0);
    sleep_ms(300);
    CHECK(entries(directory) == 2 && tbc_writer_stats(writer).queued > 0 && tbc_writer_stats(writer).error == 0);
    for (int i = 0; i < 5000 && tbc_writer_stats(writer).queued > 0; i++)
        sleep_ms(1);
    check_file(open_file_of(writer, path), 1, 0, 1, 1);

    append(writer, 0, 1, 2); /* the same, and then something is logged */
    CHECK(unlink(path) == 0);
    sleep_ms(300);
    append(writer, 0, 2, 3);
    sleep_ms(300);
    check_file(open_file_of(writer, path), 1, 1, 1, 3);
    close_writer(writer);
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
}

/* The program closes all descriptors, and the number of the event file's goes to another file. */
static void test_descriptor_of_others(void)
{
    char path[TBC_PATH_MAX], next[TBC_PATH_MAX];
    tbc_place place = temp_place();
    int fd = temp_file();
    CHECK(close(fd) == 0); /* the event file gets this number */
    tbc_writer *writer = open_in(&place, TBC_DROP);
    append(writer, 0, 0, 100);
    CHECK(flush_all(writer) == TBC_OK);
    check_file(open_file_of(writer, path), 1, 0, 1, 100);
    int other = temp_file();
    CHECK(dup2(other, fd) == fd);
    append(writer, 0, 100, 200);
    CHECK(flush_all(writer) == TBC_OK && size_of(other) == 0 && size_of(fd) == 0);
    check_file(open_file_of(writer, next), 1, 100, 1, 200);
    CHECK(strcmp(path, next) < 0);
    close_writer(writer);
    CHECK(close(fd) == 0 && close(other) == 0 && unlink(path) == 0 && unlink(next) == 0 && rmdir(directory) == 0);
}

/* If a file may not grow any more, the next one begins with the torn record. */
static void test_torn_record(void)
{
    char path[TBC_PATH_MAX], next[TBC_PATH_MAX];
    struct rlimit limit;
    tbc_place place = temp_place();
    tbc_writer *writer = open_in(&place, TBC_DROP);
    append(writer, 0, 10, 20);
    CHECK(flush_all(writer) == TBC_OK);
    int fd = open_file_of(writer, path);
    off_t size = size_of(fd);
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){(rlim_t)size + 5, limit.rlim_max}) == 0);
    append(writer, 0, 20, 30);
    CHECK(flush_all(writer) == TBC_OK && tbc_writer_stats(writer).rotations == 1);
    CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){1, limit.rlim_max}) == 0);
    append(writer, 0, 30, 40);
    errno = 0;
    CHECK(flush_all(writer) == TBC_ERRNO && errno == EFBIG); /* now it does not even fit in a new one */
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(size_of(fd) == size + 5 && close(fd) == 0 && truncate(path, size) == 0);
    check_file(open(path, O_RDONLY), 1, 10, 1, 20);
    CHECK(unlink(path) == 0);

    CHECK(flush_all(writer) == TBC_OK);
    CHECK(entries(directory) == 4); /* two files, and . and .. */
    DIR *names = opendir(directory);
    CHECK(close(open_file_of(writer, next)) == 0);
    for (struct dirent *entry; (entry = readdir(names)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] != '.' && strcmp(path, next) != 0) {
            CHECK(strcmp(path, next) < 0);
            check_file(open(path, O_RDONLY), 1, 20, 1, 30);
            CHECK(unlink(path) == 0);
        }
    }
    closedir(names);
    check_file(open(next, O_RDONLY), 1, 30, 1, 40);
    close_writer(writer);
    CHECK(unlink(next) == 0 && rmdir(directory) == 0);
}

/* Files on a failing disk take no room from the others; their events that find no room are dropped and counted. */
static void test_failing_and_sound(void)
{
    char path[TBC_PATH_MAX];
    tbc_place place = temp_place();
    tbc_writer *sound = open_in(&place, TBC_DROP), *failing = tbc_writer_new();
    CHECK(tbc_writer_attach(failing, open("/dev/null", O_RDONLY), TBC_DROP, 0) == TBC_OK);
    tbc_queue_set_limit(100000);
    append(failing, 0, 0, 1);
    CHECK(flush_all(failing) == TBC_ERRNO);
    tbc_frame frame;
    CHECK(tbc_writer_begin(failing, &frame, 64, TBC_SMALL, 1.5, false) == TBC_OK);
    CHECK(tbc_writer_end(failing, &frame) == TBC_FAILING);
    tbc_status status;
    while ((status = try_append(failing, 0, 1)) == TBC_OK) { }
    CHECK(status == TBC_DROPPED && tbc_writer_stats(failing).dropped == 1);
    CHECK(tbc_writer_reserve(failing, 200000, 1.5) == TBC_OK); /* large things have room of their own */
    CHECK(tbc_writer_reserve(failing, 100, 1.5) == TBC_DROPPED && tbc_writer_stats(failing).dropped == 2);
    CHECK(tbc_writer_begin(failing, &frame, LARGE, TBC_LARGE, 1.5, false) == TBC_OK);
    tbc_buffer_append(frame.to, "", 0);
    CHECK(tbc_writer_end(failing, &frame) == TBC_DROPPED && tbc_writer_stats(failing).dropped == 3);
    tbc_writer_release(failing, 200000);
    append(sound, 0, 0, 1);
    append(sound, 0, 1, 100);
    CHECK(flush_all(sound) == TBC_OK && tbc_writer_stats(sound).queued == 0);
    check_file(open_file_of(sound, path), 1, 0, 1, 100);
    tbc_queue_set_limit(usual_limit);
    tbc_writer_free(failing);
    close_writer(sound);
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
}

static void check_child(pid_t child)
{
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

/* Returns the size of events as `append` logs them for thread 0. */
static off_t size_of_events(int64_t events)
{
    tbc_buffer buffer = {0};
    for (int64_t step = 0; step < events; step++) {
        size_t start = tbc_record_begin(&buffer);
        tbc_event_scalar(&buffer, (tbc_stamp){1.5, step}, &(tbc_label){.tag = {"0", 1}}, 1);
        CHECK(tbc_record_end(&buffer, start) == TBC_OK);
    }
    size_t size = buffer.size;
    tbc_buffer_free(&buffer);
    return (off_t)size;
}

/* While one write does not end, exit() writes the other files itself. */
static void test_exit_beside_a_stuck_write(void)
{
    char path[TBC_PATH_MAX];
    int reader[2];
    tbc_place place = temp_place();
    CHECK(pipe(reader) == 0);
    pid_t child = fork();
    if (child == 0) {
        alarm(HANG);
        CHECK(close(reader[0]) == 0);
        append(open_writer(reader[1]), 0, 0, EVENTS);
        append(open_in(&place, TBC_RAISE), 0, 0, EVENTS);
        exit(0);
    }
    CHECK(child > 0 && close(reader[1]) == 0);
    while (!find_file(path))
        sleep_ms(1);
    int fd = open(path, O_RDONLY);
    while (size_of(fd) < size_of_events(EVENTS))
        sleep_ms(1);
    check_file(fd, 1, 0, 1, EVENTS);
    CHECK(close(reader[0]) == 0);
    check_child(child);
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
}

/* A file that cannot be written prevents neither the writing of the others nor the end of the process. This is the
   first test that opens writers: ThreadSanitizer does not understand the new condition variables of a child. */
static void test_exit(void)
{
    int fds[] = {temp_file(), temp_file()};
    pid_t child = fork();
    if (child == 0) {
        alarm(HANG);
        append(open_writer(fds[0]), 0, 0, 1000);
        append(open_writer(open("/dev/null", O_RDONLY)), 0, 0, 1000);
        append(open_writer(fds[1]), 0, 0, EVENTS);
        exit(0);
    }
    check_child(child);
    check_file(fds[0], 1, 0, 1, 1000);
    check_file(fds[1], 1, 0, 1, EVENTS);
}

/* Opens a writer whose pipe nobody reads, so that the thread is in a write that does not end. */
static tbc_writer *open_stuck(copying *copying)
{
    char byte;
    int ends[2];
    CHECK(pipe(ends) == 0);
    *copying = (struct copying){.from = ends[0], .to = temp_file()};
    tbc_writer *writer = open_writer(ends[1]);
    append(writer, 0, 0, EVENTS);
    CHECK(read(ends[0], &byte, 1) == 1 && write(copying->to, &byte, 1) == 1);
    return writer;
}

/* Reads the pipe and checks that nothing is lost. */
static void close_stuck(tbc_writer *writer, copying *copying)
{
    CHECK(tbc_writer_stats(writer).queued > 0);
    CHECK(pthread_create(&copying->id, NULL, copy_all, copying) == 0);
    close_writer(writer);
    pthread_join(copying->id, NULL);
    check_file(copying->to, 1, 0, 1, EVENTS);
}

/* While the thread is in a write that does not end, close() writes its file itself. */
static void test_close_beside_a_stuck_write(void)
{
    char path[TBC_PATH_MAX];
    copying copying;
    tbc_writer *stuck = open_stuck(&copying);
    tbc_place place = temp_place();
    tbc_writer *writer = open_in(&place, TBC_RAISE);
    append(writer, 0, 0, EVENTS);
    int fd = open_file_of(writer, path);
    close_writer(writer);
    check_file(fd, 1, 0, 1, EVENTS);
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
    close_stuck(stuck, &copying);
}

/* A fork does not wait for a write that does not end, and the thread keeps running. */
static void test_pause_beside_a_stuck_write(void)
{
    copying copying;
    tbc_writer *stuck = open_stuck(&copying);
    for (int i = 0; i < 100 * HANG; i++) { /* times out if each takes 10 ms */
        tbc_writer_pause();
        tbc_writer_resume();
    }
    close_stuck(stuck, &copying);
}

/* Before a fork, the thread writes what is queued, and ends; the next event starts it again. A busy machine may
   sometimes need more time than a fork waits. */
static void test_pause_writes(void)
{
    char path[TBC_PATH_MAX];
    tbc_place place = temp_place();
    int written = 0, ended = 0;
    tbc_writer_pause(); /* the thread of an earlier test may be about to end */
    int threads = entries("/proc/self/task");
    tbc_writer *writer = open_in(&place, TBC_RAISE), *other = open_writer(temp_file());
    for (int64_t i = 0; i < 20; i++) {
        append(writer, 0, 100 * i, 100 * (i + 1));
        append(other, 0, 100 * i, 100 * (i + 1));
        tbc_writer_pause();
        written += tbc_writer_stats(writer).queued + tbc_writer_stats(other).queued == 0;
        ended += entries("/proc/self/task") == threads;
        tbc_writer_resume();
    }
    CHECK(written > 0 && ended > 0);
    append(writer, 0, 2000, 2001);
    CHECK(entries("/proc/self/task") == threads + (threads > 0));
    int fd = open_file_of(writer, path);
    close_writer(writer);
    close_writer(other);
    check_file(fd, 1, 0, 1, 2001);
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
}

static bool forked;

/* Called by LeakSanitizer, which would look for the parent's threads in the child. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return forked; }

static void run_child(tbc_writer *writer, int fd)
{
    forked = true;
    alarm(HANG);
    CHECK(try_append(writer, 0, 0) == TBC_CLOSED && !tbc_writer_is_open(writer));
    CHECK(flush_all(writer) == TBC_OK);
    CHECK(tbc_writer_attach(writer, fd, TBC_RAISE, 1000) == TBC_OK);
    append(writer, 0, 0, 100);
    CHECK(flush_all(writer) == TBC_OK);
    close_writer(writer);
    exit(0);
}

/* Forks while a thread logs, every other time with the writer's thread stopped. No thread may be starting at the fork:
   older sanitizers hold a lock then, which the child would find locked. */
static void test_fork(void)
{
    int fd = temp_file();
    tbc_writer *writer = open_writer(dup(fd));
    job job = {.thread = 0, .n_writers = 1, .events = EVENTS, .writers = &writer};
    CHECK(pthread_create(&job.id, NULL, log_events, &job) == 0);
    while (size_of(fd) == 0)
        sleep_ms(1);
    for (int i = 0; i < 20; i++) {
        int child_fd = temp_file();
        if (i % 2 != 0)
            tbc_writer_pause();
        pid_t child = fork();
        if (child == 0)
            run_child(writer, child_fd);
        if (i % 2 != 0)
            tbc_writer_resume();
        check_child(child);
        check_file(child_fd, 1, 0, 1, 100);
        CHECK(flush_all(writer) == TBC_OK);
    }
    pthread_join(job.id, NULL);
    CHECK(flush_all(writer) == TBC_OK);
    close_writer(writer);
    check_file(fd, 1, 0, 1, EVENTS);
}

/* --- scanning --- */

/* Hashes the bytes 0, 1, 2, ..., 255, 0, ...: the first eight as the head, then `size` more. The known hashes are those
   of CPython with a PYTHONHASHSEED of 0, 1 or 2023. */
static void test_siphash(void)
{
    static const struct {
        uint64_t seed[2];
        size_t size;
        uint64_t hash;
    } known[] = {
        {{0x0000000000000000u, 0x0000000000000000u}, 0, 0xead411e67ebe2eeau},
        {{0x0000000000000000u, 0x0000000000000000u}, 5, 0xa0cf3211850f8e0du},
        {{0xaed66ce184be2329u, 0xebe9bbf1f1499052u}, 7, 0xfa87985f39e97a53u},
        {{0xaed66ce184be2329u, 0xebe9bbf1f1499052u}, 8, 0x12e9d283f9f37002u},
        {{0xc85573e718c9c1f4u, 0xbf52da78d70f6f15u}, 15, 0xa75551f7d3af73e9u},
        {{0xc85573e718c9c1f4u, 0xbf52da78d70f6f15u}, 16, 0x3c7e1f999aaaee65u},
        {{0xc85573e718c9c1f4u, 0xbf52da78d70f6f15u}, 299, 0x08667b895f120939u},
    };
    uint8_t data[8 + 299];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        CHECK(tbc_siphash(known[i].seed, tbc_load_le64(data), data + 8, known[i].size) == known[i].hash);
}

enum { SCAN_TAGS = 200, SCAN_STEPS = 50 };

static tbc_scan scan_of; /* global, so that resolve_tag can use it */

/* Adds a series for each key whose tag begins with "tag-". */
static int resolve_tag(void *context, const tbc_key *key)
{
    (void)context;
    if (key->field < 0 || key->tag.size < 5 || memcmp(key->tag.data, "tag-", 4) != 0)
        return TBC_UNWANTED;
    bool is_scalar = key->field == 2 || (key->plugin.size == 7 && memcmp(key->plugin.data, "scalars", 7) == 0);
    int series = tbc_scan_add_series(&scan_of, is_scalar, false);
    return series < 0 ? TBC_STOP : series;
}

static void begin_scan(void)
{
    scan_of = (tbc_scan){.resolve = resolve_tag, .first_step = INT64_MIN, .last_step = INT64_MAX, .keep = SIZE_MAX,
                         .hides = true, .seed = {1, 2}};
    CHECK(tbc_scan_init(&scan_of) == TBC_OK);
    tbc_scan_next_file(&scan_of);
}

/* Fills a buffer with tags in turn: plain scalars, scalars as tensors of floats and of doubles, and texts. */
static void fill_for_scan(tbc_buffer *buffer)
{
    const tbc_bytes text = TBC_BYTES("text");
    const tbc_tensor tensor = {.dtype = TBC_DT_STRING, .values = &text, .n = 1};
    char tag[16];
    for (int64_t step = 0; step < SCAN_STEPS; step++)
        for (int i = 0; i < SCAN_TAGS; i++) {
            size_t start = tbc_record_begin(buffer);
            tbc_stamp at = {.wall_time = 1e9 + (double)step, .step = step - 5};
            tbc_label label = {.tag = {tag, (size_t)snprintf(tag, sizeof tag, "tag-%d", i)}};
            if (i % 4 == 0)
                tbc_event_scalar(buffer, at, &label, (float)(i + step));
            else if (i % 4 == 1)
                tbc_event_scalar_float(buffer, at, &label, (float)(i + step));
            else if (i % 4 == 2)
                tbc_event_scalar_double(buffer, at, &label, (double)i + (double)step);
            else
                tbc_event_tensor(buffer, at, &label, text, &tensor);
            CHECK(tbc_record_end(buffer, start) == TBC_OK);
        }
    tbc_record_seal(buffer->data, buffer->size);
}

static void check_rows(const tbc_buffer *buffer)
{
    uint64_t bytes = 0;
    CHECK(scan_of.n_series == SCAN_TAGS);
    for (int i = 0; i < SCAN_TAGS; i++) {
        const tbc_series *series = &scan_of.series[i]; /* in the order of their first values */
        CHECK(series->n == SCAN_STEPS && series->is_scalar == (i % 4 != 3));
        for (int64_t row = 0; row < SCAN_STEPS; row++) {
            CHECK(series->step[row] == row - 5 && series->wall_time[row] == 1e9 + (double)row);
            if (series->is_scalar)
                CHECK(series->cell[row].number == (double)(i + row));
            else
                CHECK(tbc_record_start(buffer->data, (size_t)series->cell[row].offset) ==
                      (size_t)series->cell[row].offset);
        }
        bytes += series->bytes;
    }
    CHECK(bytes == buffer->size);
}

static void test_scan(void)
{
    tbc_buffer buffer = {0};
    size_t used;
    fill_for_scan(&buffer);
    for (size_t piece = 1; piece <= buffer.size; piece = piece * 7 + 1) { /* in pieces of any size */
        begin_scan();
        size_t at = 0;
        for (size_t end = 0; end < buffer.size;) {
            end = end + piece < buffer.size ? end + piece : buffer.size;
            CHECK(tbc_scan_records(&scan_of, buffer.data + at, end - at, (int64_t)at, UINT64_MAX, &used) ==
                  TBC_SCAN_MORE);
            at += used;
        }
        CHECK(at == buffer.size);
        check_rows(&buffer);
        tbc_scan_next_file(&scan_of);
        CHECK(tbc_scan_start_session(&scan_of, 10) == TBC_OK);
        for (int i = 0; i < SCAN_TAGS; i++)
            CHECK(tbc_scan_finish(&scan_of, i)->n == 15 && scan_of.series[i].step[14] == 9);
        tbc_scan_free(&scan_of);
    }
    begin_scan();
    scan_of.keep = 3;
    for (int reading = 0; reading < 2; reading++) { /* the second file hides all rows of the first */
        for (int file = 0; file < 2; file++) {
            CHECK(tbc_scan_records(&scan_of, buffer.data, buffer.size, 0, UINT64_MAX, &used) == TBC_SCAN_MORE);
            tbc_scan_next_file(&scan_of);
        }
        if (reading == 0) {
            tbc_scan_again(&scan_of);
            tbc_scan_next_file(&scan_of);
        }
    }
    for (int i = 0; i < SCAN_TAGS; i++) {
        const tbc_series *series = tbc_scan_finish(&scan_of, i);
        CHECK(series->n == 3 && series->step[2] == SCAN_STEPS - 6 && series->hidden == SCAN_STEPS);
        CHECK(series->folded == SCAN_STEPS - 3 && series->min_step == -5 && series->max_step == SCAN_STEPS - 9);
    }
    tbc_scan_free(&scan_of);
    begin_scan();
    scan_of.first_step = scan_of.last_step = 3;
    CHECK(tbc_scan_records(&scan_of, buffer.data, buffer.size, 0, UINT64_MAX, &used) == TBC_SCAN_MORE);
    CHECK(scan_of.series[SCAN_TAGS - 1].n == 1 && scan_of.series[SCAN_TAGS - 1].step[0] == 3);
    tbc_scan_free(&scan_of);
    tbc_buffer_free(&buffer);
}

/* Copies a record with `length` bytes of data, without the last `cut` of them, and changes some bytes. The checksums of
   the copy are right. */
static uint8_t *changed_record(const uint8_t *from, size_t length, size_t cut)
{
    const size_t left = length - cut, size = TBC_RECORD_HEAD + left + TBC_RECORD_TAIL;
    uint8_t *record = malloc(size);
    memcpy(record, from, size);
    tbc_store_le64(record, left);
    for (int change = rand() % 4; change > 0 && left > 0; change--)
        record[TBC_RECORD_HEAD + (size_t)rand() % left] = (uint8_t)rand();
    tbc_record_seal(record, size);
    return record;
}

/* Whatever a record with right checksums has, no byte beyond it is read (the sanitizers check that), and all of it is
   read or nothing. */
static void test_scan_of_anything(void)
{
    tbc_buffer buffer = {0};
    tbc_peek peek;
    fill_for_scan(&buffer);
    srand(1);
    for (size_t start = 0; start < buffer.size;) {
        size_t length = (size_t)tbc_load_le64(buffer.data + start), size = TBC_RECORD_HEAD + length + TBC_RECORD_TAIL;
        for (int round = 0; round < 8; round++) {
            size_t cut = round % 2 == 0 ? 0 : (size_t)rand() % (length + 1);
            uint8_t *record = changed_record(buffer.data + start, length, cut);
            size_t used, rows = 0;
            begin_scan();
            tbc_scan_stop stop = tbc_scan_records(&scan_of, record, size - cut, 0, UINT64_MAX, &used);
            for (size_t i = 0; i < scan_of.n_series; i++)
                rows += scan_of.series[i].n;
            CHECK(stop == TBC_SCAN_MORE ? used == size - cut : stop == TBC_SCAN_ODD && used == 0 && rows == 0);
            tbc_scan_free(&scan_of);
            if (length - cut > 1) {
                size_t seen = 1 + (size_t)rand() % (length - cut - 1);
                uint8_t *beginning = malloc(seen);
                memcpy(beginning, record + TBC_RECORD_HEAD, seen);
                tbc_scan_peek(beginning, seen, length - cut, &peek);
                free(beginning);
            }
            free(record);
        }
        start += size;
    }
    tbc_buffer_free(&buffer);
}

static tbc_tally tally_of;

static void begin_tally(uint64_t most)
{
    tally_of = (tbc_tally){.seed = {1, 2}, .most = most, .least = 4};
    CHECK(tbc_tally_init(&tally_of) == TBC_OK);
    tbc_tally_begin_file(&tally_of, 2e9);
}

/* Counts several files of the same records, in pieces. */
static void test_tally(void)
{
    static const size_t pieces[] = {SIZE_MAX, 1 << 16, 4096, 100};
    const uint64_t n = SCAN_TAGS * SCAN_STEPS;
    tbc_buffer buffer = {0};
    fill_for_scan(&buffer);
    begin_tally(UINT64_MAX);
    uint64_t content = 0;
    for (size_t piece = 0; piece < sizeof pieces / sizeof *pieces; piece++) {
        if (piece > 0)
            tbc_tally_begin_file(&tally_of, 2e9);
        if (piece == 2)
            CHECK(tbc_tally_add_start(&tally_of, -5) == TBC_OK);
        size_t at = 0, used = 0;
        for (size_t more = pieces[piece]; at < buffer.size; more += pieces[piece]) { /* may end within a record */
            const size_t end = more < buffer.size - at ? at + more : buffer.size;
            CHECK(tbc_tally_records(&tally_of, buffer.data + at, end - at, (int64_t)at, &used) == TBC_TALLY_MORE);
            at += used;
            if (used != 0)
                more = 0;
        }
        CHECK(at == buffer.size && tally_of.bytes == buffer.size && tally_of.records == n && tally_of.values == n);
        CHECK(content == 0 || content == tally_of.content);
        content = tally_of.content;
        for (int i = 0; i < TBC_TIMES; i++)
            CHECK(tally_of.times[i].times == 0);
        CHECK(tally_of.n_tags == SCAN_TAGS && tally_of.first_time == 1e9 && !tally_of.has_version);
        for (size_t i = 0; i < tally_of.n_tags; i++) {
            const tbc_tag *tag = &tally_of.tags[i];
            CHECK(tag->n == 1 && tag->stack[0].count == SCAN_STEPS && tag->values == (piece + 1) * SCAN_STEPS);
            CHECK((tag->odd == NULL) == (piece == 0));
            if (piece == 0)
                continue;
            const tbc_odd_step *step = &tag->odd[TBC_CAUSE_STEP], *restart = &tag->odd[TBC_CAUSE_RESTART];
            CHECK(step->times == piece - (piece >= 2) && step->dropped == step->times * SCAN_STEPS && step->file == 1);
            CHECK(restart->times == (piece >= 2) && restart->dropped == restart->times * SCAN_STEPS);
            CHECK(step->before == SCAN_STEPS - 6 && step->after == -5);
        }
    }
    tbc_tally_free(&tally_of);
    tbc_buffer_free(&buffer);
}

/* With steps of no even distance, up to the limits of int64, few stretches are kept, and all values are counted. */
static void test_tally_joins(void)
{
    const tbc_bytes tag = TBC_BYTES("tag"), none = TBC_BYTES("");
    begin_tally(8);
    for (int64_t i = 0; i < 1000; i++)
        CHECK(tbc_tally_add_value(&tally_of, 0, INT64_MIN + i * i, tag, 2, none) == TBC_OK);
    CHECK(tbc_tally_add_value(&tally_of, 0, INT64_MAX, tag, 2, none) == TBC_OK);
    CHECK(tally_of.n_tags == 1 && tally_of.tags[0].n <= 9 && !tbc_tally_is_least(&tally_of.tags[0]));
    CHECK(tbc_tally_add_value(&tally_of, 0, INT64_MIN + 10, tag, 2, none) == TBC_OK);
    CHECK(tbc_tally_is_least(&tally_of.tags[0]));
    CHECK(tally_of.tags[0].odd[TBC_CAUSE_STEP].dropped < 997);
    CHECK(tbc_tally_add_value(&tally_of, 0, INT64_MIN, tag, 2, none) == TBC_OK);
    CHECK(!tbc_tally_is_least(&tally_of.tags[0]));
    CHECK(tally_of.tags[0].odd[TBC_CAUSE_STEP].dropped == 1002);
    tbc_tally_free(&tally_of);
}

/* As in test_scan_of_anything, a record is counted as a whole or not at all. */
static void test_tally_of_anything(void)
{
    tbc_buffer buffer = {0};
    fill_for_scan(&buffer);
    srand(1);
    for (size_t start = 0; start < buffer.size;) {
        size_t length = (size_t)tbc_load_le64(buffer.data + start), size = TBC_RECORD_HEAD + length + TBC_RECORD_TAIL;
        for (int round = 0; round < 8; round++) {
            size_t cut = round % 2 == 0 ? 0 : (size_t)rand() % (length + 1);
            uint8_t *record = changed_record(buffer.data + start, length, cut);
            size_t used;
            begin_tally(8);
            tbc_tally_stop stop = tbc_tally_records(&tally_of, record, size - cut, 0, &used);
            CHECK(stop == TBC_TALLY_MORE || stop == TBC_TALLY_ODD);
            if (stop == TBC_TALLY_MORE)
                CHECK(used == size - cut && tally_of.records == 1);
            else
                CHECK(used == 0 && tally_of.records == 0 && tally_of.values == 0 && tally_of.n_tags == 0);
            record[TBC_RECORD_HEAD - 1] ^= 1;
            CHECK(tbc_tally_records(&tally_of, record, size - cut, 0, &used) == TBC_TALLY_DAMAGED && used == 0);
            tbc_tally_free(&tally_of);
            free(record);
        }
        start += size;
    }
    tbc_buffer_free(&buffer);
}

int main(void)
{
    static void (*const tests[])(void) = {
        test_crc32c_vectors, test_crc32c_paths, test_record, test_events, test_siphash, test_scan,
        test_scan_of_anything, test_tally, test_tally_joins, test_tally_of_anything,
        test_histogram_dtypes, test_histogram_values,
        test_bins, test_pr_curve_dtypes, test_pr_curve_values, test_decimal, test_pixels, test_exit,
        test_exit_beside_a_stuck_write, test_threads, test_threads_in_a_full_queue, test_fresh, test_open_close,
        test_close_waits, test_pause_writes, test_close_beside_a_stuck_write, test_pause_beside_a_stuck_write,
        test_flushes, test_write_errors,
        test_failing_and_sound, /* before the tests that leave many bytes queued for a disk that fails for ever */
        test_write_resumes, test_full, test_room_comes_back, test_large, test_room_of_large_things,
        test_chunks_do_not_linger, test_deleted_file,
        test_removed_directory, test_deleted_file_is_left_for_a_moment,
        test_descriptor_of_others, test_torn_record, test_fork,
    };
    size_t n = sizeof tests / sizeof *tests, passed = 0;
#if defined(__SANITIZE_THREAD__)
    n--; /* no test_fork: ThreadSanitizer gives up on threads started in a child of a process with threads */
#endif
    alarm(HANG);
    signal(SIGXFSZ, SIG_IGN); /* as in Python */
    for (size_t i = 0; i < n; i++) {
        if (!FORKS && (tests[i] == test_exit || tests[i] == test_exit_beside_a_stuck_write || tests[i] == test_fork))
            continue;
        tests[i]();
        passed++;
    }
    const tbc_crc32c_path *paths;
    size_t n_paths = tbc_crc32c_paths(&paths);
    printf("crc32c:");
    for (size_t i = 0; i < n_paths; i++)
        printf(" %s", paths[i].name);
    printf("\n%zu passed, 0 failed\n", passed);
}
