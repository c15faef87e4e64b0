/* Every message is written front to back in one pass; the sizes of what is embedded are added up before, from the
   inside out. Most events have one value, so one helper (put_value) writes all that stands in front of its content. */
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

static void put_int(tbc_buffer *to, unsigned field, int64_t value)
{
    if (value != 0)
        tbc_put_uint(to, field, (uint64_t)value);
}

/* Fields that are left out when they are empty: messages and strings. */
static size_t size_some(size_t size) { return size == 0 ? 0 : tbc_size_bytes(size); }

static void put_some(tbc_buffer *to, unsigned field, tbc_bytes bytes)
{
    if (bytes.size != 0)
        tbc_put_bytes(to, field, bytes);
}

static void put_stamp(tbc_buffer *to, tbc_stamp at)
{
    tbc_put_double(to, EVENT_WALL_TIME, at.wall_time);
    put_int(to, EVENT_STEP, at.step);
}

/* Everything in front of the one value's content, of which `size` bytes follow. */
static void put_value(tbc_buffer *to, tbc_stamp at, const tbc_label *label, plugin_data plugin, size_t size)
{
    size_t data = size_some(plugin.name.size) + size_some(plugin.content.size);
    size_t metadata = size_some(data) + size_some(label->display_name.size) + size_some(label->description.size);
    size_t value = tbc_size_bytes(label->tag.size) + size_some(metadata) + size;
    put_stamp(to, at);
    tbc_put_head(to, EVENT_SUMMARY, tbc_size_bytes(value));
    tbc_put_head(to, SUMMARY_VALUE, value);
    tbc_put_bytes(to, VALUE_TAG, label->tag);
    if (metadata == 0)
        return;
    tbc_put_head(to, VALUE_METADATA, metadata);
    if (data != 0) {
        tbc_put_head(to, METADATA_PLUGIN_DATA, data);
        put_some(to, PLUGIN_NAME, plugin.name);
        put_some(to, PLUGIN_CONTENT, plugin.content);
    }
    put_some(to, METADATA_DISPLAY_NAME, label->display_name);
    put_some(to, METADATA_DESCRIPTION, label->description);
}

void tbc_event_version(tbc_buffer *to, tbc_stamp at)
{
    const tbc_bytes writer = TBC_BYTES("tbc");
    put_stamp(to, at);
    tbc_put_bytes(to, EVENT_FILE_VERSION, TBC_BYTES("brain.Event:2"));
    tbc_put_head(to, EVENT_SOURCE_METADATA, tbc_size_bytes(writer.size));
    tbc_put_bytes(to, SOURCE_WRITER, writer);
}

void tbc_event_session_start(tbc_buffer *to, tbc_stamp at)
{
    put_stamp(to, at);
    tbc_put_head(to, EVENT_SESSION_LOG, tbc_size_uint(SESSION_START));
    tbc_put_uint(to, SESSION_STATUS, SESSION_START);
}

void tbc_event_encoded(tbc_buffer *to, tbc_bytes event)
{
    uint8_t *end = tbc_buffer_extend(to, event.size);
    if (end != NULL && event.size != 0)
        memcpy(end, event.data, event.size);
}

void tbc_event_summary(tbc_buffer *to, tbc_stamp at, tbc_bytes summary)
{
    put_stamp(to, at);
    tbc_put_bytes(to, EVENT_SUMMARY, summary);
}

void tbc_event_scalar(tbc_buffer *to, tbc_stamp at, const tbc_label *label, float value)
{
    put_value(to, at, label, no_plugin, TBC_SIZE_FLOAT);
    tbc_put_float(to, VALUE_SIMPLE_VALUE, value);
}

static size_t size_tagged_scalar(tbc_bytes tag) { return tbc_size_bytes(tag.size) + TBC_SIZE_FLOAT; }

void tbc_event_scalars(tbc_buffer *to, tbc_stamp at, const tbc_bytes *tags, const double *values, size_t n)
{
    size_t summary = 0;
    for (size_t i = 0; i < n; i++)
        summary += tbc_size_bytes(size_tagged_scalar(tags[i]));
    put_stamp(to, at);
    tbc_put_head(to, EVENT_SUMMARY, summary);
    for (size_t i = 0; i < n; i++) {
        tbc_put_head(to, SUMMARY_VALUE, size_tagged_scalar(tags[i]));
        tbc_put_bytes(to, VALUE_TAG, tags[i]);
        tbc_put_float(to, VALUE_SIMPLE_VALUE, (float)values[i]);
    }
}

void tbc_event_histogram(tbc_buffer *to, tbc_stamp at, const tbc_label *label, const tbc_moments *moments,
                         const double *limits, const double *counts, size_t n)
{
    size_t histo = 5 * TBC_SIZE_DOUBLE + 2 * tbc_size_bytes(8 * n);
    put_value(to, at, label, no_plugin, tbc_size_bytes(histo));
    tbc_put_head(to, VALUE_HISTO, histo);
    tbc_put_double(to, HISTO_MIN, moments->min);
    tbc_put_double(to, HISTO_MAX, moments->max);
    tbc_put_double(to, HISTO_NUM, moments->num);
    tbc_put_double(to, HISTO_SUM, moments->sum);
    tbc_put_double(to, HISTO_SUM_SQUARES, moments->sum_squares);
    tbc_put_doubles(to, HISTO_LIMIT, limits, n);
    tbc_put_doubles(to, HISTO_COUNT, counts, n);
}

void tbc_event_image(tbc_buffer *to, tbc_stamp at, const tbc_label *label, int32_t height, int32_t width,
                     int32_t colorspace, tbc_bytes file)
{
    size_t image = size_int(height) + size_int(width) + size_int(colorspace) + tbc_size_bytes(file.size);
    put_value(to, at, label, no_plugin, tbc_size_bytes(image));
    tbc_put_head(to, VALUE_IMAGE, image);
    put_int(to, IMAGE_HEIGHT, height);
    put_int(to, IMAGE_WIDTH, width);
    put_int(to, IMAGE_COLORSPACE, colorspace);
    tbc_put_bytes(to, IMAGE_FILE, file);
}

void tbc_event_audio(tbc_buffer *to, tbc_stamp at, const tbc_label *label, float sample_rate, int64_t channels,
                     int64_t frames, tbc_bytes file)
{
    const tbc_bytes content_type = TBC_BYTES("audio/wav");
    size_t audio = TBC_SIZE_FLOAT + size_int(channels) + size_int(frames) + tbc_size_bytes(file.size) +
                   tbc_size_bytes(content_type.size);
    put_value(to, at, label, no_plugin, tbc_size_bytes(audio));
    tbc_put_head(to, VALUE_AUDIO, audio);
    tbc_put_float(to, AUDIO_SAMPLE_RATE, sample_rate);
    put_int(to, AUDIO_CHANNELS, channels);
    put_int(to, AUDIO_FRAMES, frames);
    tbc_put_bytes(to, AUDIO_FILE, file);
    tbc_put_bytes(to, AUDIO_CONTENT_TYPE, content_type);
}

/* Floats go where readers look for them; tensor_content takes any type, and all readers decode it. */
static unsigned values_field(unsigned dtype)
{
    switch (dtype) {
    case TBC_DT_FLOAT: return TENSOR_FLOAT_VAL;
    case TBC_DT_DOUBLE: return TENSOR_DOUBLE_VAL;
    case TBC_DT_STRING: return TENSOR_STRING_VAL;
    default: return TENSOR_CONTENT;
    }
}

static void put_tensor(tbc_buffer *to, tbc_stamp at, const tbc_label *label, plugin_data plugin, const tbc_tensor *t)
{
    size_t shape = 0, tensor = tbc_size_uint(t->dtype);
    for (size_t i = 0; i < t->rank; i++)
        shape += tbc_size_bytes(size_int(t->shape[i]));
    for (size_t i = 0; i < t->n; i++)
        tensor += tbc_size_bytes(t->values[i].size);
    tensor += size_some(shape);
    put_value(to, at, label, plugin, tbc_size_bytes(tensor));
    tbc_put_head(to, VALUE_TENSOR, tensor);
    tbc_put_uint(to, TENSOR_DTYPE, t->dtype);
    if (shape != 0)
        tbc_put_head(to, TENSOR_SHAPE, shape);
    for (size_t i = 0; i < t->rank; i++) {
        tbc_put_head(to, SHAPE_DIM, size_int(t->shape[i]));
        put_int(to, DIM_SIZE, t->shape[i]);
    }
    for (size_t i = 0; i < t->n; i++)
        tbc_put_bytes(to, values_field(t->dtype), t->values[i]);
}

void tbc_event_tensor(tbc_buffer *to, tbc_stamp at, const tbc_label *label, tbc_bytes plugin, const tbc_tensor *tensor)
{
    put_tensor(to, at, label, (plugin_data){.name = plugin}, tensor);
}

void tbc_event_scalar_float(tbc_buffer *to, tbc_stamp at, const tbc_label *label, float value)
{
    uint8_t stored[4];
    tbc_store_le32(stored, tbc_float_bits(value));
    tbc_bytes values = {(const char *)stored, sizeof stored};
    tbc_event_tensor(to, at, label, TBC_BYTES("scalars"), &(tbc_tensor){TBC_DT_FLOAT, .values = &values, .n = 1});
}

void tbc_event_scalar_double(tbc_buffer *to, tbc_stamp at, const tbc_label *label, double value)
{
    uint8_t stored[8];
    tbc_store_le64(stored, tbc_double_bits(value));
    tbc_bytes values = {(const char *)stored, sizeof stored};
    tbc_event_tensor(to, at, label, TBC_BYTES("scalars"), &(tbc_tensor){TBC_DT_DOUBLE, .values = &values, .n = 1});
}

void tbc_event_pr_curve(tbc_buffer *to, tbc_stamp at, const tbc_label *label, tbc_bytes rows, size_t n)
{
    uint8_t content[TBC_KEY_VARINT_MAX];
    size_t size = tbc_store_key_varint(content, PR_CURVE_THRESHOLDS, TBC_WIRE_VARINT, n);
    const int64_t shape[] = {6, (int64_t)n};
    put_tensor(to, at, label, (plugin_data){TBC_BYTES("pr_curves"), {(const char *)content, size}},
               &(tbc_tensor){TBC_DT_FLOAT, shape, 2, &rows, 1});
}
