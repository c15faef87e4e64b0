/* Event messages, as TensorBoard reads them, appended to a buffer.
 *
 * One event carries one value, under a tag, at a step, at a wall time:
 *
 *   Event   { double wall_time = 1;  int64 step = 2;  string file_version = 3;  Summary summary = 5;
 *             SessionLog session_log = 7;  SourceMetadata source_metadata = 10; }
 *   Summary { repeated Value value = 1; }
 *   Value   { string tag = 1;  float simple_value = 2;  Image image = 4;  Histogram histo = 5;
 *             Tensor tensor = 8;  Metadata metadata = 9; }
 *
 * (proto/tbc.proto has all of them.) A failure sticks to the buffer; the caller looks at it in tbc_record_end.
 */
#ifndef TBC_EVENT_H
#define TBC_EVENT_H

#include "wire.h"

typedef struct tbc_stamp {
    double wall_time; /* seconds since 1970; finite, since one NaN makes RustBoard drop the rest of the file */
    int64_t step;     /* 0 is not written, as in every proto3 message */
} tbc_stamp;

typedef struct tbc_moments {
    double min, max, num, sum, sum_squares;
} tbc_moments;

/* The first event of every file: which format this is, and who wrote it. */
void tbc_event_version(tbc_buffer *to, tbc_stamp at);

/* SessionLog{START}: tells readers to drop what earlier files of the run hold from this step on (purge_step). */
void tbc_event_session_start(tbc_buffer *to, tbc_stamp at);

/* An Event or a Summary message that is encoded already. */
void tbc_event_encoded(tbc_buffer *to, tbc_bytes event);
void tbc_event_summary(tbc_buffer *to, tbc_stamp at, tbc_bytes summary);

/* simple_value: what add_scalar writes by default. */
void tbc_event_scalar(tbc_buffer *to, tbc_stamp at, tbc_bytes tag, float value);

/* The same as a tensor of the scalars plugin (new_style), float or double. */
void tbc_event_scalar_float(tbc_buffer *to, tbc_stamp at, tbc_bytes tag, float value);
void tbc_event_scalar_double(tbc_buffer *to, tbc_stamp at, tbc_bytes tag, double value);

/* Bucket i holds counts[i] values below limits[i] and not below limits[i - 1]. */
void tbc_event_histogram(tbc_buffer *to, tbc_stamp at, tbc_bytes tag, const tbc_moments *moments,
                         const double *limits, const double *counts, size_t n);

/* An image file, PNG or any other the browser knows; colorspace is the number of channels. */
void tbc_event_image(tbc_buffer *to, tbc_stamp at, tbc_bytes tag, int32_t height, int32_t width, int32_t colorspace,
                     tbc_bytes file);

/* A string tensor of shape [1] of the text plugin, shown as Markdown. */
void tbc_event_text(tbc_buffer *to, tbc_stamp at, tbc_bytes tag, tbc_bytes text);

#endif
