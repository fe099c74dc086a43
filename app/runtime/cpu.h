/*
 * cpu.h - what start.S offers to C, and the end of every road that leads nowhere.
 */
#ifndef CPU_H
#define CPU_H

#include <stddef.h>
#include <stdint.h>

uint32_t cpu_ticks(void);
void cpu_wait(uint32_t ticks);

/* Bytes of the stack below the caller's frame. */
size_t stack_room(void);
/* Bytes of the stack that were never used since start. 0 means that it overflowed. */
size_t stack_unused(void);

/* Say why on the console and end the program with exit code 2. */
void panic(const char *reason) __attribute__((noreturn));
void panic_exception(uint32_t cause, uint32_t pc, uint32_t address, uint32_t stack)
    __attribute__((noreturn));

#endif
