/*
 * tls_platform.h - what mbedTLS asks of the board: random numbers, by CTR_DRBG (NIST SP 800-90A).
 * The date it takes from the C library's time().
 */
#ifndef TLS_PLATFORM_H
#define TLS_PLATFORM_H

#include <stddef.h>

#define TLS_MIN_FINITE_FIELD_BITS 2048 /* RSA keys and DHE groups (NIST SP 800-57) */

/* Seed the generator unless that was done. Returns 0, or TLS_ERR_RANDOM. */
int tls_platform_start(void);

/* mbedTLS's f_rng; `context` is not used. */
int tls_platform_random(void *context, unsigned char *buffer, size_t length);

#endif
