/* A stack of the session starts that still hide values, for scan.c and tally.c.
 *
 * A program that resumes a run logs a session start with its first step. The start hides the values that have a lower
 * number and the same or a higher step. The number is that of the file in scan.c, and counts the starts in tally.c; it
 * never decreases from one start to the next. So a new start hides all that earlier starts with the same or a higher
 * step hide, and replaces them. The rest are a stack: steps grow from the bottom to the top. So among the starts above
 * a given number, the first has the lowest step. Example: the starts 1, 2, 3 at the steps 50, 80, 60 leave 1 at 50 and
 * 3 at 60. Adding a start takes constant time on average; finding one takes a bisection. reader/scan.py does the same
 * in Python.
 */
#ifndef TBC_STARTS_H
#define TBC_STARTS_H

#include "status.h"
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Doubles the capacity of an array (0 becomes `min_capacity`) and returns its new address. `size` is that of one
   element, in bytes. If the allocation fails, returns NULL, and the old array stays valid. */
static inline void *tbc_grown(void *array, size_t *capacity, size_t size, size_t min_capacity)
{
    size_t wanted = *capacity == 0 ? min_capacity : 2 * *capacity;
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

/* Adds a start, whose number must not be lower than that of the last one. On TBC_NO_MEMORY nothing changes. */
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

/* Among the starts whose number exceeds `number`, returns the one with the lowest step; NULL if there is none. The next
   tbc_starts_add invalidates the pointer. */
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
