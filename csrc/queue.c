/* The lock is one for the process, since what it protects takes nanoseconds. The list is in the order of arrival; with
   one linger for all, its head is due first, so that the consumer looks at few queues even if a thousand are open. */
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#else
#define _POSIX_C_SOURCE 200809L
#endif

#include "queue.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static const size_t MUCH = 256 << 10;        /* gathered in one queue: time to write */
static const size_t CHUNK = 1 << 20;         /* and not taken: set aside */
static const size_t SPARE = 1 << 20;         /* a buffer up to this size is kept for its next turn */
static const int64_t NAP = 100000000;        /* nanoseconds, while programs log: no first byte is due sooner */
static const int64_t BREAK = 1000000000;     /* nanoseconds without work, then it sleeps until it is woken */
static const int64_t NEVER = INT64_MAX;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work, progress;
static unsigned waiting;                     /* threads in tbc_queue_wait_progress */
static int64_t asleep_until = -1;            /* the consumer's; -1 while it is awake */
static int64_t worked;                       /* when it last had something to do */
static size_t limit = (size_t)64 << 20;
static size_t queued[2];                     /* by the well queues, by the sick ones */
static tbc_queue *head, **tail = &head;

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
    *tail = queue;
    tail = &queue->next;
    set_due(queue, tbc_queue_now() + delay);
}

void tbc_queue_unlist(tbc_queue *queue)
{
    if (!queue->listed)
        return;
    tbc_queue **link = &head;
    while (*link != queue)
        link = &(*link)->next;
    *link = queue->next;
    if (tail == &queue->next)
        tail = link;
    queue->listed = false;
}

bool tbc_queue_has_room(const tbc_queue *queue, size_t size)
{
    bool idle = tbc_queue_is_empty(queue) && queue->reserved == 0;
    size_t taken = queued[queue->sick];
    return idle || size == 0 || (taken <= limit && size <= limit - taken);
}

void tbc_queue_reserve(tbc_queue *queue, size_t size)
{
    queued[queue->sick] += size;
    queue->reserved += size;
}

void tbc_queue_release(tbc_queue *queue, size_t size)
{
    queued[queue->sick] -= size;
    queue->reserved -= size;
    tbc_queue_announce_progress();
}

/* Without memory for a chunk, `open` goes on growing. */
static void set_aside(tbc_queue *queue)
{
    tbc_chunk *chunk = malloc(sizeof *chunk);
    if (chunk == NULL)
        return;
    *chunk = (tbc_chunk){.buffer = queue->open};
    *(queue->first == NULL ? &queue->first : &queue->last->next) = chunk;
    queue->last = chunk;
    queue->open = (tbc_buffer){0};
}

static tbc_buffer pop_chunk(tbc_queue *queue)
{
    tbc_chunk *chunk = queue->first;
    tbc_buffer buffer = chunk->buffer;
    queue->first = chunk->next;
    free(chunk);
    return buffer;
}

void tbc_queue_appended(tbc_queue *queue, size_t size)
{
    queued[queue->sick] += size;
    queue->appended += size;
    if (!queue->listed)
        list(queue, queue->linger);
    if (!queue->sick && (queue->open.size >= MUCH || queued[false] > limit / 2))
        tbc_queue_hurry(queue);
    if (queue->open.size >= CHUNK)
        set_aside(queue);
}

void tbc_queue_hurry(tbc_queue *queue)
{
    if (queue->listed && queue->due != 0)
        set_due(queue, 0);
}

void tbc_queue_wait_progress(unsigned milliseconds)
{
    waiting++;
    sleep_until(&progress, tbc_queue_now() + (int64_t)milliseconds * 1000000);
    waiting--;
}

void tbc_queue_announce_progress(void)
{
    if (waiting > 0)
        pthread_cond_broadcast(&progress);
}

tbc_queue *tbc_queue_next(void)
{
    int64_t time = tbc_queue_now(), earliest = NEVER;
    for (tbc_queue *queue = head; queue != NULL; queue = queue->next) {
        if (queue->due <= time) {
            tbc_queue_unlist(queue);
            worked = time;
            return queue;
        }
        earliest = queue->due < earliest ? queue->due : earliest;
    }
    if (time - worked < BREAK && earliest > time + NAP)
        earliest = time + NAP;
    asleep_until = earliest;
    sleep_until(&work, earliest);
    asleep_until = -1;
    return NULL;
}

bool tbc_queue_take(tbc_queue *queue)
{
    if (queue->sent < queue->taken.size)
        return false;
    queue->sent = 0;
    if (queue->first != NULL) {
        tbc_buffer_free(&queue->taken);
        queue->taken = pop_chunk(queue);
        return true;
    }
    tbc_buffer full = queue->open;
    queue->open = queue->taken;
    queue->open.size = 0;
    queue->taken = full;
    return true;
}

void tbc_queue_done(tbc_queue *queue, size_t sent, int64_t pause)
{
    queue->done += sent;
    queue->done -= queue->sent;
    queued[queue->sick] += queue->sent;
    queued[queue->sick] -= sent;
    queue->sent = sent;
    if (queue->sent == queue->taken.size && queue->taken.capacity > SPARE) {
        tbc_buffer_free(&queue->taken);
        queue->sent = 0;
    }
    if (!tbc_queue_is_empty(queue) && !queue->listed)
        list(queue, pause > 0 ? pause : queue->linger);
    else if (pause > 0 && queue->listed) /* by events that came meanwhile */
        queue->due = tbc_queue_now() + pause;
    if (pause == 0 && queue->first != NULL) /* it may be listed by events that came meanwhile */
        tbc_queue_hurry(queue);
    tbc_queue_announce_progress();
}

void tbc_queue_set_sick(tbc_queue *queue, bool sick)
{
    size_t held = (size_t)(queue->appended - queue->done) + queue->reserved;
    queued[queue->sick] -= held;
    queued[sick] += held;
    queue->sick = sick;
}

void tbc_queue_clear(tbc_queue *queue)
{
    tbc_queue_unlist(queue);
    queued[queue->sick] -= (size_t)(queue->appended - queue->done);
    queue->appended = queue->done;
    queue->sent = 0;
    tbc_buffer_free(&queue->open);
    tbc_buffer_free(&queue->taken);
    while (queue->first != NULL) {
        tbc_buffer chunk = pop_chunk(queue);
        tbc_buffer_free(&chunk);
    }
    tbc_queue_announce_progress();
}

void tbc_queue_forget_threads(void)
{
    waiting = 0;
    asleep_until = -1;
    tbc_queue_prepare();
}
