/*
 * tls_engine.h - mbedTLS, set up for one connection: what it offers, accepts and trusts.
 *
 * An engine is some two kilobytes of heap and mbedTLS's record buffers, so it exists only while
 * there is a handshake or a session.
 */
#ifndef TLS_ENGINE_H
#define TLS_ENGINE_H

#include <mbedtls/ssl.h>
#include <mbedtls/version.h>

#include "tls_credentials.h"
#include "tls_verify.h"

#if MBEDTLS_VERSION_MAJOR < 3
#define MBEDTLS_PRIVATE(member) member /* 2.x hides nothing */
#endif

struct tls_engine {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    struct tls_verify verify;
};

/*
 * Make an engine that trusts and shows `credentials`, which must stay until the handshake is
 * over; so must `options`. Returns 0 and puts it into `engine`, which tls_engine_free() takes;
 * or a negative enum tls_err.
 */
int tls_engine_create(struct tls_engine **engine, const struct tls_options *options,
                      struct tls_credentials *credentials);

/* Free an engine; NULL is none. */
void tls_engine_free(struct tls_engine *engine);

#endif
