/* Images as bytes, channels innermost, from wherever their values lie.
 *
 * Numbers from 0 to 1 become pixels from 0 to 255: times 255, cut off at both ends, rounded down; NaN becomes 0. The
 * product is one of floats, as in numpy and torch, so that every pixel comes out the same.
 */
#ifndef TBC_PIXELS_H
#define TBC_PIXELS_H

#include "values.h"

enum { TBC_CHANNELS = 4 }; /* at most */

/* The values of an image, in any layout: strides are in bytes. */
typedef struct tbc_image {
    const void *data;
    tbc_dtype dtype;
    size_t height, width, channels;
    ptrdiff_t height_stride, width_stride, channel_stride;
} tbc_image;

/* Writes the image; its rows begin `stride` bytes apart, which may be more than they have. */
void tbc_pixels_scale(uint8_t *to, ptrdiff_t stride, const tbc_image *image);

/* The same of an image that has pixels from 0 to 255 already, TBC_UINT8. */
void tbc_pixels_copy(uint8_t *to, ptrdiff_t stride, const tbc_image *image);

#endif
