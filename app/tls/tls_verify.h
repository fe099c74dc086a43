/*
 * tls_verify.h - judge the server's certificate: trust, dates, host name, pinned key.
 */
#ifndef TLS_VERIFY_H
#define TLS_VERIFY_H

#include <stdbool.h>

#include <mbedtls/x509_crt.h>

#include "tls_options.h"

struct tls_verify {
    const struct tls_options *options;
    bool has_ca;    /* if not, only the pins count */
    bool pin_fails; /* what the judgement was */
};

/* mbedTLS's verify callback, called for each certificate of the chain; `verify` is ours. */
int tls_verify_certificate(void *verify, mbedtls_x509_crt *certificate, int depth, uint32_t *flags);

/* What mbedTLS demands of certificates' algorithms and key sizes. */
extern const mbedtls_x509_crt_profile tls_verify_profile;

#endif
