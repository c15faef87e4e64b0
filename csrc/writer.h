/* Event files, and the one thread that writes them all.
 *
 * A tbc_writer stands for one event file at a time: a descriptor and a queue. The thread starts with the first file
 * that is opened and ends with the last that is closed. It takes what a queue holds, seals the frames (record.h) and
 * writes them, whole records in one write(2) where the system allows it. It never touches Python.
 *
 * What is promised:
 *   - a record is handed to the kernel 100 ms after tbc_writer_end at the latest, if the disk keeps up;
 *   - a write that fails is tried again from the byte where it stopped. Until it succeeds, tbc_writer_flush answers
 *     TBC_ERRNO with the reason; events are still accepted while there is room, and nothing is dropped or reordered;
 *   - at exit() all that is queued is written, whatever was not closed;
 *   - after fork() the child has none of the parent's events; its tbc_writers answer TBC_FORKED until opened again.
 */
#ifndef TBC_WRITER_H
#define TBC_WRITER_H

#include "buffer.h"
#include <stdbool.h>

typedef struct tbc_writer tbc_writer;

/* A writer with no file yet, or NULL for want of memory. */
tbc_writer *tbc_writer_new(void);

/* The writer must not be open. */
void tbc_writer_free(tbc_writer *writer);

/* Takes the descriptor over, if it answers TBC_OK. A record waits linger_ms at most for others to go out with. */
tbc_status tbc_writer_open(tbc_writer *writer, int fd, unsigned linger_ms);

bool tbc_writer_is_open(const tbc_writer *writer);

/* Opens a frame for an event of about `size` bytes. On TBC_OK the caller appends the event to *to and calls
   tbc_writer_end, at once and whatever happens: it holds the lock of all queues. On TBC_FULL it calls tbc_writer_wait
   and tries again. */
tbc_status tbc_writer_begin(tbc_writer *writer, size_t size, tbc_buffer **to);
tbc_status tbc_writer_end(tbc_writer *writer);

/* Sleeps until there may be room for `size` bytes, or for so many milliseconds. */
tbc_status tbc_writer_wait(tbc_writer *writer, size_t size, unsigned milliseconds);

/* Counts bytes that wait elsewhere to be encoded as part of the queue, and releases them; answers as begin does. The
   event they become is begun with size 0, before they are released: it must not wait for those behind it. */
tbc_status tbc_writer_reserve(tbc_writer *writer, size_t size);
void tbc_writer_release(tbc_writer *writer, size_t size);

/* Waits until all that was appended before tbc_writer_flush_begin is in the kernel: TBC_OK; TBC_WAITING when the time
   is up; TBC_ERRNO when a write failed since. */
typedef struct tbc_flush {
    uint64_t target, failures;
} tbc_flush;

void tbc_writer_flush_begin(tbc_writer *writer, tbc_flush *flush);
tbc_status tbc_writer_flush_wait(tbc_writer *writer, const tbc_flush *flush, unsigned milliseconds);

/* Closes the file. What is not written by now is lost: flush first. TBC_WAITING if a write is under way still when the
   time is up. */
tbc_status tbc_writer_close(tbc_writer *writer, unsigned milliseconds);

/* Around a fork: the thread ends, if it can within a second, and comes back if it is needed. fork is safe without them.
   They spare the programs of Python 3.12 most of its warnings of a fork in a process with threads; 3.13 looks when the
   thread is back, and warns. */
void tbc_writer_pause(void);
void tbc_writer_resume(void);

#endif
