/* A byte buffer that grows.
 *
 * After the first failure the buffer takes no more bytes. So an encoder checks `status` once, at the end.
 */
#ifndef TBC_BUFFER_H
#define TBC_BUFFER_H

#include "status.h"
#include <stddef.h>
#include <stdint.h>

typedef struct tbc_buffer {
    uint8_t *data;
    size_t size, capacity; /* size <= capacity */
    tbc_status status;     /* TBC_OK, or the first failure */
} tbc_buffer;

/* Makes room for `more` bytes after the last one. */
void tbc_buffer_grow(tbc_buffer *buffer, size_t more);

void tbc_buffer_append(tbc_buffer *buffer, const void *data, size_t size);

/* Cuts the buffer to `size` bytes and clears a failure. */
static inline void tbc_buffer_rewind(tbc_buffer *buffer, size_t size)
{
    buffer->size = size;
    buffer->status = TBC_OK;
}

/* Frees the memory; the buffer is empty and usable again. */
void tbc_buffer_free(tbc_buffer *buffer);

/* Appends `size` bytes and returns them for the caller to fill; NULL after a failure. */
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
