/*
 * tls_1_3.h - what mbedTLS leaves undone in TLS 1.3.
 */
#ifndef TLS_1_3_H
#define TLS_1_3_H

#include <mbedtls/version.h>

struct mbedtls_ssl_context;

#ifdef MBEDTLS_SSL_PROTO_TLS1_3

/*
 * To be called when a ClientHello was written. mbedTLS asks for a record size in it on behalf of
 * TLS 1.2 (RFC 6066, section 4) and forgets that it did: it would take the answer of a server that
 * chose TLS 1.3 for one to a question that was never put.
 */
void tls_1_3_sent_hello(struct mbedtls_ssl_context *ssl);

/*
 * To be called at the end of a handshake. The handshake's own keys and the server's chain, which
 * mbedTLS keeps as long as the connection, go: 3 KB and more.
 */
void tls_1_3_finished(struct mbedtls_ssl_context *ssl);

#else

static inline void tls_1_3_sent_hello(struct mbedtls_ssl_context *ssl)
{
    (void)ssl;
}

static inline void tls_1_3_finished(struct mbedtls_ssl_context *ssl)
{
    (void)ssl;
}

#endif

#endif
