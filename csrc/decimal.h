/* Writes floats as text with nine digits, from which every float can be read back exactly.
 *
 *   0.100000001  -12.5  100  1.00000001e-07  3.40282347e+38  nan  inf  -inf
 *
 * Trailing zeros are left out. This is not the shortest form: for the first number that is 0.1.
 */
#ifndef TBC_DECIMAL_H
#define TBC_DECIMAL_H

#include <stddef.h>

enum { TBC_DECIMAL_MAX = 16 }; /* characters: -1.23456789e-38 */

/* Writes `value` at `to`, which has room for TBC_DECIMAL_MAX characters, without a NUL. Returns the size. */
size_t tbc_decimal_put(char *to, float value);

/* Writes rows of `columns` floats as lines with tabs. `to` has room for TBC_DECIMAL_MAX + 1 characters per float.
   Returns the size. */
size_t tbc_decimal_table(char *to, const float *values, size_t rows, size_t columns);

#endif
