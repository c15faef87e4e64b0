/* CRC-32C in three ways. The first call chooses the fastest one that this processor can run.
 *
 *   portable   eight bytes per step through eight tables of 256 entries ("slicing by 8"), on any machine
 *   chain      the crc32c instruction of x86-64 (SSE4.2) or aarch64, eight bytes per step; each step needs the result
 *              of the preceding one
 *   fused      the crc32c instruction on three streams at once, and carry-less products (PCLMULQDQ, PMULL) on a fourth
 *
 * Each path takes a register and data, and returns the new register. tbc_crc32c starts with all ones and inverts the
 * result.
 *
 * How streams are joined: the data are a polynomial D over GF(2), and a register that started with 0 is D * x^32 mod P.
 * If data B of n words follow data A, register(AB) = register(A) * x^(64n) xor register(B), where register(B) starts
 * with 0. The multiplication is a product with power[n] = x^(64n - 33) mod P. The 33 makes up for two factors. One is
 * x^32: the instruction applies it to what it reduces, and a value in the low half of a word has it, too. The other is
 * x: the product of numbers whose bits are reflected comes out one bit low.
 *
 * Folding does the same without reducing: a vector times x^(64n) may be xored onto the data n words later. The
 * instruction and the product use different units of the processor, so one loop does both.
 */
#include "crc32c.h"
#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#endif

static const uint32_t reflected_polynomial = 0x82F63B78;

static uint32_t table[8][256];
static tbc_crc32c_path paths[3];
static size_t n_paths;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t portable(uint32_t crc, const uint8_t *data, size_t size)
{
    for (; size >= 8; data += 8, size -= 8) {
        crc ^= (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        crc = table[7][crc & 255] ^ table[6][crc >> 8 & 255] ^ table[5][crc >> 16 & 255] ^ table[4][crc >> 24]
            ^ table[3][data[4]] ^ table[2][data[5]] ^ table[1][data[6]] ^ table[0][data[7]];
    }
    for (; size > 0; data++, size--)
        crc = crc >> 8 ^ table[0][(crc ^ *data) & 255];
    return crc;
}

typedef uint64_t vector __attribute__((vector_size(16)));

/* PRODUCT(a, b, half) is the carry-less product of a[half] and b[half], from 64 to 128 bits. */
#if defined(__x86_64__)

#if defined(__clang__) && __clang_major__ >= 14 /* where the instruction is a feature of its own */
#define TARGET __attribute__((target("sse4.2,crc32,pclmul")))
#else
#define TARGET __attribute__((target("sse4.2,pclmul")))
#endif
#define HAS_CRC (cpuid() & bit_SSE4_2)
#define HAS_PRODUCT (cpuid() & bit_PCLMUL)
#define CRC_WORD _mm_crc32_u64
#define CRC_BYTE _mm_crc32_u8
#define PRODUCT(a, b, half) ((vector)_mm_clmulepi64_si128((__m128i)(a), (__m128i)(b), 0x11 * (half)))

/* Not __builtin_cpu_supports, which needs a library that not every compiler has. */
static unsigned cpuid(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) ? ecx : 0;
}

#elif defined(__aarch64__) && (defined(__linux__) || defined(__APPLE__))

#if defined(__clang__)
#define TARGET __attribute__((target("crc,aes")))
#else
#define TARGET __attribute__((target("+crc+crypto")))
#endif
#if defined(__APPLE__) /* every Mac with an arm64 processor has the instruction and the product */
#define HAS_CRC 1
#define HAS_PRODUCT 1
#else
#define HAS_CRC (getauxval(AT_HWCAP) & HWCAP_CRC32)
#define HAS_PRODUCT (getauxval(AT_HWCAP) & HWCAP_PMULL)
#endif
#define CRC_WORD __crc32cd
#define CRC_BYTE __crc32cb
#define PRODUCT product

/* In assembly: arm_neon.h has the product only if the whole file is compiled for processors that have PMULL. */
TARGET static inline vector product(vector a, vector b, int half)
{
    if (half == 0)
        __asm__("pmull %0.1q, %1.1d, %2.1d" : "=w"(a) : "w"(a), "w"(b));
    else
        __asm__("pmull2 %0.1q, %1.2d, %2.2d" : "=w"(a) : "w"(a), "w"(b));
    return a;
}

#endif

#if defined(TARGET)

enum {
    VECTORS = 4, /* of the folded stream per step: eight products */
    WORDS = 3,   /* of each other stream per step: nine crc32c instructions */
    STEP = 16 * VECTORS + 3 * 8 * WORDS, /* bytes */
    BLOCK = 64, /* steps at most until the streams are joined */
};

static uint32_t power[BLOCK * (2 * VECTORS + 2 * WORDS) + 1];

static inline uint64_t word_at(const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, 8);
    return word;
}

TARGET static uint32_t chain(uint32_t crc, const uint8_t *data, size_t size)
{
    uint64_t wide = crc; /* the instruction's type: 32 bits would add a conversion to each step */
    for (; size >= 8; data += 8, size -= 8)
        wide = CRC_WORD(wide, word_at(data));
    crc = (uint32_t)wide;
    for (; size > 0; data++, size--)
        crc = CRC_BYTE(crc, *data);
    return crc;
}

/* Returns v * x^(64 * words), not reduced; the first word of a vector is one word further from the end. */
TARGET static inline vector shifted_vector(vector v, size_t words)
{
    vector by = {power[words + 1], power[words]};
    return PRODUCT(v, by, 0) ^ PRODUCT(v, by, 1);
}

TARGET static inline uint64_t shifted(uint64_t crc, size_t words)
{
    vector v = {crc}, by = {power[words]};
    return PRODUCT(v, by, 0)[0];
}

/* The streams a, b, c and the folded one follow each other. Example, one step of 136 bytes: a, b and c have 24 bytes
   each, the folded stream 64; then 14 words follow a, 11 follow b, and 8 follow c. */
TARGET static uint32_t fused_block(uint32_t crc, const uint8_t *data, size_t steps)
{
    size_t words = steps * WORDS, folded = steps * VECTORS * 2; /* in a stream */
    const uint8_t *at_a = data, *at_b = at_a + 8 * words, *at_c = at_b + 8 * words, *at_v = at_c + 8 * words;
    uint64_t a = crc, b = 0, c = 0;
    vector v[VECTORS] = {0}, next;
    for (; steps > 0; steps--) {
        for (int i = 0; i < WORDS; i++, at_a += 8, at_b += 8, at_c += 8) {
            a = CRC_WORD(a, word_at(at_a));
            b = CRC_WORD(b, word_at(at_b));
            c = CRC_WORD(c, word_at(at_c));
        }
        for (int i = 0; i < VECTORS; i++, at_v += 16) {
            memcpy(&next, at_v, 16);
            v[i] = shifted_vector(v[i], 2 * VECTORS) ^ next;
        }
    }
    vector last = v[VECTORS - 1];
    for (int i = 0; i < VECTORS - 1; i++)
        last ^= shifted_vector(v[i], 2 * (size_t)(VECTORS - 1 - i));
    last[1] ^= shifted(a, 2 * words + folded) ^ shifted(b, words + folded) ^ shifted(c, folded);
    return (uint32_t)CRC_WORD(CRC_WORD(0, last[0]), last[1]);
}

TARGET static uint32_t fused(uint32_t crc, const uint8_t *data, size_t size)
{
    while (size >= STEP) {
        size_t steps = size / STEP < BLOCK ? size / STEP : BLOCK;
        crc = fused_block(crc, data, steps);
        data += steps * STEP;
        size -= steps * STEP;
    }
    return chain(crc, data, size);
}

#endif

static void prepare(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? reflected_polynomial : 0);
        table[0][byte] = crc;
    }
    for (int slice = 1; slice < 8; slice++)
        for (int byte = 0; byte < 256; byte++)
            table[slice][byte] = table[slice - 1][byte] >> 8 ^ table[0][table[slice - 1][byte] & 255];

    paths[n_paths++] = (tbc_crc32c_path){"portable", portable};
#if defined(TARGET)
    power[1] = 1; /* x^31, reflected */
    for (size_t words = 2; words < sizeof power / sizeof *power; words++)
        power[words] = portable(power[words - 1], (const uint8_t[8]){0}, 8);
    if (HAS_CRC)
        paths[n_paths++] = (tbc_crc32c_path){"chain", chain};
    if (HAS_CRC && HAS_PRODUCT)
        paths[n_paths++] = (tbc_crc32c_path){"fused", fused};
#endif
}

size_t tbc_crc32c_paths(const tbc_crc32c_path **all)
{
    pthread_once(&once, prepare);
    *all = paths;
    return n_paths;
}

tbc_crc32c_path tbc_crc32c_fastest(void)
{
    pthread_once(&once, prepare);
    return paths[n_paths - 1];
}

uint32_t tbc_crc32c(const void *data, size_t size)
{
    return ~tbc_crc32c_fastest().run(0xFFFFFFFF, data, size);
}
