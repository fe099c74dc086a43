/*
 * tls_debug.h - mbedTLS's debugging output on the console, without what must stay secret.
 *
 * One line a message, `ssl_tls.c:1234: message`. mbedTLS also prints keys, secrets and what it
 * has decrypted: of its dumps only those are shown that anybody on the wire could have made.
 * Needs a profile with `mbedtls.debug`, which defines MBEDTLS_DEBUG_C.
 */
#ifndef TLS_DEBUG_H
#define TLS_DEBUG_H

#include <mbedtls/ssl.h>

#ifdef MBEDTLS_DEBUG_C

#define TLS_DEBUG_MAX_LEVEL 4

/* Have the connections of this configuration print. */
void tls_debug_attach(mbedtls_ssl_config *config);

/* 0: nothing, as at the start; 1: errors; 2: state changes; 3: information; 4: everything. */
void tls_debug_set_threshold(int level);

#else

static inline void tls_debug_attach(mbedtls_ssl_config *config)
{
    (void)config;
}

#endif

#endif
