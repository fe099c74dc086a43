/*
 * libc_port.h - the heap, as the firmware reports it.
 */
#ifndef LIBC_PORT_H
#define LIBC_PORT_H

#include <stddef.h>

/* Bytes of heap not in use: never given out, plus given back (in pieces of any size). */
size_t heap_free(void);

#endif
