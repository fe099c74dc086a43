/*
 * tls_platform.h - what mbedTLS asks of the board: memory, random numbers, by CTR_DRBG (NIST SP
 * 800-90A), and the time.
 */
#ifndef TLS_PLATFORM_H
#define TLS_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>

#include <mbedtls/platform_time.h>

#define TLS_MIN_FINITE_FIELD_BITS 2048 /* RSA keys and DHE groups (NIST SP 800-57) */

/* Before any other use of mbedTLS: give it all of this. Returns 0, or TLS_ERR_RANDOM. */
int tls_platform_start(void);

/* mbedTLS's f_rng; `context` is not used. */
int tls_platform_random(void *context, unsigned char *buffer, size_t length);

/*
 * Whether mbedTLS was refused memory since the last tls_platform_forget_failure(). Its results do
 * not always tell: a signature that could not be checked for want of memory is a wrong one to it.
 */
bool tls_platform_allocation_failed(void);
void tls_platform_forget_failure(void);

/* mbedTLS's time(): the board's clock, but never before the build. */
mbedtls_time_t tls_platform_time(mbedtls_time_t *now);

/* Whether the clock tells more than that: one that stands before the build was never set. */
bool tls_platform_clock_is_set(void);

#endif
