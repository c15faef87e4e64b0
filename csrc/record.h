/* A TFRecord frame, the unit of an event file (all integers little-endian):
 *
 *   uint64  length of the data
 *   uint32  masked CRC-32C of those 8 bytes
 *   byte    data[length]
 *   uint32  masked CRC-32C of the data
 *
 * A CRC is masked, that is, rotated right by 15 and offset: a CRC of bytes that contain plain CRCs would be weak.
 *
 * A frame is made in two steps. The thread that logs begins the frame, encodes the data and ends the frame: it writes
 * the length, and leaves gaps for the CRCs. The thread that writes then seals all frames of a buffer: it fills in their
 * CRCs. Only a large event is sealed by the thread that logs it.
 */
#ifndef TBC_RECORD_H
#define TBC_RECORD_H

#include "buffer.h"

enum { TBC_RECORD_HEAD = 12, TBC_RECORD_TAIL = 4 };

/* Opens a frame at the end of the buffer; the caller appends the data next. Returns where the frame starts. */
size_t tbc_record_begin(tbc_buffer *buffer);

/* Closes the frame that starts at `start`. On a failure the buffer is cut to `start`. */
tbc_status tbc_record_end(tbc_buffer *buffer, size_t start);

/* Fills in the CRCs of `frames`, which are whole. */
void tbc_record_seal(uint8_t *frames, size_t size);

/* Returns where the frame with byte `at` starts. Example with frames of 40 and 30 bytes: 39 -> 0, 40 -> 40, 69 -> 40,
   70 (the end) -> 70. */
size_t tbc_record_start(const uint8_t *frames, size_t at);

static inline uint32_t tbc_record_mask(uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8; }

#endif
