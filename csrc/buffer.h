/* A byte buffer that grows.
 *
 * A zeroed tbc_buffer is empty and ready. After the first failure the buffer takes no more bytes. So an encoder checks
 * `status` once, at the end.
 */
#ifndef TBC_BUFFER_H
#define TBC_BUFFER_H

#include "status.h"
#include <stddef.h>
#include <stdint.h>

typedef struct tbc_buffer {
    uint8_t *data;
    size_t size, capacity; /* size <= capacity */
    tbc_status status;     /* if not TBC_OK, appends do nothing: TBC_NO_MEMORY, or TBC_DROPPED, which writer.c sets */
} tbc_buffer;

/* Makes room for `more` bytes after the last one. If the allocation fails, `status` becomes TBC_NO_MEMORY and the bytes
   stay. Pointers into `data` become invalid. */
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

/* Appends `size` bytes and returns a pointer to the first, for the caller to fill. Returns NULL after a failure, or if
   `size` is 0 and nothing is allocated yet. */
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
