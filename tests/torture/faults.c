/* Makes calls of the extension into the C library fail, like a failing disk or a lack of memory.
 *
 * The library is preloaded (LD_PRELOAD), and changes only calls whose return address lies in the extension. Calls of
 * Python, its other extensions and the C library itself work as always. One fault is armed at a time; torture/faults.py
 * arms it in the same process, by ctypes, so that thousands of cases run in one process.
 *
 * A call that is hit fails with `error` and does nothing, with two exceptions:
 *   - if `part` is not 0, write writes that many bytes and returns the number: a short write. If `error` is not 0
 *     either, only the first hit does so, and the next ones fail: a disk that becomes full in the middle of a record;
 *   - close closes the descriptor, and then reports an error, as Linux does.
 *
 * It also records what a power failure would lose: the files that the extension wrote to, and the directories in which
 * it made a name, without an fsync since then.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MEMORY = 1, OPEN = 2, WRITE = 4, FSYNC = 8, CLOSE = 16, FSTAT = 32, MKDIR = 64, THREAD = 128, UNLINK = 256, READDIR = 512 };

static uintptr_t low, high; /* the extension's code */
static _Atomic unsigned armed;
static atomic_long seen, hits, strays, inside;
static long first, last; /* the numbers of the calls that are hit, counted from 1 */
static int error;
static size_t part;

void faults_scope(uintptr_t from, uintptr_t to)
{
    low = from;
    high = to;
}

void faults_disarm(void)
{
    armed = 0;
    while (inside > 0) /* until hit() has returned in all threads */
        ;
}

/* Arms a fault: calls of the set `kinds` are hit from number `from` to number `to`. */
void faults_arm(unsigned kinds, long from, long to, int errno_, size_t bytes)
{
    faults_disarm();
    first = from;
    last = to;
    error = errno_;
    part = bytes;
    seen = hits = 0;
    armed = kinds;
}

/* The number of calls of the armed kinds, and of those that were hit. */
long faults_seen(void) { return seen; }
long faults_hits(void) { return hits; }

/* The number of calls of the extension with a descriptor that is not open: 0, unless others close its files. */
long faults_strays(void) { return strays; }

/* Deletes a file right after the next write of the extension, before write returns. */
static const char *_Atomic doomed;

void faults_delete_behind_write(const char *path)
{
    doomed = path;
}

/* The inodes of files and directories that would lose something in a power failure. */
static ino_t dirty[10000];
static size_t n_dirty;
static pthread_mutex_t books = PTHREAD_MUTEX_INITIALIZER;

static bool ours(void *caller) { return (uintptr_t)caller >= low && (uintptr_t)caller < high; }

static void set_dirty(ino_t inode, bool is)
{
    pthread_mutex_lock(&books);
    size_t i = 0;
    while (i < n_dirty && dirty[i] != inode)
        i++;
    if (is && i == n_dirty && n_dirty < sizeof dirty / sizeof *dirty)
        dirty[n_dirty++] = inode;
    else if (!is && i < n_dirty)
        dirty[i] = dirty[--n_dirty];
    pthread_mutex_unlock(&books);
}

static void set_descriptor_dirty(int fd, bool is)
{
    struct stat file;
    if (syscall(SYS_fstat, fd, &file) == 0)
        set_dirty(file.st_ino, is);
}

/* Records that a name was made in the directory of `path`. */
static void set_parent_dirty(const char *path)
{
    char parent[4096];
    struct stat directory;
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        return;
    slash[slash == parent] = '\0';
    if (stat(parent, &directory) == 0)
        set_dirty(directory.st_ino, true);
}

/* Copies up to `size` dirty inodes; returns how many there are. */
size_t faults_dirty(ino_t *to, size_t size)
{
    pthread_mutex_lock(&books);
    for (size_t i = 0; i < n_dirty && i < size; i++)
        to[i] = dirty[i];
    size_t n = n_dirty;
    pthread_mutex_unlock(&books);
    return n;
}

/* Returns the number of the hit, from 1, and sets errno; 0 if this call is not hit. */
static long hit(unsigned kind, void *caller)
{
    if (!ours(caller))
        return 0;
    long number = 0;
    inside++;
    if (armed & kind) {
        long n = ++seen;
        if (n >= first && n <= last) {
            number = ++hits;
            errno = error;
        }
    }
    inside--;
    return number;
}

/* Returns the result of a call on a descriptor, and counts it if the descriptor was not open. */
static long count_stray(long result, void *caller)
{
    if (result < 0 && errno == EBADF && ours(caller))
        strays++;
    return result;
}

#define CALLER __builtin_return_address(0)
#define REAL(name, type, ...)                               \
    static type (*real)(__VA_ARGS__);                       \
    if (real == NULL)                                       \
        real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

/* These are called before dlsym works. */
extern void *__libc_malloc(size_t size), *__libc_calloc(size_t n, size_t size), *__libc_realloc(void *old, size_t size);

static bool no_memory(void *caller)
{
    return hit(MEMORY, caller) > 0;
}

void *malloc(size_t size)
{
    return no_memory(CALLER) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return no_memory(CALLER) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return no_memory(CALLER) ? NULL : __libc_realloc(old, size);
}

static int open_at(int directory, const char *path, int flags, va_list rest, void *caller)
{
    REAL("openat64", int, int, const char *, int, ...);
    int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    int fd = hit(OPEN, caller) ? -1 : real(directory, path, flags, mode);
    if (fd >= 0 && flags & O_CREAT && ours(caller))
        set_parent_dirty(path);
    return fd;
}

#define OPENS(name, directory, ...)                                            \
    int name(__VA_ARGS__, int flags, ...)                                      \
    {                                                                          \
        va_list rest;                                                          \
        va_start(rest, flags);                                                 \
        int fd = open_at(directory, path, flags, rest, CALLER);                \
        va_end(rest);                                                          \
        return fd;                                                             \
    }

OPENS(open, AT_FDCWD, const char *path)
OPENS(open64, AT_FDCWD, const char *path)
OPENS(openat, directory, int directory, const char *path)
OPENS(openat64, directory, int directory, const char *path)

DIR *opendir(const char *path)
{
    REAL("opendir", DIR *, const char *);
    return hit(OPEN, CALLER) ? NULL : real(path);
}

struct dirent *readdir(DIR *directory)
{
    REAL("readdir", struct dirent *, DIR *);
    return hit(READDIR, CALLER) ? NULL : real(directory);
}

/* Only with three arguments. Counts as OPEN, as it duplicates a descriptor. */
int fcntl(int fd, int command, ...)
{
    REAL("fcntl", int, int, int, ...);
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return hit(OPEN, CALLER) ? -1 : (int)count_stray(real(fd, command, argument), CALLER);
}

ssize_t write(int fd, const void *data, size_t size)
{
    REAL("write", ssize_t, int, const void *, size_t);
    long number = hit(WRITE, CALLER);
    if (number > 0 && part > 0 && (error == 0 || number == 1))
        size = part < size ? part : size;
    else if (number > 0 && error != 0)
        return -1;
    ssize_t result = count_stray(real(fd, data, size), CALLER);
    if (result > 0 && ours(CALLER))
        set_descriptor_dirty(fd, true);
    if (doomed != NULL && ours(CALLER))
        syscall(SYS_unlinkat, AT_FDCWD, atomic_exchange(&doomed, NULL), 0);
    return result;
}

int fsync(int fd)
{
    REAL("fsync", int, int);
    int result = hit(FSYNC, CALLER) ? -1 : (int)count_stray(real(fd), CALLER);
    if (result == 0 && ours(CALLER))
        set_descriptor_dirty(fd, false);
    return result;
}

int fdatasync(int fd)
{
    REAL("fdatasync", int, int);
    int result = hit(FSYNC, CALLER) ? -1 : (int)count_stray(real(fd), CALLER);
    if (result == 0 && ours(CALLER))
        set_descriptor_dirty(fd, false);
    return result;
}

int close(int fd)
{
    REAL("close", int, int);
    int result = (int)count_stray(real(fd), CALLER);
    return hit(CLOSE, CALLER) ? -1 : result; /* hit() comes last, so that its errno stays */
}

int fstat(int fd, struct stat *status)
{
    REAL("fstat", int, int, struct stat *);
    return (int)(hit(FSTAT, CALLER) ? -1 : count_stray(real(fd, status), CALLER));
}

int fstat64(int fd, struct stat64 *status)
{
    REAL("fstat64", int, int, struct stat64 *);
    return (int)(hit(FSTAT, CALLER) ? -1 : count_stray(real(fd, status), CALLER));
}

int mkdir(const char *path, mode_t mode)
{
    REAL("mkdir", int, const char *, mode_t);
    int result = hit(MKDIR, CALLER) ? -1 : real(path, mode);
    if (result == 0 && ours(CALLER))
        set_parent_dirty(path);
    return result;
}

int unlink(const char *path)
{
    REAL("unlink", int, const char *);
    return hit(UNLINK, CALLER) ? -1 : real(path);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    REAL("pthread_create", int, pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    return hit(THREAD, CALLER) ? EAGAIN : real(thread, attributes, run, argument);
}
