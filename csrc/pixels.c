/* A row is read one channel and one block at a time; then the channels of the block are interleaved. If the channels
 * are outermost, as in torch, this reads memory in order. A row that is already interleaved is read as one channel.
 *
 * SSE2, which every x86-64 has, processes 16 pixels at a time. Plain C takes three times as long.
 */
#include "pixels.h"
#include <stdbool.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Writes `n` values of a row, from index `first` on, as bytes. */
typedef void read_row(uint8_t *to, const tbc_array *row, size_t first, size_t n);

#ifdef __SSE2__
static inline __m128i scale_4(const char *from)
{
    __m128 value = _mm_mul_ps(_mm_loadu_ps((const float *)from), _mm_set1_ps(255));
    return _mm_cvttps_epi32(_mm_min_ps(_mm_max_ps(value, _mm_setzero_ps()), _mm_set1_ps(255))); /* max(NaN, 0) is 0 */
}

static inline void scale_16(uint8_t *to, const char *from)
{
    __m128i low = _mm_packs_epi32(scale_4(from), scale_4(from + 16));
    __m128i high = _mm_packs_epi32(scale_4(from + 32), scale_4(from + 48));
    _mm_storeu_si128((__m128i *)to, _mm_packus_epi16(low, high));
}

/* Stores four pixels r g b 0 as twelve bytes. Also writes two bytes after those, which the next pixel overwrites. */
static inline void store_4(uint8_t *to, __m128i pixels)
{
    __m128i even = _mm_and_si128(pixels, _mm_set1_epi64x(0xffffff));
    __m128i odd = _mm_and_si128(_mm_srli_epi64(pixels, 8), _mm_set1_epi64x(0xffffff000000));
    __m128i pairs = _mm_or_si128(even, odd); /* six bytes in each half */
    _mm_storel_epi64((__m128i *)to, pairs);
    _mm_storel_epi64((__m128i *)(to + 6), _mm_unpackhi_epi64(pairs, pairs));
}

static inline void interleave_16(uint8_t *to, const uint8_t *red, const uint8_t *green, const uint8_t *blue)
{
    const __m128i zero = _mm_setzero_si128();
    __m128i r = _mm_loadu_si128((const __m128i *)red);
    __m128i g = _mm_loadu_si128((const __m128i *)green);
    __m128i b = _mm_loadu_si128((const __m128i *)blue);
    __m128i rg = _mm_unpacklo_epi8(r, g), b0 = _mm_unpacklo_epi8(b, zero);
    store_4(to, _mm_unpacklo_epi16(rg, b0));
    store_4(to + 12, _mm_unpackhi_epi16(rg, b0));
    rg = _mm_unpackhi_epi8(r, g), b0 = _mm_unpackhi_epi8(b, zero);
    store_4(to + 24, _mm_unpacklo_epi16(rg, b0));
    store_4(to + 36, _mm_unpackhi_epi16(rg, b0));
}
#endif

static void scale_floats(uint8_t *to, const char *from, size_t n)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; i + 16 <= n; i += 16)
        scale_16(to + i, from + i * sizeof(float));
#endif
    for (; i < n; i++) {
        float value;
        memcpy(&value, from + i * sizeof value, sizeof value);
        value *= 255.0F;
        value = value > 0 ? value : 0; /* NaN becomes 0 */
        value = value < 255 ? value : 255;
        to[i] = (uint8_t)value;
    }
}

static void scale(uint8_t *to, const tbc_array *row, size_t first, size_t n)
{
    double values[TBC_BLOCK];
    float floats[TBC_BLOCK];
    if (row->dtype == TBC_FLOAT32 && row->stride == sizeof(float)) {
        scale_floats(to, (const char *)row->data + first * sizeof(float), n);
        return;
    }
    tbc_array_load(values, row, first, n);
    for (size_t i = 0; i < n; i++)
        floats[i] = (float)values[i];
    scale_floats(to, (const char *)floats, n);
}

static void scale_in_double(uint8_t *to, const tbc_array *row, size_t first, size_t n)
{
    double values[TBC_BLOCK];
    tbc_array_load(values, row, first, n);
    for (size_t i = 0; i < n; i++) {
        double value = values[i] * 255;
        value = value > 0 ? value : 0; /* NaN becomes 0 */
        value = value < 255 ? value : 255;
        to[i] = (uint8_t)value;
    }
}

static void copy(uint8_t *to, const tbc_array *row, size_t first, size_t n)
{
    const uint8_t *from = (const uint8_t *)row->data + (ptrdiff_t)first * row->stride;
    if (row->stride == 1)
        memcpy(to, from, n);
    else
        for (size_t i = 0; i < n; i++)
            to[i] = from[(ptrdiff_t)i * row->stride];
}

static void interleave(uint8_t *to, uint8_t planes[][TBC_BLOCK], size_t channels, size_t n)
{
    size_t i = 0;
#ifdef __SSE2__
    if (channels == 3)
        for (; i + 16 < n; i += 16) /* not <=: store_4 also writes into pixel i + 16 */
            interleave_16(to + 3 * i, planes[0] + i, planes[1] + i, planes[2] + i);
#endif
    for (; i < n; i++)
        for (size_t c = 0; c < channels; c++)
            to[i * channels + c] = planes[c][i];
}

/* Writes one image, in rows that begin `pitch` bytes apart. */
static void put_image(uint8_t *to, size_t pitch, const char *data, const tbc_tiles *tiles, read_row *read)
{
    uint8_t planes[TBC_CHANNELS][TBC_BLOCK];
    const ptrdiff_t size = (ptrdiff_t)tbc_dtype_size(tiles->dtype), pixel = (ptrdiff_t)tiles->channels * size;
    const bool is_interleaved = tiles->channel_stride == size && tiles->width_stride == pixel;
    const size_t channels = is_interleaved ? 1 : tiles->channels;
    const size_t n = is_interleaved ? tiles->width * tiles->channels : tiles->width;
    for (size_t y = 0; y < tiles->height; y++, to += pitch, data += tiles->height_stride)
        for (size_t done = 0; done < n; done += TBC_BLOCK) {
            const size_t block = n - done < TBC_BLOCK ? n - done : TBC_BLOCK;
            tbc_array row = {data, is_interleaved ? size : tiles->width_stride, tiles->dtype};
            for (size_t c = 0; c < channels; c++) {
                row.data = data + (ptrdiff_t)c * tiles->channel_stride;
                read(channels == 1 ? to + done : planes[c], &row, done, block);
            }
            if (channels > 1)
                interleave(to + done * channels, planes, channels, block);
        }
}

static void put_tiles(uint8_t *to, const tbc_tiles *tiles, read_row *read)
{
    const size_t row = tiles->width * tiles->channels, pitch = tiles->columns * row;
    for (size_t frame = 0; frame < tiles->frames; frame++, to += tiles->rows * tiles->height * pitch)
        for (size_t i = 0; i < tiles->images; i++)
            put_image(to + i / tiles->columns * tiles->height * pitch + i % tiles->columns * row, pitch,
                      (const char *)tiles->data + (ptrdiff_t)frame * tiles->frame_stride +
                          (ptrdiff_t)i * tiles->image_stride,
                      tiles, read);
}

void tbc_pixels_scale(uint8_t *to, const tbc_tiles *tiles)
{
    put_tiles(to, tiles, scale);
}

void tbc_pixels_scale_in_double(uint8_t *to, const tbc_tiles *tiles)
{
    put_tiles(to, tiles, scale_in_double);
}

void tbc_pixels_copy(uint8_t *to, const tbc_tiles *tiles)
{
    put_tiles(to, tiles, copy);
}
