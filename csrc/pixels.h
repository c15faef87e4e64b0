/* Numbers from 0 to 1 as pixels from 0 to 255: times 255, cut off at both ends, rounded down; NaN becomes 0.
 *
 * The product is one of floats, as in numpy and torch, so that every pixel comes out the same.
 */
#ifndef TBC_PIXELS_H
#define TBC_PIXELS_H

#include "values.h"

/* The values of an image, wherever they lie: strides are in bytes. */
typedef struct tbc_image {
    const void *data;
    tbc_dtype dtype;
    size_t height, width, channels;
    ptrdiff_t height_stride, width_stride, channel_stride;
} tbc_image;

/* Writes height * width * channels pixels, channels innermost. */
void tbc_pixels_scale(uint8_t *to, const tbc_image *image);

#endif
