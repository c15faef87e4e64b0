/* Makes event files, and notices when one is lost.
 *
 *   <directory>/events.out.tfevents.<seconds since 1970, 10 digits>.<host>.<pid>.<number><suffix>
 *
 * Readers go through the files of a directory in the order of their names and never go back. So the seconds of a new
 * name exceed those of every event file in the directory and of this writer's previous file, even if the clock was set
 * back. (Exceptions: names without 10 digits or with 9999999999, a directory that may not be read, and a file that
 * another process makes at the same moment.) Example: if the clock is at 1700000003 and a file has 1700000005, the new
 * file gets 1700000006. The file is created with O_EXCL: if the name is taken, as by a process with the same pid in
 * another container, the next number is tried.
 *
 * Making a file therefore reads all names in the directory, which takes 2 to 3 ms for 4,000 names. If files are made
 * more often than once a second, their names run ahead of the clock.
 *
 * A file starts with its head, the record that states its format. If the head cannot be written, the file is removed.
 */
#ifndef TBC_FILE_H
#define TBC_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TBC_PATH_MAX = 4096 }; /* bytes, with the NUL; if a path is longer, tbc_file_create returns ENAMETOOLONG */

/* Where the files of a writer are made, and what each starts with. */
typedef struct tbc_place {
    const char *directory; /* absolute; if it is missing, it is made, with its parents */
    const char *suffix;    /* of the names */
    const void *head;
    size_t head_size;
} tbc_place;

typedef struct tbc_file {
    int fd;            /* -1 if no file is open */
    char name[256];    /* without the directory; it stays after the file is closed */
    long long seconds; /* in the name */
    dev_t device;      /* device and inode are those of fstat when the file was made */
    ino_t inode;
    uint64_t size;     /* bytes written to it */
    bool is_linked;    /* fstat counts links on this file system: 0 links mean that the file was deleted */
    bool is_sized;     /* fstat counts bytes as soon as they are written: st_size < size means that the file was cut */
} tbc_file;

/* Each function that returns an int returns 0 or an errno value. */

/* Makes the next file. The previous one must be closed: its descriptor is overwritten. On an error *file does not
   change. */
int tbc_file_create(tbc_file *file, const tbc_place *place);

/* Checks that the descriptor still belongs to the file, which may have been moved. ENOENT: the file was deleted, so
   more bytes would be lost; or it was cut, so more bytes would follow a hole of zeros, which no reader can pass. EBADF:
   the descriptor was closed, and its number may belong to another file now. Any other error is that of fstat. */
int tbc_file_check(const tbc_file *file);

/* Returns whether the file may have been deleted. On Linux this reads only what the kernel has cached, so a deletion by
   another NFS client may go unnoticed; on other systems it is an fstat. Returns true if the call fails, or if the
   descriptor belongs to another file. */
bool tbc_file_may_be_deleted(const tbc_file *file);

/* Returns whether the directory has been removed. */
bool tbc_place_is_gone(const tbc_place *place);

/* Closes the descriptor if it still belongs to the file, and sets fd to -1 in any case. Returns 0 if it belongs to
   another file. */
int tbc_file_close(tbc_file *file);

/* Removes the file, unless its path belongs to another file now. */
void tbc_file_remove(const tbc_file *file, const tbc_place *place);

/* Fsyncs the file. `fd` is its descriptor or a duplicate; EBADF if it belongs to another file. */
int tbc_file_sync(int fd, const tbc_file *file);

/* Fsyncs the file at `path`. Does nothing and returns 0 if the path is missing or has another device and inode. */
int tbc_file_sync_path(const char *path, dev_t device, ino_t inode);

/* Fsyncs the directory and those above it on the same file system, for the names in them. Skips those that are missing
   or may not be read. */
int tbc_file_sync_directories(const char *directory);

#endif
