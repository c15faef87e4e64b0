/* A record is checked as a whole before any of it is counted. A training loop logs its tags in the same order again and
   again. So a tag is first compared with the tag that followed the previous one last time, and is looked up in a table
   only if they differ (open addressing; the capacity is a power of two; at most half full). */
#include "tally.h"
#include "crc32c.h"
#include "fields.h"
#include "record.h"
#include "siphash.h"
#include "starts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct tbc_tally_memory {
    size_t *table; /* the index of a tag, plus one; 0 if the place is free */
    size_t capacity;
    size_t last; /* the index of the previous value's tag */
    tbc_starts starts;
    uint64_t started; /* the number of the last start */
    uint64_t stretches; /* of all tags */
};

/* --- the shapes of messages ---
   A field of another type, or one that is not listed, is legal protobuf, but writers do not write it. */

enum { VARINT = 1 << TBC_WIRE_VARINT, FIXED64 = 1 << TBC_WIRE_FIXED64, BYTES = 1 << TBC_WIRE_BYTES,
       FIXED32 = 1 << TBC_WIRE_FIXED32 };
typedef enum content { OPAQUE, TEXT, MESSAGE, VARINTS, WORDS, LONG_WORDS } content; /* of a field of bytes */

typedef struct shape shape;
typedef struct rule {
    uint8_t types; /* a bit for each wire type that the field may have */
    uint8_t content;
    const shape *message;
} rule;
struct shape {
    uint16_t once;  /* a bit for each field that may occur only once */
    uint16_t one_of; /* a bit for each field of a oneof: only one of them may occur */
    rule rules[16];
};

#define TEXT_FIELD {BYTES, TEXT, NULL}
#define BYTES_FIELD {BYTES, OPAQUE, NULL}
#define MESSAGE_FIELD(shape) {BYTES, MESSAGE, &shape}
#define VARINT_FIELD {VARINT, OPAQUE, NULL}
#define VARINTS_FIELD {VARINT | BYTES, VARINTS, NULL}
#define FLOATS_FIELD {FIXED32 | BYTES, WORDS, NULL}
#define DOUBLES_FIELD {FIXED64 | BYTES, LONG_WORDS, NULL}

static const shape dim = {0, 0, {[1] = VARINT_FIELD, [2] = TEXT_FIELD}};
static const shape tensor_shape = {0, 0, {[2] = MESSAGE_FIELD(dim), [3] = VARINT_FIELD}};
static const shape tensor = {0, 0, {
    [1] = VARINT_FIELD, [2] = MESSAGE_FIELD(tensor_shape), [3] = VARINT_FIELD, [4] = BYTES_FIELD, [5] = FLOATS_FIELD,
    [6] = DOUBLES_FIELD, [7] = VARINTS_FIELD, [8] = BYTES_FIELD, [9] = FLOATS_FIELD, [10] = VARINTS_FIELD,
    [11] = VARINTS_FIELD, [12] = DOUBLES_FIELD, [13] = VARINTS_FIELD}};
static const shape histogram = {0, 0, {
    [1] = {FIXED64, OPAQUE, NULL}, [2] = {FIXED64, OPAQUE, NULL}, [3] = {FIXED64, OPAQUE, NULL},
    [4] = {FIXED64, OPAQUE, NULL}, [5] = {FIXED64, OPAQUE, NULL}, [6] = DOUBLES_FIELD, [7] = DOUBLES_FIELD}};
static const shape image = {0, 0, {[1] = VARINT_FIELD, [2] = VARINT_FIELD, [3] = VARINT_FIELD, [4] = BYTES_FIELD}};
static const shape audio = {0, 0, {
    [1] = {FIXED32, OPAQUE, NULL}, [2] = VARINT_FIELD, [3] = VARINT_FIELD, [4] = BYTES_FIELD, [5] = TEXT_FIELD}};
static const shape plugin_data = {1 << PLUGIN_NAME, 0, {[PLUGIN_NAME] = TEXT_FIELD, [2] = BYTES_FIELD}};
static const shape metadata = {1 << METADATA_PLUGIN_DATA, 0, {
    [METADATA_PLUGIN_DATA] = MESSAGE_FIELD(plugin_data), [2] = TEXT_FIELD, [3] = TEXT_FIELD, [4] = VARINT_FIELD}};
static const shape value = {
    1 << VALUE_TAG | 1 << VALUE_METADATA,
    1 << VALUE_SIMPLE_VALUE | 1 << VALUE_OLD_HISTOGRAM | 1 << VALUE_IMAGE | 1 << VALUE_HISTO | 1 << VALUE_AUDIO |
        1 << VALUE_TENSOR,
    {[VALUE_TAG] = TEXT_FIELD, [VALUE_SIMPLE_VALUE] = {FIXED32, OPAQUE, NULL}, [VALUE_OLD_HISTOGRAM] = BYTES_FIELD,
     [VALUE_IMAGE] = MESSAGE_FIELD(image), [VALUE_HISTO] = MESSAGE_FIELD(histogram),
     [VALUE_AUDIO] = MESSAGE_FIELD(audio), [7] = TEXT_FIELD, [VALUE_TENSOR] = MESSAGE_FIELD(tensor),
     [VALUE_METADATA] = MESSAGE_FIELD(metadata)}};
static const shape summary = {0, 0, {[SUMMARY_VALUE] = MESSAGE_FIELD(value)}};
static const shape session_log = {1 << 1, 0, {[1] = VARINT_FIELD, [2] = TEXT_FIELD, [3] = TEXT_FIELD}};
static const shape run_metadata = {0, 0, {[1] = TEXT_FIELD, [2] = BYTES_FIELD}};
static const shape source_metadata = {0, 0, {[1] = TEXT_FIELD}};
static const shape event = {
    1 << EVENT_WALL_TIME | 1 << EVENT_STEP,
    1 << EVENT_FILE_VERSION | 1 << EVENT_GRAPH | 1 << EVENT_SUMMARY | 1 << EVENT_SESSION_LOG | 1 << EVENT_RUN_METADATA |
        1 << EVENT_META_GRAPH,
    {[EVENT_WALL_TIME] = {FIXED64, OPAQUE, NULL}, [EVENT_STEP] = VARINT_FIELD, [EVENT_FILE_VERSION] = TEXT_FIELD,
     [EVENT_GRAPH] = BYTES_FIELD, [EVENT_SUMMARY] = MESSAGE_FIELD(summary),
     [EVENT_SESSION_LOG] = MESSAGE_FIELD(session_log), [EVENT_RUN_METADATA] = MESSAGE_FIELD(run_metadata),
     [EVENT_META_GRAPH] = BYTES_FIELD, [10] = MESSAGE_FIELD(source_metadata)}};

/* As in RFC 3629: no surrogates, nothing above U+10FFFF, no longer form than needed. */
static bool is_utf8(const uint8_t *at, uint64_t size)
{
    const uint8_t *end = at + size;
    while (at < end) {
        const uint8_t lead = *at++;
        if (lead < 0x80)
            continue;
        if (lead < 0xC2 || lead > 0xF4)
            return false;
        const int more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
        uint8_t low = 0x80, high = 0xBF; /* of the second byte */
        low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : low;
        high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : high;
        if (end - at < more || *at < low || *at > high)
            return false;
        at++;
        for (int i = 1; i < more; i++, at++)
            if ((*at & 0xC0) != 0x80)
                return false;
    }
    return true;
}

static bool are_varints(cursor c)
{
    for (uint64_t ignored; c.at != c.end;)
        if (!read_varint(&c, &ignored))
            return false;
    return true;
}

/* Returns whether protobuf would accept a message, all of whose fields are in its shape. The depth of the recursion is
   that of the shapes. */
static bool has_shape(cursor message, const shape *shape)
{
    unsigned seen = 0;
    for (field f = {0}; message.at != message.end;) {
        if (!read_field(&message, &f))
            return false;
        const rule *rule = &shape->rules[f.number];
        const unsigned bit = 1u << f.number;
        if ((rule->types & 1u << f.type) == 0 || (seen & bit & shape->once) != 0)
            return false;
        if ((bit & shape->one_of) != 0 && (seen & shape->one_of) != 0)
            return false;
        seen |= bit;
        if (f.type != TBC_WIRE_BYTES)
            continue;
        if (f.value > INT32_MAX)
            return false;
        if (rule->content == TEXT && !is_utf8(f.data, f.value))
            return false;
        if (rule->content == MESSAGE && !has_shape(cursor_of(f), rule->message))
            return false;
        if (rule->content == VARINTS && !are_varints(cursor_of(f)))
            return false;
        if ((rule->content == WORDS && f.value % 4 != 0) || (rule->content == LONG_WORDS && f.value % 8 != 0))
            return false;
    }
    return true;
}

/* --- tags --- */

static inline bool is_tag(const tbc_tag *tag, tbc_bytes name)
{
    return tag->size == name.size && memcmp(tag->name, name.data, name.size) == 0;
}

/* Returns the tag's place in the table, or the free place for it. */
static size_t place_of(const tbc_tally *tally, tbc_bytes name)
{
    const struct tbc_tally_memory *memory = tally->memory;
    size_t at = tbc_siphash(tally->seed, 0, name.data, name.size) & (memory->capacity - 1);
    while (memory->table[at] != 0 && !is_tag(&tally->tags[memory->table[at] - 1], name))
        at = (at + 1) & (memory->capacity - 1);
    return at;
}

/* Doubles the table, and the room for tags, which is half of it. */
static bool grow_tags(tbc_tally *tally)
{
    struct tbc_tally_memory *memory = tally->memory;
    size_t *table = calloc(2 * memory->capacity, sizeof *table);
    tbc_tag *tags = table == NULL ? NULL : realloc(tally->tags, memory->capacity * sizeof *tags);
    if (tags == NULL) {
        free(table);
        return false;
    }
    free(memory->table);
    memory->table = table;
    memory->capacity *= 2;
    tally->tags = tags;
    for (size_t i = 0; i < tally->n_tags; i++)
        memory->table[place_of(tally, (tbc_bytes){tags[i].name, tags[i].size})] = i + 1;
    return true;
}

static tbc_tag *add_tag(tbc_tally *tally, tbc_bytes name, size_t at)
{
    struct tbc_tally_memory *memory = tally->memory;
    if (2 * tally->n_tags == memory->capacity) {
        if (!grow_tags(tally))
            return NULL;
        at = place_of(tally, name);
    }
    char *copy = malloc(name.size + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, name.data, name.size);
    const size_t index = tally->n_tags++;
    tally->tags[index] = (tbc_tag){.name = copy, .size = name.size, .kind = -1, .plugin = -2, .next = index};
    memory->table[at] = index + 1;
    return &tally->tags[index];
}

/* Finds or adds a tag; NULL if there is no memory. A new tag has a `plugin` of -2. */
static inline tbc_tag *tag_of(tbc_tally *tally, tbc_bytes name)
{
    struct tbc_tally_memory *memory = tally->memory;
    tbc_tag *tag = NULL;
    if (tally->n_tags != 0) {
        tag = &tally->tags[tally->tags[memory->last].next];
        if (is_tag(tag, name)) {
            memory->last = (size_t)(tag - tally->tags);
            return tag;
        }
    }
    const size_t at = place_of(tally, name);
    tag = memory->table[at] != 0 ? &tally->tags[memory->table[at] - 1] : add_tag(tally, name, at);
    if (tag == NULL)
        return NULL;
    const size_t index = (size_t)(tag - tally->tags);
    tally->tags[memory->last].next = index;
    memory->last = index;
    return tag;
}

/* --- steps --- */

/* Computes without a sign, since a stretch may span all of int64. */
static inline uint64_t stride_of(const tbc_stretch *stretch)
{
    return ((uint64_t)stretch->last - (uint64_t)stretch->first) / (stretch->count - 1);
}

/* Drops the steps that are not below `step`; returns how many are known to be dropped. */
static uint64_t drop_steps(tbc_tally *tally, tbc_tag *tag, int64_t step)
{
    uint64_t dropped = 0;
    while (tag->n > 0 && tag->stack[tag->n - 1].first >= step) {
        dropped += tag->stack[--tag->n].count;
        tally->memory->stretches--;
    }
    if (tag->n == 0 || tag->stack[tag->n - 1].last < step)
        return dropped;
    tbc_stretch *top = &tag->stack[tag->n - 1];
    if (top->is_even) {
        const uint64_t stride = stride_of(top);
        const uint64_t left = ((uint64_t)step - (uint64_t)top->first - 1) / stride + 1;
        dropped += top->count - left;
        top->count = left;
        top->last = (int64_t)((uint64_t)top->first + (left - 1) * stride);
    } else { /* the last step is dropped, the first one stays, and how many between them is unknown */
        if (!top->is_rough) {
            dropped++;
            top->count--;
        }
        top->is_rough = true;
        top->last = step - 1;
    }
    return dropped;
}

/* Joins the lower half of a tag's stretches. */
static void join_stretches(tbc_tally *tally, tbc_tag *tag)
{
    const size_t half = tag->n / 2;
    tbc_stretch *joined = &tag->stack[0];
    joined->is_even = false;
    joined->last = tag->stack[half - 1].last;
    for (size_t i = 1; i < half; i++) {
        joined->count += tag->stack[i].count;
        joined->is_rough |= tag->stack[i].is_rough;
    }
    memmove(&tag->stack[1], &tag->stack[half], (tag->n - half) * sizeof *tag->stack);
    tag->n -= half - 1;
    tally->memory->stretches -= half - 1;
}

static bool push_step(tbc_tally *tally, tbc_tag *tag, int64_t step)
{
    tbc_stretch *top = tag->n > 0 ? &tag->stack[tag->n - 1] : NULL;
    if (top != NULL && top->is_even &&
        (top->count == 1 || (uint64_t)step - (uint64_t)top->last == stride_of(top))) {
        top->last = step;
        top->count++;
        return true;
    }
    if (tally->memory->stretches >= tally->most && tag->n >= tally->least)
        join_stretches(tally, tag);
    if (tag->n == tag->capacity) {
        tbc_stretch *stack = tbc_grown(tag->stack, &tag->capacity, sizeof *stack, 1);
        if (stack == NULL)
            return false;
        tag->stack = stack;
    }
    tag->stack[tag->n++] = (tbc_stretch){.first = step, .last = step, .count = 1, .is_even = true};
    tally->memory->stretches++;
    return true;
}

/* Returns whether any session after the first `started` ones began at `step` or lower. */
static bool is_restart(const struct tbc_tally_memory *memory, int64_t step, uint64_t started)
{
    const tbc_start *lowest = tbc_starts_after(&memory->starts, started);
    return lowest != NULL && lowest->step <= step;
}

tbc_status tbc_tally_add_start(tbc_tally *tally, int64_t step)
{
    return tbc_starts_add(&tally->memory->starts, ++tally->memory->started, step);
}

bool tbc_tally_is_least(const tbc_tag *tag)
{
    for (size_t i = 0; i < tag->n; i++)
        if (tag->stack[i].is_rough)
            return true;
    return false;
}

/* --- values --- */

/* Returns the kind of the values that a plugin shows; -1 if there is no such plugin. */
static int kind_of_plugin(const tbc_tally *tally, tbc_bytes plugin)
{
    for (size_t i = 0; i < tally->n_plugins && plugin.size != 0; i++) {
        const tbc_bytes name = tally->plugins[i].name;
        if (name.size == plugin.size && memcmp(name.data, plugin.data, plugin.size) == 0)
            return tally->plugins[i].kind;
    }
    return -1;
}

static int kind_of(int field, int plugin)
{
    switch (field) {
    case VALUE_SIMPLE_VALUE: return TBC_KIND_SCALAR;
    case VALUE_HISTO: return TBC_KIND_HISTOGRAM;
    case VALUE_IMAGE: return TBC_KIND_IMAGE;
    case VALUE_AUDIO: return TBC_KIND_AUDIO;
    default: return plugin >= 0 ? plugin : field == VALUE_TENSOR ? TBC_KIND_TENSOR : TBC_KIND_EMPTY;
    }
}

/* Notes what is odd about a value; keeps the place of the first one only. Returns NULL if there is no memory. */
static tbc_odd_step *note_odd_step(tbc_tally *tally, tbc_tag *tag, int cause, tbc_odd_step first)
{
    if (tag->odd == NULL) {
        tag->odd = calloc(TBC_CAUSES, sizeof *tag->odd);
        if (tag->odd == NULL)
            return NULL;
    }
    tbc_odd_step *odd = &tag->odd[cause];
    if (odd->times == 0) {
        *odd = first;
        odd->file = tally->file;
    }
    odd->times++;
    return odd;
}

static tbc_status add_value(tbc_tally *tally, int64_t offset, int64_t step, tbc_bytes name, int field, tbc_bytes plugin)
{
    tbc_tag *tag = tag_of(tally, name);
    if (tag == NULL)
        return TBC_NO_MEMORY;
    tally->values++;
    const int plugin_kind = kind_of_plugin(tally, plugin);
    if (tag->plugin == -2)
        tag->plugin = plugin_kind;
    if (field == 0) /* TensorBoard's data server skips it */
        return TBC_OK;
    const int kind = kind_of(field, plugin.size != 0 ? plugin_kind : tag->plugin);
    if (tag->kind < 0)
        tag->kind = kind;
    tag->values++;
    if (kind != tag->kind &&
        note_odd_step(tally, tag, TBC_CAUSE_KINDS, (tbc_odd_step){.offset = offset, .kind = kind}) == NULL)
        return TBC_NO_MEMORY;
    if (tag->n > 0 && step <= tag->stack[tag->n - 1].last) {
        const int64_t last = tag->stack[tag->n - 1].last;
        int cause = step == last ? TBC_CAUSE_REPEAT : TBC_CAUSE_STEP;
        if (is_restart(tally->memory, step, tag->starts))
            cause = TBC_CAUSE_RESTART;
        tbc_odd_step *odd =
            note_odd_step(tally, tag, cause, (tbc_odd_step){.offset = offset, .before = last, .after = step});
        if (odd == NULL)
            return TBC_NO_MEMORY;
        odd->dropped += drop_steps(tally, tag, step);
    }
    tag->starts = tally->memory->started;
    return push_step(tally, tag, step) ? TBC_OK : TBC_NO_MEMORY;
}

tbc_status tbc_tally_add_value(tbc_tally *tally, int64_t offset, int64_t step, tbc_bytes tag, int field,
                               tbc_bytes plugin)
{
    return add_value(tally, offset, step, tag, field, plugin);
}

/* --- records --- */

static void note_odd_time(tbc_tally *tally, int64_t offset, double wall_time)
{
    int what = wall_time >= tally->future ? TBC_TIME_FUTURE : TBC_TIME_BACK;
    if (isnan(wall_time))
        what = TBC_TIME_NAN;
    else if (isinf(wall_time))
        what = TBC_TIME_INFINITE;
    else if (wall_time <= 0)
        what = TBC_TIME_ZERO;
    tbc_odd_time *odd = &tally->times[what];
    if (odd->times == 0)
        *odd = (tbc_odd_time){.offset = offset, .before = tally->before, .after = wall_time};
    odd->times++;
}

static inline void add_record(tbc_tally *tally, int64_t offset, uint64_t length, uint32_t crc, double wall_time,
                              bool is_version)
{
    const double back = 5; /* seconds; by less, a wall time may go back, since several threads may log */
    if (tally->records == 0) {
        tally->first_time = wall_time;
        tally->has_version = is_version;
    }
    tally->records++;
    tally->bytes += TBC_RECORD_HEAD + length + TBC_RECORD_TAIL;
    tally->content = ((tally->content << 23 | tally->content >> 41) ^ crc) * 0x9E3779B97F4A7C15u;
    if (!(wall_time > 0 && wall_time < tally->future && tally->before - wall_time < back))
        note_odd_time(tally, offset, wall_time);
    if (wall_time < tally->future)
        tally->before = wall_time;
}

void tbc_tally_add_record(tbc_tally *tally, int64_t offset, const uint8_t *data, size_t size, double wall_time,
                          bool is_version)
{
    const uint32_t crc = tbc_record_mask(~tbc_crc32c_fastest().run(0xFFFFFFFF, data, size));
    add_record(tally, offset, size, crc, wall_time, is_version);
}

/* Counts a value whose shape is already checked. */
static tbc_status read_value(tbc_tally *tally, cursor from, int64_t offset, int64_t step)
{
    tbc_bytes tag = {"", 0}, plugin = {"", 0};
    int content = 0;
    for (field f = {0}; from.at != from.end && read_field(&from, &f);) {
        if (f.number == VALUE_TAG)
            tag = bytes_of(f);
        else if (f.number == VALUE_METADATA)
            read_plugin(cursor_of(f), &plugin);
        else if (f.number != 7) /* node_name */
            content = (int)f.number;
    }
    return add_value(tally, offset, step, tag, content, plugin);
}

static tbc_tally_stop read_event(tbc_tally *tally, const uint8_t *data, uint64_t length, uint32_t crc, int64_t offset)
{
    plain_scalar plain;
    cursor c = {data, data + length};
    if (read_plain(data, length, &plain) && is_utf8((const uint8_t *)plain.tag.data, plain.tag.size)) {
        add_record(tally, offset, length, crc, plain.wall_time, false);
        const tbc_bytes no_plugin = {"", 0};
        return add_value(tally, offset, plain.step, plain.tag, VALUE_SIMPLE_VALUE, no_plugin) == TBC_OK
                   ? TBC_TALLY_MORE
                   : TBC_TALLY_NO_MEMORY;
    }
    if (!has_shape(c, &event))
        return TBC_TALLY_ODD;
    field what = {0};
    double wall_time = 0;
    int64_t step = 0;
    for (field f = {0}; c.at != c.end && read_field(&c, &f);) {
        if (f.number == EVENT_WALL_TIME)
            wall_time = double_at(f.data);
        else if (f.number == EVENT_STEP)
            step = (int64_t)f.value;
        else if (f.number <= EVENT_META_GRAPH)
            what = f;
    }
    add_record(tally, offset, length, crc, wall_time, what.number == EVENT_FILE_VERSION);
    tbc_status status = TBC_OK;
    field f = {0};
    c = cursor_of(what);
    while (what.number == EVENT_SUMMARY && status == TBC_OK && c.at != c.end && read_field(&c, &f))
        status = read_value(tally, cursor_of(f), offset, step);
    while (what.number == EVENT_SESSION_LOG && status == TBC_OK && c.at != c.end && read_field(&c, &f))
        if (f.number == 1 && (int32_t)f.value == SESSION_START) /* protobuf takes the low 32 bits of an enum */
            status = tbc_tally_add_start(tally, step);
    return status == TBC_OK ? TBC_TALLY_MORE : TBC_TALLY_NO_MEMORY;
}

tbc_tally_stop tbc_tally_records(tbc_tally *tally, const uint8_t *data, size_t size, int64_t offset, size_t *used)
{
    const tbc_crc32c_path crc = tbc_crc32c_fastest();
    tbc_tally_stop stop = TBC_TALLY_MORE;
    size_t at = 0;
    while (stop == TBC_TALLY_MORE && size - at >= TBC_RECORD_HEAD) {
        const uint8_t *record = data + at, *content = record + TBC_RECORD_HEAD;
        const uint64_t length = tbc_load_le64(record);
        if (tbc_load_le32(record + 8) != tbc_record_mask(~crc.run(0xFFFFFFFF, record, 8)) || length > INT32_MAX) {
            stop = TBC_TALLY_DAMAGED;
            break;
        }
        if (size - at < TBC_RECORD_HEAD + length + TBC_RECORD_TAIL)
            break;
        const uint32_t content_crc = tbc_load_le32(content + length);
        if (content_crc != tbc_record_mask(~crc.run(0xFFFFFFFF, content, length)))
            stop = TBC_TALLY_DAMAGED;
        else
            stop = read_event(tally, content, length, content_crc, offset + (int64_t)at);
        if (stop == TBC_TALLY_MORE)
            at += TBC_RECORD_HEAD + length + TBC_RECORD_TAIL;
    }
    *used = at;
    return stop;
}

/* --- the whole --- */

enum { FIRST_CAPACITY = 64 };

tbc_status tbc_tally_init(tbc_tally *tally)
{
    tally->memory = calloc(1, sizeof *tally->memory);
    if (tally->memory == NULL)
        return TBC_NO_MEMORY;
    tally->memory->table = calloc(FIRST_CAPACITY, sizeof *tally->memory->table);
    tally->tags = malloc(FIRST_CAPACITY / 2 * sizeof *tally->tags);
    tally->memory->capacity = FIRST_CAPACITY;
    tally->file = SIZE_MAX; /* tbc_tally_begin_file makes it 0 */
    return tally->memory->table != NULL && tally->tags != NULL ? TBC_OK : TBC_NO_MEMORY;
}

void tbc_tally_free(tbc_tally *tally)
{
    for (size_t i = 0; i < tally->n_tags; i++) {
        free(tally->tags[i].name);
        free(tally->tags[i].stack);
        free(tally->tags[i].odd);
    }
    free(tally->tags);
    if (tally->memory != NULL) {
        free(tally->memory->table);
        free(tally->memory->starts.stack);
    }
    free(tally->memory);
    tally->tags = NULL;
    tally->n_tags = 0;
    tally->memory = NULL;
}

void tbc_tally_begin_file(tbc_tally *tally, double future)
{
    tally->file++;
    tally->future = future;
    tally->before = tally->first_time = 0;
    tally->has_version = false;
    tally->records = tally->bytes = tally->values = tally->content = 0;
    memset(tally->times, 0, sizeof tally->times);
}
