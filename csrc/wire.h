/* The protobuf wire format, as far as event files need it, appended to a buffer.
 *
 * A message is a run of fields; a field is a key (number << 3 | wire type) and a value:
 *   0 varint     seven bits a byte, lowest first, the high bit set on all bytes but the last
 *   1 fixed64    eight bytes, little-endian (double)
 *   2 bytes      a varint length, then so many bytes (string, embedded message, packed array)
 *   5 fixed32    four bytes, little-endian (float)
 * The length of an embedded message comes before its bytes, so the encoders add sizes up first; each put_* has a
 * size_* beside it. Field numbers here are all below 16: every key is one byte.
 */
#ifndef TBC_WIRE_H
#define TBC_WIRE_H

#include "bits.h"
#include "buffer.h"

enum { TBC_WIRE_VARINT = 0, TBC_WIRE_FIXED64 = 1, TBC_WIRE_BYTES = 2, TBC_WIRE_FIXED32 = 5 };

typedef struct tbc_bytes {
    const char *data;
    size_t size;
} tbc_bytes;

#define TBC_BYTES(literal) ((tbc_bytes){literal, sizeof(literal) - 1})

static inline void tbc_store_le32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static inline void tbc_store_le64(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static inline uint64_t tbc_load_le64(const uint8_t *from)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)from[i] << 8 * i;
    return value;
}

static inline size_t tbc_size_varint(uint64_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

static inline size_t tbc_size_uint(uint64_t value) { return 1 + tbc_size_varint(value); }
static inline size_t tbc_size_bytes(size_t size) { return 1 + tbc_size_varint(size) + size; }

enum { TBC_SIZE_FLOAT = 1 + 4, TBC_SIZE_DOUBLE = 1 + 8 };

enum { TBC_KEY_VARINT_MAX = 1 + 10 };

static inline size_t tbc_store_key_varint(uint8_t *to, unsigned field, unsigned type, uint64_t value)
{
    size_t size = 0;
    to[size++] = (uint8_t)(field << 3 | type);
    for (; value >= 0x80; value >>= 7)
        to[size++] = (uint8_t)(value | 0x80);
    to[size++] = (uint8_t)value;
    return size;
}

static inline void tbc_put_key_varint(tbc_buffer *to, unsigned field, unsigned type, uint64_t value)
{
    uint8_t bytes[TBC_KEY_VARINT_MAX];
    size_t size = tbc_store_key_varint(bytes, field, type, value);
    uint8_t *end = tbc_buffer_extend(to, size);
    if (end != NULL)
        memcpy(end, bytes, size);
}

static inline void tbc_put_uint(tbc_buffer *to, unsigned field, uint64_t value)
{
    tbc_put_key_varint(to, field, TBC_WIRE_VARINT, value);
}

/* The head of an embedded message or a packed array whose `size` bytes the caller puts next. */
static inline void tbc_put_head(tbc_buffer *to, unsigned field, size_t size)
{
    tbc_put_key_varint(to, field, TBC_WIRE_BYTES, size);
}

static inline void tbc_put_bytes(tbc_buffer *to, unsigned field, tbc_bytes bytes)
{
    tbc_put_head(to, field, bytes.size);
    uint8_t *end = tbc_buffer_extend(to, bytes.size);
    if (end != NULL && bytes.size != 0)
        memcpy(end, bytes.data, bytes.size);
}

static inline void tbc_put_float(tbc_buffer *to, unsigned field, float value)
{
    uint8_t *end = tbc_buffer_extend(to, TBC_SIZE_FLOAT);
    if (end != NULL) {
        end[0] = (uint8_t)(field << 3 | TBC_WIRE_FIXED32);
        tbc_store_le32(end + 1, tbc_float_bits(value));
    }
}

static inline void tbc_put_double(tbc_buffer *to, unsigned field, double value)
{
    uint8_t *end = tbc_buffer_extend(to, TBC_SIZE_DOUBLE);
    if (end != NULL) {
        end[0] = (uint8_t)(field << 3 | TBC_WIRE_FIXED64);
        tbc_store_le64(end + 1, tbc_double_bits(value));
    }
}

/* A packed array of doubles. */
static inline void tbc_put_doubles(tbc_buffer *to, unsigned field, const double *values, size_t n)
{
    tbc_put_head(to, field, 8 * n);
    uint8_t *end = tbc_buffer_extend(to, 8 * n);
    for (size_t i = 0; end != NULL && i < n; i++)
        tbc_store_le64(end + 8 * i, tbc_double_bits(values[i]));
}

#endif
