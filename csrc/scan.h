/* Reads event files into columns.
 *
 * A series has the values of one kind that were logged under one tag. Each value is a row: its step, its wall time, and
 * a cell with the number of a scalar or, for other kinds, the offset of its record.
 *
 * The caller reads the file in pieces and passes the bytes. For each record (record.h) both checksums are checked. Then
 * only these fields of its Event are read:
 *
 *   Event    1 double wall_time   2 int64 step   5 Summary   7 SessionLog { 1 status }   3, 4, 8, 9 other contents
 *   Summary  1 Value, repeated
 *   Value    1 string tag   2 float simple_value   3, 4, 5, 6 other contents   8 TensorProto   9 SummaryMetadata
 *   SummaryMetadata { 1 PluginData { 1 string plugin_name } }
 *   TensorProto      1 dtype   4 bytes tensor_content   5 float float_val, repeated   6 double double_val, repeated
 *
 * A record is odd if it has what writers do not write (contents twice, a field of a wrong type or with a number above
 * 15, a scalar of another type), or if it is not an Event. The caller, who decodes all of protobuf, then reads it. A
 * record adds all of its rows or none.
 *
 * A run that restarts continues in a new file, often from an earlier step. If the caller wants it (`hides`), a file
 * hides rows of earlier files, never its own:
 *
 *   - The first value of a series in a file, at step s, hides the rows of that series in earlier files from step s on.
 *   - The start of a session, a SessionLog with status START at step s, hides the rows of all series from step s on.
 *     A series that lasts, such as a graph, loses no row.
 *
 * Example: file 1 has the steps 0 to 9 of a series, and file 2 continues at step 5. Rows 5 to 9 of file 1 are hidden.
 *
 * The file may come from an attacker who knows this code. Still, time and memory are linear in the size of the file. So
 * the hash of keys has a random seed, and rows are hidden only once, after all files are read, in one pass over each
 * series. Only the search for the start that hides rows of a file takes logarithmic time, by bisection.
 */
#ifndef TBC_SCAN_H
#define TBC_SCAN_H

#include "wire.h"
#include <stdbool.h>

/* Identifies the series of a value. */
typedef struct tbc_key {
    tbc_bytes tag;
    tbc_bytes plugin; /* of its metadata; empty if there is none */
    int field;        /* of Value, with the content; 0 without content; negative: of Event, for other than a summary */
} tbc_key;

typedef union tbc_cell {
    double number;
    int64_t offset;
} tbc_cell;

/* What one file has of a series. */
typedef struct tbc_segment {
    size_t file;      /* its number */
    size_t first_row; /* the rows of the file begin here */
    int64_t step;     /* of the first value, wanted or not */
    bool is_cut;      /* rows from step `cut` on are hidden */
    int64_t cut;
} tbc_segment;

typedef struct tbc_series {
    int64_t *step;
    double *wall_time;
    tbc_cell *cell;
    size_t n, capacity;
    size_t file;           /* the number of the file whose rows are added */
    tbc_segment *segments; /* in the order of the files; empty unless the scan hides rows */
    size_t n_segments, segment_capacity;
    size_t segment; /* in a second reading: the segment of the file; is_cut and cut are copied from it */
    bool is_cut;
    int64_t cut;
    uint64_t bytes; /* in the files: the values' own; the first value of an event also counts the rest of its record */
    uint64_t hidden; /* rows */
    uint64_t folded; /* rows dropped because of `keep` */
    int64_t min_step, max_step; /* of the folded rows; valid if folded > 0 */
    bool is_scalar;
    bool is_lasting; /* nothing hides rows of it */
} tbc_series;

enum { TBC_UNWANTED = -1, TBC_ODD = -2, TBC_STOP = -3 };

/* Called once for each key. Returns an index from tbc_scan_add_series, TBC_UNWANTED, TBC_ODD if the key is not UTF-8,
   or TBC_STOP to end the scan. */
typedef int (*tbc_resolve)(void *context, const tbc_key *key);

typedef struct tbc_scan {
    tbc_resolve resolve;
    void *context;
    int64_t first_step, last_step; /* of the rows that are wanted, both inclusive */
    size_t keep; /* the number of last rows to keep of each series; SIZE_MAX keeps all */
    bool hides;  /* a file hides rows of earlier ones, see above. If `keep` is not SIZE_MAX and there is more than one
                    file, read the files twice: see tbc_scan_again */
    uint64_t seed[2]; /* of the hash of keys; must be random, else an attacker can make all keys collide */
    tbc_series *series;
    size_t n_series;
    struct tbc_scan_memory *memory;
} tbc_scan;

typedef enum tbc_scan_stop {
    TBC_SCAN_MORE,    /* no whole record is left */
    TBC_SCAN_DAMAGED, /* a checksum is wrong, or a length is impossible */
    TBC_SCAN_ODD,     /* the checksums are right, but the caller must decode the record */
    TBC_SCAN_LARGE,   /* a record with `large` bytes of data or more begins */
    TBC_SCAN_STOPPED, /* `resolve` returned TBC_STOP */
    TBC_SCAN_NO_MEMORY,
} tbc_scan_stop;

/* The caller has set the members down to `seed`; the others are zero. */
tbc_status tbc_scan_init(tbc_scan *scan);
void tbc_scan_free(tbc_scan *scan);

/* Returns the index of a new series, or -1 if there is no memory. */
int tbc_scan_add_series(tbc_scan *scan, bool is_scalar, bool is_lasting);

/* Appends a row, if its step is wanted. */
tbc_status tbc_scan_add_row(tbc_scan *scan, int series, int64_t step, double wall_time, tbc_cell cell, uint64_t bytes);

/* Call this before each file, the first one, too. */
void tbc_scan_next_file(tbc_scan *scan);

/* Notes the start of a session at `step` in the current file. */
tbc_status tbc_scan_start_session(tbc_scan *scan, int64_t step);

/* Call this when all files are read. Hides rows of a series, and drops all but the last `keep`. Afterwards the series
   takes no more rows. */
tbc_series *tbc_scan_finish(tbc_scan *scan, int series);

/* Forgets all rows, but not what hides them; then the caller reads the same files again. The second time, hidden rows
   are only counted, so that a scan with a small `keep` needs no memory for them. */
void tbc_scan_again(tbc_scan *scan);

/* Reads the records in `data`, which begins at `offset` of the file. Sets `used` to the size of the records it read. */
tbc_scan_stop tbc_scan_records(tbc_scan *scan, const uint8_t *data, size_t size, int64_t offset, uint64_t large,
                               size_t *used);

typedef struct tbc_peek {
    int64_t step;
    double wall_time;
    tbc_key key;
    bool knows_plugin; /* else the metadata may follow the bytes that were read */
} tbc_peek;

/* Reads what the only value of an event is, from the first `size` of the `length` bytes of its record's data. Returns
   false if there may be more values, or if these bytes do not suffice. Only metadata may follow the value's content. */
bool tbc_scan_peek(const uint8_t *data, size_t size, uint64_t length, tbc_peek *peek);

#endif
