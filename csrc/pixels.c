/* A block of a row of one channel at a time, in steps that compilers make vector code of. Of a batch in the layout of
 * torch (channels outermost) this reads memory in order; what lies in order altogether is one long row.
 */
#include "pixels.h"

static void scale(int32_t *restrict to, const double *restrict values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float value = (float)values[i] * 255.0F;
        value = value > 0 ? value : 0; /* NaN, too */
        value = value < 255 ? value : 255;
        to[i] = (int32_t)value;
    }
}

static void put(uint8_t *restrict to, size_t step, const int32_t *restrict pixels, size_t n)
{
    if (step == 1) /* known to the compiler */
        for (size_t i = 0; i < n; i++)
            to[i] = (uint8_t)pixels[i];
    else
        for (size_t i = 0; i < n; i++)
            to[i * step] = (uint8_t)pixels[i];
}

/* n pixels, `step` bytes from one to the next. */
static void scale_row(uint8_t *to, size_t step, const tbc_array *row, size_t n)
{
    double values[TBC_BLOCK];
    int32_t pixels[TBC_BLOCK];
    for (size_t done = 0; done < n; done += TBC_BLOCK) {
        size_t size = n - done < TBC_BLOCK ? n - done : TBC_BLOCK;
        tbc_array_load(values, row, done, size);
        scale(pixels, values, size);
        put(to + done * step, step, pixels, size);
    }
}

void tbc_pixels_scale(uint8_t *to, const tbc_image *image)
{
    const ptrdiff_t size = (ptrdiff_t)tbc_dtype_size(image->dtype), pixel = (ptrdiff_t)image->channels * size;
    const size_t row_size = image->width * image->channels;
    if (image->channel_stride == size && image->width_stride == pixel &&
        image->height_stride == (ptrdiff_t)image->width * pixel) {
        scale_row(to, 1, &(tbc_array){image->data, size, image->dtype}, image->height * row_size);
        return;
    }
    for (size_t y = 0; y < image->height; y++)
        for (size_t c = 0; c < image->channels; c++) {
            const char *from = (const char *)image->data + (ptrdiff_t)y * image->height_stride +
                               (ptrdiff_t)c * image->channel_stride;
            scale_row(to + y * row_size + c, image->channels,
                      &(tbc_array){from, image->width_stride, image->dtype}, image->width);
        }
}
