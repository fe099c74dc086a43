/*
 * failing_heap.h - a heap that counts its blocks and refuses the one that it is told to.
 *
 * Link with --wrap=malloc, calloc, realloc and free. What the C library itself allocates does not
 * count.
 */
#ifndef FAILING_HEAP_H
#define FAILING_HEAP_H

#include <stdbool.h>
#include <stddef.h>

/* Count allocations from 1 on and refuse the one with this number; 0: none. */
void heap_start(unsigned long refused);

/*
 * Count allocations from 1 on and, from number `first` on, have every `step`-th refused in a fork
 * of the program, which starts with `in_child`. The program goes on with the memory when the fork
 * has ended, and its exit code was told to `ended`.
 */
void heap_start_forking(unsigned long first, unsigned long step, void (*in_child)(void),
                        void (*ended)(unsigned long number, int code));

unsigned long heap_counted(void); /* allocations since heap_start() */
bool heap_has_refused(void);
long heap_blocks(void); /* allocated and not freed, since the program's start */

/* Whether no allocation was refused before that was made by the same functions. */
bool heap_refused_anew(void);

/* Print the names of the functions that the refused allocation was made from, on one line. */
void heap_print_refused(void);

#endif
