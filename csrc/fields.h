/* Reads the fields of messages as writers of event files write them: the reverse of wire.h, for scan.c and tally.c.
 *
 * Each read_* function returns false if the bytes are anything else: a field number of 0 or above 15, a group, a
 * varint of more than 64 bits, or a field that extends beyond the end.
 */
#ifndef TBC_FIELDS_H
#define TBC_FIELDS_H

#include "wire.h"
#include <stdbool.h>

enum { /* field numbers */
    EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_GRAPH = 4, EVENT_SUMMARY = 5,
    EVENT_SESSION_LOG = 7, EVENT_RUN_METADATA = 8, EVENT_META_GRAPH = 9,
    SUMMARY_VALUE = 1,
    VALUE_TAG = 1, VALUE_SIMPLE_VALUE = 2, VALUE_OLD_HISTOGRAM = 3, VALUE_IMAGE = 4, VALUE_HISTO = 5, VALUE_AUDIO = 6,
    VALUE_TENSOR = 8, VALUE_METADATA = 9,
    METADATA_PLUGIN_DATA = 1, PLUGIN_NAME = 1,
    TENSOR_DTYPE = 1, TENSOR_CONTENT = 4, TENSOR_FLOAT_VAL = 5, TENSOR_DOUBLE_VAL = 6,
};

enum { SESSION_START = 1 };

typedef struct cursor {
    const uint8_t *at, *end;
} cursor;

typedef struct field {
    unsigned number, type;
    uint64_t value; /* of a varint; for other types the size of the data in bytes */
    const uint8_t *data;
} field;

static inline bool is_field(field f, unsigned number, unsigned type) { return f.number == number && f.type == type; }
static inline cursor cursor_of(field f) { return (cursor){f.data, f.data + f.value}; }
static inline tbc_bytes bytes_of(field f) { return (tbc_bytes){(const char *)f.data, f.value}; }

static inline bool read_long_varint(cursor *c, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && c->at < c->end; shift += 7) {
        uint8_t byte = *c->at++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return shift < 63 || byte < 2;
    }
    return false;
}

static inline bool read_varint(cursor *c, uint64_t *value)
{
    if (c->at == c->end || *c->at >= 0x80)
        return read_long_varint(c, value);
    *value = *c->at++;
    return true;
}

/* Reads the key of a field, and its varint or the size of its data. The data start at c->at, and may extend beyond the
   end. */
static inline bool read_head(cursor *c, field *f)
{
    if (c->at == c->end || *c->at >= 0x80 || *c->at < 8)
        return false;
    f->number = *c->at >> 3;
    f->type = *c->at++ & 7;
    f->value = f->type == TBC_WIRE_FIXED32 ? 4 : 8;
    f->data = c->at;
    if (f->type == TBC_WIRE_VARINT || f->type == TBC_WIRE_BYTES) {
        if (!read_varint(c, &f->value))
            return false;
        f->data = c->at;
    }
    return f->type <= TBC_WIRE_BYTES || f->type == TBC_WIRE_FIXED32;
}

static inline bool read_field(cursor *c, field *f)
{
    if (!read_head(c, f))
        return false;
    if (f->type == TBC_WIRE_VARINT)
        return true;
    if (f->value > (size_t)(c->end - c->at))
        return false;
    c->at += f->value;
    return true;
}

static inline double double_at(const uint8_t *data) { return tbc_double_from_bits(tbc_load_le64(data)); }
static inline double float_at(const uint8_t *data) { return (double)tbc_float_from_bits(tbc_load_le32(data)); }

/* Reads the plugin name from a SummaryMetadata into *plugin, which must be empty. Also returns false if plugin_data or
   the name occurs twice. */
static inline bool read_plugin(cursor metadata, tbc_bytes *plugin)
{
    bool seen = false;
    for (field f = {0}, inner = {0}; metadata.at != metadata.end;) {
        if (!read_field(&metadata, &f))
            return false;
        if (f.number != METADATA_PLUGIN_DATA)
            continue;
        if (seen || f.type != TBC_WIRE_BYTES)
            return false;
        seen = true;
        for (cursor data = cursor_of(f); data.at != data.end;) {
            if (!read_field(&data, &inner))
                return false;
            if (inner.number == PLUGIN_NAME && (inner.type != TBC_WIRE_BYTES || plugin->size != 0))
                return false;
            if (inner.number == PLUGIN_NAME)
                *plugin = bytes_of(inner);
        }
    }
    return true;
}

/* An event with one simple_value: the most common event. */
typedef struct plain_scalar {
    double wall_time;
    int64_t step;
    tbc_bytes tag;
    const uint8_t *value; /* a float */
} plain_scalar;

/* Reads a plain scalar if its fields are in the usual order: wall time, step (if not 0), and a summary with one value,
   which has only tag and simple_value. Returns false for any other event. */
static inline bool read_plain(const uint8_t *data, uint64_t length, plain_scalar *plain)
{
    enum { FIXED64 = TBC_WIRE_FIXED64, FIXED32 = TBC_WIRE_FIXED32, BYTES = TBC_WIRE_BYTES };
    cursor c = {data, data + length};
    uint64_t step = 0, summary, value, tag;
    if (length < 9 || *c.at != (EVENT_WALL_TIME << 3 | FIXED64))
        return false;
    c.at += 9;
    if (c.at < c.end && *c.at == (EVENT_STEP << 3 | TBC_WIRE_VARINT) && (c.at++, !read_varint(&c, &step)))
        return false;
    if (c.end - c.at < 11 || *c.at++ != (EVENT_SUMMARY << 3 | BYTES) || !read_varint(&c, &summary))
        return false;
    if (summary != (size_t)(c.end - c.at) || summary < 9 || *c.at++ != (SUMMARY_VALUE << 3 | BYTES))
        return false;
    if (!read_varint(&c, &value) || value != (size_t)(c.end - c.at) || value < 7 || *c.at++ != (VALUE_TAG << 3 | BYTES))
        return false;
    if (!read_varint(&c, &tag) || c.end - c.at < 5 || tag != (size_t)(c.end - c.at) - 5)
        return false;
    if (c.at[tag] != (VALUE_SIMPLE_VALUE << 3 | FIXED32))
        return false;
    *plain = (plain_scalar){double_at(data + 1), (int64_t)step, {(const char *)c.at, tag}, c.at + tag + 1};
    return true;
}

#endif
