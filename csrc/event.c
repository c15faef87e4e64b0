/* Every message is written front to back in one pass; the sizes of what is embedded are added up before, from the
   inside out. Hot events have one value, so one helper (put_value) writes all that stands in front of its content. */
#include "event.h"

enum { /* field numbers, message by message */
    EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SESSION_LOG = 7,
    EVENT_SOURCE_METADATA = 10,
    SUMMARY_VALUE = 1,
    VALUE_TAG = 1, VALUE_SIMPLE_VALUE = 2, VALUE_IMAGE = 4, VALUE_HISTO = 5, VALUE_TENSOR = 8, VALUE_METADATA = 9,
    METADATA_PLUGIN_DATA = 1, PLUGIN_NAME = 1,
    HISTO_MIN = 1, HISTO_MAX = 2, HISTO_NUM = 3, HISTO_SUM = 4, HISTO_SUM_SQUARES = 5, HISTO_LIMIT = 6, HISTO_COUNT = 7,
    IMAGE_HEIGHT = 1, IMAGE_WIDTH = 2, IMAGE_COLORSPACE = 3, IMAGE_FILE = 4,
    TENSOR_DTYPE = 1, TENSOR_SHAPE = 2, TENSOR_FLOAT_VAL = 5, TENSOR_DOUBLE_VAL = 6, TENSOR_STRING_VAL = 8,
    SHAPE_DIM = 2, DIM_SIZE = 1,
    SESSION_STATUS = 1, SOURCE_WRITER = 1,
};

enum { DT_FLOAT = 1, DT_DOUBLE = 2, DT_STRING = 7, SESSION_START = 1 };

static size_t size_int(int64_t value) { return value == 0 ? 0 : tbc_size_uint((uint64_t)value); }

static void put_int(tbc_buffer *to, unsigned field, int64_t value)
{
    if (value != 0)
        tbc_put_uint(to, field, (uint64_t)value);
}

static void put_stamp(tbc_buffer *to, tbc_stamp at)
{
    tbc_put_double(to, EVENT_WALL_TIME, at.wall_time);
    put_int(to, EVENT_STEP, at.step);
}

/* Everything in front of the one value's content, of which `size` bytes follow. */
static void put_value(tbc_buffer *to, tbc_stamp at, tbc_bytes tag, size_t size)
{
    size_t value = tbc_size_bytes(tag.size) + size;
    put_stamp(to, at);
    tbc_put_head(to, EVENT_SUMMARY, tbc_size_bytes(value));
    tbc_put_head(to, SUMMARY_VALUE, value);
    tbc_put_bytes(to, VALUE_TAG, tag);
}

/* Metadata{plugin_data{plugin_name}} */
static size_t size_plugin(tbc_bytes name) { return tbc_size_bytes(tbc_size_bytes(tbc_size_bytes(name.size))); }

static void put_plugin(tbc_buffer *to, tbc_bytes name)
{
    size_t plugin_data = tbc_size_bytes(name.size);
    tbc_put_head(to, VALUE_METADATA, tbc_size_bytes(plugin_data));
    tbc_put_head(to, METADATA_PLUGIN_DATA, plugin_data);
    tbc_put_bytes(to, PLUGIN_NAME, name);
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

void tbc_event_scalar(tbc_buffer *to, tbc_stamp at, tbc_bytes tag, float value)
{
    put_value(to, at, tag, TBC_SIZE_FLOAT);
    tbc_put_float(to, VALUE_SIMPLE_VALUE, value);
}

/* tensor{dtype, <field>: one packed value} of the scalars plugin. */
static void put_scalar_tensor(tbc_buffer *to, tbc_stamp at, tbc_bytes tag, uint64_t dtype, unsigned field,
                              tbc_bytes packed)
{
    const tbc_bytes plugin = TBC_BYTES("scalars");
    size_t tensor = tbc_size_uint(dtype) + tbc_size_bytes(packed.size);
    put_value(to, at, tag, size_plugin(plugin) + tbc_size_bytes(tensor));
    tbc_put_head(to, VALUE_TENSOR, tensor);
    tbc_put_uint(to, TENSOR_DTYPE, dtype);
    tbc_put_bytes(to, field, packed);
    put_plugin(to, plugin);
}

void tbc_event_scalar_float(tbc_buffer *to, tbc_stamp at, tbc_bytes tag, float value)
{
    uint8_t packed[4];
    tbc_store_le32(packed, tbc_float_bits(value));
    put_scalar_tensor(to, at, tag, DT_FLOAT, TENSOR_FLOAT_VAL, (tbc_bytes){(const char *)packed, sizeof packed});
}

void tbc_event_scalar_double(tbc_buffer *to, tbc_stamp at, tbc_bytes tag, double value)
{
    uint8_t packed[8];
    tbc_store_le64(packed, tbc_double_bits(value));
    put_scalar_tensor(to, at, tag, DT_DOUBLE, TENSOR_DOUBLE_VAL, (tbc_bytes){(const char *)packed, sizeof packed});
}

void tbc_event_histogram(tbc_buffer *to, tbc_stamp at, tbc_bytes tag, const tbc_moments *moments,
                         const double *limits, const double *counts, size_t n)
{
    size_t histo = 5 * TBC_SIZE_DOUBLE + 2 * tbc_size_bytes(8 * n);
    put_value(to, at, tag, tbc_size_bytes(histo));
    tbc_put_head(to, VALUE_HISTO, histo);
    tbc_put_double(to, HISTO_MIN, moments->min);
    tbc_put_double(to, HISTO_MAX, moments->max);
    tbc_put_double(to, HISTO_NUM, moments->num);
    tbc_put_double(to, HISTO_SUM, moments->sum);
    tbc_put_double(to, HISTO_SUM_SQUARES, moments->sum_squares);
    tbc_put_doubles(to, HISTO_LIMIT, limits, n);
    tbc_put_doubles(to, HISTO_COUNT, counts, n);
}

void tbc_event_image(tbc_buffer *to, tbc_stamp at, tbc_bytes tag, int32_t height, int32_t width, int32_t colorspace,
                     tbc_bytes file)
{
    size_t image = size_int(height) + size_int(width) + size_int(colorspace) + tbc_size_bytes(file.size);
    put_value(to, at, tag, tbc_size_bytes(image));
    tbc_put_head(to, VALUE_IMAGE, image);
    put_int(to, IMAGE_HEIGHT, height);
    put_int(to, IMAGE_WIDTH, width);
    put_int(to, IMAGE_COLORSPACE, colorspace);
    tbc_put_bytes(to, IMAGE_FILE, file);
}

void tbc_event_text(tbc_buffer *to, tbc_stamp at, tbc_bytes tag, tbc_bytes text)
{
    const tbc_bytes plugin = TBC_BYTES("text");
    size_t dim = tbc_size_uint(1);
    size_t shape = tbc_size_bytes(dim);
    size_t tensor = tbc_size_uint(DT_STRING) + tbc_size_bytes(shape) + tbc_size_bytes(text.size);
    put_value(to, at, tag, size_plugin(plugin) + tbc_size_bytes(tensor));
    tbc_put_head(to, VALUE_TENSOR, tensor);
    tbc_put_uint(to, TENSOR_DTYPE, DT_STRING);
    tbc_put_head(to, TENSOR_SHAPE, shape);
    tbc_put_head(to, SHAPE_DIM, dim);
    tbc_put_uint(to, DIM_SIZE, 1);
    tbc_put_bytes(to, TENSOR_STRING_VAL, text);
    put_plugin(to, plugin);
}
