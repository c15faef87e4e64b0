/* The nine digits are the integer nearest to magnitude * 10^(8 - exponent). For 12.5 the exponent is 1, and the integer
 * is 125000000. A double holds the float exactly, and the product to sixteen digits, so near a tie the ninth digit may
 * be off by one. The text still reads back as this float: neighbouring floats are more than 5 units of the ninth digit
 * apart.
 */
#include "decimal.h"
#include "bits.h"
#include "values.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { DIGITS = 9, FIXED_FROM = -4, FIXED_TO = 8 }; /* exponents that need no e */

/* `exponent` is from 0 to 63. */
static double power_of_ten(int exponent)
{
    static const double ones[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    static const double sixteens[] = {1e0, 1e16, 1e32, 1e48};
    return ones[exponent % 16] * sixteens[exponent / 16];
}

/* Returns floor(log10(p)), where p is the lowest power of two above `magnitude`: that of `magnitude`, or one more. */
static int log10_above(double magnitude)
{
    int exponent_of_two = (int)(tbc_double_bits(magnitude) >> 52) - 1023 + 1;
    return (exponent_of_two * 1233 + 100 * 4096) / 4096 - 100; /* log10(2); 100 keeps the dividend positive */
}

/* Returns less than 100000000 if `exponent` is one too high, and 1000000000 if rounding carries. tbc_decimal_put
   corrects both. */
static uint32_t nine_digits(double magnitude, int exponent)
{
    int shift = DIGITS - 1 - exponent;
    double scaled = shift >= 0 ? magnitude * power_of_ten(shift) : magnitude / power_of_ten(-shift);
    return (uint32_t)(scaled + 0.5);
}

static char *put_text(char *to, const char *text)
{
    size_t size = strlen(text);
    memcpy(to, text, size);
    return to + size;
}

static char *put_zeros(char *to, int n)
{
    for (; n > 0; n--)
        *to++ = '0';
    return to;
}

/* Writes n digits, with the point after `before_point` of them. Fills up with zeros before the point, and writes no
   point if no digit follows it. */
static char *put_digits(char *to, const char *digits, int n, int before_point)
{
    int whole = n < before_point ? n : before_point;
    memcpy(to, digits, (size_t)whole);
    to = put_zeros(to + whole, before_point - whole);
    if (n > whole) {
        *to++ = '.';
        memcpy(to, digits + whole, (size_t)(n - whole));
        to += n - whole;
    }
    return to;
}

size_t tbc_decimal_put(char *to, float value)
{
    const char *start = to;
    double magnitude = fabs((double)value);
    if (isnan(value))
        return (size_t)(put_text(to, "nan") - start);
    if (signbit(value))
        *to++ = '-';
    if (magnitude == 0)
        return (size_t)(put_text(to, "0") - start);
    if (isinf(value))
        return (size_t)(put_text(to, "inf") - start);

    int exponent = log10_above(magnitude);
    uint32_t number = nine_digits(magnitude, exponent);
    if (number < 100000000)
        number = nine_digits(magnitude, --exponent);
    if (number == 1000000000)
        number = 100000000, exponent++;

    char digits[DIGITS];
    int n = DIGITS;
    for (int i = DIGITS - 1; i >= 0; i--, number /= 10)
        digits[i] = (char)('0' + number % 10);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (exponent >= 0 && exponent <= FIXED_TO)
        return (size_t)(put_digits(to, digits, n, exponent + 1) - start);
    if (exponent < 0 && exponent >= FIXED_FROM) {
        to = put_zeros(put_text(to, "0."), -exponent - 1);
        memcpy(to, digits, (size_t)n);
        return (size_t)(to + n - start);
    }
    to = put_text(put_digits(to, digits, n, 1), exponent < 0 ? "e-" : "e+");
    exponent = exponent < 0 ? -exponent : exponent;
    *to++ = (char)('0' + exponent / 10);
    *to++ = (char)('0' + exponent % 10);
    return (size_t)(to - start);
}

size_t tbc_decimal_table(char *to, const float *values, size_t rows, size_t columns)
{
    const char *start = to;
    for (size_t i = 0; i < rows * columns; i++) {
        to += tbc_decimal_put(to, tbc_float_from_bits(tbc_read_bits(&values[i])));
        *to++ = (i + 1) % columns == 0 ? '\n' : '\t';
    }
    return (size_t)(to - start);
}
