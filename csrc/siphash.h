/* SipHash-1-3 (Aumasson and Bernstein, 2012): a hash for tables whose keys may come from an attacker.
 *
 * Nobody can find keys that collide without the seed. So a look-up in a table that is half empty takes a few steps,
 * whatever the keys are. The hash is that of `head`, as eight bytes little-endian, followed by the data.
 */
#ifndef TBC_SIPHASH_H
#define TBC_SIPHASH_H

#include "wire.h"

static inline uint64_t tbc_rotate_left(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static inline void tbc_sip_round(uint64_t v[4])
{
    v[0] += v[1], v[2] += v[3];
    v[1] = tbc_rotate_left(v[1], 13) ^ v[0];
    v[3] = tbc_rotate_left(v[3], 16) ^ v[2];
    v[0] = tbc_rotate_left(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = tbc_rotate_left(v[1], 17) ^ v[2];
    v[3] = tbc_rotate_left(v[3], 21) ^ v[0];
    v[2] = tbc_rotate_left(v[2], 32);
}

static inline void tbc_sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    tbc_sip_round(v);
    v[0] ^= word;
}

static inline uint64_t tbc_siphash(const uint64_t seed[2], uint64_t head, const void *data, size_t size)
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du, seed[0] ^ 0x6c7967656e657261u,
                     seed[1] ^ 0x7465646279746573u};
    const uint8_t *from = data;
    uint64_t last = (uint64_t)(8 + size) << 56; /* the size, and the bytes that fill no word */
    tbc_sip_word(v, head);
    for (; size >= 8; from += 8, size -= 8)
        tbc_sip_word(v, tbc_load_le64(from));
    for (size_t i = 0; i < size; i++)
        last |= (uint64_t)from[i] << 8 * i;
    tbc_sip_word(v, last);
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        tbc_sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
