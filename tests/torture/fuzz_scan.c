/* csrc/scan.c on what libFuzzer makes of it, under ASan and UBSan: see kernel() in fuzz.py.
 *
 * The first byte of an input is how to scan. The rest are records: of each, a byte that is half its length, then its
 * data. They are framed here, since no search gets past the checksums. */
#include "record.h"
#include "scan.h"
#include <stdlib.h>
#include <string.h>

static int resolve(void *context, const tbc_key *key)
{
    tbc_scan *scan = context;
    if (key->tag.size > 40)
        return TBC_ODD;
    if (key->field < 0 || (key->tag.size != 0 && key->tag.data[0] == 'u'))
        return TBC_UNWANTED;
    bool is_scalar = key->field == 2 || (key->plugin.size == 7 && memcmp(key->plugin.data, "scalars", 7) == 0);
    return tbc_scan_add_series(scan, is_scalar, false);
}

/* So that the sanitizers see the first byte too much that is read. */
static uint8_t *exact_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size);
    memcpy(copy, data, size);
    return copy;
}

static void add_record(tbc_buffer *buffer, const uint8_t *data, size_t size)
{
    tbc_peek peek;
    size_t start = tbc_record_begin(buffer);
    memcpy(tbc_buffer_extend(buffer, size), data, size);
    tbc_record_end(buffer, start);
    uint8_t *beginning = exact_copy(data, size / 2);
    tbc_scan_peek(beginning, size / 2, size, &peek);
    free(beginning);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    tbc_buffer buffer = {0};
    const uint8_t *end = data + size, how = *data++;
    while (end - data > 2) {
        size_t length = 2 * (size_t)*data++;
        if (length > (size_t)(end - data))
            length = (size_t)(end - data);
        if (length > 1)
            add_record(&buffer, data, length);
        data += length;
    }
    if (buffer.size == 0)
        return 0;
    tbc_record_seal(buffer.data, buffer.size);
    uint8_t *file = exact_copy(buffer.data, buffer.size);
    tbc_scan scan = {.resolve = resolve, .first_step = -5, .last_step = 1 << 20, .purges = how & 1};
    scan.context = &scan;
    if (tbc_scan_init(&scan) != TBC_OK)
        abort();
    size_t used;
    for (size_t at = 0; at < buffer.size;) { /* the caller passes over what the kernel leaves */
        uint64_t large = how & 2 ? 64 : UINT64_MAX;
        tbc_scan_stop stop = tbc_scan_records(&scan, file + at, buffer.size - at, (int64_t)at, large, &used);
        at += used;
        if (stop == TBC_SCAN_MORE ? at != buffer.size : stop != TBC_SCAN_ODD && stop != TBC_SCAN_LARGE)
            abort();
        if (stop != TBC_SCAN_MORE)
            at += TBC_RECORD_HEAD + (size_t)tbc_load_le64(file + at) + TBC_RECORD_TAIL;
    }
    tbc_scan_free(&scan);
    free(file);
    tbc_buffer_free(&buffer);
    return 0;
}
