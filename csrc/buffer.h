/* Bytes that grow.
 *
 * The first failure sticks: after it there is no room to be had, and whoever began looks at `status` once, at the end.
 */
#ifndef TBC_BUFFER_H
#define TBC_BUFFER_H

#include "status.h"
#include <stddef.h>
#include <stdint.h>

typedef struct tbc_buffer {
    uint8_t *data;
    size_t size, capacity;
    tbc_status status;
} tbc_buffer;

/* Makes room for `more` bytes behind the last one. */
void tbc_buffer_grow(tbc_buffer *buffer, size_t more);

void tbc_buffer_append(tbc_buffer *buffer, const void *data, size_t size);

/* Back to `size` bytes and no failure: takes back what was appended since. */
static inline void tbc_buffer_rewind(tbc_buffer *buffer, size_t size)
{
    buffer->size = size;
    buffer->status = TBC_OK;
}

/* Gives the memory back; the buffer is empty and usable again. */
void tbc_buffer_free(tbc_buffer *buffer);

/* `size` new bytes at the end, for the caller to fill; NULL after a failure. */
static inline uint8_t *tbc_buffer_extend(tbc_buffer *buffer, size_t size)
{
    if (buffer->capacity - buffer->size < size)
        tbc_buffer_grow(buffer, size);
    if (buffer->status != TBC_OK)
        return NULL;
    uint8_t *end = buffer->data + buffer->size;
    buffer->size += size;
    return end;
}

#endif
