/* Writes floats as text with nine digits, from which every float can be read back exactly.
 *
 *   0.100000001  -12.5  100  1.00000001e-07  3.40282347e+38  nan  inf  -inf
 *
 * Zeros at the end of the fraction are left out. This is not the shortest text: for the first
 * example that is 0.1.
 */
#ifndef TBC_DECIMAL_H
#define TBC_DECIMAL_H

#include <stddef.h>

enum { TBC_DECIMAL_MAX = 16 }; /* characters of one float; the longest text, such as -1.23456789e-38, has 15 */

/* Writes `value` at `to`, without a final NUL. `to` must have room for TBC_DECIMAL_MAX characters. Returns how many
   were written. */
size_t tbc_decimal_put(char *to, float value);

/* Writes `rows` lines of `columns` floats. Tabs separate the floats, and each line ends with a newline. `to` must have
   room for TBC_DECIMAL_MAX + 1 characters per float. Returns how many were written. */
size_t tbc_decimal_table(char *to, const float *values, size_t rows, size_t columns);

#endif
