/* Arrays of numbers, as the code that counts them sees them: of any type and stride, read as doubles.
 *
 * A double holds every value of every type exactly, but for 64-bit integers, which round as they do in numpy. An array
 * is read a block at a time, so that the doubles stay in the first-level cache and memory is passed over once. (What is
 * most common, floats in a row, the kernels read where it lies.)
 *
 * The values may change at any instant: other threads and other processes may write to the memory that is counted. Then
 * a result may be wrong, but never an address, and no conversion is undefined. So every kernel keeps this rule: it
 * computes addresses, and converts to integers, from copies of its own alone. Such a copy is what tbc_array_load stores,
 * a volatile read (tbc_read_bits), or, in a loop that is to vectorise, a local variable that is loaded once and brought
 * into range before the result is stored. A kernel that reads a value again does not expect the same value.
 */
#ifndef TBC_VALUES_H
#define TBC_VALUES_H

#include <stddef.h>
#include <stdint.h>

enum { TBC_BLOCK = 1024 }; /* values at a time */

typedef enum tbc_dtype {
    TBC_FLOAT64, TBC_FLOAT32, TBC_FLOAT16, TBC_BFLOAT16,
    TBC_INT8, TBC_INT16, TBC_INT32, TBC_INT64,
    TBC_UINT8, TBC_UINT16, TBC_UINT32, TBC_UINT64,
} tbc_dtype;

/* Bytes of one value. */
size_t tbc_dtype_size(tbc_dtype dtype);

typedef struct tbc_array {
    const void *data; /* the first value, of any alignment */
    ptrdiff_t stride; /* bytes from one value to the next; negative and 0 will do */
    tbc_dtype dtype;
} tbc_array;

/* Copies values `first` to `first` + `n`, and reads each once. */
void tbc_array_load(double *to, const tbc_array *array, size_t first, size_t n);

/* Reads 32 bits of any alignment, once: without volatile, the compiler may read plain memory again. */
static inline uint32_t tbc_read_bits(const void *at)
{
    typedef uint32_t bits __attribute__((may_alias, aligned(1)));
    return *(const volatile bits *)at;
}

#endif
