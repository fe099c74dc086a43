/*
 * crash.h - what crash.S saves for crash.c, word by word.
 */
#ifndef CRASH_H
#define CRASH_H

/* a0 to a15 are the words 0 to 15. */
#define CRASH_KIND 16
#define CRASH_CAUSE 17
#define CRASH_EPC1 18
#define CRASH_EPC2 19
#define CRASH_EPC3 20
#define CRASH_EXCVADDR 21
#define CRASH_DEPC 22
#define CRASH_PS 23
#define CRASH_EPS2 24
#define CRASH_EPS3 25
#define CRASH_SAR 26
#define CRASH_DEBUGCAUSE 27
#define CRASH_WORDS 28

/* Why it was saved. */
#define CRASH_EXCEPTION 0
#define CRASH_DOUBLE_EXCEPTION 1
#define CRASH_DEBUG 2
#define CRASH_NMI 3
#define CRASH_PANIC 4 /* a0 and a2 are those of panic()'s call */

#ifndef __ASSEMBLER__
#include <stdint.h>

/* Print the report and end. Called on a stack of its own with `frame` saved, interrupts masked. */
void crash_report(const uint32_t frame[CRASH_WORDS]) __attribute__((noreturn));
#endif

#endif
