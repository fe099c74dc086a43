/*
 * tls_session.h - TLS sessions kept in RAM, so that the next handshake with a server is a short
 * one.
 *
 * A session is kept under a key of 32 bytes, in which its user has put whatever the server was
 * trusted for: only a connection that asks for the same may resume it. The longest unused one
 * goes when there are too many, none is offered more than a day after its
 * certificate was checked, and none is
 * kept when memory is short: a handshake never fails for that. In a profile without
 * `tls.resumption` nothing is ever kept.
 */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include <stdbool.h>

#include <mbedtls/ssl.h>

#define TLS_SESSION_KEY_SIZE 32

#ifdef NODEMCU_TLS_SESSIONS

/* Offer the kept session, if there is one. Call it once, after mbedtls_ssl_setup(). */
void tls_session_offer(mbedtls_ssl_context *ssl, const unsigned char key[TLS_SESSION_KEY_SIZE]);

/*
 * Whether the server resumes the session. Call it once, right after the step of the handshake
 * that left the state MBEDTLS_SSL_SERVER_HELLO. A ticket that the server refused is dropped from
 * `ssl`, for else it would pass for a new one of this session.
 */
bool tls_session_settle(mbedtls_ssl_context *ssl);

/*
 * Keep the session of a finished handshake, once; `resumed` is what tls_session_settle() said.
 * A server that offers no resumption, or a ticket of more than 1 KiB, is forgotten.
 */
void tls_session_keep(const mbedtls_ssl_context *ssl, const unsigned char key[TLS_SESSION_KEY_SIZE],
                      bool resumed);

/* A handshake failed: do not offer the session again. */
void tls_session_forget(const unsigned char key[TLS_SESSION_KEY_SIZE]);

void tls_session_forget_all(void);

/*
 * An allocation of mbedTLS's was refused: forget all sessions. Returns whether that has freed
 * memory, so that it is worth trying again.
 */
bool tls_session_give_way(void);

#else

static inline void tls_session_offer(mbedtls_ssl_context *ssl,
                                     const unsigned char key[TLS_SESSION_KEY_SIZE])
{
    (void)ssl;
    (void)key;
}

static inline bool tls_session_settle(mbedtls_ssl_context *ssl)
{
    (void)ssl;
    return false;
}

static inline void tls_session_keep(const mbedtls_ssl_context *ssl,
                                    const unsigned char key[TLS_SESSION_KEY_SIZE], bool resumed)
{
    (void)ssl;
    (void)key;
    (void)resumed;
}

static inline void tls_session_forget(const unsigned char key[TLS_SESSION_KEY_SIZE])
{
    (void)key;
}

static inline void tls_session_forget_all(void)
{
}

static inline bool tls_session_give_way(void)
{
    return false;
}

#endif

#endif
