/* Images as bytes, channels innermost, from wherever their values lie.
 *
 * Numbers from 0 to 1 become pixels from 0 to 255: times 255, cut off at both ends, rounded down; NaN becomes 0. The
 * product is one of floats, as in numpy and torch, so that every pixel comes out the same.
 */
#ifndef TBC_PIXELS_H
#define TBC_PIXELS_H

#include "values.h"

enum { TBC_CHANNELS = 4 }; /* at most */

/* The values of images of one size, wherever they lie, and the frames they go to: side by side, row by row. */
typedef struct tbc_tiles {
    const void *data;
    tbc_dtype dtype;
    size_t frames, images, height, width, channels; /* images in each frame */
    ptrdiff_t frame_stride, image_stride, height_stride, width_stride, channel_stride; /* in bytes */
    size_t rows, columns; /* of a frame: enough for its images; what they leave is not written */
} tbc_tiles;

/* Writes frames * rows * height * columns * width * channels pixels, channels innermost. */
void tbc_pixels_scale(uint8_t *to, const tbc_tiles *tiles);

/* The same with a product of doubles, as numpy has it for float64: one in 400,000 random pixels differs by one. */
void tbc_pixels_scale_in_double(uint8_t *to, const tbc_tiles *tiles);

/* The same of images that have pixels from 0 to 255 already, TBC_UINT8. */
void tbc_pixels_copy(uint8_t *to, const tbc_tiles *tiles);

#endif
