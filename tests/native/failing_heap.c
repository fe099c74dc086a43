#include "failing_heap.h"

#include <execinfo.h>
#include <stdio.h>
#include <unistd.h>

#include <sys/wait.h>

#include <sanitizer/common_interface_defs.h>

#define DEPTH 32
#define PLACES 4096
#define SKIPPED 2 /* refuse() and the wrapper itself */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);

static unsigned long counted, refused, fork_at, fork_step;
static void (*fork_in_child)(void);
static void (*fork_ended)(unsigned long number, int code);
static long blocks;
static void *callers[DEPTH];
static int caller_count;
static size_t places[PLACES], place_count;

void heap_start(unsigned long number)
{
    counted = 0;
    refused = number;
    fork_at = 0;
    caller_count = 0;
}

void heap_start_forking(unsigned long first, unsigned long step, void (*in_child)(void),
                        void (*ended)(unsigned long number, int code))
{
    heap_start(0);
    fork_at = first;
    fork_step = step;
    fork_in_child = in_child;
    fork_ended = ended;
}

unsigned long heap_counted(void)
{
    return counted;
}

bool heap_has_refused(void)
{
    return refused != 0 && counted >= refused;
}

long heap_blocks(void)
{
    return blocks;
}

bool heap_refused_anew(void)
{
    size_t place = 0;

    for (int i = 0; i < caller_count; i++) {
        place = place * 31 + (size_t)callers[i];
    }
    for (size_t i = 0; i < place_count; i++) {
        if (places[i] == place) {
            return false;
        }
    }
    if (place_count < PLACES) {
        places[place_count++] = place;
    }
    return true;
}

void heap_print_refused(void)
{
    char name[128];

    for (int i = SKIPPED; i < caller_count; i++) {
        __sanitizer_symbolize_pc(callers[i], "%f", name, sizeof name);
        printf(" %s", name);
    }
    printf("\n");
}

static void fork_and_wait(void)
{
    int status = 0;

    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        refused = counted;
        fork_at = 0;
        fork_in_child();
        return;
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("fork");
        _exit(70);
    }
    fork_at += fork_step;
    fork_ended(counted, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static __attribute__((noinline)) bool refuse(void)
{
    if (++counted == fork_at) {
        caller_count = backtrace(callers, DEPTH);
        fork_and_wait();
        return refused == counted;
    }
    if (counted != refused) {
        return false;
    }
    caller_count = backtrace(callers, DEPTH);
    return true;
}

static void *count_block(void *block)
{
    blocks += block != NULL;
    return block;
}

void *__wrap_malloc(size_t size)
{
    return refuse() ? NULL : count_block(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refuse() ? NULL : count_block(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    if (refuse()) {
        return NULL;
    }
    void *moved = __real_realloc(block, size);
    blocks += block == NULL && moved != NULL;
    blocks -= block != NULL && size == 0;
    return moved;
}

void __wrap_free(void *block)
{
    blocks -= block != NULL;
    __real_free(block);
}
