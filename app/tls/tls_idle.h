/*
 * tls_idle.h - a connection's record buffers given back to the heap while they hold nothing.
 *
 * In the profile's `tls.idle_buffers = "release"` a connection without a record under way needs
 * neither buffer, which is most of its memory. While a buffer is gone mbedTLS must not be called
 * for anything that uses it: reading needs both (it may answer with an alert), writing and
 * mbedtls_ssl_close_notify() need the send buffer. mbedtls_ssl_free() needs none.
 *
 * In "shrink" and "release" mbedTLS cuts the receive buffer down to `tls.max_fragment` after the
 * handshake, even when the server did not agree to that: see tls_idle_enlarge().
 */
#ifndef TLS_IDLE_H
#define TLS_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include <mbedtls/ssl.h>

#include "tls_error.h"

/* What has to outlive the buffers of one connection; all zero at first. */
struct tls_idle {
    unsigned char in_counter[8]; /* the number of the next record, which no record carries */
    uint8_t out_msg;             /* where the payload of the next record to send starts */
};

#ifdef NODEMCU_TLS_RELEASE_BUFFERS

/*
 * Give back each buffer that holds nothing. Returns whether one is gone now. Does nothing before
 * the handshake's end.
 */
bool tls_idle_release(mbedtls_ssl_context *ssl, struct tls_idle *idle);

/*
 * Have both buffers, or the send buffer alone, as they were. Returns 0; or TLS_ERR_MEMORY, and
 * nothing is lost: it may be tried again.
 */
int tls_idle_restore(mbedtls_ssl_context *ssl, const struct tls_idle *idle);
int tls_idle_restore_out(mbedtls_ssl_context *ssl, const struct tls_idle *idle);

#else

static inline bool tls_idle_release(mbedtls_ssl_context *ssl, struct tls_idle *idle)
{
    (void)ssl;
    (void)idle;
    return false;
}

static inline int tls_idle_restore(mbedtls_ssl_context *ssl, const struct tls_idle *idle)
{
    (void)ssl;
    (void)idle;
    return 0;
}

static inline int tls_idle_restore_out(mbedtls_ssl_context *ssl, const struct tls_idle *idle)
{
    (void)ssl;
    (void)idle;
    return 0;
}

#endif

#ifdef MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH

/*
 * To be called when mbedtls_ssl_read() returned MBEDTLS_ERR_SSL_BAD_INPUT_DATA. Returns 1 when
 * that was for a receive buffer cut down too far, which now is large enough: read again. 0: the
 * record is larger than `tls.in_buffer` allows. TLS_ERR_MEMORY: the connection is lost.
 */
int tls_idle_enlarge(mbedtls_ssl_context *ssl);

#else

static inline int tls_idle_enlarge(mbedtls_ssl_context *ssl)
{
    (void)ssl;
    return 0;
}

#endif

#endif
