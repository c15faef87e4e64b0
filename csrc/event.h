/* Encodes Event messages, as TensorBoard reads them, at the end of a buffer.
 *
 * Most events have a wall time, a step, and one or more values, each under a tag:
 *
 *   Event   { double wall_time = 1;  int64 step = 2;  string file_version = 3;  Summary summary = 5;
 *             SessionLog session_log = 7;  SourceMetadata source_metadata = 10; }
 *   Summary { repeated Value value = 1; }
 *   Value   { string tag = 1;  float simple_value = 2;  Image image = 4;  Histogram histo = 5;  Audio audio = 6;
 *             Tensor tensor = 8;  Metadata metadata = 9; }
 *   Metadata { PluginData plugin_data = 1;  string display_name = 2;  string summary_description = 3; }
 *
 * proto/tbc.proto has all messages. After a failure nothing is appended; tbc_record_end returns the buffer's status.
 */
#ifndef TBC_EVENT_H
#define TBC_EVENT_H

#include "wire.h"

typedef struct tbc_stamp {
    double wall_time; /* seconds since 1970; must be finite: one NaN makes RustBoard drop the rest of the file */
    int64_t step;     /* 0 is not written, as in every proto3 message */
} tbc_stamp;

typedef struct tbc_label {
    tbc_bytes tag;
    tbc_bytes display_name, description; /* TensorBoard shows both with the value; not written if empty */
} tbc_label;

typedef struct tbc_moments {
    double min, max, num, sum, sum_squares;
} tbc_moments;

enum { TBC_DT_FLOAT = 1, TBC_DT_DOUBLE = 2, TBC_DT_STRING = 7 }; /* DataType in types.proto */

typedef struct tbc_tensor {
    unsigned dtype; /* a DataType */
    const int64_t *shape;
    size_t rank;
    const tbc_bytes *values; /* n strings, or one piece with all elements: little-endian, in row-major order */
    size_t n;
} tbc_tensor;

/* Each function appends one event with the content that its comment names. */

/* The first event of every file: the file format, and the program that wrote the file. */
void tbc_event_version(tbc_buffer *buffer, tbc_stamp at);

/* SessionLog{START}, for purge_step: readers drop what earlier files of the run have from at.step on. */
void tbc_event_session_start(tbc_buffer *buffer, tbc_stamp at);

/* A Summary message that is encoded already. */
void tbc_event_summary(tbc_buffer *buffer, tbc_stamp at, tbc_bytes summary);

/* A simple_value: what add_scalar writes by default. */
void tbc_event_scalar(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, float value);

/* A scalar as a tensor of the scalars plugin (new_style), float or double. */
void tbc_event_scalar_float(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, float value);
void tbc_event_scalar_double(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, double value);

/* n simple values, each under its own tag. */
void tbc_event_scalars(tbc_buffer *buffer, tbc_stamp at, const tbc_bytes *tags, const double *values, size_t n);

/* Bucket i has counts[i] values v, with limits[i - 1] <= v < limits[i]. */
void tbc_event_histogram(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, const tbc_moments *moments,
                         const double *limits, const double *counts, size_t n);

/* An image file, PNG or another format that browsers show; colorspace is the number of channels. */
void tbc_event_image(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, int32_t height, int32_t width,
                     int32_t colorspace, tbc_bytes file);

/* A WAV file; sample_rate in Hz, frames are samples per channel. Returns where the caller puts the `size` bytes of the
   file, before the buffer grows again; NULL after a failure, or if the event is dropped. */
uint8_t *tbc_event_audio(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, float sample_rate, int64_t channels,
                         int64_t frames, size_t size);

/* A tensor that `plugin` shows, such as text or images. */
void tbc_event_tensor(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, tbc_bytes plugin,
                      const tbc_tensor *tensor);

/* Six rows of n floats, little-endian: true and false positives, true and false negatives, precision, recall. */
void tbc_event_pr_curve(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, tbc_bytes rows, size_t n);

#endif
