/*
 * libc_port.c - what picolibc asks of its platform: a heap, a console, and no file system.
 */
#include "libc_port.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "board.h"
#include "cpu.h"

extern char __heap_start[], __heap_end[];

static char *heap_break = __heap_start;

void *sbrk(ptrdiff_t increment)
{
    if (increment > __heap_end - heap_break || increment < __heap_start - heap_break) {
        errno = ENOMEM;
        return (void *)-1;
    }
    char *previous = heap_break;
    heap_break += increment;
    return previous;
}

size_t heap_free(void)
{
    return (size_t)(__heap_end - heap_break) + (size_t)mallinfo().fordblks;
}

static int put_char(char c, FILE *file)
{
    (void)file;
    board_console_write(&c, 1);
    return (unsigned char)c;
}

static int get_char(FILE *file)
{
    (void)file;
    return _FDEV_EOF; /* the REPL reads the console itself */
}

static FILE console = FDEV_SETUP_STREAM(put_char, get_char, NULL, _FDEV_SETUP_RW);

FILE *const stdin = &console;
FILE *const stdout = &console;
FILE *const stderr = &console;

/* Behind time(): the seconds are the board's, or 0 while it does not know them. */
int gettimeofday(struct timeval *now, void *zone)
{
    (void)zone;
    now->tv_sec = (time_t)board_epoch();
    now->tv_usec = 0;
    return 0;
}

/* Lua's loadfile() reaches these: the firmware has no files, so opening any of them fails. */
int open(const char *path, int flags, ...)
{
    (void)path;
    (void)flags;
    errno = ENOENT;
    return -1;
}

int close(int fd)
{
    (void)fd;
    errno = EBADF;
    return -1;
}

ssize_t read(int fd, void *buffer, size_t length)
{
    (void)fd;
    (void)buffer;
    (void)length;
    errno = EBADF;
    return -1;
}

ssize_t write(int fd, const void *buffer, size_t length)
{
    (void)fd;
    (void)buffer;
    (void)length;
    errno = EBADF;
    return -1;
}

off_t lseek(int fd, off_t offset, int whence)
{
    (void)fd;
    (void)offset;
    (void)whence;
    errno = EBADF;
    return -1;
}

/* The firmware ends by board_exit(): who comes here is a library that knows no better way. */
void _exit(int code)
{
    (void)code;
    panic("exit() was called");
}

void abort(void)
{
    panic("abort() was called");
}

void __assert_func(const char *file, int line, const char *function, const char *expression)
{
    char reason[80] = "assertion failed: ";

    (void)file, (void)line, (void)function; /* the report's addresses tell them */
    strncat(reason, expression, sizeof reason - 1 - strlen(reason));
    panic(reason);
}
