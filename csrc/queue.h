/* Bytes on their way from the threads that log to the one thread that writes.
 *
 * Every event file has a queue with two buffers. Producers append whole records to `open`. The consumer swaps it for
 * its empty `taken`, and works on that one without a lock while `open` fills again. If it is slow, `open` is set aside
 * whenever it holds a mebibyte, and the consumer takes these chunks one by one: memory and room come back bit by bit.
 * A large record is a chunk of its own, made without the lock. What was taken is the consumer's to free, without the
 * lock; a buffer of up to 16 KiB is kept for its next turn.
 *
 * Large things, records and what waits elsewhere to become one, and small records are counted apart, and have a limit
 * in bytes each: a small record never waits for a large one.
 *
 * All queues share one lock, these limits, and one list of the queues that hold something, each with the time at which
 * it is due: a moment after the first byte came, so that a burst goes out together; at once when somebody flushes, when
 * much has gathered, when a large record came or when half the limit is reached. Only what is due at once wakes the
 * consumer, and a first byte after a break: while programs log it looks by itself. All other events cost no system call,
 * which is dear where other programs want the processor, too. A producer that finds no room waits for the consumer's
 * progress. The queues whose disk fails have the same limits once more, for themselves: they take no room from the
 * others.
 *
 * The lock is held to encode one small event or to swap two buffers. It is never held during I/O or while the memory of
 * a large thing is copied or freed, and no thread that holds it ever waits for Python's GIL.
 *
 * Unless it says otherwise, a function here is called with the lock held.
 */
#ifndef TBC_QUEUE_H
#define TBC_QUEUE_H

#include "buffer.h"
#include <stdbool.h>

/* What must hold, here and in writer.c. `make csrc-test` defines TBC_TEST; elsewhere this is no code at all. */
#ifdef TBC_TEST
#include <assert.h>
#define TBC_ASSERT(condition) assert(condition)
#else
#define TBC_ASSERT(condition) ((void)0)
#endif

typedef enum tbc_size { TBC_SMALL, TBC_LARGE } tbc_size; /* how a thing is counted */

typedef struct tbc_chunk {
    tbc_buffer buffer;
    tbc_size counted; /* TBC_LARGE: one record, which is sealed */
    struct tbc_chunk *next;
} tbc_chunk;

typedef struct tbc_queue {
    tbc_buffer open;         /* the producers' */
    tbc_chunk *first, *last; /* set aside */
    tbc_buffer taken;        /* the consumer's */
    tbc_size counted;        /* how `taken` is */
    size_t sent;             /* bytes of `taken` that are done */
    uint64_t appended, done; /* bytes since the queue was made */
    size_t reserved;         /* bytes that wait elsewhere to be encoded */
    size_t held[2];          /* small bytes; large ones, reserved ones among them */
    int64_t linger;          /* nanoseconds a first byte may wait for company */
    int64_t due;             /* on the monotonic clock, in nanoseconds */
    bool listed;             /* in the list of queues that hold something */
    bool failing;            /* its disk fails */
    struct tbc_queue *next, **link; /* in that list; what points to this one */
} tbc_queue;

/* These three are called without the lock, the first one once, before any thread waits. */
void tbc_queue_prepare(void);
void tbc_queue_lock(void);
void tbc_queue_set_limit(size_t bytes);

void tbc_queue_unlock(void);

/* The monotonic clock, in nanoseconds; with or without the lock. */
int64_t tbc_queue_now(void);

/* --- producers --- */

/* Whether a thing of `size` bytes fits below its limit. A queue that holds none of its kind takes one of any size, since
   it could wait for ever for itself, or for another one whose disk stands still. A large thing waits for small ones
   above their limit, since an image is large while it waits and small as a record. */
bool tbc_queue_has_room(const tbc_queue *queue, size_t size, tbc_size counted);

/* Counts bytes that will become a record later; releases them. */
void tbc_queue_reserve(tbc_queue *queue, size_t size);
void tbc_queue_release(tbc_queue *queue, size_t size);

/* Says that a small record of `size` bytes was appended to queue->open. */
void tbc_queue_appended(tbc_queue *queue, size_t size);

/* Appends a large record and takes its buffer over. */
tbc_status tbc_queue_append_large(tbc_queue *queue, tbc_buffer *record);

/* Makes a queue that holds something due now. */
void tbc_queue_make_due(tbc_queue *queue);

/* Sleeps, without the lock, until the consumer has made progress, or for so many milliseconds. */
void tbc_queue_wait_progress(unsigned milliseconds);

/* Forgets all bytes that are not done, and gives the memory back, which is little if none are left. What is reserved
   stays so. */
void tbc_queue_clear(tbc_queue *queue);

/* --- the consumer --- */

/* Takes the next due queue off the list. Sleeps when none is, without the lock; NULL after each sleep. */
tbc_queue *tbc_queue_next(void);

/* Takes a queue off the list, for who does the consumer's work in its place. */
void tbc_queue_unlist(tbc_queue *queue);

/* Ends the consumer's sleep. */
void tbc_queue_wake_consumer(void);

/* Takes the first chunk, or else swaps the buffers, if all taken before is done. Answers whether `taken` is new. */
bool tbc_queue_take(tbc_queue *queue);

/* Says that the first `sent` bytes of `taken` are done, which may be fewer than before. Example: `done` is 1,000 when
   100 bytes are taken. 60 are written: sent 60, `done` 1,060. The file is lost, the next one begins with the record at
   50 and takes 30 bytes: sent 80, `done` 1,080. If it cannot be made: sent 50, `done` 1,050, and 50 bytes are held.
   What is left is due after `delay` nanoseconds; with 0, as usual: at once if it is of `taken` or a chunk, and else when
   it has lingered. Answers what the caller frees without the lock: a buffer that is not worth its memory until its next
   turn. (A child of fork must not find one that is being freed.) */
tbc_buffer tbc_queue_done(tbc_queue *queue, size_t sent, int64_t delay);

/* Says whether the disk fails. */
void tbc_queue_set_failing(tbc_queue *queue, bool failing);

/* Wakes those in tbc_queue_wait_progress. */
void tbc_queue_announce_progress(void);

/* Whether it holds nothing. */
static inline bool tbc_queue_is_empty(const tbc_queue *queue)
{
    return queue->done == queue->appended;
}

/* In a child after fork, where the forking thread held the lock and still does: nobody waits. Comes before any other
   call, since the conditions still count the threads of the parent. */
void tbc_queue_forget_threads(void);

#endif
