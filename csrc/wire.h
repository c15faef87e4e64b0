/* The protobuf wire format, as far as event files need it.
 *
 * A message is a sequence of fields. A field is a key (number << 3 | wire type) and a value of one of these types:
 *   0 varint     seven bits per byte, lowest first; the high bit is set on all bytes but the last
 *   1 fixed64    eight bytes, little-endian (double)
 *   2 bytes      a varint length, then that many bytes (string, embedded message, packed array)
 *   5 fixed32    four bytes, little-endian (float)
 * Example: field 2 with the varint 300 is 10 AC 02. All field numbers here are below 16, so every key is one byte.
 *
 * The length of an embedded message comes before its bytes. So an encoder first adds up all sizes (size_*), from the
 * inside out, then makes room once, and writes. tbc_size_uint and tbc_size_bytes include the key. No put_* checks for
 * room. Each returns where the next byte goes.
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

static inline uint32_t tbc_load_le32(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
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

enum { TBC_SIZE_FLOAT = 1 + 4, TBC_SIZE_DOUBLE = 1 + 8, TBC_SIZE_UINT_MAX = 1 + 10 };

static inline uint8_t *tbc_put_key_varint(uint8_t *to, unsigned field, unsigned type, uint64_t value)
{
    *to++ = (uint8_t)(field << 3 | type);
    for (; value >= 0x80; value >>= 7)
        *to++ = (uint8_t)(value | 0x80);
    *to++ = (uint8_t)value;
    return to;
}

static inline uint8_t *tbc_put_uint(uint8_t *to, unsigned field, uint64_t value)
{
    return tbc_put_key_varint(to, field, TBC_WIRE_VARINT, value);
}

/* Puts the key and length of a value of wire type 2; the caller puts the `size` bytes of the value next. */
static inline uint8_t *tbc_put_head(uint8_t *to, unsigned field, size_t size)
{
    return tbc_put_key_varint(to, field, TBC_WIRE_BYTES, size);
}

static inline uint8_t *tbc_put_bytes(uint8_t *to, unsigned field, tbc_bytes bytes)
{
    to = tbc_put_head(to, field, bytes.size);
    if (bytes.size != 0)
        memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

static inline uint8_t *tbc_put_float(uint8_t *to, unsigned field, float value)
{
    *to++ = (uint8_t)(field << 3 | TBC_WIRE_FIXED32);
    tbc_store_le32(to, tbc_float_bits(value));
    return to + 4;
}

static inline uint8_t *tbc_put_double(uint8_t *to, unsigned field, double value)
{
    *to++ = (uint8_t)(field << 3 | TBC_WIRE_FIXED64);
    tbc_store_le64(to, tbc_double_bits(value));
    return to + 8;
}

/* Puts a packed array of doubles. */
static inline uint8_t *tbc_put_doubles(uint8_t *to, unsigned field, const double *values, size_t n)
{
    to = tbc_put_head(to, field, 8 * n);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(to, values, 8 * n);
#else
    for (size_t i = 0; i < n; i++)
        tbc_store_le64(to + 8 * i, tbc_double_bits(values[i]));
#endif
    return to + 8 * n;
}

#endif
