/* Floats as text, in the nine digits that give every float back.
 *
 *   0.100000001  -12.5  100  1.00000001e-07  3.40282347e+38  nan  inf  -inf
 *
 * Zeros at the end of the digits are left out. (Not the shortest form, in which the first of these were 0.1.)
 */
#ifndef TBC_DECIMAL_H
#define TBC_DECIMAL_H

#include <stddef.h>

enum { TBC_DECIMAL_MAX = 16 }; /* characters: -1.23456789e-38 */

/* Writes `value` at `to`, which has room for TBC_DECIMAL_MAX characters; answers how many it took. No NUL. */
size_t tbc_decimal_put(char *to, float value);

/* Rows of `columns` floats, as lines with tabs; `to` has room for TBC_DECIMAL_MAX + 1 of each. Answers the size. */
size_t tbc_decimal_table(char *to, const float *values, size_t rows, size_t columns);

#endif
