#include "tls_1_3.h"

#ifdef MBEDTLS_SSL_PROTO_TLS1_3

/* No public header has the state of a handshake. This one comes before any that hides members. */
#include <mbedtls/../../library/ssl_misc.h>

#include <mbedtls/platform.h>

void tls_1_3_sent_hello(struct mbedtls_ssl_context *ssl)
{
#if defined(MBEDTLS_SSL_PROTO_TLS1_2) && defined(MBEDTLS_SSL_MAX_FRAGMENT_LENGTH)
    if (ssl->conf->mfl_code != MBEDTLS_SSL_MAX_FRAG_LEN_NONE) {
        mbedtls_ssl_tls13_set_hs_sent_ext_mask(ssl, MBEDTLS_TLS_EXT_MAX_FRAGMENT_LENGTH);
    }
#else
    (void)ssl;
#endif
}

void tls_1_3_finished(struct mbedtls_ssl_context *ssl)
{
    if (ssl->tls_version != MBEDTLS_SSL_VERSION_TLS1_3) {
        return; /* all of its handshake is gone */
    }
    mbedtls_ssl_transform_free(ssl->handshake->transform_handshake);
    mbedtls_free(ssl->handshake->transform_handshake);
    ssl->handshake->transform_handshake = NULL;
    mbedtls_x509_crt_free(ssl->session->peer_cert);
    mbedtls_free(ssl->session->peer_cert);
    ssl->session->peer_cert = NULL;
}

#endif
