/* A loader for each type, in a table indexed by type. */
#include "values.h"
#include "bits.h"

/* IEEE half precision: five bits of exponent, ten of mantissa. The subnormal case is always computed and selected by a
   mask, since compilers do not vectorise a branch. */
static double from_half(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = (uint32_t)(half & 0x7fff) << 13;
    const uint32_t rebias = (uint32_t)(127 - 15) << 23, infinite = (uint32_t)31 << 23;
    const uint32_t subnormal = tbc_float_bits((float)(half & 1023) * 0x1p-24F);
    const uint32_t is_subnormal = -(uint32_t)(rest >> 23 == 0);
    const uint32_t normal = rest + rebias + (rebias & -(uint32_t)(rest >= infinite));
    return tbc_float_from_bits((subnormal & is_subnormal) | (normal & ~is_subnormal) | sign);
}

/* A bfloat16 is the upper half of a float. */
static double from_bfloat(uint16_t bfloat) { return tbc_float_from_bits((uint32_t)bfloat << 16); }

/* Compilers vectorise the second loop, since its stride is a constant. */
#define LOADER(name, type, convert)                                                                           \
    static void name(double *to, const char *from, ptrdiff_t stride, size_t n)                                \
    {                                                                                                         \
        type value;                                                                                           \
        if (stride != (ptrdiff_t)sizeof value)                                                                \
            for (size_t i = 0; i < n; i++) {                                                                  \
                memcpy(&value, from + (ptrdiff_t)i * stride, sizeof value);                                   \
                to[i] = convert(value);                                                                       \
            }                                                                                                 \
        else                                                                                                  \
            for (size_t i = 0; i < n; i++) {                                                                  \
                memcpy(&value, from + i * sizeof value, sizeof value);                                        \
                to[i] = convert(value);                                                                       \
            }                                                                                                 \
    }

LOADER(load_float64, double, (double))
LOADER(load_float32, float, (double))
LOADER(load_float16, uint16_t, from_half)
LOADER(load_bfloat16, uint16_t, from_bfloat)
LOADER(load_int8, int8_t, (double))
LOADER(load_int16, int16_t, (double))
LOADER(load_int32, int32_t, (double))
LOADER(load_int64, int64_t, (double))
LOADER(load_uint8, uint8_t, (double))
LOADER(load_uint16, uint16_t, (double))
LOADER(load_uint32, uint32_t, (double))
LOADER(load_uint64, uint64_t, (double))

static const struct {
    void (*load)(double *to, const char *from, ptrdiff_t stride, size_t n);
    size_t size;
} types[] = {
    [TBC_FLOAT64] = {load_float64, 8}, [TBC_FLOAT32] = {load_float32, 4}, [TBC_FLOAT16] = {load_float16, 2},
    [TBC_BFLOAT16] = {load_bfloat16, 2}, [TBC_INT8] = {load_int8, 1}, [TBC_INT16] = {load_int16, 2},
    [TBC_INT32] = {load_int32, 4}, [TBC_INT64] = {load_int64, 8}, [TBC_UINT8] = {load_uint8, 1},
    [TBC_UINT16] = {load_uint16, 2}, [TBC_UINT32] = {load_uint32, 4}, [TBC_UINT64] = {load_uint64, 8},
};

size_t tbc_dtype_size(tbc_dtype dtype)
{
    return types[dtype].size;
}

void tbc_array_load(double *to, const tbc_array *array, size_t first, size_t n)
{
    const char *from = (const char *)array->data + (ptrdiff_t)first * array->stride;
    types[array->dtype].load(to, from, array->stride, n);
}
