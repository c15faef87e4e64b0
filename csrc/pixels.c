/* A block of a row of one channel at a time, in steps that compilers make vector code of. Of a batch in the layout of
 * torch (channels outermost) this reads memory in order; what lies in order altogether is one long row.
 */
#include "pixels.h"
#include <string.h>

enum { BLOCK = 512 };

static void scale(int32_t *restrict to, const float *restrict values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float value = values[i] * 255.0F;
        value = value > 0 ? value : 0; /* NaN, too */
        value = value < 255 ? value : 255;
        to[i] = (int32_t)value;
    }
}

static void put(uint8_t *restrict to, size_t step, const int32_t *restrict pixels, size_t n)
{
    if (step == 1)
        for (size_t i = 0; i < n; i++)
            to[i] = (uint8_t)pixels[i];
    else
        for (size_t i = 0; i < n; i++)
            to[i * step] = (uint8_t)pixels[i];
}

#define FROM(name, type)                                                                                      \
    static inline float name##_at(const char *from)                                                           \
    {                                                                                                         \
        type value;                                                                                           \
        memcpy(&value, from, sizeof value);                                                                   \
        return (float)value;                                                                                  \
    }                                                                                                         \
                                                                                                              \
    static void name##_row(uint8_t *to, size_t step, const char *from, ptrdiff_t stride, size_t n)            \
    {                                                                                                         \
        float values[BLOCK];                                                                                  \
        int32_t pixels[BLOCK];                                                                                \
        for (size_t done = 0; done < n; done += BLOCK) {                                                      \
            size_t size = n - done < BLOCK ? n - done : BLOCK;                                                \
            if (stride == (ptrdiff_t)sizeof(type)) { /* known to the compiler */                               \
                for (size_t i = 0; i < size; i++)                                                             \
                    values[i] = name##_at(from + (done + i) * sizeof(type));                                  \
            } else {                                                                                          \
                for (size_t i = 0; i < size; i++)                                                             \
                    values[i] = name##_at(from + (ptrdiff_t)(done + i) * stride);                             \
            }                                                                                                 \
            scale(pixels, values, size);                                                                      \
            put(to + done * step, step, pixels, size);                                                        \
        }                                                                                                     \
    }                                                                                                         \
                                                                                                              \
    void tbc_pixels_from_##name(uint8_t *to, const tbc_image *image)                                          \
    {                                                                                                         \
        const ptrdiff_t size = (ptrdiff_t)sizeof(type), pixel = (ptrdiff_t)image->channels * size;            \
        const size_t row_size = image->width * image->channels;                                               \
        if (image->channel_stride == size && image->width_stride == pixel &&                                  \
            image->height_stride == (ptrdiff_t)image->width * pixel) {                                        \
            name##_row(to, 1, image->data, size, image->height * row_size);                                   \
            return;                                                                                           \
        }                                                                                                     \
        for (size_t y = 0; y < image->height; y++) {                                                          \
            const char *row = (const char *)image->data + (ptrdiff_t)y * image->height_stride;                \
            for (size_t c = 0; c < image->channels; c++)                                                      \
                name##_row(to + y * row_size + c, image->channels, row + (ptrdiff_t)c * image->channel_stride, \
                           image->width_stride, image->width);                                                \
        }                                                                                                     \
    }

FROM(float32, float)
FROM(float64, double)
