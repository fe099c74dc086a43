/*
 * host_board.c - board.h for a program of the host: its clock, random source and console.
 *
 * The flash is host_flash.c's.
 */
#include "board.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <sys/random.h>

#include "build_time.h"
#include "cpu.h"
#include "host.h"

#define EXIT_PANIC 2

uint64_t host_seed;
uint64_t host_micros;
int64_t host_date;

const int64_t build_time = 1700000000;

uint64_t board_micros(void)
{
    struct timespec now;

    if (host_micros != 0) {
        return host_micros;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint32_t board_millis(void)
{
    return (uint32_t)(board_micros() / 1000u);
}

int64_t board_epoch(void)
{
    return host_date != 0 ? host_date : time(NULL);
}

/* Not random at all, but the same in every run (Marsaglia's xorshift64). */
static unsigned char next_seeded(void)
{
    host_seed ^= host_seed << 13;
    host_seed ^= host_seed >> 7;
    host_seed ^= host_seed << 17;
    return (unsigned char)(host_seed >> 32);
}

int board_random(void *buffer, size_t length)
{
    unsigned char *to = buffer;

    if (host_seed == 0) {
        return getrandom(buffer, length, 0) == (ssize_t)length ? 0 : BOARD_ERR_IO;
    }
    for (size_t i = 0; i < length; i++) {
        to[i] = next_seeded();
    }
    return 0;
}

void board_console_write(const char *text, size_t length)
{
    fwrite(text, 1, length, stdout);
}

void board_exit(int code)
{
    exit(code);
}

void panic(const char *reason)
{
    printf("panic: %s\n", reason);
    exit(EXIT_PANIC);
}
