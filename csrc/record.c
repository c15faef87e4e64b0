/* The two steps of a frame (record.h shows its bytes): lay it out, then fill in its checksums. */
#include "record.h"
#include "crc32c.h"
#include "wire.h"

size_t tbc_record_begin(tbc_buffer *buffer)
{
    size_t start = buffer->size;
    tbc_buffer_extend(buffer, TBC_RECORD_HEAD);
    return start;
}

tbc_status tbc_record_end(tbc_buffer *buffer, size_t start)
{
    tbc_buffer_extend(buffer, TBC_RECORD_TAIL);
    tbc_status status = buffer->status;
    size_t length = buffer->size - start - TBC_RECORD_HEAD - TBC_RECORD_TAIL;
    if (status == TBC_OK && length > INT32_MAX)
        status = TBC_TOO_LARGE;
    if (status == TBC_OK)
        tbc_store_le64(buffer->data + start, length);
    else
        tbc_buffer_rewind(buffer, start);
    return status;
}

void tbc_record_seal(uint8_t *frames, size_t size)
{
    const tbc_crc32c_path crc = tbc_crc32c_fastest();
    for (uint8_t *frame = frames; frame < frames + size;) {
        uint64_t length = tbc_load_le64(frame);
        uint8_t *data = frame + TBC_RECORD_HEAD;
        tbc_store_le32(frame + 8, tbc_record_mask(~crc.run(0xFFFFFFFF, frame, 8)));
        tbc_store_le32(data + length, tbc_record_mask(~crc.run(0xFFFFFFFF, data, length)));
        frame = data + length + TBC_RECORD_TAIL;
    }
}

size_t tbc_record_start(const uint8_t *frames, size_t at)
{
    size_t start = 0;
    while (start < at) {
        size_t end = start + TBC_RECORD_HEAD + (size_t)tbc_load_le64(frames + start) + TBC_RECORD_TAIL;
        if (end > at)
            break;
        start = end;
    }
    return start;
}
