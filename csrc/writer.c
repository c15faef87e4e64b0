/* The thread takes a queue at a time and writes without the lock; `busy` keeps the file open meanwhile. A file is in
   one of three states: CLOSED until opened, OPEN, and FORKED in a child that inherited it. */
#define _POSIX_C_SOURCE 200809L

#include "writer.h"
#include "queue.h"
#include "record.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { CLOSED = 0, OPEN, FORKED };

static const int64_t MILLISECOND = 1000000; /* nanoseconds */
static const int64_t RETRY = 200000000; /* nanoseconds */
static const unsigned PATIENCE = 1000; /* milliseconds for the thread to end */
static const size_t MOST = (size_t)1 << 30; /* bytes a write: macOS refuses 2 GiB and more */

struct tbc_writer {
    tbc_queue queue;   /* first, so that the thread finds the writer of a queue */
    int state;
    int fd;
    int error;         /* errno of the last write, 0 if it succeeded */
    uint64_t failures; /* writes that failed, ever */
    bool busy;         /* the thread is at it, without the lock */
    size_t frame;      /* where the frame begun last starts in queue.open */
    tbc_writer *next;  /* in the list of open files */
};

/* All below is under the lock of the queues. */
static tbc_writer *files;
static struct {
    pthread_t id;
    bool running, stop, ended; /* created and not joined; asked to end; at its end */
} thread;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Writes the rest of `taken`; answers how far it came, with the reason in *error if that is not the end. */
static size_t write_rest(tbc_writer *writer, int *error)
{
    const tbc_buffer *taken = &writer->queue.taken;
    size_t start = writer->queue.sent, at = start;
    *error = 0;
    while (at < taken->size && *error == 0) {
        size_t left = taken->size - at;
        ssize_t n = write(writer->fd, taken->data + at, left < MOST ? left : MOST);
        if (n >= 0)
            at += (size_t)n;
        else if (errno != EINTR)
            *error = errno;
    }
    return at - start;
}

static void serve(tbc_writer *writer)
{
    int error;
    bool fresh = tbc_queue_take(&writer->queue);
    writer->busy = true;
    tbc_queue_unlock();
    if (fresh)
        tbc_record_seal(writer->queue.taken.data, writer->queue.taken.size);
    size_t written = write_rest(writer, &error);
    tbc_queue_lock();
    writer->busy = false;
    writer->error = error;
    writer->failures += error != 0;
    tbc_queue_done(&writer->queue, written, error != 0 ? RETRY : 0);
}

static void *run(void *unused)
{
    (void)unused;
    tbc_queue_lock();
    while (!thread.stop) {
        tbc_queue *queue = tbc_queue_next();
        if (queue != NULL)
            serve((tbc_writer *)queue);
    }
    thread.ended = true;
    tbc_queue_announce_progress();
    tbc_queue_unlock();
    return NULL;
}

/* Signals stay with the threads of the program: this one blocks them all. */
static tbc_status start_thread(void)
{
    while (thread.stop) /* the last one is being joined */
        tbc_queue_wait_progress(1);
    if (thread.running)
        return TBC_OK;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread.id, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    thread.running = error == 0;
    errno = error;
    return error == 0 ? TBC_OK : TBC_ERRNO;
}

/* Gives up after so many milliseconds if the thread is in a write that does not end: it goes on then. */
static void stop_thread(unsigned patience)
{
    if (!thread.running || thread.stop)
        return;
    thread.stop = true;
    tbc_queue_wake_consumer();
    for (; !thread.ended && patience > 0; patience--)
        tbc_queue_wait_progress(1);
    if (thread.ended) {
        tbc_queue_unlock();
        pthread_join(thread.id, NULL);
        tbc_queue_lock();
        thread.running = thread.ended = false;
    }
    thread.stop = false;
    tbc_queue_announce_progress();
}

/* The thread does not live on in the child, and neither do the files: they are the parent's to write. */
static void after_fork_in_child(void)
{
    tbc_queue_forget_threads();
    for (tbc_writer *writer = files; writer != NULL; writer = writer->next) {
        close(writer->fd);
        writer->state = FORKED;
        writer->fd = -1;
        writer->error = 0;
        writer->busy = false;
        tbc_queue_clear(&writer->queue);
        tbc_queue_release(&writer->queue, writer->queue.reserved);
    }
    files = NULL;
    thread.running = thread.stop = thread.ended = false;
    tbc_queue_unlock();
}

/* Bytes that the next attempt may still bring to the kernel. */
static bool hopeful(void)
{
    for (const tbc_writer *writer = files; writer != NULL; writer = writer->next)
        if (writer->queue.done < writer->queue.appended && writer->error == 0)
            return true;
    return false;
}

/* Every file gets one more attempt, also one whose last write failed. */
static void at_exit(void)
{
    tbc_queue_lock();
    for (tbc_writer *writer = files; writer != NULL; writer = writer->next) {
        writer->error = 0;
        tbc_queue_hurry(&writer->queue);
    }
    while (hopeful() && start_thread() == TBC_OK)
        tbc_queue_wait_progress(1000);
    stop_thread(PATIENCE);
    tbc_queue_unlock();
}

static void prepare(void)
{
    tbc_queue_prepare();
    pthread_atfork(tbc_queue_lock, tbc_queue_unlock, after_fork_in_child);
    atexit(at_exit);
}

tbc_writer *tbc_writer_new(void)
{
    tbc_writer *writer = calloc(1, sizeof *writer);
    if (writer != NULL)
        writer->fd = -1;
    return writer;
}

void tbc_writer_free(tbc_writer *writer)
{
    if (writer == NULL)
        return;
    tbc_buffer_free(&writer->queue.open);
    tbc_buffer_free(&writer->queue.taken);
    free(writer);
}

tbc_status tbc_writer_open(tbc_writer *writer, int fd, unsigned linger_ms)
{
    pthread_once(&once, prepare);
    tbc_queue_lock();
    tbc_status status = start_thread();
    if (status == TBC_OK) {
        writer->state = OPEN;
        writer->fd = fd;
        writer->error = 0;
        writer->queue.linger = (linger_ms < 100 ? linger_ms : 100) * MILLISECOND;
        writer->next = files;
        files = writer;
    }
    tbc_queue_unlock();
    return status;
}

bool tbc_writer_is_open(const tbc_writer *writer)
{
    tbc_queue_lock();
    bool open = writer->state == OPEN;
    tbc_queue_unlock();
    return open;
}

/* Whether the writer takes `size` more bytes; with the lock. */
static tbc_status admit(tbc_writer *writer, size_t size)
{
    if (writer->state != OPEN)
        return writer->state == FORKED ? TBC_FORKED : TBC_CLOSED;
    if (tbc_queue_has_room(&writer->queue, size))
        return TBC_OK;
    tbc_queue_hurry(&writer->queue);
    errno = writer->error;
    return writer->error != 0 ? TBC_ERRNO : TBC_FULL;
}

tbc_status tbc_writer_begin(tbc_writer *writer, size_t size, tbc_buffer **to)
{
    tbc_queue_lock();
    tbc_status status = admit(writer, size);
    if (status != TBC_OK) {
        tbc_queue_unlock();
        return status;
    }
    *to = &writer->queue.open;
    writer->frame = tbc_record_begin(*to);
    return TBC_OK;
}

tbc_status tbc_writer_end(tbc_writer *writer)
{
    tbc_buffer *open = &writer->queue.open;
    tbc_status status = tbc_record_end(open, writer->frame);
    if (status == TBC_OK)
        tbc_queue_appended(&writer->queue, open->size - writer->frame);
    tbc_queue_unlock();
    return status;
}

tbc_status tbc_writer_reserve(tbc_writer *writer, size_t size)
{
    tbc_queue_lock();
    tbc_status status = admit(writer, size);
    if (status == TBC_OK)
        tbc_queue_reserve(&writer->queue, size);
    tbc_queue_unlock();
    return status;
}

void tbc_writer_release(tbc_writer *writer, size_t size)
{
    tbc_queue_lock();
    tbc_queue_release(&writer->queue, size);
    tbc_queue_unlock();
}

tbc_status tbc_writer_wait(tbc_writer *writer, size_t size, unsigned milliseconds)
{
    tbc_status status = TBC_OK;
    tbc_queue_lock();
    if (!tbc_queue_has_room(&writer->queue, size)) {
        status = start_thread(); /* there may be none: a resume after a fork that failed */
        if (status == TBC_OK)
            tbc_queue_wait_progress(milliseconds);
    }
    tbc_queue_unlock();
    return status;
}

void tbc_writer_flush_begin(tbc_writer *writer, tbc_flush *flush)
{
    tbc_queue_lock();
    flush->target = writer->queue.appended;
    flush->failures = writer->failures;
    tbc_queue_unlock();
}

/* How far a flush has come. A failure counts if it came after the flush began and is not over. */
static tbc_status flush_status(const tbc_writer *writer, const tbc_flush *flush)
{
    if (writer->queue.done >= flush->target)
        return TBC_OK;
    if (writer->error == 0 || writer->failures == flush->failures)
        return TBC_WAITING;
    errno = writer->error;
    return TBC_ERRNO;
}

tbc_status tbc_writer_flush_wait(tbc_writer *writer, const tbc_flush *flush, unsigned milliseconds)
{
    tbc_queue_lock();
    tbc_status status = flush_status(writer, flush);
    if (status == TBC_WAITING) {
        status = start_thread();
        if (status == TBC_OK) {
            tbc_queue_hurry(&writer->queue); /* time and again: each turn of the thread uses one up */
            tbc_queue_wait_progress(milliseconds);
            status = flush_status(writer, flush);
        }
    }
    tbc_queue_unlock();
    return status;
}

tbc_status tbc_writer_close(tbc_writer *writer, unsigned milliseconds)
{
    tbc_status status = TBC_OK;
    tbc_queue_lock();
    if (writer->busy)
        tbc_queue_wait_progress(milliseconds);
    if (writer->busy) {
        tbc_queue_unlock();
        return TBC_WAITING;
    }
    bool open = writer->state == OPEN;
    writer->state = CLOSED;
    if (open) {
        tbc_queue_clear(&writer->queue);
        tbc_writer **link = &files;
        while (*link != writer)
            link = &(*link)->next;
        *link = writer->next;
        int error = close(writer->fd) == 0 || errno == EINTR ? 0 : errno;
        writer->fd = -1;
        if (files == NULL)
            stop_thread(PATIENCE);
        if (error != 0) {
            errno = error;
            status = TBC_ERRNO;
        }
    }
    tbc_queue_unlock();
    return status;
}

void tbc_writer_pause(void)
{
    tbc_queue_lock();
    stop_thread(PATIENCE);
    tbc_queue_unlock();
}

void tbc_writer_resume(void)
{
    tbc_queue_lock();
    if (files != NULL)
        start_thread(); /* if it fails, the next flush or open tries again and says so */
    tbc_queue_unlock();
}
