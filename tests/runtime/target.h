/* What a program needs to say something: natively, or on QEMU's lx106 without any start-up. */
#ifndef TARGET_H
#define TARGET_H

#include <stddef.h>

#ifdef __XTENSA__
/* start.S: QEMU's semihosting. */
void target_write(const char *text, size_t length);
#else
#include <stdio.h>

static inline void target_write(const char *text, size_t length)
{
    fwrite(text, 1, length, stdout);
}
#endif

#endif
