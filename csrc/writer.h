/* Event files, and the one thread that writes them all: what is flushed may be written by the caller.
 *
 * A tbc_writer stands for one event file at a time, and its queue. The thread starts with the first file that is opened
 * and ends with the last that is closed. It takes what a queue holds, seals the frames (record.h) and writes them,
 * whole records in one write(2) where the system allows it. It never touches Python.
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
 *   - at exit() all that is queued is written, whatever was not closed;
 *   - after fork() the child has none of the parent's events; its tbc_writers are closed.
 */
#ifndef TBC_WRITER_H
#define TBC_WRITER_H

#include "buffer.h"
#include "file.h"
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

/* Opens a frame for an event of about `size` bytes that is logged `now`, in seconds since 1970. On TBC_OK the caller appends the event to *to and calls
   tbc_writer_end, at once and whatever happens: it holds the lock of all queues. On TBC_FULL it calls tbc_writer_wait
   and tries again. tbc_writer_end answers TBC_FAILING for an event that waits for the disk to recover, and TBC_DROPPED
   for one that was left out. */
tbc_status tbc_writer_begin(tbc_writer *writer, size_t size, double now, tbc_buffer **to);
tbc_status tbc_writer_end(tbc_writer *writer);

/* Sleeps until there may be room for `size` bytes, or for so many milliseconds. */
tbc_status tbc_writer_wait(tbc_writer *writer, size_t size, unsigned milliseconds);

/* Counts bytes that wait elsewhere to be encoded as part of the queue, and releases them; answers as begin and end do.
   The event they become is begun with size 0, before they are released: it must not wait for those that came after
   it, and it counts as logged when its bytes were reserved. */
tbc_status tbc_writer_reserve(tbc_writer *writer, size_t size, double now);
void tbc_writer_release(tbc_writer *writer, size_t size);

/* Waits until all that was appended before tbc_writer_flush_begin is in the kernel: TBC_OK; TBC_WAITING when the time
   is up, or a signal came; TBC_ERRNO when a write failed since. On a disk that was quick the last time it does the
   writing itself, which may then take longer than so many milliseconds, and brings SIGXFSZ, which Python ignores. */
typedef struct tbc_flush {
    uint64_t target, failures;
} tbc_flush;

void tbc_writer_flush_begin(tbc_writer *writer, tbc_flush *flush);
tbc_status tbc_writer_flush_wait(tbc_writer *writer, const tbc_flush *flush, unsigned milliseconds);

/* Has the disk itself keep what was written: fsync, of the file and of its directory. TBC_WAITING if the file was
   changed for another one meanwhile. After a failure nobody knows what the file holds: what comes goes to a new one. */
tbc_status tbc_writer_sync(tbc_writer *writer);

/* Writes all that is queued, then closes the file. Events that come meanwhile wait. Answers as tbc_writer_flush_wait
   does: the file is open still, but for TBC_OK and for an error of the closing itself. */
tbc_status tbc_writer_close(tbc_writer *writer, unsigned milliseconds);

/* Around a fork: what is queued is written and the thread ends, if that takes no longer than a moment; it comes back
   when it is needed. fork is safe without them. They spare the programs of Python 3.12 its warnings of a fork in a
   process with threads. */
void tbc_writer_pause(void);
void tbc_writer_resume(void);

#endif
