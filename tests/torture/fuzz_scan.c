/* Tests csrc/scan.c with the inputs of libFuzzer, under ASan and UBSan: see kernel() in fuzz.py.
 *
 * An input:
 *   byte 0  how to scan, see the enum
 *   byte 1  the size of the pieces that the scan gets, minus 1
 *   byte 2  the step of the sessions that start between pieces, each in a new file
 *   rest    the records, each a byte with half its length, then its data; or, with RAW, the file as it is
 * The records are framed here, as a search would not find the right checksums.
 *
 * A second scan gets whole records. Both must return the same rows. */
#include "record.h"
#include "scan.h"
#include <stdlib.h>
#include <string.h>

enum { HIDES = 1, SMALL_IS_LARGE = 2, FILES_BETWEEN = 4, RAW = 8 };

#define REQUIRE(condition) ((condition) ? (void)0 : abort())

static int resolve(void *context, const tbc_key *key)
{
    tbc_scan *scan = context;
    if (key->tag.size > 40)
        return TBC_ODD;
    if (key->tag.size != 0 && key->tag.data[0] == 'u')
        return TBC_UNWANTED;
    bool is_scalar = key->field == 2 || (key->plugin.size == 7 && memcmp(key->plugin.data, "scalars", 7) == 0);
    return tbc_scan_add_series(scan, is_scalar, key->field < 0);
}

/* Returns a copy that ends where its memory ends, so that the sanitizers see a read beyond the end. */
static uint8_t *exact_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));
    memcpy(copy, data, size);
    return copy;
}

static void begin(tbc_scan *scan, bool hides)
{
    *scan = (tbc_scan){.resolve = resolve, .first_step = -5, .last_step = 1 << 20, .keep = SIZE_MAX, .hides = hides,
                       .seed = {1, 2}};
    scan->context = scan;
    REQUIRE(tbc_scan_init(scan) == TBC_OK);
    tbc_scan_next_file(scan);
}

/* Scans file[at:end], skips the records that the kernel leaves to others, and returns the offset that it reached. */
static size_t feed(tbc_scan *scan, const uint8_t *file, size_t at, size_t end, int how)
{
    while (at < end) {
        size_t used;
        uint8_t *piece = exact_copy(file + at, end - at);
        tbc_scan_stop stop =
            tbc_scan_records(scan, piece, end - at, (int64_t)at, how & SMALL_IS_LARGE ? 64 : UINT64_MAX, &used);
        free(piece);
        REQUIRE(used <= end - at);
        at += used;
        REQUIRE(stop == TBC_SCAN_MORE || stop == TBC_SCAN_ODD || stop == TBC_SCAN_LARGE ||
                (stop == TBC_SCAN_DAMAGED && how & RAW));
        if (stop == TBC_SCAN_MORE || stop == TBC_SCAN_DAMAGED)
            break;
        at += TBC_RECORD_HEAD + (size_t)tbc_load_le64(file + at) + TBC_RECORD_TAIL;
    }
    return at;
}

static void require_same(tbc_scan *one, tbc_scan *other)
{
    REQUIRE(one->n_series == other->n_series);
    for (int i = 0; i < (int)one->n_series; i++) {
        const tbc_series *a = tbc_scan_finish(one, i), *b = tbc_scan_finish(other, i);
        REQUIRE(a->n == b->n && a->bytes == b->bytes && a->hidden == b->hidden && a->is_scalar == b->is_scalar);
        REQUIRE(a->n == 0 || (memcmp(a->step, b->step, a->n * sizeof *a->step) == 0 &&
                              memcmp(a->wall_time, b->wall_time, a->n * sizeof *a->wall_time) == 0 &&
                              memcmp(a->cell, b->cell, a->n * sizeof *a->cell) == 0));
    }
}

static void scan_in_pieces(const uint8_t *file, size_t size, int how, size_t piece, int64_t step)
{
    tbc_scan pieces, whole;
    begin(&pieces, how & HIDES);
    begin(&whole, how & HIDES);
    size_t at = 0, before = 0;
    for (size_t end = 0; end < size;) {
        end = size - end > piece ? end + piece : size;
        at = feed(&pieces, file, at, end, how);
        while (before < at && before < size) { /* record by record */
            size_t next = before + TBC_RECORD_HEAD + (size_t)tbc_load_le64(file + before) + TBC_RECORD_TAIL;
            REQUIRE(feed(&whole, file, before, next < size ? next : size, how) == next);
            before = next;
        }
        REQUIRE(before == at);
        if (how & FILES_BETWEEN) {
            tbc_scan_next_file(&pieces);
            tbc_scan_next_file(&whole);
            REQUIRE(tbc_scan_start_session(&pieces, step) == TBC_OK);
            REQUIRE(tbc_scan_start_session(&whole, step) == TBC_OK);
        }
    }
    REQUIRE(at == size || how & RAW);
    require_same(&pieces, &whole);
    tbc_scan_free(&pieces);
    tbc_scan_free(&whole);
}

static void peek_at(const uint8_t *data, size_t size, uint64_t length)
{
    tbc_peek peek;
    uint8_t *beginning = exact_copy(data, size);
    tbc_scan_peek(beginning, size, length, &peek);
    free(beginning);
}

static void add_record(tbc_buffer *buffer, const uint8_t *data, size_t size)
{
    size_t start = tbc_record_begin(buffer);
    memcpy(tbc_buffer_extend(buffer, size), data, size);
    tbc_record_end(buffer, start);
    peek_at(data, size / 2, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 5)
        return 0;
    const uint8_t *end = data + size;
    int how = *data++;
    size_t piece = 1 + (size_t)*data++;
    int64_t step = *data++;
    if (how & RAW) {
        peek_at(data, (size_t)(end - data), (uint64_t)(end - data) + (uint64_t)step);
        scan_in_pieces(data, (size_t)(end - data), how, piece, step);
        return 0;
    }
    tbc_buffer buffer = {0};
    while (end - data > 2) {
        size_t length = 2 * (size_t)*data++;
        if (length > (size_t)(end - data))
            length = (size_t)(end - data);
        add_record(&buffer, data, length);
        data += length;
    }
    tbc_record_seal(buffer.data, buffer.size);
    scan_in_pieces(buffer.data, buffer.size, how, piece, step);
    tbc_buffer_free(&buffer);
    return 0;
}
