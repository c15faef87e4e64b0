/* No path is stored: each function builds it where it needs it, since the writer's thread may replace a file by a new
 * one while other threads read its name. Functions that return an int return 0 or an errno value. */
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#elif defined(__linux__)
#define _GNU_SOURCE /* for statx */
#else
#define _XOPEN_SOURCE 700
#endif

#include "file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char PREFIX[] = "events.out.tfevents.";
enum { DIGITS = 10 };
static const long long LAST_SECOND = 9999999999; /* the highest number with 10 digits: no name could sort after it */

static atomic_uint files_made;

/* Sets *latest to the highest <seconds> in the names of a directory, below LAST_SECOND; 0 if there is none. A directory
   that is missing or may not be read counts as empty: it may still be writable. */
static int find_latest(const char *directory, long long *latest)
{
    DIR *entries;
    *latest = 0;
    do
        entries = opendir(directory);
    while (entries == NULL && errno == EINTR);
    if (entries == NULL)
        return errno == ENOENT || errno == EACCES ? 0 : errno;
    errno = 0;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL; errno = 0) {
        const char *digits = entry->d_name + strlen(PREFIX);
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 || strspn(digits, "0123456789") != DIGITS)
            continue;
        long long second = atoll(digits);
        if (second > *latest && second < LAST_SECOND)
            *latest = second;
    }
    int error = errno;
    closedir(entries);
    return error;
}

/* Makes a directory and its parents. Goes on after an error, since mkdir of an existing parent may fail with EROFS or
   EACCES. Returns 0 if something exists at the path in the end; else the first error. */
static int make_directories(const char *directory)
{
    char path[TBC_PATH_MAX];
    int error = 0;
    if (snprintf(path, sizeof path, "%s", directory) >= (int)sizeof path)
        return ENAMETOOLONG;
    for (char *at = path + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char end = *at;
        *at = '\0';
        bool is_there = mkdir(path, 0777) == 0 || errno == EEXIST;
        if (!is_there && error == 0)
            error = errno;
        *at = end;
        if (end == '\0')
            return is_there ? 0 : error;
    }
}

static bool path_of(char path[TBC_PATH_MAX], const tbc_file *file, const tbc_place *place)
{
    return snprintf(path, TBC_PATH_MAX, "%s/%s", place->directory, file->name) < TBC_PATH_MAX;
}

/* Creates an empty file, and sets its name and path. */
static int create(tbc_file *file, const tbc_place *place, char path[TBC_PATH_MAX])
{
    char host[256] = "localhost";
    gethostname(host, sizeof host - 1);
    do {
        unsigned number = atomic_fetch_add(&files_made, 1);
        int length = snprintf(file->name, sizeof file->name, "%s%0*lld.%s.%ld.%u%s", PREFIX, DIGITS, file->seconds,
                              host, (long)getpid(), number, place->suffix);
        if (length >= (int)sizeof file->name || !path_of(path, file, place))
            return ENAMETOOLONG;
        file->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (file->fd < 0 && (errno == EEXIST || errno == EINTR));
    return file->fd < 0 ? errno : 0;
}

static int write_head(tbc_file *file, const tbc_place *place)
{
    struct stat made;
    for (size_t at = 0; at < place->head_size;) {
        ssize_t n = write(file->fd, (const char *)place->head + at, place->head_size - at);
        if (n == 0 || (n < 0 && errno != EINTR))
            return n == 0 ? EIO : errno;
        at += n < 0 ? 0 : (size_t)n;
    }
    if (fstat(file->fd, &made) != 0)
        return errno;
    file->device = made.st_dev;
    file->inode = made.st_ino;
    file->size = place->head_size;
    file->is_linked = made.st_nlink > 0;
    file->is_sized = made.st_size == (off_t)file->size;
    return 0;
}

int tbc_file_create(tbc_file *file, const tbc_place *place)
{
    char path[TBC_PATH_MAX];
    tbc_file next = {.fd = -1, .seconds = (long long)time(NULL)};
    long long latest;
    int error = find_latest(place->directory, &latest);
    latest = file->seconds > latest ? file->seconds : latest;
    if (next.seconds <= latest)
        next.seconds = latest + 1;
    if (error == 0)
        error = create(&next, place, path);
    if (error == ENOENT && (error = make_directories(place->directory)) == 0)
        error = create(&next, place, path);
    if (error == 0 && (error = write_head(&next, place)) != 0) {
        close(next.fd);
        unlink(path);
    }
    if (error == 0)
        *file = next;
    return error;
}

/* Returns EBADF if the descriptor belongs to another file. */
static int check_descriptor(int fd, const tbc_file *file, struct stat *now)
{
    if (fstat(fd, now) != 0)
        return errno;
    return now->st_dev == file->device && now->st_ino == file->inode ? 0 : EBADF;
}

int tbc_file_check(const tbc_file *file)
{
    struct stat now;
    int error = check_descriptor(file->fd, file, &now);
    bool gone = error == 0 && file->is_linked && now.st_nlink == 0;
    bool cut = error == 0 && file->is_sized && now.st_size < (off_t)file->size;
    return gone || cut ? ENOENT : error;
}

bool tbc_file_may_be_deleted(const tbc_file *file)
{
#if defined(STATX_NLINK)
    struct statx now; /* fstat asks for times, too: on NFS that writes all dirty data back */
    return statx(file->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_NLINK, &now) != 0 ||
           now.stx_ino != file->inode || now.stx_nlink == 0;
#else
    struct stat now;
    return check_descriptor(file->fd, file, &now) != 0 || now.st_nlink == 0;
#endif
}

bool tbc_place_is_gone(const tbc_place *place)
{
    struct stat now;
    return stat(place->directory, &now) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

int tbc_file_close(tbc_file *file)
{
    struct stat now;
    bool failed = check_descriptor(file->fd, file, &now) == 0 && close(file->fd) != 0 && errno != EINTR;
    file->fd = -1;
    return failed ? errno : 0;
}

void tbc_file_remove(const tbc_file *file, const tbc_place *place)
{
    char path[TBC_PATH_MAX];
    struct stat now;
    if (path_of(path, file, place) && stat(path, &now) == 0 && now.st_dev == file->device &&
        now.st_ino == file->inode)
        unlink(path);
}

/* Returns 0 for what cannot be synced, such as a pipe: it has nothing to lose. */
static int sync_descriptor(int fd)
{
#if defined(F_FULLFSYNC)
    if (fcntl(fd, F_FULLFSYNC) == 0) /* on macOS, fsync leaves the data in the disk's cache */
        return 0;
#endif
    while (fsync(fd) != 0)
        if (errno != EINTR)
            return errno == EINVAL || errno == ENOTSUP ? 0 : errno;
    return 0;
}

int tbc_file_sync(int fd, const tbc_file *file)
{
    struct stat now;
    int error = check_descriptor(fd, file, &now);
    return error == 0 ? sync_descriptor(fd) : error;
}

int tbc_file_sync_path(const char *path, dev_t device, ino_t inode)
{
    struct stat now;
    int fd = open(path, O_WRONLY | O_CLOEXEC), error = fd < 0 || fstat(fd, &now) != 0 ? errno : 0;
    if (error == 0 && now.st_dev == device && now.st_ino == inode)
        error = sync_descriptor(fd);
    if (fd >= 0)
        close(fd);
    return error == ENOENT || error == ENOTDIR ? 0 : error;
}

/* Returns 0 for a directory that may not be read. */
static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES || errno == ENOENT ? 0 : errno;
    int error = sync_descriptor(fd);
    close(fd);
    return error;
}

int tbc_file_sync_directories(const char *directory)
{
    char path[TBC_PATH_MAX];
    struct stat first, now;
    snprintf(path, sizeof path, "%s", directory);
    int error = stat(path, &first) != 0 ? errno : 0;
    while (error == 0 && stat(path, &now) == 0 && now.st_dev == first.st_dev) {
        error = sync_directory(path);
        char *slash = strrchr(path, '/');
        if (slash == NULL || path[1] == '\0')
            break;
        slash[slash == path] = '\0'; /* "/runs" becomes "/", not "" */
    }
    return error == EACCES || error == ENOENT ? 0 : error;
}
