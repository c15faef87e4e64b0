/* Every event is measured first, from the inside out. Then room is made once, and the event is written front to back.
 * Most events have one value; for these, put_value makes the room and writes all that precedes the value's content. */
#include "event.h"

enum { /* field numbers, message by message */
    EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SESSION_LOG = 7,
    EVENT_SOURCE_METADATA = 10,
    SUMMARY_VALUE = 1,
    VALUE_TAG = 1, VALUE_SIMPLE_VALUE = 2, VALUE_IMAGE = 4, VALUE_HISTO = 5, VALUE_AUDIO = 6, VALUE_TENSOR = 8,
    VALUE_METADATA = 9,
    METADATA_PLUGIN_DATA = 1, METADATA_DISPLAY_NAME = 2, METADATA_DESCRIPTION = 3, PLUGIN_NAME = 1, PLUGIN_CONTENT = 2,
    HISTO_MIN = 1, HISTO_MAX = 2, HISTO_NUM = 3, HISTO_SUM = 4, HISTO_SUM_SQUARES = 5, HISTO_LIMIT = 6, HISTO_COUNT = 7,
    IMAGE_HEIGHT = 1, IMAGE_WIDTH = 2, IMAGE_COLORSPACE = 3, IMAGE_FILE = 4,
    AUDIO_SAMPLE_RATE = 1, AUDIO_CHANNELS = 2, AUDIO_FRAMES = 3, AUDIO_FILE = 4, AUDIO_CONTENT_TYPE = 5,
    TENSOR_DTYPE = 1, TENSOR_SHAPE = 2, TENSOR_CONTENT = 4, TENSOR_FLOAT_VAL = 5, TENSOR_DOUBLE_VAL = 6,
    TENSOR_STRING_VAL = 8,
    SHAPE_DIM = 2, DIM_SIZE = 1,
    PR_CURVE_THRESHOLDS = 2,
    SESSION_STATUS = 1, SOURCE_WRITER = 1,
};

enum { SESSION_START = 1 };

typedef struct plugin_data {
    tbc_bytes name, content;
} plugin_data;

static const plugin_data no_plugin;

static size_t size_int(int64_t value) { return value == 0 ? 0 : tbc_size_uint((uint64_t)value); }

static uint8_t *put_int(uint8_t *to, unsigned field, int64_t value)
{
    return value == 0 ? to : tbc_put_uint(to, field, (uint64_t)value);
}

/* An empty message or string is not written at all, so its size is 0. */
static size_t size_if_any(size_t size) { return size == 0 ? 0 : tbc_size_bytes(size); }

static uint8_t *put_if_any(uint8_t *to, unsigned field, tbc_bytes bytes)
{
    return bytes.size == 0 ? to : tbc_put_bytes(to, field, bytes);
}

/* Makes room for a whole event and puts its wall time and step. Returns where the caller puts the `size` bytes that
   follow; NULL after a failure. */
static uint8_t *put_stamp(tbc_buffer *buffer, tbc_stamp at, size_t size)
{
    uint8_t *to = tbc_buffer_extend(buffer, TBC_SIZE_DOUBLE + size_int(at.step) + size);
    if (to == NULL)
        return NULL;
    to = tbc_put_double(to, EVENT_WALL_TIME, at.wall_time);
    return put_int(to, EVENT_STEP, at.step);
}

static size_t size_plugin(plugin_data plugin)
{
    return size_if_any(plugin.name.size) + size_if_any(plugin.content.size);
}

static size_t size_metadata(const tbc_label *label, plugin_data plugin)
{
    return size_if_any(size_plugin(plugin)) + size_if_any(label->display_name.size) +
           size_if_any(label->description.size);
}

static uint8_t *put_metadata(uint8_t *to, const tbc_label *label, plugin_data plugin)
{
    if (size_metadata(label, plugin) == 0)
        return to;
    to = tbc_put_head(to, VALUE_METADATA, size_metadata(label, plugin));
    if (size_plugin(plugin) != 0) {
        to = tbc_put_head(to, METADATA_PLUGIN_DATA, size_plugin(plugin));
        to = put_if_any(to, PLUGIN_NAME, plugin.name);
        to = put_if_any(to, PLUGIN_CONTENT, plugin.content);
    }
    to = put_if_any(to, METADATA_DISPLAY_NAME, label->display_name);
    return put_if_any(to, METADATA_DESCRIPTION, label->description);
}

/* Makes room for an event with one value, and puts all that precedes the value's content. Returns where the caller puts
   the `size` bytes of the content; NULL after a failure. */
static uint8_t *put_value(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, plugin_data plugin, size_t size)
{
    size_t value = tbc_size_bytes(label->tag.size) + size_if_any(size_metadata(label, plugin)) + size;
    size_t summary = tbc_size_bytes(value);
    uint8_t *to = put_stamp(buffer, at, tbc_size_bytes(summary));
    if (to == NULL)
        return NULL;
    to = tbc_put_head(to, EVENT_SUMMARY, summary);
    to = tbc_put_head(to, SUMMARY_VALUE, value);
    to = tbc_put_bytes(to, VALUE_TAG, label->tag);
    return put_metadata(to, label, plugin);
}

void tbc_event_version(tbc_buffer *buffer, tbc_stamp at)
{
    const tbc_bytes version = TBC_BYTES("brain.Event:2"), writer = TBC_BYTES("tbc");
    size_t source = tbc_size_bytes(writer.size);
    uint8_t *to = put_stamp(buffer, at, tbc_size_bytes(version.size) + tbc_size_bytes(source));
    if (to == NULL)
        return;
    to = tbc_put_bytes(to, EVENT_FILE_VERSION, version);
    to = tbc_put_head(to, EVENT_SOURCE_METADATA, source);
    tbc_put_bytes(to, SOURCE_WRITER, writer);
}

void tbc_event_session_start(tbc_buffer *buffer, tbc_stamp at)
{
    size_t session = tbc_size_uint(SESSION_START);
    uint8_t *to = put_stamp(buffer, at, tbc_size_bytes(session));
    if (to == NULL)
        return;
    to = tbc_put_head(to, EVENT_SESSION_LOG, session);
    tbc_put_uint(to, SESSION_STATUS, SESSION_START);
}

void tbc_event_summary(tbc_buffer *buffer, tbc_stamp at, tbc_bytes summary)
{
    uint8_t *to = put_stamp(buffer, at, tbc_size_bytes(summary.size));
    if (to != NULL)
        tbc_put_bytes(to, EVENT_SUMMARY, summary);
}

void tbc_event_scalar(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, float value)
{
    uint8_t *to = put_value(buffer, at, label, no_plugin, TBC_SIZE_FLOAT);
    if (to != NULL)
        tbc_put_float(to, VALUE_SIMPLE_VALUE, value);
}

static size_t size_tagged_scalar(tbc_bytes tag) { return tbc_size_bytes(tag.size) + TBC_SIZE_FLOAT; }

void tbc_event_scalars(tbc_buffer *buffer, tbc_stamp at, const tbc_bytes *tags, const double *values, size_t n)
{
    size_t summary = 0;
    for (size_t i = 0; i < n; i++)
        summary += tbc_size_bytes(size_tagged_scalar(tags[i]));
    uint8_t *to = put_stamp(buffer, at, tbc_size_bytes(summary));
    if (to == NULL)
        return;
    to = tbc_put_head(to, EVENT_SUMMARY, summary);
    for (size_t i = 0; i < n; i++) {
        to = tbc_put_head(to, SUMMARY_VALUE, size_tagged_scalar(tags[i]));
        to = tbc_put_bytes(to, VALUE_TAG, tags[i]);
        to = tbc_put_float(to, VALUE_SIMPLE_VALUE, (float)values[i]);
    }
}

void tbc_event_histogram(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, const tbc_moments *moments,
                         const double *limits, const double *counts, size_t n)
{
    size_t histo = 5 * TBC_SIZE_DOUBLE + 2 * tbc_size_bytes(8 * n);
    uint8_t *to = put_value(buffer, at, label, no_plugin, tbc_size_bytes(histo));
    if (to == NULL)
        return;
    to = tbc_put_head(to, VALUE_HISTO, histo);
    to = tbc_put_double(to, HISTO_MIN, moments->min);
    to = tbc_put_double(to, HISTO_MAX, moments->max);
    to = tbc_put_double(to, HISTO_NUM, moments->num);
    to = tbc_put_double(to, HISTO_SUM, moments->sum);
    to = tbc_put_double(to, HISTO_SUM_SQUARES, moments->sum_squares);
    to = tbc_put_doubles(to, HISTO_LIMIT, limits, n);
    tbc_put_doubles(to, HISTO_COUNT, counts, n);
}

void tbc_event_image(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, int32_t height, int32_t width,
                     int32_t colorspace, tbc_bytes file)
{
    size_t image = size_int(height) + size_int(width) + size_int(colorspace) + tbc_size_bytes(file.size);
    uint8_t *to = put_value(buffer, at, label, no_plugin, tbc_size_bytes(image));
    if (to == NULL)
        return;
    to = tbc_put_head(to, VALUE_IMAGE, image);
    to = put_int(to, IMAGE_HEIGHT, height);
    to = put_int(to, IMAGE_WIDTH, width);
    to = put_int(to, IMAGE_COLORSPACE, colorspace);
    tbc_put_bytes(to, IMAGE_FILE, file);
}

uint8_t *tbc_event_audio(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, float sample_rate, int64_t channels,
                         int64_t frames, size_t size)
{
    const tbc_bytes content_type = TBC_BYTES("audio/wav");
    size_t audio = TBC_SIZE_FLOAT + size_int(channels) + size_int(frames) + tbc_size_bytes(size) +
                   tbc_size_bytes(content_type.size);
    uint8_t *to = put_value(buffer, at, label, no_plugin, tbc_size_bytes(audio));
    if (to == NULL)
        return NULL;
    to = tbc_put_head(to, VALUE_AUDIO, audio);
    to = tbc_put_float(to, AUDIO_SAMPLE_RATE, sample_rate);
    to = put_int(to, AUDIO_CHANNELS, channels);
    to = put_int(to, AUDIO_FRAMES, frames);
    uint8_t *file = tbc_put_head(to, AUDIO_FILE, size);
    tbc_put_bytes(file + size, AUDIO_CONTENT_TYPE, content_type);
    return file;
}

/* Readers look for floats in float_val, doubles in double_val, strings in string_val, all else in tensor_content. */
static unsigned values_field(unsigned dtype)
{
    switch (dtype) {
    case TBC_DT_FLOAT: return TENSOR_FLOAT_VAL;
    case TBC_DT_DOUBLE: return TENSOR_DOUBLE_VAL;
    case TBC_DT_STRING: return TENSOR_STRING_VAL;
    default: return TENSOR_CONTENT;
    }
}

static void put_tensor(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, plugin_data plugin,
                       const tbc_tensor *t)
{
    size_t shape = 0, tensor = tbc_size_uint(t->dtype);
    for (size_t i = 0; i < t->rank; i++)
        shape += tbc_size_bytes(size_int(t->shape[i]));
    for (size_t i = 0; i < t->n; i++)
        tensor += tbc_size_bytes(t->values[i].size);
    tensor += size_if_any(shape);
    uint8_t *to = put_value(buffer, at, label, plugin, tbc_size_bytes(tensor));
    if (to == NULL)
        return;
    to = tbc_put_head(to, VALUE_TENSOR, tensor);
    to = tbc_put_uint(to, TENSOR_DTYPE, t->dtype);
    if (shape != 0)
        to = tbc_put_head(to, TENSOR_SHAPE, shape);
    for (size_t i = 0; i < t->rank; i++) {
        to = tbc_put_head(to, SHAPE_DIM, size_int(t->shape[i]));
        to = put_int(to, DIM_SIZE, t->shape[i]);
    }
    for (size_t i = 0; i < t->n; i++)
        to = tbc_put_bytes(to, values_field(t->dtype), t->values[i]);
}

void tbc_event_tensor(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, tbc_bytes plugin,
                      const tbc_tensor *tensor)
{
    put_tensor(buffer, at, label, (plugin_data){.name = plugin}, tensor);
}

void tbc_event_scalar_float(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, float value)
{
    uint8_t stored[4];
    tbc_store_le32(stored, tbc_float_bits(value));
    tbc_bytes values = {(const char *)stored, sizeof stored};
    tbc_event_tensor(buffer, at, label, TBC_BYTES("scalars"), &(tbc_tensor){TBC_DT_FLOAT, .values = &values, .n = 1});
}

void tbc_event_scalar_double(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, double value)
{
    uint8_t stored[8];
    tbc_store_le64(stored, tbc_double_bits(value));
    tbc_bytes values = {(const char *)stored, sizeof stored};
    tbc_event_tensor(buffer, at, label, TBC_BYTES("scalars"), &(tbc_tensor){TBC_DT_DOUBLE, .values = &values, .n = 1});
}

void tbc_event_pr_curve(tbc_buffer *buffer, tbc_stamp at, const tbc_label *label, tbc_bytes rows, size_t n)
{
    uint8_t content[TBC_SIZE_UINT_MAX];
    size_t size = (size_t)(tbc_put_uint(content, PR_CURVE_THRESHOLDS, n) - content);
    const int64_t shape[] = {6, (int64_t)n};
    put_tensor(buffer, at, label, (plugin_data){TBC_BYTES("pr_curves"), {(const char *)content, size}},
               &(tbc_tensor){TBC_DT_FLOAT, shape, 2, &rows, 1});
}
