/*
 * cpu.h - what start.S offers to C, and the end of every road that leads nowhere.
 */
#ifndef CPU_H
#define CPU_H

#include <stddef.h>
#include <stdint.h>

uint32_t cpu_ticks(void);
void cpu_wait(uint32_t ticks);
/* Crash in `ticks` of CCOUNT unless this is called again before; cpu_wait() ends it. In IRAM. */
void cpu_watch(uint32_t ticks);

/* Bytes of the stack below the caller's frame; panics when that has left the stack. */
size_t stack_room(void);
/* Bytes of the stack that were never used since start. 0 means that it overflowed. */
size_t stack_unused(void);

/*
 * Print a crash report that begins with `reason`, and end as after any other crash: the chip
 * resets, the emulator ends with exit code 2. For what must not go on; needs no stack or heap.
 */
void panic(const char *reason) __attribute__((noreturn));

#endif
