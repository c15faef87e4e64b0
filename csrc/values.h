/* Arrays of numbers, as the code that counts them sees them: of any type and stride, read as doubles.
 *
 * A double holds every value of every type exactly, but for 64-bit integers, which round as they do in numpy. An array
 * is read a block at a time, so that the doubles stay in the first-level cache and memory is passed over once. (What is
 * most common, floats in a row, the kernels read where it lies.)
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

/* Values `first` to `first` + `n`. */
void tbc_array_load(double *to, const tbc_array *array, size_t first, size_t n);

#endif
