/* Growth by doubling, from a page on: appending is constant work a byte, and a buffer that was freed starts afresh. */
#include "buffer.h"
#include <stdlib.h>

enum { SMALLEST = 4096 };

void tbc_buffer_grow(tbc_buffer *buffer, size_t more)
{
    if (buffer->status != TBC_OK)
        return;
    if (more > SIZE_MAX / 2 - buffer->size) {
        buffer->status = TBC_NO_MEMORY;
        return;
    }
    size_t capacity = buffer->capacity < SMALLEST ? SMALLEST : buffer->capacity;
    while (capacity < buffer->size + more)
        capacity *= 2;
    uint8_t *data = realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->status = TBC_NO_MEMORY;
        return;
    }
    buffer->data = data;
    buffer->capacity = capacity;
}

void tbc_buffer_free(tbc_buffer *buffer)
{
    free(buffer->data);
    *buffer = (tbc_buffer){0};
}
