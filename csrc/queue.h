/* Passes records from the threads that log (producers) to the thread that writes (the consumer). A flush may write in
 * the consumer's place.
 *
 * Every tbc_writer has a queue with two buffers. The queue stays when a new file replaces the file. Producers append
 * whole records to `open`. The consumer swaps `open` with its empty buffer `taken`, and works on `taken` without the
 * lock while `open` fills again. If the consumer is slow, `open` becomes a chunk whenever it holds 1 MiB. The consumer
 * takes one chunk at a time, so memory and room are freed bit by bit. A large record is encoded without the lock, and
 * becomes a chunk of its own.
 *
 * Small records and large things are counted separately, and each kind has a limit in bytes: a small record never waits
 * for a large one. Large things are large records, and bytes that wait elsewhere to be encoded (reserved).
 *
 * All queues share one lock, these limits, and one list of the queues that hold bytes. A listed queue has a time at
 * which it is due:
 *   - `linger` after the first byte came, so that a burst is written together;
 *   - at once if a program flushes, if a large record came, if `open` holds 256 KiB, or if the small records of all
 *     queues exceed half the limit;
 *   - after a failed attempt 1 s later, and at once only for a flush, a close or the exit.
 * The consumer wakes by itself when the first queue is due and, until 1 s after it last took a queue, at least every
 * 100 ms. A producer wakes it only for a queue that is due earlier. So most events make no system call, which is
 * expensive on a busy machine.
 *
 * A producer that finds no room waits for progress; if the disk fails, the writer's policy decides whether it waits,
 * drops the event or raises. Queues whose disk fails are counted apart, against limits of the same size: they take no
 * room from the others.
 *
 * The lock is held to encode one small event or to swap two buffers. It is never held during I/O or while the memory of
 * a large thing is copied or freed (but tbc_queue_clear frees all memory under the lock, which is much only in the
 * child of a fork), and no thread that holds it ever waits for Python's GIL.
 *
 * Call the functions here with the lock held, unless they say otherwise.
 */
#ifndef TBC_QUEUE_H
#define TBC_QUEUE_H

#include "buffer.h"
#include <stdbool.h>

/* Checks an invariant. Only `make csrc-test` defines TBC_TEST; elsewhere there is no check. */
#ifdef TBC_TEST
#include <assert.h>
#define TBC_ASSERT(condition) assert(condition)
#else
#define TBC_ASSERT(condition) ((void)0)
#endif

typedef enum tbc_size { TBC_SMALL, TBC_LARGE } tbc_size; /* the limit that bytes are counted against */

typedef struct tbc_chunk {
    tbc_buffer buffer;
    tbc_size counted; /* TBC_LARGE: one record, which is sealed */
    struct tbc_chunk *next;
} tbc_chunk;

/* Example: 100 bytes are appended; 1,000 are reserved for an image, whose record then has 300.
 *
 *                                     appended   done   reserved   held: small   large
 *   append 100                             100      0          0           100       0
 *   reserve 1,000                          100      0      1,000           100   1,000
 *   the consumer writes 100                100    100      1,000             0   1,000
 *   append the record of 300               400    100      1,000           300   1,000
 *   release 1,000                          400    100          0           300       0
 *
 * Invariants: appended - done = the bytes of `open`, of the chunks, and of `taken` from `sent` on;
 * held[TBC_SMALL] + held[TBC_LARGE] = appended - done + reserved. */
typedef struct tbc_queue {
    tbc_buffer open;         /* producers append here */
    tbc_chunk *first, *last; /* `last` is valid only if `first` is not NULL */
    tbc_buffer taken;        /* only the thread that writes touches it */
    tbc_size counted;        /* how the bytes in `taken` are counted */
    size_t sent;             /* bytes of `taken` that are done; may decrease, and `done` with it */
    uint64_t appended, done; /* since the queue was made, without bytes that were dropped */
    size_t reserved;         /* bytes that wait elsewhere to be encoded */
    size_t held[2];          /* by tbc_size; TBC_LARGE includes `reserved` */
    int64_t linger;          /* nanoseconds from the first byte until the queue is due */
    int64_t due;             /* on the monotonic clock, in nanoseconds; 0: at once */
    bool listed;             /* in the list of queues that hold bytes */
    bool failing;            /* its disk fails */
    struct tbc_queue *next, **link; /* the next one in the list; the pointer that points to this one */
} tbc_queue;

/* Call these three without the lock, and tbc_queue_prepare once, before any thread waits. */
void tbc_queue_prepare(void);
void tbc_queue_lock(void);
void tbc_queue_set_limit(size_t bytes);

void tbc_queue_unlock(void);

/* The monotonic clock, in nanoseconds; with or without the lock. */
int64_t tbc_queue_now(void);

/* --- producers --- */

/* Returns whether `size` more bytes fit below the limit. A queue that holds none of this kind takes any size: otherwise
   a record larger than the limit would wait forever, as would every record while another queue's disk hangs. With a
   limit of 64 MiB and 50 MiB of this kind in all queues, a queue takes 20 MiB only if none of the 50 are its own. A
   large thing also waits while small records exceed their limit, unless this queue holds none: a reserved image counts
   as large, but its record may be small. */
bool tbc_queue_has_room(const tbc_queue *queue, size_t size, tbc_size counted);

/* Counts bytes that will become a record later; tbc_queue_release ends that. */
void tbc_queue_reserve(tbc_queue *queue, size_t size);
void tbc_queue_release(tbc_queue *queue, size_t size);

/* Counts a small record of `size` bytes that was appended to queue->open, and lists the queue. Makes it due at 256 KiB,
   and `open` a chunk at 1 MiB. */
void tbc_queue_appended(tbc_queue *queue, size_t size);

/* Appends a large record, which the caller has sealed. On TBC_OK the queue owns its memory, and *record is empty; on
   TBC_NO_MEMORY *record does not change. */
tbc_status tbc_queue_append_large(tbc_queue *queue, tbc_buffer *record);

/* Makes a listed queue due at once. */
void tbc_queue_make_due(tbc_queue *queue);

/* Releases the lock, sleeps until tbc_queue_announce_progress or for `milliseconds`, and takes the lock again. */
void tbc_queue_wait_progress(unsigned milliseconds);

/* Drops all bytes that are not done, and frees their memory. Reserved bytes stay counted. */
void tbc_queue_clear(tbc_queue *queue);

/* --- the consumer --- */

/* Removes a due queue from the list and returns it. If none is due, releases the lock, sleeps until the consumer wakes
   (see above), takes the lock again and returns NULL. */
tbc_queue *tbc_queue_next(void);

/* Removes a queue from the list, for a caller that writes in the consumer's place. */
void tbc_queue_unlist(tbc_queue *queue);

/* Ends the consumer's sleep. */
void tbc_queue_wake_consumer(void);

/* If all of `taken` is done, replaces it by the first chunk or, if there is none, swaps it with `open`. Returns whether
   it did. */
bool tbc_queue_take(tbc_queue *queue);

/* Sets how many bytes of `taken` are done; that may be fewer than before. Example: `done` is 1,000, and `taken` has
   records of 50 bytes.

     60 bytes are written                                               sent 60   done 1,060
     a write fails; a new file takes 30 bytes from the torn record      sent 80   done 1,080
     or: a write fails, and no new file can be made                     sent 50   done 1,050

   The rest is due after `delay` nanoseconds. With 0, the rest of `taken` and chunks are due at once, and `open` after
   its linger. Returns `taken` for the caller to free without the lock, if all of it is done and its capacity exceeds
   16 KiB; else an empty buffer. The queue does not have it any more, since a child of fork must not find memory that is
   being freed. */
tbc_buffer tbc_queue_done(tbc_queue *queue, size_t sent, int64_t delay);

/* Sets whether the disk fails, and counts the bytes of the queue accordingly. */
void tbc_queue_set_failing(tbc_queue *queue, bool failing);

/* Wakes all threads in tbc_queue_wait_progress. */
void tbc_queue_announce_progress(void);

/* Returns whether all bytes are done; some may still be reserved. */
static inline bool tbc_queue_is_empty(const tbc_queue *queue)
{
    return queue->done == queue->appended;
}

/* For the child of a fork, whose only thread holds the lock. Call it before any other function: the condition variables
   still count the parent's threads as waiting. */
void tbc_queue_forget_threads(void);

#endif
