/* The bytes are read once. A training loop logs its tags in the same order again and again. So the key of a value is
   first compared with the key that followed the previous one last time, and is looked up in a table only if they differ
   (open addressing; the capacity is a power of two; at most half full). The values of an event are staged, and become
   rows after the whole event is read. */
#include "scan.h"
#include "crc32c.h"
#include "fields.h"
#include "record.h"
#include "siphash.h"
#include "starts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DT_FLOAT = 1, DT_DOUBLE = 2 };

typedef struct entry {
    char *text; /* the tag, then the plugin; NULL if the place is free */
    size_t tag_size, plugin_size;
    int field, series;
    size_t next; /* the place of the key that followed this one last time */
} entry;

typedef struct staged {
    int series;
    tbc_cell cell;
    uint64_t bytes;
} staged;

struct tbc_scan_memory {
    entry *entries;
    size_t n, capacity;
    size_t last; /* the place of the previous key */
    staged *stage;
    size_t staged, stage_capacity;
    size_t file;   /* the number of the current file, from 1 on */
    bool is_again; /* the files are read for the second time */
    tbc_starts starts;
};

/* --- values --- */

static const tbc_key no_key = {{"", 0}, {"", 0}, 0};

/* Reads the first element as the reader's core does: from tensor_content unless that is empty. NaN if there is none. */
static bool read_number(cursor tensor, double *number)
{
    uint64_t dtype = 0;
    field content = {0}, values = {0};
    for (field f = {0}; tensor.at != tensor.end;) {
        if (!read_field(&tensor, &f))
            return false;
        if (is_field(f, TENSOR_DTYPE, TBC_WIRE_VARINT))
            dtype = f.value;
        else if (is_field(f, TENSOR_CONTENT, TBC_WIRE_BYTES) && content.data == NULL)
            content = f;
        else if ((f.number == TENSOR_FLOAT_VAL || f.number == TENSOR_DOUBLE_VAL) && values.data == NULL)
            values = f;
        else if (f.number != 2 && f.number != 3) /* shape and version */
            return false;
    }
    size_t size = dtype == DT_FLOAT ? 4 : 8;
    unsigned val = dtype == DT_FLOAT ? TENSOR_FLOAT_VAL : TENSOR_DOUBLE_VAL;
    unsigned single = dtype == DT_FLOAT ? TBC_WIRE_FIXED32 : TBC_WIRE_FIXED64;
    if (dtype != DT_FLOAT && dtype != DT_DOUBLE)
        return false;
    if (values.data != NULL && (values.number != val || (values.type != TBC_WIRE_BYTES && values.type != single)))
        return false;
    if (values.data != NULL && values.value % size != 0)
        return false;
    const field from = content.value != 0 ? content : values;
    if (from.value < size)
        *number = (double)NAN;
    else
        *number = dtype == DT_FLOAT ? float_at(from.data) : double_at(from.data);
    return true;
}

/* --- keys --- */

static uint64_t hash_of(const uint64_t seed[2], const tbc_key *key)
{
    uint64_t hash = tbc_siphash(seed, (uint32_t)key->field, key->tag.data, key->tag.size);
    return key->plugin.size == 0 ? hash : tbc_siphash(seed, hash, key->plugin.data, key->plugin.size);
}

static inline bool has_key(const entry *entry, const tbc_key *key)
{
    return entry->text != NULL && entry->field == key->field && entry->tag_size == key->tag.size &&
           entry->plugin_size == key->plugin.size && memcmp(entry->text, key->tag.data, key->tag.size) == 0 &&
           memcmp(entry->text + entry->tag_size, key->plugin.data, key->plugin.size) == 0;
}

/* Returns the place of the key, or the free place for it. */
static size_t place_of(const tbc_scan *scan, const tbc_key *key)
{
    const struct tbc_scan_memory *memory = scan->memory;
    size_t at = hash_of(scan->seed, key) & (memory->capacity - 1);
    while (memory->entries[at].text != NULL && !has_key(&memory->entries[at], key))
        at = (at + 1) & (memory->capacity - 1);
    return at;
}

static bool grow_entries(tbc_scan *scan)
{
    struct tbc_scan_memory *memory = scan->memory;
    const struct tbc_scan_memory old = *memory;
    entry *entries = calloc(2 * old.capacity, sizeof *entries);
    if (entries == NULL)
        return false;
    memory->entries = entries;
    memory->capacity = 2 * old.capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        const entry *e = &old.entries[i];
        if (e->text == NULL)
            continue;
        tbc_key key = {{e->text, e->tag_size}, {e->text + e->tag_size, e->plugin_size}, e->field};
        size_t at = place_of(scan, &key);
        memory->entries[at] = *e;
        memory->entries[at].next = at;
    }
    memory->last = 0;
    free(old.entries);
    return true;
}

static tbc_scan_stop add_key(tbc_scan *scan, const tbc_key *key, size_t *at)
{
    struct tbc_scan_memory *memory = scan->memory;
    if (2 * (memory->n + 1) > memory->capacity && !grow_entries(scan))
        return TBC_SCAN_NO_MEMORY;
    char *text = malloc(key->tag.size + key->plugin.size + 1);
    if (text == NULL)
        return TBC_SCAN_NO_MEMORY;
    int series = scan->resolve(scan->context, key);
    if (series < TBC_UNWANTED) {
        free(text);
        return series == TBC_ODD ? TBC_SCAN_ODD : TBC_SCAN_STOPPED;
    }
    memcpy(text, key->tag.data, key->tag.size);
    memcpy(text + key->tag.size, key->plugin.data, key->plugin.size);
    *at = place_of(scan, key);
    memory->entries[*at] = (entry){text, key->tag.size, key->plugin.size, key->field, series, *at};
    memory->n++;
    return TBC_SCAN_MORE;
}

/* Finds or adds the series of a key. Returns TBC_SCAN_MORE on success. */
static inline tbc_scan_stop series_of(tbc_scan *scan, const tbc_key *key, int *series)
{
    struct tbc_scan_memory *memory = scan->memory;
    size_t at = memory->entries[memory->last].next;
    if (!has_key(&memory->entries[at], key)) {
        at = place_of(scan, key);
        if (memory->entries[at].text == NULL) {
            tbc_scan_stop stop = add_key(scan, key, &at);
            if (stop != TBC_SCAN_MORE)
                return stop;
        }
        memory->entries[memory->last].next = at;
    }
    memory->last = at;
    *series = memory->entries[at].series;
    return TBC_SCAN_MORE;
}

/* --- rows --- */

static bool grow_series(tbc_series *series)
{
    size_t capacity = series->capacity == 0 ? 16 : 2 * series->capacity;
    int64_t *step = realloc(series->step, capacity * sizeof *step);
    series->step = step != NULL ? step : series->step;
    double *wall_time = realloc(series->wall_time, capacity * sizeof *wall_time);
    series->wall_time = wall_time != NULL ? wall_time : series->wall_time;
    tbc_cell *cell = realloc(series->cell, capacity * sizeof *cell);
    series->cell = cell != NULL ? cell : series->cell;
    if (step == NULL || wall_time == NULL || cell == NULL)
        return false;
    series->capacity = capacity;
    return true;
}

/* Drops all rows but the last `keep`. */
static void keep_last(tbc_series *series, size_t keep)
{
    if (series->n <= keep)
        return;
    const size_t dropped = series->n - keep;
    if (series->folded == 0)
        series->min_step = series->max_step = series->step[0];
    for (size_t i = 0; i < dropped; i++) {
        const int64_t step = series->step[i];
        series->min_step = step < series->min_step ? step : series->min_step;
        series->max_step = step > series->max_step ? step : series->max_step;
    }
    memmove(series->step, series->step + dropped, keep * sizeof *series->step);
    memmove(series->wall_time, series->wall_time + dropped, keep * sizeof *series->wall_time);
    memmove(series->cell, series->cell + dropped, keep * sizeof *series->cell);
    series->folded += dropped;
    series->n = keep;
}

/* Folds at least half of the rows each time, so it takes constant time per row. */
static bool make_room(const tbc_scan *scan, tbc_series *series)
{
    if (series->n > 0 && series->n / 2 >= scan->keep) {
        keep_last(series, scan->keep);
        return true;
    }
    return grow_series(series);
}

/* Begins the segment of a file, at its first value of the series. */
static bool begin_segment(const struct tbc_scan_memory *memory, tbc_series *series, int64_t step)
{
    series->file = memory->file;
    if (memory->is_again) { /* the first reading made the segment, unless the file has grown since */
        while (series->segment < series->n_segments && series->segments[series->segment].file < memory->file)
            series->segment++;
        const bool is_there =
            series->segment < series->n_segments && series->segments[series->segment].file == memory->file;
        series->is_cut = is_there && series->segments[series->segment].is_cut;
        series->cut = is_there ? series->segments[series->segment].cut : 0;
        return true;
    }
    if (series->n_segments == series->segment_capacity) {
        tbc_segment *segments = tbc_grown(series->segments, &series->segment_capacity, sizeof *segments, 16);
        if (segments == NULL)
            return false;
        series->segments = segments;
    }
    series->segments[series->n_segments++] =
        (tbc_segment){.file = memory->file, .first_row = series->n, .step = step};
    return true;
}

/* Sets what is hidden of each segment. It goes from the last file to the first, so `cut` only decreases. Example: if
   the files begin at the steps 0, 5 and 3, the first two lose their rows from step 3 on, and the third loses none. */
static void cut_segments(const struct tbc_scan_memory *memory, tbc_series *series)
{
    bool is_cut = false;
    int64_t cut = 0;
    for (size_t i = series->n_segments; i-- > 0;) {
        tbc_segment *segment = &series->segments[i];
        const tbc_start *start = tbc_starts_after(&memory->starts, segment->file);
        segment->is_cut = is_cut || start != NULL;
        segment->cut = start != NULL && (!is_cut || start->step < cut) ? start->step : cut;
        if (!is_cut || segment->step < cut)
            cut = segment->step;
        is_cut = true;
    }
}

/* Drops the hidden rows. */
static void hide_rows(tbc_series *series)
{
    size_t kept = 0;
    for (size_t i = 0; i < series->n_segments; i++) {
        const tbc_segment *segment = &series->segments[i];
        const size_t end = i + 1 < series->n_segments ? series->segments[i + 1].first_row : series->n;
        for (size_t row = segment->first_row; row < end; row++) {
            if (segment->is_cut && series->step[row] >= segment->cut)
                continue;
            series->step[kept] = series->step[row];
            series->wall_time[kept] = series->wall_time[row];
            series->cell[kept++] = series->cell[row];
        }
    }
    series->hidden += series->n - kept;
    series->n = kept;
}

void tbc_scan_next_file(tbc_scan *scan) { scan->memory->file++; }

tbc_status tbc_scan_start_session(tbc_scan *scan, int64_t step)
{
    return tbc_starts_add(&scan->memory->starts, scan->memory->file, step);
}

tbc_series *tbc_scan_finish(tbc_scan *scan, int index)
{
    tbc_series *series = &scan->series[index];
    if (scan->hides && !series->is_lasting && !scan->memory->is_again && series->folded == 0) {
        cut_segments(scan->memory, series);
        hide_rows(series);
    }
    keep_last(series, scan->keep);
    return series;
}

void tbc_scan_again(tbc_scan *scan)
{
    scan->memory->file = 0;
    scan->memory->is_again = true;
    for (size_t i = 0; i < scan->n_series; i++) {
        tbc_series *series = &scan->series[i];
        cut_segments(scan->memory, series);
        series->n = series->file = 0;
        series->bytes = series->hidden = series->folded = 0;
    }
}

static inline bool append_row(tbc_scan *scan, int index, int64_t step, double wall_time, tbc_cell cell, uint64_t bytes)
{
    tbc_series *series = &scan->series[index];
    if (scan->hides && !series->is_lasting && series->file != scan->memory->file &&
        !begin_segment(scan->memory, series, step))
        return false;
    if (step < scan->first_step || step > scan->last_step)
        return true;
    series->bytes += bytes;
    if (series->is_cut && step >= series->cut) {
        series->hidden++;
        return true;
    }
    if (series->n == series->capacity && !make_room(scan, series))
        return false;
    series->step[series->n] = step;
    series->wall_time[series->n] = wall_time;
    series->cell[series->n++] = cell;
    return true;
}

tbc_status tbc_scan_add_row(tbc_scan *scan, int series, int64_t step, double wall_time, tbc_cell cell, uint64_t bytes)
{
    return append_row(scan, series, step, wall_time, cell, bytes) ? TBC_OK : TBC_NO_MEMORY;
}

static bool grow_stage(struct tbc_scan_memory *memory)
{
    staged *stage = tbc_grown(memory->stage, &memory->stage_capacity, sizeof *stage, 16);
    if (stage == NULL)
        return false;
    memory->stage = stage;
    return true;
}

/* Stages a value. `content` is the field that key->field names, `offset` the record's, `bytes` the value's size. */
static tbc_scan_stop stage_value(tbc_scan *scan, const tbc_key *key, field content, int64_t offset,
                                 uint64_t bytes)
{
    struct tbc_scan_memory *memory = scan->memory;
    staged value = {.cell = {.offset = offset}, .bytes = bytes};
    tbc_scan_stop stop = series_of(scan, key, &value.series);
    if (stop != TBC_SCAN_MORE || value.series == TBC_UNWANTED)
        return stop;
    if (scan->series[value.series].is_scalar) {
        if (key->field == VALUE_SIMPLE_VALUE)
            value.cell.number = float_at(content.data);
        else if (key->field != VALUE_TENSOR || !read_number(cursor_of(content), &value.cell.number))
            return TBC_SCAN_ODD;
    }
    if (memory->staged == memory->stage_capacity && !grow_stage(memory))
        return TBC_SCAN_NO_MEMORY;
    memory->stage[memory->staged++] = value;
    return TBC_SCAN_MORE;
}

static tbc_scan_stop append_staged(tbc_scan *scan, int64_t step, double wall_time, uint64_t bytes)
{
    struct tbc_scan_memory *memory = scan->memory;
    for (size_t i = 0; i < memory->staged; i++)
        bytes -= memory->stage[i].bytes;
    for (size_t i = 0; i < memory->staged; i++) {
        const staged *value = &memory->stage[i];
        uint64_t with_rest = value->bytes + (i == 0 ? bytes : 0);
        if (!append_row(scan, value->series, step, wall_time, value->cell, with_rest))
            return TBC_SCAN_NO_MEMORY; /* the scan ends, and the caller discards its rows */
    }
    return TBC_SCAN_MORE;
}

/* --- events --- */

static tbc_scan_stop read_value(tbc_scan *scan, cursor value, int64_t offset)
{
    tbc_key key = no_key;
    field content = {0}, metadata = {0};
    const uint8_t *start = value.at;
    for (field f = {0}; value.at != value.end;) {
        if (!read_field(&value, &f))
            return TBC_SCAN_ODD;
        if (is_field(f, VALUE_TAG, TBC_WIRE_BYTES)) {
            key.tag = bytes_of(f);
        } else if (is_field(f, VALUE_METADATA, TBC_WIRE_BYTES) && metadata.data == NULL) {
            metadata = f;
        } else if (f.number <= VALUE_TENSOR && f.number != VALUE_TAG && f.number != 7) { /* 7 is node_name */
            if (content.data != NULL || f.type != (f.number == VALUE_SIMPLE_VALUE ? TBC_WIRE_FIXED32 : TBC_WIRE_BYTES))
                return TBC_SCAN_ODD;
            content = f;
        } else if (f.number <= VALUE_METADATA && f.number != 7) {
            return TBC_SCAN_ODD;
        }
    }
    if (metadata.data != NULL && !read_plugin(cursor_of(metadata), &key.plugin))
        return TBC_SCAN_ODD;
    key.field = (int)content.number;
    uint64_t size = (uint64_t)(value.end - start);
    return stage_value(scan, &key, content, offset, tbc_size_bytes(size));
}

static tbc_scan_stop read_summary(tbc_scan *scan, cursor summary, int64_t offset)
{
    tbc_scan_stop stop = TBC_SCAN_MORE;
    for (field f = {0}; stop == TBC_SCAN_MORE && summary.at != summary.end;) {
        if (!read_field(&summary, &f) || f.type != TBC_WIRE_BYTES || f.number != SUMMARY_VALUE)
            return TBC_SCAN_ODD;
        stop = read_value(scan, cursor_of(f), offset);
    }
    return stop;
}

/* Reads what an event has in place of a summary. */
static tbc_scan_stop read_other(tbc_scan *scan, field what, int64_t offset, bool *starts)
{
    tbc_key key = {no_key.tag, no_key.plugin, -(int)what.number};
    cursor c = cursor_of(what);
    bool is_log = what.number == EVENT_SESSION_LOG, seen = false;
    for (field f = {0}; (is_log || what.number == EVENT_RUN_METADATA) && c.at != c.end;) {
        if (!read_field(&c, &f))
            return TBC_SCAN_ODD;
        if (f.number != 1) /* the status of a SessionLog, the tag of a TaggedRunMetadata */
            continue;
        if (seen || f.type != (is_log ? TBC_WIRE_VARINT : TBC_WIRE_BYTES))
            return TBC_SCAN_ODD;
        seen = true;
        if (is_log)
            *starts = (int32_t)f.value == SESSION_START; /* protobuf takes the low 32 bits of an enum */
        else
            key.tag = bytes_of(f);
    }
    return stage_value(scan, &key, what, offset, 0);
}

/* Reads the most common event, with one simple_value, in a third of the time. Returns false for any other event. */
static bool read_plain_scalar(tbc_scan *scan, const uint8_t *data, uint64_t length, tbc_scan_stop *stop)
{
    plain_scalar plain;
    if (!read_plain(data, length, &plain))
        return false;
    const tbc_key key = {plain.tag, no_key.plugin, VALUE_SIMPLE_VALUE};
    int series;
    *stop = series_of(scan, &key, &series);
    if (*stop == TBC_SCAN_MORE && series != TBC_UNWANTED &&
        !append_row(scan, series, plain.step, plain.wall_time, (tbc_cell){float_at(plain.value)},
                TBC_RECORD_HEAD + length + TBC_RECORD_TAIL))
        *stop = TBC_SCAN_NO_MEMORY;
    return true;
}

static tbc_scan_stop read_event(tbc_scan *scan, const uint8_t *data, uint64_t length, int64_t offset)
{
    cursor event = {data, data + length};
    field what = {0};
    double wall_time = 0;
    int64_t step = 0;
    bool starts = false;
    tbc_scan_stop stop = TBC_SCAN_MORE;
    if (read_plain_scalar(scan, data, length, &stop))
        return stop;
    for (field f = {0}; event.at != event.end;) {
        if (!read_field(&event, &f))
            return TBC_SCAN_ODD;
        if (is_field(f, EVENT_WALL_TIME, TBC_WIRE_FIXED64)) {
            wall_time = double_at(f.data);
        } else if (is_field(f, EVENT_STEP, TBC_WIRE_VARINT)) {
            step = (int64_t)f.value;
        } else if (f.number >= EVENT_FILE_VERSION && f.number <= EVENT_META_GRAPH && f.number != 6) { /* log_message */
            if (what.data != NULL || f.type != TBC_WIRE_BYTES)
                return TBC_SCAN_ODD;
            what = f;
        } else if (f.number <= EVENT_STEP) {
            return TBC_SCAN_ODD;
        }
    }
    scan->memory->staged = 0;
    if (what.number == EVENT_SUMMARY)
        stop = read_summary(scan, cursor_of(what), offset);
    else if (what.number != 0)
        stop = read_other(scan, what, offset, &starts);
    if (stop != TBC_SCAN_MORE)
        return stop;
    if (starts && tbc_scan_start_session(scan, step) != TBC_OK)
        return TBC_SCAN_NO_MEMORY;
    return append_staged(scan, step, wall_time, TBC_RECORD_HEAD + length + TBC_RECORD_TAIL);
}

tbc_scan_stop tbc_scan_records(tbc_scan *scan, const uint8_t *data, size_t size, int64_t offset, uint64_t large,
                               size_t *used)
{
    const tbc_crc32c_path crc = tbc_crc32c_fastest();
    tbc_scan_stop stop = TBC_SCAN_MORE;
    size_t at = 0;
    while (stop == TBC_SCAN_MORE && size - at >= TBC_RECORD_HEAD) {
        const uint8_t *record = data + at, *event = record + TBC_RECORD_HEAD;
        uint64_t length = tbc_load_le64(record);
        uint32_t head_crc = tbc_load_le32(record + 8);
        if (head_crc != tbc_record_mask(~crc.run(0xFFFFFFFF, record, 8)) || length > INT32_MAX)
            stop = TBC_SCAN_DAMAGED;
        else if (length >= large)
            stop = TBC_SCAN_LARGE;
        else if (size - at < TBC_RECORD_HEAD + length + TBC_RECORD_TAIL)
            break;
        else if (tbc_load_le32(event + length) != tbc_record_mask(~crc.run(0xFFFFFFFF, event, length)))
            stop = TBC_SCAN_DAMAGED;
        else
            stop = read_event(scan, event, length, offset + (int64_t)at);
        if (stop == TBC_SCAN_MORE)
            at += TBC_RECORD_HEAD + length + TBC_RECORD_TAIL;
    }
    *used = at;
    return stop;
}

/* Does what read_field does, but the cursor may end early: sets `is_cut` if the field extends beyond its end, by
   `missing` bytes. */
static bool read_partial_field(cursor *c, field *f, bool *is_cut, uint64_t *missing)
{
    if (!read_head(c, f))
        return false;
    size_t here = (size_t)(c->end - c->at);
    *is_cut = f->type == TBC_WIRE_BYTES && f->value > here;
    if (*is_cut)
        *missing = f->value - here;
    else if (f->type != TBC_WIRE_VARINT && f->value > here)
        return false;
    else if (f->type != TBC_WIRE_VARINT)
        c->at += f->value;
    return true;
}

bool tbc_scan_peek(const uint8_t *data, size_t size, uint64_t length, tbc_peek *peek)
{
    const uint64_t beyond = length - size;
    cursor c = {data, data + size};
    field f = {0};
    bool is_cut = false;
    uint64_t missing = 0;
    *peek = (tbc_peek){.key = no_key};
    while (!is_cut) { /* the event, up to its content, which must end where the record's data end */
        if (!read_partial_field(&c, &f, &is_cut, &missing))
            return false;
        if (is_field(f, EVENT_WALL_TIME, TBC_WIRE_FIXED64))
            peek->wall_time = double_at(f.data);
        else if (is_field(f, EVENT_STEP, TBC_WIRE_VARINT))
            peek->step = (int64_t)f.value;
        else if (!is_cut)
            return false;
    }
    if (missing != beyond)
        return false;
    if (f.number == EVENT_GRAPH || f.number == EVENT_META_GRAPH) {
        peek->key.field = -(int)f.number;
        peek->knows_plugin = true;
        return true;
    }
    if (f.number != EVENT_SUMMARY)
        return false;
    if (!read_partial_field(&c, &f, &is_cut, &missing) || f.number != SUMMARY_VALUE || !is_cut || missing != beyond)
        return false;
    for (is_cut = false; !is_cut;) {
        if (!read_partial_field(&c, &f, &is_cut, &missing))
            return false;
        if (is_cut)
            break;
        if (is_field(f, VALUE_TAG, TBC_WIRE_BYTES))
            peek->key.tag = bytes_of(f);
        else if (is_field(f, VALUE_METADATA, TBC_WIRE_BYTES) && read_plugin(cursor_of(f), &peek->key.plugin))
            peek->knows_plugin = true;
        else
            return false;
    }
    if (missing != beyond && peek->key.tag.size == 0) /* the tag may follow the content */
        return false;
    peek->key.field = (int)f.number;
    peek->knows_plugin |= missing == beyond;
    return missing <= beyond && f.number > VALUE_SIMPLE_VALUE && f.number <= VALUE_TENSOR && f.number != 7;
}

/* --- the whole --- */

enum { FIRST_ENTRIES = 64 };

tbc_status tbc_scan_init(tbc_scan *scan)
{
    scan->memory = calloc(1, sizeof *scan->memory);
    if (scan->memory == NULL)
        return TBC_NO_MEMORY;
    scan->memory->entries = calloc(FIRST_ENTRIES, sizeof *scan->memory->entries);
    scan->memory->capacity = FIRST_ENTRIES;
    return scan->memory->entries != NULL ? TBC_OK : TBC_NO_MEMORY;
}

void tbc_scan_free(tbc_scan *scan)
{
    for (size_t i = 0; i < scan->n_series; i++) {
        free(scan->series[i].step);
        free(scan->series[i].wall_time);
        free(scan->series[i].cell);
        free(scan->series[i].segments);
    }
    free(scan->series);
    struct tbc_scan_memory *memory = scan->memory;
    for (size_t i = 0; memory != NULL && memory->entries != NULL && i < memory->capacity; i++)
        free(memory->entries[i].text);
    if (memory != NULL) {
        free(memory->entries);
        free(memory->stage);
        free(memory->starts.stack);
    }
    free(memory);
    scan->series = NULL;
    scan->n_series = 0;
    scan->memory = NULL;
}

int tbc_scan_add_series(tbc_scan *scan, bool is_scalar, bool is_lasting)
{
    bool is_full = (scan->n_series & (scan->n_series - 1)) == 0; /* the capacity is always a power of two */
    if (is_full) {
        tbc_series *series = realloc(scan->series, (scan->n_series == 0 ? 1 : 2 * scan->n_series) * sizeof *series);
        if (series == NULL)
            return -1;
        scan->series = series;
    }
    scan->series[scan->n_series] = (tbc_series){.is_scalar = is_scalar, .is_lasting = is_lasting};
    return (int)scan->n_series++;
}
