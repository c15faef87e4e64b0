/* The starts of sessions that a reader has to remember, and how arrays grow, for scan.c and tally.c.
 *
 * Each start has a step and a number: of its file, or one of its own. Numbers never fall. A start makes those before it
 * needless whose step is not lower, as whatever they hide it hides too. The rest are a stack: steps grow from the bottom
 * to the top, and of all starts above a given number the first has the lowest step. Adding one takes constant time, on
 * average; finding one takes a bisection. reader/scan.py does the same in Python.
 */
#ifndef TBC_STARTS_H
#define TBC_STARTS_H

#include "status.h"
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Answers an array with room for twice as many elements, `least` or more; NULL without memory, and all is as it was. */
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

/* The start with the lowest step of all whose number is above this one; NULL if there is none. */
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
