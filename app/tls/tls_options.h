/*
 * tls_options.h - what is said about one connection before it is opened.
 *
 * The strings and the pins belong to whoever sets them and must outlive the connection.
 */
#ifndef TLS_OPTIONS_H
#define TLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_PIN_SIZE 32 /* SHA-256 of the server's SubjectPublicKeyInfo (RFC 7469, section 2.4) */

struct tls_options {
    const char *server_name;   /* in place of the host's, for SNI and the check; NULL: the host's */
    bool send_name;            /* as server name indication (RFC 6066, section 3) */
    bool verify_host;          /* where there is a CA: the certificate must be for that name */
    bool resume;               /* an earlier session with the same server, if there is one */
    const unsigned char *pins; /* TLS_PIN_SIZE bytes each */
    size_t pin_count;          /* 0: any key will do */
    uint32_t connect_timeout;  /* milliseconds for DNS and TCP; 0: as long as lwIP tries */
    uint32_t handshake_timeout; /* milliseconds that a handshake waits for the server in all */
    uint32_t idle_timeout; /* milliseconds without a byte from the server; 0: as long as it takes */
};

#define TLS_OPTIONS_DEFAULT                                                                        \
    {                                                                                              \
        .send_name = true, .verify_host = true, .resume = true, .handshake_timeout = 30000u        \
    }

#endif
