/*
 * heap_count.h - counts the heap in use, in bytes of blocks with their headers.
 *
 * For the one file that is linked into the firmware; the link wraps malloc, realloc and free.
 */
#ifndef HEAP_COUNT_H
#define HEAP_COUNT_H

#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define HEADER sizeof(size_t) /* picolibc's, before each block */

void *__real_malloc(size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);

static uint32_t used, peak; /* whoever includes it starts the peak anew */

static size_t size_of(void *block)
{
    return block == NULL ? 0 : malloc_usable_size(block) + HEADER;
}

static void note(size_t taken, size_t given)
{
    used += (uint32_t)taken - (uint32_t)given;
    if (used > peak) {
        peak = used;
    }
}

void *__wrap_malloc(size_t size) /* calloc() calls it, too */
{
    void *block = __real_malloc(size);
    note(size_of(block), 0);
    return block;
}

void *__wrap_realloc(void *block, size_t size) /* calls malloc() and free() unless it stays */
{
    size_t had = size_of(block);
    void *moved = __real_realloc(block, size);
    if (moved != NULL && moved == block) {
        note(size_of(moved), had);
    }
    return moved;
}

void __wrap_free(void *block)
{
    note(0, size_of(block));
    __real_free(block);
}

#endif
