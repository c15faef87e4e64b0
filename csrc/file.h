/* Makes event files, and notices when one is lost.
 *
 *   <directory>/events.out.tfevents.<seconds since 1970, 10 digits>.<host>.<pid>.<number><suffix>
 *
 * Readers go through the files of a directory in the order of their names and never go back. So the seconds of a new
 * name exceed those of every event file in the directory and of this writer's previous file, even if the clock was set
 * back. Example: if the clock is at 1700000003 and a file has 1700000005, the new file gets 1700000006. The file is
 * created with O_EXCL: if the name is taken, as by a process with the same pid in another container, the next number is
 * tried.
 *
 * Each new file therefore reads the names of the directory, which takes 2 to 3 ms for 4,000 names. If files are made
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

enum { TBC_PATH_MAX = 4096 }; /* bytes; for a longer path the error is ENAMETOOLONG */

typedef struct tbc_place {
    const char *directory; /* absolute; if it is missing, it is made, with its parents */
    const char *suffix;    /* of the names */
    const void *head;
    size_t head_size;
} tbc_place;

typedef struct tbc_file {
    int fd;            /* -1 if no file is open */
    char name[256];    /* in the directory; of the file made last */
    long long seconds; /* in the name */
    dev_t device;      /* device and inode are those of fstat when the file was made */
    ino_t inode;
    uint64_t size;     /* bytes written to it */
    bool is_linked;    /* fstat counts links on this file system, so 0 links mean that the file was deleted */
    bool is_sized;     /* fstat counts bytes as they are written, so fewer mean that the file was cut */
} tbc_file;

/* Each function that returns an int returns 0 or an errno value. */

/* Makes the next file. On an error *file does not change. */
int tbc_file_create(tbc_file *file, const tbc_place *place);

/* Checks that the descriptor still belongs to the file, which may have been moved. ENOENT: the file was deleted or cut;
   to write on would leave a hole of zeros, which no reader can pass. EBADF: the descriptor was closed, and its number
   may belong to another file now. */
int tbc_file_check(const tbc_file *file);

/* Returns whether the file may have been deleted, by what the kernel knows without asking a server or writing data
   back. True if the kernel does not know. */
bool tbc_file_may_be_deleted(const tbc_file *file);

/* Returns whether the directory has been removed. */
bool tbc_place_is_gone(const tbc_place *place);

/* Closes the descriptor if it still belongs to the file. */
int tbc_file_close(tbc_file *file);

/* Removes the file, unless its path belongs to another file now. */
void tbc_file_remove(const tbc_file *file, const tbc_place *place);

/* Make the disk keep (fsync) what was written to a file, whose descriptor or a duplicate of it is fd; */
int tbc_file_sync(int fd, const tbc_file *file);
/* what was written to the file at a path, if it still has this device and inode; */
int tbc_file_sync_path(const char *path, dev_t device, ino_t inode);
/* the names in a directory and in those above it on its file system, as far as they may be read. */
int tbc_file_sync_directories(const char *directory);

#endif
