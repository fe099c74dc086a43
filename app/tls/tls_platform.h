/*
 * tls_platform.h - what mbedTLS asks of the board: random numbers, by CTR_DRBG (NIST SP 800-90A),
 * and the time.
 */
#ifndef TLS_PLATFORM_H
#define TLS_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>

#include <mbedtls/platform_time.h>

/* Seed the generator and give mbedTLS its clock, unless done. Returns 0, or TLS_ERR_RANDOM. */
int tls_platform_start(void);

/* mbedTLS's f_rng; `context` is not used. */
int tls_platform_random(void *context, unsigned char *buffer, size_t length);

/* mbedTLS's time(): the board's clock, but never before the build. */
mbedtls_time_t tls_platform_time(mbedtls_time_t *now);

/* Whether the clock tells more than that: one that stands before the build was never set. */
bool tls_platform_clock_is_set(void);

#endif
