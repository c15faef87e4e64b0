/* CRC-32C (Castagnoli), the checksum of TFRecord frames: polynomial 0x1EDC6F41, reflected, as in RFC 3720. */
#ifndef TBC_CRC32C_H
#define TBC_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Returns the CRC, by the fastest path of this processor. */
uint32_t tbc_crc32c(const void *data, size_t size);

typedef struct tbc_crc32c_path {
    const char *name;
    uint32_t (*run)(uint32_t crc, const uint8_t *data, size_t size); /* CRC = ~run(0xFFFFFFFF, data, size) */
} tbc_crc32c_path;

/* Returns the fastest path, for many short data: finding it takes as long as the CRC of a few words. */
tbc_crc32c_path tbc_crc32c_fastest(void);

/* Returns how many paths this processor can run, the fastest last; a test runs each. */
size_t tbc_crc32c_paths(const tbc_crc32c_path **paths);

#endif
