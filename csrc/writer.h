/* Event files, and the one thread that writes them all: what is flushed may be written by the caller.
 *
 * A tbc_writer stands for one event file at a time, and its queue. The thread starts with the first file that is opened
 * and ends after the last is closed. It takes what a queue holds, seals the frames (record.h) and writes them,
 * whole records in one write(2) where the system allows it. It never touches Python.
 *
 * A large event, from 256 KiB on, is encoded and sealed by the thread that logs it, in memory of its own and without
 * the lock. It is written in pieces of 2 MiB, between which other files get their turn.
 *
 * What is promised:
 *   - a record is handed to the kernel 100 ms after tbc_writer_end at the latest, if the disk keeps up;
 *   - a disk that is full is tried again from the byte where it stopped. After any other error, and when the file was
 *     deleted or its descriptor closed by others, the rest goes to a new file, from the start of the record that was
 *     torn; the torn one is never touched again, as readers of it would not get over that;
 *   - what was logged before the directory of a file was removed goes with it. The first event that is logged after
 *     that makes the directory again, and a new file in it. A file that was deleted gets no successor for a second,
 *     unless something is logged or flushed: its directory may be about to follow;
 *   - until that succeeds, tbc_writer_flush and tbc_writer_close answer TBC_ERRNO with the reason; nothing is
 *     reordered, and nothing dropped but what finds the queue full, if that was asked for, and is counted then;
 *   - tbc_writer_sync covers every file that the writer has had since the last one, and the directories of their names;
 *   - at exit() all that is queued is written, whatever was not closed, unless a write does not end within 10 s;
 *   - a fork waits for a write that does not end 20 ms, and not at all if that has been longer;
 *   - after fork() the child has none of the parent's events; its tbc_writers are closed.
 */
#ifndef TBC_WRITER_H
#define TBC_WRITER_H

#include "buffer.h"
#include "file.h"
#include "queue.h"
#include <stdbool.h>

typedef struct tbc_writer tbc_writer;

/* What an event meets that finds the queue full while the disk fails. */
typedef enum tbc_policy { TBC_DROP, TBC_WAIT, TBC_RAISE } tbc_policy;

typedef struct tbc_stats {
    uint64_t queued, written; /* bytes */
    uint64_t dropped;         /* events */
    uint64_t retries;         /* attempts to write that failed */
    uint64_t rotations;       /* files given up for a new one */
    int error;                /* errno of the last attempt; 0 if it succeeded, or nothing is queued */
} tbc_stats;

/* A writer with no file yet, or NULL for want of memory. */
tbc_writer *tbc_writer_new(void);

/* Writes what is still queued, closes the file and gives the memory back: now, or as soon as the disk takes it. */
void tbc_writer_free(tbc_writer *writer);

/* Makes a file, unless one is open. With `later`, a file or a thread that cannot be made now is not an error: it is
   made as soon as possible. A record waits linger_ms at most for others to go out with. */
tbc_status tbc_writer_open(tbc_writer *writer, const tbc_place *place, tbc_policy policy, unsigned linger_ms,
                           bool later);

/* The same with a descriptor, which it takes over on TBC_OK: for what is not an event file, a pipe for one. */
tbc_status tbc_writer_attach(tbc_writer *writer, int fd, tbc_policy policy, unsigned linger_ms);

bool tbc_writer_is_open(const tbc_writer *writer);

/* The path of the file made last, cut to `size`; empty if there was none. */
void tbc_writer_path(const tbc_writer *writer, char *path, size_t size);

tbc_stats tbc_writer_stats(const tbc_writer *writer);

/* An event on its way into a queue. */
typedef struct tbc_frame {
    tbc_buffer *to;  /* the event is appended here: to `own` if it is large, and else to the queue, under the lock */
    tbc_buffer own;
    size_t start;    /* of the frame in `to` */
    size_t reserved; /* of the queue, for a large event */
    bool sealed;     /* a large event that only has to be appended */
} tbc_frame;

static inline tbc_size tbc_counted(size_t size) { return size >= 256 << 10 ? TBC_LARGE : TBC_SMALL; }

/* Opens a frame for an event of about `size` bytes that is logged `now`, in seconds since 1970. `counted` says whether
   it is made as a large one: tbc_counted(size), or TBC_LARGE for one that takes a while to make. On TBC_OK the caller
   appends the event to *frame->to and calls tbc_writer_end, whatever happens. It does so at once unless the event is
   large, since the lock of all queues is held. On TBC_FULL it calls tbc_writer_wait and tries again.
   waited: the event is what became of reserved bytes, which are released after it. It does not wait for events that
   came after it, and counts as logged when they were reserved.
   tbc_writer_end answers TBC_FAILING for an event that waits for the disk to recover, and TBC_DROPPED for one that was
   left out; TBC_CLOSED if the file was closed behind a large one, which may be ended again when there is another. */
tbc_status tbc_writer_begin(tbc_writer *writer, tbc_frame *frame, size_t size, tbc_size counted, double now,
                            bool waited);
tbc_status tbc_writer_end(tbc_writer *writer, tbc_frame *frame);

/* Gives up a large event that was not appended. */
void tbc_writer_abandon(tbc_writer *writer, tbc_frame *frame);

/* Sleeps until there may be room for `size` bytes, or for so many milliseconds. */
tbc_status tbc_writer_wait(tbc_writer *writer, size_t size, tbc_size counted, unsigned milliseconds);

/* Counts bytes that wait elsewhere to be encoded as part of the queue, as a large thing of any size; releases them.
   Answers as begin and end do. */
tbc_status tbc_writer_reserve(tbc_writer *writer, size_t size, double now);
void tbc_writer_release(tbc_writer *writer, size_t size);

/* Waits until all that was appended before tbc_writer_flush_begin is in the kernel: TBC_OK; TBC_WAITING when the time
   is up, a signal came, or more is to be written; TBC_ERRNO when a write failed since. On a disk that was fast the last
   time, and while the thread is in a write to another file system that does not end, it does the writing itself, which
   may then take longer than so many milliseconds, and brings SIGXFSZ, which Python ignores. So do tbc_writer_close and
   exit(). */
typedef struct tbc_flush {
    uint64_t target, failures;
} tbc_flush;

void tbc_writer_flush_begin(tbc_writer *writer, tbc_flush *flush);
tbc_status tbc_writer_flush_wait(tbc_writer *writer, const tbc_flush *flush, unsigned milliseconds);

/* Has the disk itself keep what was written: fsync, of the file, of those that it follows since the last sync, and of
   their directories. TBC_WAITING if the file was changed for another one meanwhile, or another thread syncs still after
   so many milliseconds. After a failure nobody knows what the file holds: what comes goes to a new one. */
tbc_status tbc_writer_sync(tbc_writer *writer, unsigned milliseconds);

/* Writes all that is queued, then closes the file. Events that come meanwhile wait. Answers as tbc_writer_flush_wait
   does: the file is open still, but for TBC_OK and for an error of the closing itself. */
tbc_status tbc_writer_close(tbc_writer *writer, unsigned milliseconds);

/* The program ends: from now on a flush answers ETIMEDOUT once a write has not ended for 10 s. */
void tbc_writer_leave(void);

/* Around a fork: what is queued is written and the thread ends, if that takes no longer than a moment; it comes back
   when it is needed. fork is safe without them. They spare the programs of Python 3.12 its warnings of a fork in a
   process with threads. */
void tbc_writer_pause(void);
void tbc_writer_resume(void);

#endif
