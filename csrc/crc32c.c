/* CRC-32C in three ways, the fastest one this processor can run chosen once, at the first call.
 *
 *   portable   eight bytes a step through eight 256-entry tables ("slicing by 8"), on any machine
 *   sse4.2     x86-64's crc32 instruction, eight bytes a step
 *   armv8-crc  aarch64's crc32c instruction, eight bytes a step
 *
 * All compute the same register: start with all ones, feed the bytes, invert at the end.
 */
#include "crc32c.h"
#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#endif

static const uint32_t reflected_polynomial = 0x82F63B78;

static uint32_t table[8][256];
static tbc_crc32c_path paths[2];
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

#if defined(__x86_64__)

#if defined(__clang__) && __clang_major__ >= 14 /* where the instruction is a feature of its own */
#define TARGET_CRC __attribute__((target("sse4.2,crc32")))
#else
#define TARGET_CRC __attribute__((target("sse4.2")))
#endif

TARGET_CRC static uint32_t sse42(uint32_t crc, const uint8_t *data, size_t size)
{
    uint64_t wide = crc, word;
    for (; size >= 8; data += 8, size -= 8) {
        memcpy(&word, data, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    for (; size > 0; data++, size--)
        crc = _mm_crc32_u8(crc, *data);
    return crc;
}

#elif defined(__aarch64__) && (defined(__linux__) || defined(__APPLE__))

#if defined(__clang__)
#define TARGET_CRC __attribute__((target("crc")))
#else
#define TARGET_CRC __attribute__((target("+crc")))
#endif

TARGET_CRC static uint32_t armv8_crc(uint32_t crc, const uint8_t *data, size_t size)
{
    uint64_t word;
    for (; size >= 8; data += 8, size -= 8) {
        memcpy(&word, data, 8);
        crc = __crc32cd(crc, word);
    }
    for (; size > 0; data++, size--)
        crc = __crc32cb(crc, *data);
    return crc;
}

static int has_armv8_crc(void)
{
#if defined(__APPLE__)
    return 1; /* every Apple arm64 processor has it */
#else
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
#endif
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
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        paths[n_paths++] = (tbc_crc32c_path){"sse4.2", sse42};
#elif defined(__aarch64__) && (defined(__linux__) || defined(__APPLE__))
    if (has_armv8_crc())
        paths[n_paths++] = (tbc_crc32c_path){"armv8-crc", armv8_crc};
#endif
}

size_t tbc_crc32c_paths(const tbc_crc32c_path **all)
{
    pthread_once(&once, prepare);
    *all = paths;
    return n_paths;
}

uint32_t tbc_crc32c(const void *data, size_t size)
{
    pthread_once(&once, prepare);
    return ~paths[n_paths - 1].run(0xFFFFFFFF, data, size);
}
