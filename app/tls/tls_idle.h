/*
 * tls_idle.h - a connection's record buffers given back to the heap while they hold nothing.
 *
 * In the profile's `tls.idle_buffers = "release"` a connection without a record under way needs
 * neither buffer, which is most of its memory. While a buffer is gone mbedTLS must not be called
 * for anything that uses it: reading needs both (it may answer with an alert), writing and
 * mbedtls_ssl_close_notify() need the send buffer. mbedtls_ssl_free() needs none.
 *
 * In "shrink" and "release" the receive buffer holds no more than `tls.max_fragment`, in the
 * handshake, too, even when the server did not agree to that: see tls_idle_enlarge().
 */
#ifndef TLS_IDLE_H
#define TLS_IDLE_H

#include <stdbool.h>
#include <stddef.h>
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
 * mbedtls_ssl_setup(), with a receive buffer of `tls.max_fragment` from the start: one cut down
 * later would leave a hole that is too small for what has to come into it. mbedTLS is asked for no
 * other length of it, so its allocator has to ask for the length of each block.
 */
int tls_idle_set_up(mbedtls_ssl_context *ssl, const mbedtls_ssl_config *config);

/* How many bytes to take when mbedTLS asks for `size`: as many, but in tls_idle_set_up(). */
size_t tls_idle_cut_block(size_t size);

/*
 * To be called when mbedtls_ssl_read() or a step of the handshake returned
 * MBEDTLS_ERR_SSL_BAD_INPUT_DATA. Returns 1 when that was for a receive buffer cut down too far,
 * which now is large enough, and for all of a handshake message that comes in parts (mbedTLS 2.28
 * puts none together): do the same again. 0: it was for something else, or the record or the
 * handshake message is larger than `tls.in_buffer` allows. TLS_ERR_MEMORY: the connection is lost.
 */
int tls_idle_enlarge(mbedtls_ssl_context *ssl);

/*
 * To be called between two steps of the handshake: have the first length of the receive buffer
 * again when it was enlarged and holds nothing. At the handshake's end mbedTLS would do so, with
 * both of them in the heap at a time. Returns 0 or TLS_ERR_MEMORY; then the connection is lost.
 */
int tls_idle_shrink(mbedtls_ssl_context *ssl);

#else

static inline int tls_idle_set_up(mbedtls_ssl_context *ssl, const mbedtls_ssl_config *config)
{
    return mbedtls_ssl_setup(ssl, config);
}

static inline size_t tls_idle_cut_block(size_t size)
{
    return size;
}

static inline int tls_idle_enlarge(mbedtls_ssl_context *ssl)
{
    (void)ssl;
    return 0;
}

static inline int tls_idle_shrink(mbedtls_ssl_context *ssl)
{
    (void)ssl;
    return 0;
}

#endif

#endif
