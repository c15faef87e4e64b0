/* Keeps the starts of sessions that still matter to a reader, and grows arrays; for scan.c and tally.c.
 *
 * Each start has a step and a number, its file's or its own, which never decreases. A new start replaces earlier ones
 * whose step is not lower, since it hides whatever they hide. The rest are a stack: steps grow from the bottom to the
 * top. So among the starts above a given number, the first has the lowest step. Example: the starts 1, 2, 3 at the
 * steps 50, 80, 60 leave 1 at 50 and 3 at 60. Adding a start takes constant time on average; finding one takes a
 * bisection. reader/scan.py does the same in Python.
 */
#ifndef TBC_STARTS_H
#define TBC_STARTS_H

#include "status.h"
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Returns the array with twice its capacity, at first `least`. Without memory, returns NULL and changes nothing. */
static inline void *tbc_grown(void *array, size_t *capacity, size_t size, size_t least)
{
    size_t wanted = *capacity == 0 ? least : 2 * *capacity;
    void *larger = realloc(array, wanted * size);
    if (larger != NULL)
        *capacity = wanted;
    return larger;
}

typedef struct tbc_start {
    uint64_t number;
    int64_t step;
} tbc_start;

typedef struct tbc_starts {
    tbc_start *stack;
    size_t n, capacity;
} tbc_starts;

static inline tbc_status tbc_starts_add(tbc_starts *starts, uint64_t number, int64_t step)
{
    while (starts->n > 0 && starts->stack[starts->n - 1].step >= step)
        starts->n--;
    if (starts->n == starts->capacity) {
        tbc_start *stack = tbc_grown(starts->stack, &starts->capacity, sizeof *stack, 16);
        if (stack == NULL)
            return TBC_NO_MEMORY;
        starts->stack = stack;
    }
    starts->stack[starts->n++] = (tbc_start){number, step};
    return TBC_OK;
}

/* Returns the start with the lowest step of all with a higher number than `number`; NULL if there is none. */
static inline const tbc_start *tbc_starts_after(const tbc_starts *starts, uint64_t number)
{
    size_t first = 0;
    for (size_t end = starts->n; first < end;) {
        size_t middle = first + (end - first) / 2;
        if (starts->stack[middle].number > number)
            end = middle;
        else
            first = middle + 1;
    }
    return first < starts->n ? &starts->stack[first] : NULL;
}

#endif
