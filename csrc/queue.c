/* The process has one lock, since it is held only briefly. The list is in the order of arrival: if all queues have the
   same linger, its head is due first, and the consumer looks at few queues even if a thousand are open. */
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#else
#define _POSIX_C_SOURCE 200809L
#endif

#include "queue.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static const size_t BATCH = 256 << 10;       /* bytes in `open` that make a queue due */
static const size_t CHUNK = 1 << 20;         /* bytes in `open` that become a chunk */
static const size_t KEPT_CAPACITY = 16 << 10; /* bytes; a larger buffer is freed when it is done */
static const int64_t POLL = 100000000;       /* nanoseconds the consumer sleeps at most while programs log */
static const int64_t IDLE = 1000000000;      /* nanoseconds without work, after which it sleeps until it is woken */
static const int64_t NEVER = INT64_MAX;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work, progress;
static unsigned n_waiting;                   /* threads in tbc_queue_wait_progress */
static int64_t asleep_until = -1;            /* when the consumer wakes by itself; -1 while it is awake */
static int64_t last_work;                    /* when the consumer last took a queue */
static size_t limit = (size_t)64 << 20;
static size_t queued[2][2];                  /* sums of `held` over all queues: [failing][tbc_size] */
static tbc_queue *head, **tail = &head;      /* the list; `tail` is the pointer that ends it */

void tbc_queue_prepare(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
#if !defined(__APPLE__)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
#endif
    pthread_cond_init(&work, &attributes);
    pthread_cond_init(&progress, &attributes);
    pthread_condattr_destroy(&attributes);
}

int64_t tbc_queue_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void sleep_until(pthread_cond_t *condition, int64_t when)
{
    if (when == NEVER) {
        pthread_cond_wait(condition, &lock);
        return;
    }
#if defined(__APPLE__)
    when = when > tbc_queue_now() ? when - tbc_queue_now() : 0;
#endif
    struct timespec time = {.tv_sec = (time_t)(when / 1000000000), .tv_nsec = (long)(when % 1000000000)};
#if defined(__APPLE__)
    pthread_cond_timedwait_relative_np(condition, &lock, &time);
#else
    pthread_cond_timedwait(condition, &lock, &time);
#endif
}

void tbc_queue_lock(void)
{
    pthread_mutex_lock(&lock);
}

void tbc_queue_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

void tbc_queue_set_limit(size_t bytes)
{
    tbc_queue_lock();
    limit = bytes;
    tbc_queue_announce_progress();
    tbc_queue_unlock();
}

void tbc_queue_wake_consumer(void)
{
    if (asleep_until >= 0) {
        asleep_until = -1;
        pthread_cond_signal(&work);
    }
}

static void set_due(tbc_queue *queue, int64_t due)
{
    queue->due = due;
    if (due < asleep_until)
        tbc_queue_wake_consumer();
}

static void list(tbc_queue *queue, int64_t delay)
{
    queue->listed = true;
    queue->next = NULL;
    queue->link = tail;
    *tail = queue;
    tail = &queue->next;
    set_due(queue, tbc_queue_now() + delay);
}

void tbc_queue_unlist(tbc_queue *queue)
{
    if (!queue->listed)
        return;
    *queue->link = queue->next;
    *(queue->next == NULL ? &tail : &queue->next->link) = queue->link;
    queue->listed = false;
}

static bool fits(const tbc_queue *queue, size_t size, tbc_size counted)
{
    size_t taken = queued[queue->failing][counted];
    return queue->held[counted] == 0 || (taken <= limit && size <= limit - taken);
}

bool tbc_queue_has_room(const tbc_queue *queue, size_t size, tbc_size counted)
{
    return fits(queue, size, counted) && (counted == TBC_SMALL || fits(queue, 0, TBC_SMALL));
}

/* Checks the invariants: each byte is counted once, and kept once: in `taken`, in a chunk or in `open`. */
static void check(const tbc_queue *queue)
{
    (void)queue;
#ifdef TBC_TEST
    size_t kept = queue->open.size + queue->taken.size - queue->sent;
    for (const tbc_chunk *chunk = queue->first; chunk != NULL; chunk = chunk->next)
        kept += chunk->buffer.size;
    TBC_ASSERT(queue->sent <= queue->taken.size && queue->done <= queue->appended);
    TBC_ASSERT(kept == queue->appended - queue->done);
    TBC_ASSERT(queue->held[TBC_SMALL] + queue->held[TBC_LARGE] == kept + queue->reserved);
    TBC_ASSERT(queue->held[TBC_SMALL] <= kept && queue->reserved <= queue->held[TBC_LARGE]);
    TBC_ASSERT(queue->held[TBC_SMALL] <= queued[queue->failing][TBC_SMALL]);
    TBC_ASSERT(queue->held[TBC_LARGE] <= queued[queue->failing][TBC_LARGE]);
    TBC_ASSERT(!queue->listed || (*queue->link == queue && !tbc_queue_is_empty(queue)));
#endif
}

/* Adds to the counts; a negative number subtracts. */
static void count(tbc_queue *queue, tbc_size counted, ptrdiff_t bytes)
{
    queue->held[counted] += (size_t)bytes;
    queued[queue->failing][counted] += (size_t)bytes;
}

void tbc_queue_reserve(tbc_queue *queue, size_t size)
{
    count(queue, TBC_LARGE, (ptrdiff_t)size);
    queue->reserved += size;
}

void tbc_queue_release(tbc_queue *queue, size_t size)
{
    count(queue, TBC_LARGE, -(ptrdiff_t)size);
    queue->reserved -= size;
    check(queue);
    tbc_queue_announce_progress();
}

static bool add_chunk(tbc_queue *queue, tbc_buffer *buffer, tbc_size counted)
{
    tbc_chunk *chunk = malloc(sizeof *chunk);
    if (chunk == NULL)
        return false;
    *chunk = (tbc_chunk){.buffer = *buffer, .counted = counted};
    *(queue->first == NULL ? &queue->first : &queue->last->next) = chunk;
    queue->last = chunk;
    *buffer = (tbc_buffer){0};
    return true;
}

static void appended(tbc_queue *queue, tbc_size counted, size_t size)
{
    count(queue, counted, (ptrdiff_t)size);
    queue->appended += size;
    if (!queue->listed)
        list(queue, queue->linger);
}

void tbc_queue_appended(tbc_queue *queue, size_t size)
{
    appended(queue, TBC_SMALL, size);
    if (!queue->failing && (queue->open.size >= BATCH || queued[false][TBC_SMALL] > limit / 2))
        tbc_queue_make_due(queue);
    if (queue->open.size >= CHUNK)
        add_chunk(queue, &queue->open, TBC_SMALL); /* if there is no memory for it, `open` grows on */
    check(queue);
}

tbc_status tbc_queue_append_large(tbc_queue *queue, tbc_buffer *record)
{
    size_t size = record->size;
    if ((queue->open.size > 0 && !add_chunk(queue, &queue->open, TBC_SMALL)) || !add_chunk(queue, record, TBC_LARGE))
        return TBC_NO_MEMORY;
    appended(queue, TBC_LARGE, size);
    if (!queue->failing)
        tbc_queue_make_due(queue);
    check(queue);
    return TBC_OK;
}

void tbc_queue_make_due(tbc_queue *queue)
{
    if (queue->listed && queue->due != 0)
        set_due(queue, 0);
}

void tbc_queue_wait_progress(unsigned milliseconds)
{
    n_waiting++;
    sleep_until(&progress, tbc_queue_now() + (int64_t)milliseconds * 1000000);
    n_waiting--;
}

void tbc_queue_announce_progress(void)
{
    if (n_waiting > 0)
        pthread_cond_broadcast(&progress);
}

tbc_queue *tbc_queue_next(void)
{
    int64_t time = tbc_queue_now(), earliest = NEVER;
    for (tbc_queue *queue = head; queue != NULL; queue = queue->next) {
        if (queue->due <= time) {
            tbc_queue_unlist(queue);
            last_work = time;
            return queue;
        }
        earliest = queue->due < earliest ? queue->due : earliest;
    }
    if (time - last_work < IDLE && earliest > time + POLL)
        earliest = time + POLL;
    asleep_until = earliest;
    sleep_until(&work, earliest);
    asleep_until = -1;
    return NULL;
}

static tbc_chunk pop_chunk(tbc_queue *queue)
{
    tbc_chunk *first = queue->first, chunk = *first;
    queue->first = chunk.next;
    free(first);
    return chunk;
}

bool tbc_queue_take(tbc_queue *queue)
{
    if (queue->sent < queue->taken.size)
        return false;
    queue->sent = 0;
    tbc_buffer spare = queue->taken;
    spare.size = 0;
    if (queue->first != NULL) {
        tbc_chunk chunk = pop_chunk(queue);
        queue->taken = chunk.buffer;
        queue->counted = chunk.counted;
        tbc_buffer_free(&spare); /* at most KEPT_CAPACITY */
    } else {
        queue->taken = queue->open;
        queue->counted = TBC_SMALL;
        queue->open = spare;
    }
    check(queue);
    return true;
}

tbc_buffer tbc_queue_done(tbc_queue *queue, size_t sent, int64_t delay)
{
    ptrdiff_t more = (ptrdiff_t)sent - (ptrdiff_t)queue->sent;
    queue->done += (uint64_t)more;
    count(queue, queue->counted, -more);
    queue->sent = sent;
    if (!tbc_queue_is_empty(queue) && !queue->listed)
        list(queue, delay > 0 ? delay : queue->linger);
    else if (delay > 0 && queue->listed) /* events that came meanwhile have listed it */
        queue->due = tbc_queue_now() + delay;
    if (delay == 0 && (queue->first != NULL || queue->sent < queue->taken.size))
        tbc_queue_make_due(queue); /* even if events that came meanwhile have listed it */
    tbc_queue_announce_progress();
    tbc_buffer spent = {0};
    if (sent == queue->taken.size && queue->taken.capacity > KEPT_CAPACITY) {
        spent = queue->taken;
        queue->taken = (tbc_buffer){0};
        queue->sent = 0;
    }
    check(queue);
    return spent;
}

void tbc_queue_set_failing(tbc_queue *queue, bool failing)
{
    for (tbc_size counted = TBC_SMALL; counted <= TBC_LARGE; counted++) {
        queued[queue->failing][counted] -= queue->held[counted];
        queued[failing][counted] += queue->held[counted];
    }
    queue->failing = failing;
    check(queue);
}

void tbc_queue_clear(tbc_queue *queue)
{
    tbc_queue_unlist(queue);
    count(queue, TBC_SMALL, -(ptrdiff_t)queue->held[TBC_SMALL]);
    count(queue, TBC_LARGE, (ptrdiff_t)queue->reserved - (ptrdiff_t)queue->held[TBC_LARGE]);
    queue->appended = queue->done;
    queue->sent = 0;
    tbc_buffer_free(&queue->open);
    tbc_buffer_free(&queue->taken);
    while (queue->first != NULL) {
        tbc_chunk chunk = pop_chunk(queue);
        tbc_buffer_free(&chunk.buffer);
    }
    check(queue);
    tbc_queue_announce_progress();
}

void tbc_queue_forget_threads(void)
{
    n_waiting = 0;
    asleep_until = -1;
    tbc_queue_prepare();
}
