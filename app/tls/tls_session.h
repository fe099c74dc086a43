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
#include <stdint.h>

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

#ifdef MBEDTLS_SSL_PROTO_TLS1_3

/*
 * TLS 1.3 has no session at the end of the handshake: the server sends tickets whenever it likes.
 * Say once, at that end, when the server's certificate was checked: now, or when the session that
 * was resumed began. What was kept is forgotten, since a ticket is used once (RFC 8446, appendix
 * C.4). Returns false when that is not known any more: then keep no ticket.
 */
bool tls_session_begin(const unsigned char key[TLS_SESSION_KEY_SIZE], bool resumed,
                       uint32_t *verified);

/* Keep the ticket that mbedtls_ssl_read() has just received, in place of one that came before. */
void tls_session_keep_ticket(const mbedtls_ssl_context *ssl,
                             const unsigned char key[TLS_SESSION_KEY_SIZE], uint32_t verified);

#endif

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
