/*
 * simcall.h - the emulator's services (Xtensa semihosting), as the virtual board uses them.
 */
#ifndef SIMCALL_H
#define SIMCALL_H

enum simcall_number {
    SIMCALL_EXIT = 1,
    SIMCALL_READ = 3,
    SIMCALL_WRITE = 4,
    SIMCALL_OPEN = 5,
    SIMCALL_CLOSE = 6,
    SIMCALL_LSEEK = 19,
    SIMCALL_ARGC = 1000,
    SIMCALL_ARGV_SIZE = 1001,
    SIMCALL_ARGV = 1002,
};

/* Open flags and seek origins are the host's: Linux. */
#define SIMCALL_O_RDONLY 0
#define SIMCALL_O_RDWR 2
#define SIMCALL_SEEK_SET 0

/* Returns the host's result, negative on failure. */
int simcall(int number, int a, int b, int c);

#endif
