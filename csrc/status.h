/* What a call into csrc can answer.
 *
 * The rules, for every function that answers a tbc_status:
 *   - on anything but TBC_OK (and TBC_FAILING) it has changed nothing the caller can see, and may be called again;
 *   - TBC_ERRNO leaves the reason in errno;
 *   - nothing is printed, and nothing is aborted.
 * The Cython layer turns each status into one Python exception, in one place (_core.pyx, _raise).
 */
#ifndef TBC_STATUS_H
#define TBC_STATUS_H

typedef enum tbc_status {
    TBC_OK = 0,
    TBC_NO_MEMORY, /* an allocation failed */
    TBC_TOO_LARGE, /* an event of 2 GiB or more, which no protobuf reader accepts */
    TBC_ERRNO,     /* a system call failed */
    TBC_FULL,      /* the queue has no room now: wait, then call again */
    TBC_WAITING,   /* the time to wait has passed, the thing waited for has not come: call again */
    TBC_FAILING,   /* the event is queued, but the disk fails: it is written as soon as that is over */
    TBC_DROPPED,   /* the queue has no room and the disk fails: the event was counted and left out, as was asked for */
    TBC_CLOSED,    /* there is no event file: it was closed, or is that of the parent process */
} tbc_status;

static inline const char *tbc_strerror(tbc_status status)
{
    switch (status) {
    case TBC_OK: return "no error";
    case TBC_NO_MEMORY: return "out of memory";
    case TBC_TOO_LARGE: return "an event must be smaller than 2 GiB, the limit of protobuf";
    case TBC_ERRNO: return "a system call failed";
    case TBC_FULL: return "the queue is full";
    case TBC_WAITING: return "still waiting";
    case TBC_FAILING: return "the disk fails";
    case TBC_DROPPED: return "the event was left out";
    case TBC_CLOSED: return "the event file is closed";
    }
    return "unknown status";
}

#endif
