/* Event files, and the one thread that writes them all. A flush may write in the calling thread instead.
 *
 * A tbc_writer has a queue and, at any time, at most one event file. The thread starts with the first file that is
 * opened and ends after the last one is closed. It takes what a queue holds, seals the frames (record.h) and writes
 * them: whole records in one write(2) where the system allows it. It never touches Python.
 *
 * A large event, of 256 KiB or more, is encoded and sealed by the thread that logs it, in memory of its own and without
 * the lock. It is written in pieces of 2 MiB, between which other files get their turn.
 *
 * Promises:
 *   - A record is in the kernel within 100 ms after tbc_writer_end, if the disk keeps up.
 *   - When a full disk has room again, writing continues at the byte where it stopped. After most other errors, and if
 *     the file was deleted or another part of the program closed its descriptor, the rest goes to a new file, from the
 *     start of the torn record. The old file is not written again, since readers cannot pass a torn record.
 *   - If the directory of a file is removed, the events logged before that are gone, too. The next event makes the
 *     directory again, with a new file. A deleted file gets no successor for 1 s, unless something is logged or
 *     flushed: its directory may be about to be removed.
 *   - While writing fails, tbc_writer_flush_wait and tbc_writer_close return TBC_ERRNO with the reason.
 *   - Nothing is reordered. Nothing is dropped, except what finds the queue full under TBC_DROP, which is counted.
 *   - tbc_writer_sync covers every file that the writer has had since the last sync, and their directories.
 *   - exit() writes all that is queued, unless the disk fails or a write has not ended after 10 s.
 *   - A fork waits for a write only until that has taken 20 ms.
 *   - The child of a fork has none of the parent's events; its tbc_writers are closed.
 */
#ifndef TBC_WRITER_H
#define TBC_WRITER_H

#include "buffer.h"
#include "file.h"
#include "queue.h"
#include <stdbool.h>

typedef struct tbc_writer tbc_writer;

/* What happens to an event that finds the queue full while the disk fails; TBC_RAISE returns TBC_ERRNO. */
typedef enum tbc_policy { TBC_DROP, TBC_WAIT, TBC_RAISE } tbc_policy;

typedef struct tbc_stats {
    uint64_t queued, written; /* bytes */
    uint64_t dropped;         /* events */
    uint64_t retries;         /* attempts to write that failed */
    uint64_t rotations;       /* files replaced by a new one */
    int error;                /* errno of the last attempt; 0 if it succeeded, or if nothing is queued */
} tbc_stats;

/* Returns a writer that has no file yet, or NULL if there is no memory. */
tbc_writer *tbc_writer_new(void);

/* Closes the file and frees the writer. If anything is queued, the thread does it, as soon as that is written. */
void tbc_writer_free(tbc_writer *writer);

/* Makes a file, unless one is open. With `later` it is no error if the file or the thread cannot be made now: they are
   made as soon as possible. A record waits at most linger_ms, and at most 100 ms, to be written with others. */
tbc_status tbc_writer_open(tbc_writer *writer, const tbc_place *place, tbc_policy policy, unsigned linger_ms,
                           bool later);

/* Opens a writer with a descriptor in place of an event file, such as a pipe; takes it over on TBC_OK. */
tbc_status tbc_writer_attach(tbc_writer *writer, int fd, tbc_policy policy, unsigned linger_ms);

bool tbc_writer_is_open(const tbc_writer *writer);

/* Copies the path of the file made last, cut to `size`; empty if there was none. */
void tbc_writer_path(const tbc_writer *writer, char *path, size_t size);

tbc_stats tbc_writer_stats(const tbc_writer *writer);

/* An event on its way into a queue. */
typedef struct tbc_frame {
    tbc_buffer *to;  /* the event is appended here: to `own` if it is large, else to the queue, under the lock */
    tbc_buffer own;
    size_t start;    /* of the frame in `to` */
    size_t reserved; /* bytes in the queue for a large event, which tbc_writer_end releases */
    bool sealed;     /* a large event that is complete, but not appended yet */
} tbc_frame;

static inline tbc_size tbc_counted(size_t size) { return size >= 256 << 10 ? TBC_LARGE : TBC_SMALL; }

/* Open and close the frame of an event. After TBC_OK of tbc_writer_begin, append the event to *frame->to, and call
   tbc_writer_end (for a large event, tbc_writer_abandon will do). Do so at once for a small event: the lock of all
   queues is held from begin to end. After TBC_FULL, call tbc_writer_wait and begin again.

     size      of the event, about
     counted   tbc_counted(size), or TBC_LARGE for an event that takes long to encode
     now       seconds since 1970
     waited    the event was encoded from reserved bytes, which the caller releases after it: it needs no room, and
               counts as logged when the bytes were reserved

   tbc_writer_end returns TBC_FAILING if the event waits for the disk to recover, and TBC_DROPPED if it was dropped. It
   returns TBC_CLOSED if the file was closed while a large event was encoded: open another file, then call it again. */
tbc_status tbc_writer_begin(tbc_writer *writer, tbc_frame *frame, size_t size, tbc_size counted, double now,
                            bool waited);
tbc_status tbc_writer_end(tbc_writer *writer, tbc_frame *frame);

/* Discards a large event that was not appended. */
void tbc_writer_abandon(tbc_writer *writer, tbc_frame *frame);

/* Sleeps until there may be room for `size` bytes, but at most `milliseconds`. */
tbc_status tbc_writer_wait(tbc_writer *writer, size_t size, tbc_size counted, unsigned milliseconds);

/* Reserves room in the queue for bytes that wait elsewhere to be encoded, always as a large thing. Returns what
   tbc_writer_begin and tbc_writer_end return. tbc_writer_release gives the room up. */
tbc_status tbc_writer_reserve(tbc_writer *writer, size_t size, double now);
void tbc_writer_release(tbc_writer *writer, size_t size);

/* Flush what was appended before tbc_writer_flush_begin. tbc_writer_flush_wait returns TBC_OK when all of it is in the
   kernel, TBC_ERRNO if a write failed since, and TBC_WAITING if the time is over, a signal came, or there is more to
   write. It writes in the calling thread if the last attempt took less than 10 ms, or if the thread hangs in a write to
   another file system. Then it may take longer than `milliseconds`, and a write may raise SIGXFSZ, which Python
   ignores. The same holds for tbc_writer_close and exit(). */
typedef struct tbc_flush {
    uint64_t target, failures;
} tbc_flush;

void tbc_writer_flush_begin(tbc_writer *writer, tbc_flush *flush);
tbc_status tbc_writer_flush_wait(tbc_writer *writer, const tbc_flush *flush, unsigned milliseconds);

/* Makes the disk keep what was written (fsync): in the file, in earlier files since the last sync, and in their
   directories. TBC_WAITING: the file was replaced meanwhile, or another thread still syncs after `milliseconds`. After
   a failed fsync the contents of the file are unknown, so later events go to a new one. */
tbc_status tbc_writer_sync(tbc_writer *writer, unsigned milliseconds);

/* Writes all that is queued, then closes the file. Events that come meanwhile wait. Returns what tbc_writer_flush_wait
   returns. The file is closed after TBC_OK, and if close(2) itself fails; else it is still open. */
tbc_status tbc_writer_close(tbc_writer *writer, unsigned milliseconds);

/* Notes that the program ends: from now on a flush fails with ETIMEDOUT while a write has not ended for 10 s. */
void tbc_writer_leave(void);

/* Call these before and after a fork. tbc_writer_pause writes what is queued and ends the thread, if that takes at most
   about 100 ms; tbc_writer_resume starts the thread again if it is needed. A fork is safe without them, but Python 3.12
   warns of a fork in a process with threads. */
void tbc_writer_pause(void);
void tbc_writer_resume(void);

#endif
