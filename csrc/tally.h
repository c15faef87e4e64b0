/* Event files, counted: what `verify` knows of the files of a run.
 *
 * The caller reads the files one after another, piece by piece, and hands the bytes over. Of each record (record.h) both
 * checksums are checked. Then the Event in it is checked as protobuf would, field by field (see the shapes in tally.c),
 * and counted: per file the records, bytes, values and odd wall times, per tag of the run the values, and those that
 * TensorBoard does not show. What writers do not write, and what is no Event, is odd: such a record is left to the caller,
 * who decodes it, and counts it by tbc_tally_add_*.
 *
 * TensorBoard's data server keeps the values of a tag in the order of their steps: each value drops the earlier ones
 * whose step is not smaller. What is left is a stack whose steps grow. Here a stack is held in stretches of even steps,
 * so a tag that is logged every so many steps takes the memory of one. Beyond `most` stretches of the run the lower half
 * of those of a tag becomes one, and what is dropped of that is known only from below.
 *
 * Time is linear in the size of the files, whatever they hold. Memory is linear in the number and the length of the tags,
 * in `most`, and in the starts of sessions whose steps grow. reader/tally.py does the same in Python, and is the oracle.
 */
#ifndef TBC_TALLY_H
#define TBC_TALLY_H

#include "status.h"
#include "wire.h"
#include <stdbool.h>

/* What is odd about a wall time, and why values of a tag are not shown. In the order of tally.py's TIMES and CAUSES. */
enum { TBC_TIME_NAN, TBC_TIME_INFINITE, TBC_TIME_ZERO, TBC_TIME_BACK, TBC_TIME_FUTURE, TBC_TIMES };
enum { TBC_CAUSE_REPEAT, TBC_CAUSE_STEP, TBC_CAUSE_RESTART, TBC_CAUSE_KINDS, TBC_CAUSES };

/* The kinds of values that have a field of their own. What is stored as a tensor has the kind that its plugin says, one of
   these or a higher number of the caller's. */
enum { TBC_KIND_SCALAR, TBC_KIND_HISTOGRAM, TBC_KIND_IMAGE, TBC_KIND_AUDIO, TBC_KIND_TENSOR, TBC_KIND_EMPTY };

typedef struct tbc_plugin {
    tbc_bytes name;
    int kind;
} tbc_plugin;

typedef struct tbc_odd_time {
    uint64_t times;
    int64_t offset;       /* of the first record, */
    double before, after; /* the last sound wall time before it, and its own */
} tbc_odd_time;

typedef struct tbc_odd_step {
    uint64_t times, dropped;
    size_t file;    /* of the first one, the number of the file, */
    int64_t offset; /* and of its record; */
    int64_t before, after; /* the step before, and its own */
    int kind;              /* of a value of another kind, that */
} tbc_odd_step;

typedef struct tbc_stretch {
    int64_t first, last;
    uint64_t count;
    bool is_even;
    bool is_rough; /* steps may be gone that were counted, and some above `last` are */
} tbc_stretch;

typedef struct tbc_tag {
    char *name;
    size_t size;
    int kind;   /* of the first value; -1 before that */
    int plugin; /* the kind that the first value's plugin says; -1 if none */
    uint64_t values, starts;
    tbc_stretch *stack;
    size_t n, capacity;
    tbc_odd_step *odd; /* TBC_CAUSES of them; NULL if nothing is odd */
    size_t next;       /* the tag that followed this one last time */
} tbc_tag;

typedef struct tbc_tally {
    const tbc_plugin *plugins; /* the caller's; they stay */
    size_t n_plugins;
    uint64_t seed[2]; /* of the hash of tags: random, or an attacker makes all of them collide */
    uint64_t most, least; /* stretches of the run, and those that each tag may have in any case: 2 or more */
    /* of the file: */
    size_t file;
    double future; /* no wall time is that high */
    double before; /* the last wall time that is below */
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
    TBC_TALLY_MORE,    /* what is left is no whole record */
    TBC_TALLY_DAMAGED, /* a checksum does not hold, or a length is impossible */
    TBC_TALLY_ODD,     /* the checksums hold, but the contents are the caller's to read */
    TBC_TALLY_NO_MEMORY,
} tbc_tally_stop;

/* Of a tally whose members down to `least` are set, and the rest zero. */
tbc_status tbc_tally_init(tbc_tally *tally);
void tbc_tally_free(tbc_tally *tally);

void tbc_tally_begin_file(tbc_tally *tally, double future);

/* Counts the records that begin at data, at `offset` of the file; `used` is how many bytes of them were counted. */
tbc_tally_stop tbc_tally_records(tbc_tally *tally, const uint8_t *data, size_t size, int64_t offset, size_t *used);

/* Counts a record that the caller has decoded, then its values. */
void tbc_tally_add_record(tbc_tally *tally, int64_t offset, const uint8_t *data, size_t size, double wall_time,
                          bool is_version);
tbc_status tbc_tally_add_value(tbc_tally *tally, int64_t offset, int64_t step, tbc_bytes tag, int field,
                               tbc_bytes plugin);
tbc_status tbc_tally_add_start(tbc_tally *tally, int64_t step);

/* Whether what a tag drops is only known from below. */
bool tbc_tally_is_least(const tbc_tag *tag);

#endif
