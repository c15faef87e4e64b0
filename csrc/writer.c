/* The thread takes one queue at a time and writes without the lock. Meanwhile `busy` keeps the file open, and keeps
 * other threads from writing to it. What other threads read, such as the name of the file, changes only under the lock,
 * when the attempt is over.
 *
 * What each error does. The next attempt comes after 1 s, or when a program flushes or closes. It begins at the byte
 * where this one stopped or, in a new file, with the record that is torn there (the next record, if none is torn).
 *
 *   what fails                                       what happens
 *   write: EINTR                                     the same byte at once; a flush first returns, for signal handlers
 *   write: ENOSPC, EDQUOT, EAGAIN, ENOMEM, ENOBUFS   the same byte at the next attempt (is_transient)
 *   write: another error, or 0 bytes                 a new file, from the torn record
 *       the file has only its head                   the same byte at the next attempt: it is as good as a new file
 *   write to a descriptor: any error but EINTR       the same byte at the next attempt
 *   the file was deleted or cut                      a new file, with all bytes of the file that are in memory
 *       nothing was logged since, nobody flushes     nothing; the next attempt makes a new file (postpone)
 *       nothing was logged since, no directory       no error: the deleted file is written on
 *   the descriptor is closed, or of another file     a new file, from the torn record
 *   making a file                                    the next attempt makes one, from the torn record
 *       in tbc_writer_open, without `later`          reported; the writer is not open
 *   fsync of the open file                           reported; a new file before more is written (sync_error)
 *       the descriptor cannot be duplicated          reported by this sync
 *   fsync of an earlier file, or listing it          reported by one sync, and forgotten
 *   fsync of a directory                             reported by each sync until it succeeds
 *   close, in tbc_writer_close                       reported; the file is closed all the same
 *   close, of a file given up or a writer freed      not reported
 *   starting the thread                              reported by attach, wait, flush and close
 *       in tbc_writer_open, without `later`          reported; the writer is not open, and the file is removed
 *       another call, or an event, finds no thread   tries again
 *
 * Example: `taken` has three records of 100 bytes, and a write fails after 250. After ENOSPC the next attempt writes
 * byte 250 to the same file. After EIO a new file begins at byte 200, and the old one, with two whole records, counts
 * as a rotation. If the file was deleted, a new file begins at byte 0.
 *
 * A file that is given up counts as a rotation if it has a whole record, besides its head, that is not written again;
 * else it is removed. An attempt makes new files as long as each takes a whole record. LASTING in event_file.py decides
 * which errors of making the first file are raised at once. */
#if defined(__linux__)
#define _GNU_SOURCE /* for gettid's number and pthread_setname_np */
#elif defined(__APPLE__)
#define _DARWIN_C_SOURCE /* for pthread_setname_np */
#else
#define _POSIX_C_SOURCE 200809L
#endif

#include "writer.h"
#include "queue.h"
#include "record.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif

static const int64_t MILLISECOND = 1000000; /* nanoseconds */
static const int64_t RETRY = 1000000000; /* nanoseconds */
static const int64_t FAST = 10000000; /* nanoseconds; after a faster attempt, a flush writes in the calling thread */
static const unsigned FORK_DRAIN = 100; /* milliseconds that a fork waits for what is queued */
static const unsigned STOP_WAIT = 1000; /* milliseconds to wait for the end of the thread */
static const int64_t FORK_HANG = 20000000; /* nanoseconds; a fork does not wait for an attempt that takes longer */
static const int64_t EXIT_HANG = 10000000000; /* nanoseconds; the same for an exit */
static const double LOOK_INTERVAL = 50e-6; /* seconds: less than removing a directory takes; a look takes 0.2 us */
static const size_t WRITE_MAX = 2 << 20; /* bytes per write and per attempt; any chunk of small records has fewer */
static const size_t FRAME_ROOM = 4096; /* bytes to allocate for a large event besides its content */

typedef struct unsynced { /* a file that was given up or closed, for the next sync */
    struct unsynced *next;
    dev_t device;
    ino_t inode;
    char path[]; /* ends with NUL */
} unsynced;

struct tbc_writer {
    tbc_queue queue;    /* first, so that the thread can cast a queue to its writer */
    tbc_policy policy;
    tbc_place place;    /* of its files; the directory is NULL if the writer was given a descriptor */
    tbc_file file;
    uint64_t file_start; /* what queue.done was when the file had only its head; at most queue.done */
    bool open;
    bool busy;          /* a thread is in write_queue for it, without the lock */
    bool is_fast;       /* the last attempt took less than FAST, and succeeded; false for a descriptor */
    double last_look;   /* when an event last looked whether the file is there, in seconds since 1970 */
    bool logged_after_deletion; /* an event may have been logged after the file was deleted */
    bool is_postponed;  /* the last attempt found the file deleted, and left the new file to the next attempt */
    int sync_error;     /* errno of a sync that failed: the file is given up before more is written */
    unsynced *unsynced; /* earlier files, since the last sync */
    int list_error;     /* errno of an earlier file that could not be listed in `unsynced` */
    bool syncing;       /* a thread is in tbc_writer_sync */
    bool names_synced;  /* the disk has the name of the file, and those of the directories above it */
    bool abandoned;     /* tbc_writer_free was called, and the thread frees it */
    unsigned closing;   /* threads in tbc_writer_close: no event is admitted */
    int error;          /* errno of the last attempt, 0 if it succeeded */
    uint64_t failures;  /* attempts that failed; never decreases */
    uint64_t dropped, rotations;
    tbc_writer *next, **link; /* the next one in `files`; the pointer to this one */
};

/* The lock of the queues protects all below. */
static tbc_writer *files; /* the open ones */
static struct {
    pthread_t id;
    long number;               /* the system's number for it */
    bool running, joinable;    /* until it leaves its loop; until it is joined */
    bool stop;                 /* it must leave its loop */
    int64_t attempt_began;     /* when its attempt began; 0 if it makes none */
    const tbc_writer *writer;  /* the writer of that attempt */
} thread;
static bool exiting; /* the program ends */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* --- the thread --- */

/* The state of one attempt, which needs no lock. */
typedef struct attempt {
    tbc_writer *writer;
    bool from_flush;     /* the caller waits: a signal interrupts the attempt, and nothing is postponed */
    tbc_file file;
    uint64_t file_start; /* as in tbc_writer */
    uint64_t base;       /* queue.done when `taken` was new */
    size_t sent;         /* bytes of `taken` that are written; may decrease in give_up */
    int sync_error;
    bool logged_after_deletion, is_postponed; /* as in tbc_writer */
    unsigned rotations;
    int error;
} attempt;

static void write_some(attempt *attempt, const tbc_buffer *taken)
{
    size_t end = taken->size - attempt->sent < WRITE_MAX ? taken->size : attempt->sent + WRITE_MAX;
    while (attempt->sent < end && attempt->error == 0) {
        ssize_t n = write(attempt->file.fd, taken->data + attempt->sent, end - attempt->sent);
        if (n > 0) {
            attempt->sent += (size_t)n;
            attempt->file.size += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            attempt->error = n == 0 ? EIO : errno;
        } else if (attempt->from_flush) {
            return;
        }
    }
}

/* Lists an earlier file for the next sync. Called with the lock. */
static void list_unsynced(tbc_writer *writer, const tbc_file *file)
{
    size_t size = strlen(writer->place.directory) + 1 + strlen(file->name) + 1;
    unsynced *left = malloc(sizeof *left + size);
    if (left == NULL) {
        writer->list_error = ENOMEM;
        return;
    }
    *left = (unsynced){writer->unsynced, file->device, file->inode};
    snprintf(left->path, size, "%s/%s", writer->place.directory, file->name);
    writer->unsynced = left;
}

static void free_unsynced(unsynced **list)
{
    while (*list != NULL) {
        unsynced *first = *list;
        *list = first->next;
        free(first);
    }
}

/* Returns whether writing may continue at the same byte of the same file after this error. */
static bool is_transient(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EAGAIN || error == ENOMEM || error == ENOBUFS;
}

/* Gives a file up. The next one begins with the torn record or, if the file was deleted or cut (ENOENT, as in
   tbc_file_check), with all its bytes that are still in memory. Returns whether the file has a whole record, besides
   its head, that the next one does not get. Else removes it. */
static bool give_up(attempt *attempt, const tbc_place *place, const tbc_buffer *taken)
{
    size_t start = tbc_record_start(taken->data, attempt->sent);
    if (attempt->error == ENOENT)
        start = attempt->file_start > attempt->base ? (size_t)(attempt->file_start - attempt->base) : 0;
    bool has_records = attempt->base + start > attempt->file_start;
    tbc_queue_lock();
    if (has_records && attempt->error != ENOENT)
        list_unsynced(attempt->writer, &attempt->file);
    attempt->writer->file.fd = -1; /* no other thread may use it from here on */
    tbc_queue_unlock();
    tbc_file_close(&attempt->file);
    if (!has_records)
        tbc_file_remove(&attempt->file, place);
    attempt->sent = start;
    attempt->sync_error = 0;
    attempt->rotations += has_records;
    return has_records;
}

/* Returns what tbc_file_check returns. But if the directory was removed and nothing was logged since, returns 0: a new
   file would bring back a directory that was removed on purpose. */
static int check_file(const attempt *attempt, const tbc_place *place)
{
    int error = tbc_file_check(&attempt->file);
    return error == ENOENT && !attempt->logged_after_deletion && tbc_place_is_gone(place) ? 0 : error;
}

/* Returns whether to write nothing for now: the program that deleted the file may be about to remove its directory,
   which fails if a new file is in it. */
static bool postpone(attempt *attempt)
{
    const bool was_postponed = attempt->is_postponed;
    attempt->is_postponed =
        attempt->error == ENOENT && !attempt->logged_after_deletion && !attempt->from_flush && !was_postponed;
    return attempt->is_postponed;
}

/* Writes from `taken` to the file if it is sound; else to new files, as long as each takes a whole record. */
static void try_to_write(attempt *attempt, const tbc_place *place, const tbc_buffer *taken)
{
    if (place->directory == NULL) {
        write_some(attempt, taken);
        return;
    }
    const size_t before = attempt->sent;
    for (bool is_new = false;;) {
        const tbc_file last = attempt->file;
        if (last.fd < 0) {
            attempt->error = tbc_file_create(&attempt->file, place);
            if (attempt->error != 0)
                return;
            attempt->file_start = attempt->base + attempt->sent;
            attempt->logged_after_deletion = false;
            is_new = true;
        }
        attempt->error = attempt->sync_error != 0 ? attempt->sync_error : check_file(attempt, place);
        if (attempt->error == 0)
            write_some(attempt, taken);
        if (attempt->error == 0)
            attempt->error = check_file(attempt, place);
        if (postpone(attempt)) {
            attempt->sent = before;
            attempt->error = 0;
            return;
        }
        if (attempt->error == 0 || (is_transient(attempt->error) && attempt->sync_error == 0))
            return;
        if (attempt->sync_error == 0 && attempt->file.size == place->head_size && tbc_file_check(&attempt->file) == 0)
            return; /* with only its head it is as good as a new one */
        if (!give_up(attempt, place, taken) && is_new) {
            memcpy(attempt->file.name, last.name, sizeof last.name); /* to be reported: the new file was removed */
            return;
        }
    }
}

static void dispose(tbc_writer *writer);

/* Makes one attempt to write from a queue, at most WRITE_MAX bytes per file. Releases the lock meanwhile. */
static void write_queue(tbc_writer *writer, bool from_flush)
{
    tbc_queue *queue = &writer->queue;
    int64_t begin = tbc_queue_now();
    bool is_new = tbc_queue_take(queue);
    attempt attempt = {
        .writer = writer,
        .from_flush = from_flush,
        .file = writer->file,
        .file_start = writer->file_start,
        .base = queue->done - queue->sent,
        .sent = queue->sent,
        .sync_error = writer->sync_error,
        .logged_after_deletion = writer->logged_after_deletion,
        .is_postponed = writer->is_postponed,
    };
    TBC_ASSERT(writer->open && !writer->busy && !tbc_queue_is_empty(queue));
    TBC_ASSERT(writer->file_start <= queue->done && attempt.sent < queue->taken.size);
    writer->sync_error = 0;
    writer->logged_after_deletion = false;
    writer->busy = true;
    tbc_queue_unlock();
    if (is_new && queue->counted == TBC_SMALL)
        tbc_record_seal(queue->taken.data, queue->taken.size);
    try_to_write(&attempt, &writer->place, &queue->taken);
    tbc_queue_lock();
    if (thread.writer == writer)
        thread.attempt_began = 0; /* this was the thread's attempt */
    writer->busy = false;
    writer->is_fast = writer->place.directory != NULL && attempt.error == 0 && tbc_queue_now() - begin < FAST;
    writer->names_synced = writer->names_synced && strcmp(writer->file.name, attempt.file.name) == 0;
    writer->file = attempt.file;
    writer->file_start = attempt.file_start;
    writer->logged_after_deletion |= attempt.logged_after_deletion; /* events that came meanwhile may have set it */
    writer->is_postponed = attempt.is_postponed;
    writer->error = attempt.error;
    writer->failures += attempt.error != 0;
    writer->rotations += attempt.rotations;
    tbc_queue_set_failing(queue, attempt.error != 0);
    tbc_buffer spent = tbc_queue_done(queue, attempt.sent, attempt.error != 0 || attempt.is_postponed ? RETRY : 0);
    TBC_ASSERT(writer->file_start <= queue->done && (tbc_queue_is_empty(queue) || queue->listed));
    if (writer->abandoned && tbc_queue_is_empty(queue))
        dispose(writer);
    if (spent.data != NULL) {
        tbc_queue_unlock();
        tbc_buffer_free(&spent);
        tbc_queue_lock();
    }
}

static void *run(void *unused)
{
    (void)unused;
#if defined(__APPLE__)
    pthread_setname_np("tbc-writer");
#elif defined(__linux__)
    pthread_setname_np(pthread_self(), "tbc-writer"); /* as `top -H` shows it */
#endif
    tbc_queue_lock();
#if defined(__linux__)
    thread.number = syscall(SYS_gettid);
#endif
    while (!thread.stop && files != NULL) {
        tbc_writer *writer = (tbc_writer *)tbc_queue_next();
        if (writer == NULL || writer->busy) /* busy: the flush that writes it will list the rest again */
            continue;
        thread.attempt_began = tbc_queue_now();
        thread.writer = writer;
        write_queue(writer, false);
    }
    thread.running = false;
    tbc_queue_announce_progress();
    tbc_queue_unlock();
    return NULL;
}

/* Joins the thread, which has left its loop. Linux counts it for a moment after the join, and Python would warn at a
   fork, so this waits for up to 50 * 0.1 ms. */
static void join_thread(void)
{
    pthread_join(thread.id, NULL);
    thread.joinable = false;
#if defined(__linux__)
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%ld", thread.number);
    for (int i = 0; i < 50 && access(path, F_OK) == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = MILLISECOND / 10}, NULL);
#endif
}

/* Starts the thread if it is not running. It blocks all signals, so that the program's threads handle them. */
static tbc_status start_thread(void)
{
    if (thread.running)
        return TBC_OK;
    if (thread.joinable)
        join_thread();
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread.id, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    thread.running = thread.joinable = error == 0;
    errno = error;
    return error == 0 ? TBC_OK : TBC_ERRNO;
}

/* Returns whether the thread's attempt has taken so many nanoseconds. */
static bool hangs(int64_t nanoseconds)
{
    return thread.attempt_began != 0 && tbc_queue_now() - thread.attempt_began >= nanoseconds;
}

/* Ends the thread, unless it hangs in a write. */
static void stop_thread(void)
{
    for (unsigned i = 0; i < STOP_WAIT && thread.running && !hangs(FORK_HANG); i++) {
        thread.stop = true;
        tbc_queue_wake_consumer();
        tbc_queue_wait_progress(1);
    }
    thread.stop = false;
    if (thread.joinable && !thread.running)
        join_thread();
}

/* Returns whether the caller writes a file in the thread's place: the file is fast, or the thread hangs in a write to
   another file system. */
static bool takes_over(const tbc_writer *writer)
{
    if (writer->busy || tbc_queue_is_empty(&writer->queue) || writer->place.directory == NULL)
        return false;
    if (writer->is_fast)
        return true;
    return hangs(FORK_HANG) &&
           (thread.writer->place.directory == NULL || thread.writer->file.device != writer->file.device);
}

/* Writes from a queue in the calling thread if takes_over says so; else wakes the thread and waits for it. Waking the
   thread and being woken takes longer than a small write: by milliseconds on a busy machine. */
static tbc_status write_or_wait(tbc_writer *writer, unsigned milliseconds)
{
    if (takes_over(writer)) {
        tbc_queue_unlist(&writer->queue);
        write_queue(writer, true);
        return TBC_OK;
    }
    tbc_status status = start_thread();
    if (status == TBC_OK) {
        tbc_queue_make_due(&writer->queue); /* at every call: after an attempt, what is left may linger again */
        tbc_queue_wait_progress(milliseconds);
    }
    return status;
}

/* Returns a file that has queued bytes and no error, or NULL; if possible one that the caller takes over. */
static tbc_writer *find_writable(void)
{
    tbc_writer *found = NULL;
    for (tbc_writer *writer = files; writer != NULL; writer = writer->next)
        if (writer->error == 0 && !tbc_queue_is_empty(&writer->queue) && (found == NULL || takes_over(writer)))
            found = writer;
    return found;
}

/* --- files --- */

static void free_place(tbc_place *place)
{
    free((char *)place->directory); /* the start of the block from copy_place */
    *place = (tbc_place){0};
}

static tbc_status copy_place(tbc_place *to, const tbc_place *from)
{
    size_t directory = strlen(from->directory) + 1, suffix = strlen(from->suffix) + 1;
    char *block = malloc(directory + suffix + from->head_size);
    if (block == NULL)
        return TBC_NO_MEMORY;
    *to = (tbc_place){block, block + directory, block + directory + suffix, from->head_size};
    memcpy(block, from->directory, directory);
    memcpy(block + directory, from->suffix, suffix);
    memcpy(block + directory + suffix, from->head, from->head_size);
    return TBC_OK;
}

/* Closes the file and drops what is queued; returns errno. Releases the lock during close(), which writes on NFS. */
static int close_file(tbc_writer *writer)
{
    const bool is_descriptor = writer->place.directory == NULL;
    TBC_ASSERT(writer->open && !writer->busy && *writer->link == writer);
    if (!is_descriptor && writer->file.fd >= 0 && writer->file.size > writer->place.head_size)
        list_unsynced(writer, &writer->file);
    *writer->link = writer->next;
    if (writer->next != NULL)
        writer->next->link = writer->link;
    if (files == NULL)
        tbc_queue_wake_consumer(); /* the thread ends */
    tbc_queue_clear(&writer->queue);
    tbc_queue_set_failing(&writer->queue, false);
    writer->open = false;
    writer->sync_error = 0;
    writer->closing = 0;
    writer->error = 0;
    tbc_file file = writer->file;
    writer->file.fd = -1;
    int error = 0;
    tbc_queue_unlock();
    if (is_descriptor)
        error = close(file.fd) == 0 || errno == EINTR ? 0 : errno;
    else if (file.fd >= 0)
        error = tbc_file_close(&file);
    tbc_queue_lock();
    return error;
}

static void dispose(tbc_writer *writer)
{
    if (writer->open)
        close_file(writer);
    tbc_buffer_free(&writer->queue.open);
    tbc_buffer_free(&writer->queue.taken);
    free_unsynced(&writer->unsynced);
    free_place(&writer->place);
    free(writer);
}

/* What happens at a fork:
 *
 *   tbc_writer_pause             the thread writes what is queued, up to 100 ms, and ends
 *   before fork()                takes the lock, so that no queue is half changed in the child
 *   after fork(), in the parent  releases the lock
 *   after fork(), in the child   closes all files, drops their queues, and forgets the thread, which the parent keeps
 *   tbc_writer_resume            starts the thread if something is queued
 */
static void after_fork_in_child(void)
{
    tbc_queue_forget_threads();
    while (files != NULL) {
        tbc_writer *writer = files;
        writer->busy = false; /* the child does not have the thread that was writing */
        close_file(writer);
        free_unsynced(&writer->unsynced);
        writer->list_error = 0;
        writer->syncing = false;
        tbc_queue_release(&writer->queue, writer->queue.reserved);
        if (writer->abandoned)
            dispose(writer);
    }
    thread.running = thread.joinable = thread.stop = false;
    thread.attempt_began = 0;
    exiting = false;
    tbc_queue_unlock();
}

void tbc_writer_leave(void)
{
    tbc_queue_lock();
    exiting = true;
    tbc_queue_unlock();
}

/* Makes one more attempt for every file, even if its last one failed. Files that takes_over accepts do not wait for the
   thread; after EXIT_HANG in one attempt, no file does. */
static void at_exit(void)
{
    tbc_queue_lock();
    exiting = true;
    for (tbc_writer *writer = files; writer != NULL; writer = writer->next)
        writer->error = 0;
    for (tbc_writer *writer; (writer = find_writable()) != NULL;)
        if ((hangs(EXIT_HANG) && !takes_over(writer)) || write_or_wait(writer, 100) != TBC_OK)
            break;
    stop_thread();
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
        writer->file.fd = -1;
    return writer;
}

void tbc_writer_free(tbc_writer *writer)
{
    if (writer == NULL)
        return;
    tbc_queue_lock();
    writer->abandoned = true;
    if (writer->busy || (writer->open && !tbc_queue_is_empty(&writer->queue)))
        start_thread();
    else
        dispose(writer);
    tbc_queue_unlock();
}

/* Opens a writer with a file, or with the error that prevented the file (fd is -1). */
static void begin_file(tbc_writer *writer, const tbc_file *file, int error, tbc_policy policy, unsigned linger_ms)
{
    writer->file = *file;
    writer->file_start = writer->queue.done;
    writer->policy = policy;
    writer->error = error;
    writer->failures += error != 0;
    tbc_queue_set_failing(&writer->queue, error != 0);
    writer->queue.linger = (linger_ms < 100 ? linger_ms : 100) * MILLISECOND;
    writer->open = true;
    writer->is_fast = writer->logged_after_deletion = writer->is_postponed = writer->names_synced = false;
    writer->last_look = 0;
    writer->next = files;
    writer->link = &files;
    if (files != NULL)
        files->link = &writer->next;
    files = writer;
}

tbc_status tbc_writer_open(tbc_writer *writer, const tbc_place *place, tbc_policy policy, unsigned linger_ms,
                           bool later)
{
    tbc_place copy;
    tbc_file file = {.fd = -1};
    pthread_once(&once, prepare);
    tbc_status status = copy_place(&copy, place);
    if (status != TBC_OK)
        return status;
    int error = 0;
    tbc_queue_lock();
    while (!writer->open && status == TBC_OK) {
        const tbc_file last = writer->file;
        tbc_queue_unlock();
        file = last;
        error = tbc_file_create(&file, place);
        tbc_queue_lock();
        if (error == 0 && start_thread() != TBC_OK)
            error = errno;
        bool is_newest = strcmp(writer->file.name, last.name) == 0; /* no other thread made a file meanwhile */
        if (error != 0 && !later) {
            status = TBC_ERRNO;
        } else if (is_newest && !writer->open) {
            begin_file(writer, &file, file.fd < 0 ? error : 0, policy, linger_ms);
            const tbc_place old = writer->place;
            writer->place = copy;
            copy = old;
            file.fd = -1;
        }
        if (file.fd >= 0) {
            tbc_queue_unlock();
            tbc_file_close(&file);
            tbc_file_remove(&file, place);
            tbc_queue_lock();
        }
    }
    tbc_queue_unlock();
    free_place(&copy);
    errno = error;
    return status;
}

tbc_status tbc_writer_attach(tbc_writer *writer, int fd, tbc_policy policy, unsigned linger_ms)
{
    pthread_once(&once, prepare);
    tbc_queue_lock();
    tbc_status status = start_thread();
    if (status == TBC_OK) {
        begin_file(writer, &(tbc_file){.fd = fd}, 0, policy, linger_ms);
        free_place(&writer->place);
    }
    tbc_queue_unlock();
    return status;
}

bool tbc_writer_is_open(const tbc_writer *writer)
{
    tbc_queue_lock();
    bool open = writer->open;
    tbc_queue_unlock();
    return open;
}

void tbc_writer_path(const tbc_writer *writer, char *path, size_t size)
{
    tbc_queue_lock();
    const char *directory = writer->place.directory, *name = writer->file.name;
    snprintf(path, size, "%s%s%s", directory != NULL ? directory : "", *name != '\0' ? "/" : "", name);
    tbc_queue_unlock();
}

tbc_stats tbc_writer_stats(const tbc_writer *writer)
{
    tbc_queue_lock();
    tbc_stats stats = {
        .queued = writer->queue.appended - writer->queue.done + writer->queue.reserved,
        .written = writer->queue.done,
        .dropped = writer->dropped,
        .retries = writer->failures,
        .rotations = writer->rotations,
        .error = tbc_queue_is_empty(&writer->queue) ? 0 : writer->error,
    };
    tbc_queue_unlock();
    return stats;
}

/* Returns TBC_OK if the writer takes `size` more bytes, else why not. Called with the lock. */
static tbc_status admit(tbc_writer *writer, size_t size, tbc_size counted)
{
    if (!writer->open)
        return TBC_CLOSED;
    if (writer->closing > 0)
        return TBC_FULL;
    if (tbc_queue_has_room(&writer->queue, size, counted))
        return TBC_OK;
    if (writer->error == 0)
        tbc_queue_make_due(&writer->queue);
    if (writer->error == 0 || writer->policy == TBC_WAIT)
        return TBC_FULL;
    if (writer->policy == TBC_RAISE) {
        errno = writer->error;
        return TBC_ERRNO;
    }
    writer->dropped++;
    return TBC_DROPPED;
}

/* Notices that the file is deleted, for an event that is logged now. */
static void look_for_deletion(tbc_writer *writer, double now)
{
    double since = now - writer->last_look;
    if ((since >= 0 && since < LOOK_INTERVAL) || writer->logged_after_deletion || writer->place.directory == NULL)
        return;
    writer->last_look = now;
    writer->logged_after_deletion = writer->file.fd < 0 || tbc_file_may_be_deleted(&writer->file);
    if (writer->logged_after_deletion && writer->is_postponed)
        tbc_queue_make_due(&writer->queue);
}

/* A dropped event gets a buffer whose status is TBC_DROPPED: nothing is appended to it, and tbc_record_end returns that
   status and resets the buffer. */
tbc_status tbc_writer_begin(tbc_writer *writer, tbc_frame *frame, size_t size, tbc_size counted, double now,
                            bool waited)
{
    if (size > INT32_MAX)
        return TBC_TOO_LARGE;
    tbc_queue_lock();
    if (!waited)
        look_for_deletion(writer, now);
    tbc_status status = waited && writer->open && writer->closing == 0 ? TBC_OK : admit(writer, size, counted);
    if (status != TBC_OK && status != TBC_DROPPED) {
        tbc_queue_unlock();
        return status;
    }
    if (counted == TBC_SMALL) {
        frame->to = &writer->queue.open;
        if (status == TBC_DROPPED)
            frame->to->status = TBC_DROPPED;
        frame->start = tbc_record_begin(frame->to);
        return TBC_OK;
    }
    if (status == TBC_OK)
        tbc_queue_reserve(&writer->queue, size);
    tbc_queue_unlock();
    *frame = (tbc_frame){.to = &frame->own, .own.status = status, .reserved = status == TBC_OK ? size : 0};
    tbc_buffer_grow(&frame->own, size + FRAME_ROOM);
    tbc_record_begin(&frame->own);
    return TBC_OK;
}

/* Starts the thread if there is none, as after a fork, and returns the status of an event that was appended. If the
   thread cannot start, the next event tries again, and a flush reports it. */
static tbc_status after_append(const tbc_writer *writer)
{
    if (!thread.running)
        start_thread();
    return writer->error == 0 ? TBC_OK : TBC_FAILING;
}

static tbc_status end_large(tbc_writer *writer, tbc_frame *frame)
{
    tbc_status status = frame->sealed ? TBC_OK : tbc_record_end(&frame->own, 0);
    if (status == TBC_OK && !frame->sealed)
        tbc_record_seal(frame->own.data, frame->own.size);
    frame->sealed = status == TBC_OK;
    tbc_queue_lock();
    if (status == TBC_OK)
        status = writer->open ? tbc_queue_append_large(&writer->queue, &frame->own) : TBC_CLOSED;
    if (status == TBC_OK)
        status = after_append(writer);
    if (status != TBC_CLOSED)
        tbc_queue_release(&writer->queue, frame->reserved);
    tbc_queue_unlock();
    if (status != TBC_CLOSED)
        tbc_buffer_free(&frame->own);
    return status;
}

tbc_status tbc_writer_end(tbc_writer *writer, tbc_frame *frame)
{
    if (frame->to == &frame->own)
        return end_large(writer, frame);
    tbc_status status = tbc_record_end(frame->to, frame->start);
    if (status == TBC_OK) {
        tbc_queue_appended(&writer->queue, frame->to->size - frame->start);
        status = after_append(writer);
    }
    tbc_queue_unlock();
    return status;
}

void tbc_writer_abandon(tbc_writer *writer, tbc_frame *frame)
{
    tbc_writer_release(writer, frame->reserved);
    tbc_buffer_free(&frame->own);
}

tbc_status tbc_writer_reserve(tbc_writer *writer, size_t size, double now)
{
    tbc_queue_lock();
    look_for_deletion(writer, now);
    tbc_status status = admit(writer, size, TBC_LARGE);
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

tbc_status tbc_writer_wait(tbc_writer *writer, size_t size, tbc_size counted, unsigned milliseconds)
{
    tbc_status status = TBC_OK;
    tbc_queue_lock();
    if (writer->closing > 0 || !tbc_queue_has_room(&writer->queue, size, counted)) {
        status = start_thread();
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

/* Returns how far a flush has come. An error counts if it came after the flush began and the last attempt failed. */
static tbc_status flush_status(const tbc_writer *writer, const tbc_flush *flush)
{
    if (writer->queue.done >= flush->target || tbc_queue_is_empty(&writer->queue)) /* empty in the child of a fork */
        return TBC_OK;
    bool is_lost = exiting && hangs(EXIT_HANG);
    if (!is_lost && (writer->error == 0 || writer->failures == flush->failures))
        return TBC_WAITING;
    errno = is_lost ? ETIMEDOUT : writer->error;
    return TBC_ERRNO;
}

tbc_status tbc_writer_flush_wait(tbc_writer *writer, const tbc_flush *flush, unsigned milliseconds)
{
    tbc_queue_lock();
    tbc_status status = flush_status(writer, flush);
    if (status == TBC_WAITING)
        status = write_or_wait(writer, milliseconds);
    if (status == TBC_OK)
        status = flush_status(writer, flush);
    tbc_queue_unlock();
    return status;
}

/* Syncs the earlier files and takes them off the list; returns each error once. Releases the lock meanwhile. */
static int sync_left(tbc_writer *writer)
{
    int error = writer->list_error;
    writer->list_error = 0;
    while (writer->unsynced != NULL && error == 0) {
        unsynced *left = writer->unsynced;
        writer->unsynced = left->next;
        tbc_queue_unlock();
        error = tbc_file_sync_path(left->path, left->device, left->inode);
        free(left);
        tbc_queue_lock();
    }
    return error;
}

/* Syncs the open file. Returns TBC_WAITING if the sync failed for a file that was replaced meanwhile. */
static tbc_status sync_open(tbc_writer *writer)
{
    const tbc_file file = writer->file;
    if (writer->sync_error != 0 || file.fd < 0) {
        errno = writer->sync_error;
        return writer->sync_error != 0 ? TBC_ERRNO : TBC_OK;
    }
    int fd = fcntl(file.fd, F_DUPFD_CLOEXEC, 0); /* a duplicate, since the thread may close file.fd */
    int error = fd < 0 ? errno : 0;
    tbc_queue_unlock();
    if (fd >= 0) {
        error = tbc_file_sync(fd, &file);
        close(fd);
    }
    tbc_queue_lock();
    bool same = writer->file.fd == file.fd && strcmp(writer->file.name, file.name) == 0;
    if (error != 0 && fd >= 0 && same)
        writer->sync_error = error;
    errno = error;
    return error == 0 ? TBC_OK : fd < 0 || same ? TBC_ERRNO : TBC_WAITING;
}

static int sync_names(tbc_writer *writer)
{
    char name[sizeof writer->file.name], directory[TBC_PATH_MAX];
    if (writer->names_synced)
        return 0;
    snprintf(name, sizeof name, "%s", writer->file.name);
    snprintf(directory, sizeof directory, "%s", writer->place.directory);
    tbc_queue_unlock();
    int error = tbc_file_sync_directories(directory);
    tbc_queue_lock();
    writer->names_synced = error == 0 && strcmp(writer->file.name, name) == 0;
    return error;
}

tbc_status tbc_writer_sync(tbc_writer *writer, unsigned milliseconds)
{
    tbc_status status = TBC_OK;
    int error = 0;
    tbc_queue_lock();
    if (writer->syncing) {
        tbc_queue_wait_progress(milliseconds);
        status = TBC_WAITING;
    } else if (writer->place.directory != NULL) {
        writer->syncing = true;
        error = sync_left(writer);
        status = error != 0 ? TBC_ERRNO : sync_open(writer);
        error = error != 0 ? error : errno;
        if (status == TBC_OK) {
            error = sync_names(writer);
            status = error == 0 ? TBC_OK : TBC_ERRNO;
        }
        writer->syncing = false;
        tbc_queue_announce_progress();
    }
    tbc_queue_unlock();
    errno = error;
    return status;
}

tbc_status tbc_writer_close(tbc_writer *writer, unsigned milliseconds)
{
    tbc_status status = TBC_OK;
    tbc_queue_lock();
    if (writer->open && !tbc_queue_is_empty(&writer->queue)) {
        writer->closing++;
        status = write_or_wait(writer, milliseconds);
        writer->closing -= writer->closing > 0; /* 0 if another thread closed the file, or in the child of a fork */
    }
    int error = errno;
    if (status == TBC_OK && writer->open) {
        if (tbc_queue_is_empty(&writer->queue)) {
            error = close_file(writer);
            status = error == 0 ? TBC_OK : TBC_ERRNO;
            tbc_queue_announce_progress();
        } else {
            error = writer->error;
            status = error == 0 ? TBC_WAITING : TBC_ERRNO;
        }
    }
    tbc_queue_unlock();
    errno = error;
    return status;
}

/* Only the thread writes here: if the caller wrote, and its write did not end, the fork would wait for it. */
void tbc_writer_pause(void)
{
    tbc_queue_lock();
    for (tbc_writer *writer = files; writer != NULL; writer = writer->next)
        tbc_queue_make_due(&writer->queue);
    for (unsigned i = 0; i < FORK_DRAIN && thread.running && find_writable() != NULL && !hangs(FORK_HANG); i++)
        tbc_queue_wait_progress(1);
    stop_thread();
    tbc_queue_unlock();
}

/* If nothing is queued, the next event starts the thread. */
void tbc_writer_resume(void)
{
    tbc_queue_lock();
    bool needed = false;
    for (const tbc_writer *writer = files; writer != NULL; writer = writer->next)
        needed = needed || !tbc_queue_is_empty(&writer->queue);
    if (needed)
        start_thread(); /* if this fails, the next flush or open tries again and reports it */
    tbc_queue_unlock();
}
