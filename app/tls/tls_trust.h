/*
 * tls_trust.h - whose session may be resumed by whom.
 *
 * A resumed handshake shows no certificate, so a session is only as good as the checks it began
 * with: it is for the same server, checked for the same name against the same CA certificates
 * and pins, with a clock or without, by a client with the same identity.
 */
#ifndef TLS_TRUST_H
#define TLS_TRUST_H

#include <stdbool.h>
#include <stdint.h>

#include "tls_credentials.h"
#include "tls_options.h"

#define TLS_TRUST_SIZE 32

/* Put the SHA-256 of all that into `digest`. Returns false when there is no memory for it. */
bool tls_trust_digest(const char *host, uint16_t port, const struct tls_options *options,
                      const struct tls_credentials *credentials, unsigned char *digest);

#endif
