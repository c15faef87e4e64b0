/* Event files, read into columns.
 *
 * A series is what was logged of one kind under one tag. Each of its values is a row: the step, the wall time, and a
 * cell with the number of a scalar or, of anything else, the offset of its record.
 *
 * The caller reads the file, piece by piece, and hands the bytes over. Of each record (record.h) both checksums are
 * checked, then the Event in it is taken apart as far as that needs, and no further:
 *
 *   Event    1 double wall_time   2 int64 step   5 Summary   7 SessionLog { 1 status }   3, 4, 8, 9 other contents
 *   Summary  1 Value, repeated
 *   Value    1 string tag   2 float simple_value   3, 4, 5, 6 other contents   8 TensorProto   9 SummaryMetadata
 *   SummaryMetadata { 1 PluginData { 1 string plugin_name } }
 *   TensorProto      1 dtype   4 bytes tensor_content   5 float float_val, repeated   6 double double_val, repeated
 *
 * What writers do not write (contents twice, a field of a wrong type or with a number above 15, a scalar of other types
 * than these) is odd, and so is what is no Event: such a record is left to the caller, who knows all of protobuf. No row
 * of a record is taken unless all of them are.
 *
 * A run that restarts goes on in a new file, often from an earlier step. Where the caller wants it, a file hides rows of
 * the files before it, and never a row of its own:
 *
 *   - the first value of a series in a file, at step s, hides the earlier files' rows of that series from step s on;
 *   - the start of a session, a SessionLog with status START at step s, hides those of all series. (But a series that
 *     lasts, as a graph does, loses no row.)
 *
 * The file may come from an attacker, who knows this code. Time and memory are linear in the size of the file: in the
 * number and the length of keys, in values of an event, records, rows, files, and starts of sessions. For that the hash
 * of keys has a random seed, and rows are hidden once, when all files were read: one pass over the rows of a series,
 * which knows where each file began. (Which start hides rows of a file is found by bisection, the one logarithm.)
 */
#ifndef TBC_SCAN_H
#define TBC_SCAN_H

#include "wire.h"
#include <stdbool.h>

/* What decides of which series a value is. */
typedef struct tbc_key {
    tbc_bytes tag;
    tbc_bytes plugin; /* of its metadata; empty without */
    int field;        /* of Value, that holds it, or 0; of Event, negated, if that holds anything but a summary */
} tbc_key;

typedef union tbc_cell {
    double number;
    int64_t offset;
} tbc_cell;

/* Of a series, what one file holds. */
typedef struct tbc_segment {
    size_t file;      /* its number */
    size_t first_row; /* the rows of the file begin here */
    int64_t step;     /* of the first value, whether that is wanted or not */
    bool is_cut;      /* rows from step `cut` on are hidden */
    int64_t cut;
} tbc_segment;

typedef struct tbc_series {
    int64_t *step;
    double *wall_time;
    tbc_cell *cell;
    size_t n, capacity;
    size_t file;           /* the number of the one whose rows are added */
    tbc_segment *segments; /* in the order of the files; empty unless the scan hides rows */
    size_t n_segments, segment_capacity;
    size_t segment; /* that of the file, and what is hidden of it, when files are read again */
    bool is_cut;
    int64_t cut;
    uint64_t bytes; /* of the file, in all: a value's own, and the first one's of an event has the rest of its record */
    uint64_t hidden; /* rows */
    uint64_t folded; /* rows that were dropped, since no more than `keep` were wanted, */
    int64_t min_step, max_step; /* and the steps of these, if there are any */
    bool is_scalar;
    bool is_lasting; /* nothing hides rows of it */
} tbc_series;

enum { TBC_UNWANTED = -1, TBC_ODD = -2, TBC_STOP = -3 };

/* Asked once for each key: the index of a series that tbc_scan_add_series gave, TBC_UNWANTED, TBC_ODD if there is no
   such tag, or TBC_STOP. */
typedef int (*tbc_resolve)(void *context, const tbc_key *key);

typedef struct tbc_scan {
    tbc_resolve resolve;
    void *context;
    int64_t first_step, last_step; /* of the rows that are wanted */
    size_t keep; /* how many rows of each series are kept, the last ones; SIZE_MAX keeps all */
    bool hides;  /* a file hides rows of earlier ones, see above. With another `keep` than SIZE_MAX, and more than one
                    file, the files are to be read twice: see tbc_scan_again */
    uint64_t seed[2]; /* of the hash of keys: random, or an attacker makes all of them collide */
    tbc_series *series;
    size_t n_series;
    struct tbc_scan_memory *memory;
} tbc_scan;

typedef enum tbc_scan_stop {
    TBC_SCAN_MORE,    /* what is left is no whole record */
    TBC_SCAN_DAMAGED, /* a checksum does not hold, or a length is impossible */
    TBC_SCAN_ODD,     /* the checksums hold, but the contents are the caller's to read */
    TBC_SCAN_LARGE,   /* a record with `large` bytes of data or more begins */
    TBC_SCAN_STOPPED, /* resolve said so */
    TBC_SCAN_NO_MEMORY,
} tbc_scan_stop;

/* Of a scan whose members down to `seed` are set, and the rest zero. */
tbc_status tbc_scan_init(tbc_scan *scan);
void tbc_scan_free(tbc_scan *scan);

/* Answers the index of a new series, or -1 if there is no memory. */
int tbc_scan_add_series(tbc_scan *scan, bool is_scalar, bool is_lasting);

/* Appends a row, if its step is wanted. */
tbc_status tbc_scan_add_row(tbc_scan *scan, int series, int64_t step, double wall_time, tbc_cell cell, uint64_t bytes);

/* The next rows are of another file. It comes before the first file, too. */
void tbc_scan_next_file(tbc_scan *scan);

/* Notes the start of a session at that step, in the file that is read. */
tbc_status tbc_scan_start_session(tbc_scan *scan, int64_t step);

/* All files were read. Hides what is to be hidden of a series, and drops rows down to `keep`. After it, the series takes
   no more rows. */
tbc_series *tbc_scan_finish(tbc_scan *scan, int series);

/* Forgets all rows, but not what hides them: the same files are to be read once more. Rows that are hidden are only
   counted then, so that a scan with a small `keep` needs no memory for them. */
void tbc_scan_again(tbc_scan *scan);

/* Takes the records that begin at data, at `offset` of the file; `used` is how many bytes of them were taken. */
tbc_scan_stop tbc_scan_records(tbc_scan *scan, const uint8_t *data, size_t size, int64_t offset, uint64_t large,
                               size_t *used);

typedef struct tbc_peek {
    int64_t step;
    double wall_time;
    tbc_key key;
    bool knows_plugin; /* else it stands behind what was looked at */
} tbc_peek;

/* What the only value of an event is, by the first `size` bytes of its record's `length` bytes of data. False if there
   may be more values, or these bytes do not tell. (Behind its content there may be metadata, but nothing else.) */
bool tbc_scan_peek(const uint8_t *data, size_t size, uint64_t length, tbc_peek *peek);

#endif
