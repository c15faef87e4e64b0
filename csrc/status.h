/* The results of calls into csrc.
 *
 * Each function that returns a tbc_status keeps these rules, unless it says otherwise:
 *   - TBC_OK, TBC_FAILING and TBC_DROPPED: the call is complete;
 *   - any other status: the caller sees no change, and may call again; after TBC_ERRNO, errno has the reason;
 *   - nothing is printed, and the process is never aborted.
 * One function of the Cython layer raises the exceptions for statuses (_raise in _core.pyx).
 */
#ifndef TBC_STATUS_H
#define TBC_STATUS_H

typedef enum tbc_status {
    TBC_OK = 0,
    TBC_NO_MEMORY, /* an allocation failed */
    TBC_TOO_LARGE, /* an event of 2 GiB or more, which protobuf forbids; or 2^31 edges or more (bins.h) */
    TBC_ERRNO,     /* a system call failed */
    TBC_FULL,      /* the queue has no room, or the file is being closed: wait, then call again */
    TBC_WAITING,   /* the work is not done yet: call again */
    TBC_FAILING,   /* the event is queued, and is written as soon as the disk recovers */
    TBC_DROPPED,   /* the queue is full and the disk fails: the event was dropped and counted (TBC_DROP) */
    TBC_CLOSED,    /* there is no open event file: it was closed, or it belongs to the parent process */
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
    case TBC_DROPPED: return "the event was dropped";
    case TBC_CLOSED: return "the event file is closed";
    }
    return "unknown status";
}

#endif
