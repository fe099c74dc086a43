/*
 * tls_platform.h - what mbedTLS asks of the board: memory, and random numbers by CTR_DRBG (NIST SP
 * 800-90A). The date it takes from the C library's time().
 */
#ifndef TLS_PLATFORM_H
#define TLS_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>

/* Before any other use of mbedTLS: seed the generator. Returns 0, or TLS_ERR_RANDOM. */
int tls_platform_start(void);

/* mbedTLS's f_rng; `context` is not used. */
int tls_platform_random(void *context, unsigned char *buffer, size_t length);

/*
 * Whether mbedTLS was refused memory since the last tls_platform_forget_failure(). Its results do
 * not always tell: a signature that could not be checked for want of memory is a wrong one to it.
 */
bool tls_platform_allocation_failed(void);
void tls_platform_forget_failure(void);

#endif
