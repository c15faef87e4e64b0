/* Counts what is in the event files of a run, for `verify`.
 *
 * The caller reads one file after another in pieces and passes the bytes. For each record (record.h) both checksums are
 * checked. Then its Event is checked field by field, as protobuf would (see the shapes in tally.c), and counted: for
 * each file the records, bytes, values and odd wall times; for each tag of the run the values, and those that
 * TensorBoard does not show. A record is odd if it has what writers do not write, or if it is not an Event. The caller
 * decodes such a record, and counts it with tbc_tally_add_*.
 *
 * TensorBoard's data server keeps the values of a tag in the order of their steps: each value drops earlier values
 * whose step is not smaller. The rest are a stack whose steps grow. Here a stack is a list of stretches of evenly
 * spaced steps: a tag that is logged every 10 steps takes the memory of one stretch. If the run has `most` stretches,
 * the lower half of a tag's stretches becomes one; of what that drops later, only a lower bound is known.
 *
 * Example: steps 0, 10, 20, 30 are one stretch of 4. Step 15 drops 20 and 30; 0 and 10 stay, and 15 is a new stretch.
 *
 * Time is linear in the size of the files, whatever they hold. Memory is linear in the number and length of the tags,
 * in `most`, and in the starts of sessions whose steps grow. reader/tally.py does the same in Python: it is the oracle.
 */
#ifndef TBC_TALLY_H
#define TBC_TALLY_H

#include "status.h"
#include "wire.h"
#include <stdbool.h>

/* What is odd about a wall time; why values of a tag are not shown. TIMES and CAUSES of tally.py have this order. */
enum { TBC_TIME_NAN, TBC_TIME_INFINITE, TBC_TIME_ZERO, TBC_TIME_BACK, TBC_TIME_FUTURE, TBC_TIMES };
enum { TBC_CAUSE_REPEAT, TBC_CAUSE_STEP, TBC_CAUSE_RESTART, TBC_CAUSE_KINDS, TBC_CAUSES };

/* The kinds of values that have a field of their own. A tensor has the kind of its plugin: one of these, or a higher
   number that the caller has chosen. */
enum { TBC_KIND_SCALAR, TBC_KIND_HISTOGRAM, TBC_KIND_IMAGE, TBC_KIND_AUDIO, TBC_KIND_TENSOR, TBC_KIND_EMPTY };

typedef struct tbc_plugin {
    tbc_bytes name;
    int kind;
} tbc_plugin;

typedef struct tbc_odd_time {
    uint64_t times;
    int64_t offset;       /* of the first such record */
    double before, after; /* the last wall time before it that is not in the future, and its own */
} tbc_odd_time;

typedef struct tbc_odd_step {
    uint64_t times, dropped;
    size_t file;    /* the number of the file of the first one */
    int64_t offset; /* of its record */
    int64_t before, after; /* the step before it, and its own */
    int kind;              /* its kind, for TBC_CAUSE_KINDS */
} tbc_odd_step;

typedef struct tbc_stretch {
    int64_t first, last;
    uint64_t count;
    bool is_even;  /* the steps have one distance */
    bool is_rough; /* steps above `last` were dropped; `count` may still include some of them */
} tbc_stretch;

typedef struct tbc_tag {
    char *name;
    size_t size;
    int kind;   /* of the first value; -1 before that */
    int plugin; /* the kind of the first value's plugin; -1 if it has none */
    uint64_t values;
    uint64_t starts; /* how many sessions had started at the last value */
    tbc_stretch *stack;
    size_t n, capacity;
    tbc_odd_step *odd; /* TBC_CAUSES of them; NULL if nothing is odd */
    size_t next;       /* the index of the tag that followed this one last time */
} tbc_tag;

typedef struct tbc_tally {
    const tbc_plugin *plugins; /* the caller's; must outlive the tally */
    size_t n_plugins;
    uint64_t seed[2]; /* of the hash of tags; must be random, else an attacker can make all tags collide */
    uint64_t most, least; /* stretches that the run may have, and that each tag may have in any case (2 or more) */
    /* of the current file: */
    size_t file;
    double future; /* wall times from here on are odd */
    double before; /* the last wall time below `future` */
    double first_time;
    bool has_version;
    uint64_t records, bytes, values;
    uint64_t content; /* a hash of the checksums of the records */
    tbc_odd_time times[TBC_TIMES];
    /* of the run: */
    tbc_tag *tags;
    size_t n_tags;
    struct tbc_tally_memory *memory;
} tbc_tally;

typedef enum tbc_tally_stop {
    TBC_TALLY_MORE,    /* no whole record is left */
    TBC_TALLY_DAMAGED, /* a checksum is wrong, or a length is impossible */
    TBC_TALLY_ODD,     /* the checksums are right, but the caller must decode the record */
    TBC_TALLY_NO_MEMORY,
} tbc_tally_stop;

/* The caller has set the members down to `least`; the others are zero. */
tbc_status tbc_tally_init(tbc_tally *tally);
void tbc_tally_free(tbc_tally *tally);

void tbc_tally_begin_file(tbc_tally *tally, double future);

/* Counts the records in `data`, which begins at `offset` of the file. Sets `used` to the size of those it counted. */
tbc_tally_stop tbc_tally_records(tbc_tally *tally, const uint8_t *data, size_t size, int64_t offset, size_t *used);

/* Count a record that the caller has decoded, then its values or its start of a session. */
void tbc_tally_add_record(tbc_tally *tally, int64_t offset, const uint8_t *data, size_t size, double wall_time,
                          bool is_version);
tbc_status tbc_tally_add_value(tbc_tally *tally, int64_t offset, int64_t step, tbc_bytes tag, int field,
                               tbc_bytes plugin);
tbc_status tbc_tally_add_start(tbc_tally *tally, int64_t step);

/* Returns whether only a lower bound is known of what a tag has dropped. */
bool tbc_tally_is_least(const tbc_tag *tag);

#endif
