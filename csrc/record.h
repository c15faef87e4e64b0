/* A TFRecord frame, the unit of an event file (all integers little-endian):
 *
 *   uint64  length of the data
 *   uint32  masked CRC-32C of those 8 bytes
 *   byte    data[length]
 *   uint32  masked CRC-32C of the data
 *
 * A CRC is masked, rotated right by 15 and offset, so that the CRC of bytes that hold CRCs stays strong.
 *
 * A frame is made in two steps. The thread that logs begins and ends it around the data it encodes, which costs it a
 * length and two gaps. The thread that writes seals it: walks frame by frame over a run of them and fills the CRCs in.
 * (A large event is sealed by the thread that logs it.)
 */
#ifndef TBC_RECORD_H
#define TBC_RECORD_H

#include "buffer.h"

enum { TBC_RECORD_HEAD = 12, TBC_RECORD_TAIL = 4 };

/* Opens a frame at the end of the buffer; the caller appends the data next. Answers where the frame starts. */
size_t tbc_record_begin(tbc_buffer *buffer);

/* Closes the frame that starts at `start`. On a failure the buffer is back to where the frame started. */
tbc_status tbc_record_end(tbc_buffer *buffer, size_t start);

/* Fills in the CRCs of the whole frames in `frames`. */
void tbc_record_seal(uint8_t *frames, size_t size);

/* Where the frame starts that byte `at` is in; `at` itself if it is the first byte of one, or the end. */
size_t tbc_record_start(const uint8_t *frames, size_t at);

static inline uint32_t tbc_record_mask(uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8; }

#endif
