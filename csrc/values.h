/* Arrays of numbers of any type and stride, which the kernels read as doubles.
 *
 * A double holds every value of every type exactly, except large 64-bit integers, which round as they do in numpy. A
 * kernel reads a block at a time, so that the doubles stay in the first-level cache. Most kernels read contiguous
 * floats, the most common arrays, in place.
 *
 * The values may change at any time: other threads and processes may write to the memory while it is read. Then a
 * result may be wrong, but no address is, and no conversion is undefined. So every kernel keeps this rule: it computes
 * addresses, and converts to integers, only from its own copies of the values. Such a copy is one of these:
 *   - what tbc_array_load stores;
 *   - a volatile read (tbc_read_bits);
 *   - in a loop that must vectorise, a local variable that is loaded once; results are clamped before they are stored.
 * A kernel that reads a value twice does not expect to get the same value.
 */
#ifndef TBC_VALUES_H
#define TBC_VALUES_H

#include <stddef.h>
#include <stdint.h>

enum { TBC_BLOCK = 1024 }; /* values in a block */

typedef enum tbc_dtype {
    TBC_FLOAT64, TBC_FLOAT32, TBC_FLOAT16, TBC_BFLOAT16,
    TBC_INT8, TBC_INT16, TBC_INT32, TBC_INT64,
    TBC_UINT8, TBC_UINT16, TBC_UINT32, TBC_UINT64,
} tbc_dtype;

/* Returns the size of one value in bytes. */
size_t tbc_dtype_size(tbc_dtype dtype);

typedef struct tbc_array {
    const void *data; /* the first value, of any alignment */
    ptrdiff_t stride; /* bytes from one value to the next; may be negative or 0 */
    tbc_dtype dtype;
} tbc_array;

/* Stores `n` values from index `first` on as doubles. Reads each once. */
void tbc_array_load(double *to, const tbc_array *array, size_t first, size_t n);

/* Reads 32 bits of any alignment once: without volatile, the compiler may read the memory a second time. */
static inline uint32_t tbc_read_bits(const void *at)
{
    typedef uint32_t bits __attribute__((may_alias, aligned(1)));
    return *(const volatile bits *)at;
}

#endif
