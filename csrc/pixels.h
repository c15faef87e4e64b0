/* Copies images of any layout to bytes, with the channels innermost.
 *
 * Numbers from 0 to 1 become pixels from 0 to 255: multiplied by 255, clamped, and rounded down; NaN becomes 0. So 0.5
 * becomes 127. The product is a float, as in numpy and torch for float32, so every pixel equals theirs.
 */
#ifndef TBC_PIXELS_H
#define TBC_PIXELS_H

#include "values.h"

enum { TBC_CHANNELS = 4 }; /* at most, in an image */

/* Images of one size, and the frames that they are copied to, side by side, row by row. */
typedef struct tbc_tiles {
    const void *data;
    tbc_dtype dtype;
    size_t frames, images, height, width, channels; /* `images` is per frame */
    ptrdiff_t frame_stride, image_stride, height_stride, width_stride, channel_stride; /* in bytes */
    size_t rows, columns; /* of images in a frame; places without an image are not written */
} tbc_tiles;

/* `to` has frames * rows * height * columns * width * channels bytes, channels innermost. */
void tbc_pixels_scale(uint8_t *to, const tbc_tiles *tiles);

/* Scales by a product of doubles, as numpy does for float64. One random pixel in 400,000 differs by 1 from
 * tbc_pixels_scale. */
void tbc_pixels_scale_in_double(uint8_t *to, const tbc_tiles *tiles);

/* Copies images that already have pixels from 0 to 255, TBC_UINT8. */
void tbc_pixels_copy(uint8_t *to, const tbc_tiles *tiles);

#endif
