/* An event file by name: how it is made, and how one learns that it is lost.
 *
 *   <directory>/events.out.tfevents.<seconds since 1970, 10 digits>.<host>.<pid>.<number><suffix>
 *
 * Readers go through the files of a directory in the order of their names and never turn back. So the seconds of a new
 * name are the clock's or more: they exceed those of every event file that is there and of the one this writer had
 * before, also if the clock was set back. The file is created with O_EXCL: a name that is taken, by a process of the
 * same pid in another container, is left alone, and the next number tried.
 *
 * So every opening reads the names of the directory, 4,000 of them in 2 to 3 ms, and files that are opened faster than
 * one a second have names that are ahead of the clock.
 *
 * A file starts with its head, the record that says which format it has. A file whose head cannot be written is
 * removed again.
 */
#ifndef TBC_FILE_H
#define TBC_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TBC_PATH_MAX = 4096 }; /* bytes; what is longer answers ENAMETOOLONG */

typedef struct tbc_place {
    const char *directory; /* absolute; made if it is missing, with its parents */
    const char *suffix;    /* of the names */
    const void *head;
    size_t head_size;
} tbc_place;

typedef struct tbc_file {
    int fd;            /* -1 if there is none */
    char name[256];    /* in the directory; of the file made last */
    long long seconds; /* in the name */
    dev_t device;      /* these: what fstat said when it was made */
    ino_t inode;
    uint64_t size;     /* bytes written to it */
    bool is_linked;    /* fstat counts links here, which tells a deleted file */
    bool is_sized;     /* and bytes, which tells one that was cut */
} tbc_file;

/* Makes the next file; answers errno. On a failure there is none, and the name is as it was. */
int tbc_file_create(tbc_file *file, const tbc_place *place);

/* Answers 0 if the descriptor is still that of the file; ENOENT if the file was deleted, or cut (to write on would
   leave a hole of zeros, which no reader gets over); else why it is not, EBADF for one: a program may close all
   descriptors, and their numbers go to other files. A file that was moved is still there. */
int tbc_file_check(const tbc_file *file);

/* Whether the file may have been deleted, by what the kernel knows at once: it asks no server and writes nothing back.
   True where it cannot tell. */
bool tbc_file_may_be_deleted(const tbc_file *file);

/* Whether the directory has been removed. */
bool tbc_place_is_gone(const tbc_place *place);

/* Closes the descriptor, if it is still that of the file; answers errno of that. */
int tbc_file_close(tbc_file *file);

/* Removes a file of which nothing is needed. */
void tbc_file_remove(const tbc_file *file, const tbc_place *place);

/* These three have the disk itself keep something, and answer errno: what was written to the file whose descriptor, or
   a duplicate, is fd; what was written to the file of that path, if it is still there and the same; the names in a
   directory and in those above it in its file system, as far as they may be read. */
int tbc_file_sync(int fd, const tbc_file *file);
int tbc_file_sync_path(const char *path, dev_t device, ino_t inode);
int tbc_file_sync_directories(const char *directory);

#endif
