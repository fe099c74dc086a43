/*
 * tls_error.h - why a TLS connection failed: one number and one plain sentence for each reason.
 */
#ifndef TLS_ERROR_H
#define TLS_ERROR_H

#include "stream.h"

/* Negative, going on where enum stream_err ends: a connection can fail with either. */
enum tls_err {
    TLS_ERR_MEMORY = -16,            /* not enough heap for the handshake or a record */
    TLS_ERR_RANDOM = -17,            /* the board's random source failed */
    TLS_ERR_NOT_TLS = -18,           /* what the server sent is no TLS record */
    TLS_ERR_HANDSHAKE_CLOSED = -19,  /* the server closed in mid-handshake */
    TLS_ERR_HANDSHAKE_TIMEOUT = -20, /* the server stopped answering in mid-handshake */
    TLS_ERR_HANDSHAKE = -21,         /* a handshake message that breaks the protocol */
    TLS_ERR_VERSION = -22,           /* no protocol version in common */
    TLS_ERR_ALERT = -23,             /* the server sent a fatal alert */
    TLS_ERR_RECORD_SIZE = -24,       /* a record larger than the receive buffer */
    TLS_ERR_RECORD = -25,            /* a record that does not decrypt */
    TLS_ERR_TRUNCATED = -26,         /* closed without the closing alert */
    TLS_ERR_NO_CA = -27,             /* verification is on and no CA is built in */
    TLS_ERR_BAD_CA = -28,            /* the built-in CA cannot be used by this mbedTLS */
    TLS_ERR_UNTRUSTED = -29,         /* no path to a trusted CA */
    TLS_ERR_HOST_NAME = -30,         /* the certificate is for another name */
    TLS_ERR_EXPIRED = -31,           /* a certificate's validity is over */
    TLS_ERR_NOT_YET_VALID = -32,     /* a certificate's validity has not begun */
    TLS_ERR_WEAK = -33,              /* a digest, key type or size that is not accepted */
    TLS_ERR_USAGE = -34,             /* the certificate is not for a TLS server */
    TLS_ERR_CERTIFICATE = -35,       /* a certificate that cannot be read or is not valid */
    TLS_ERR_INTERNAL = -36,          /* anything else mbedTLS reports */
};

/* The error for an mbedTLS result during a handshake (`in_handshake`) or after it. */
int tls_error_from_mbedtls(int result, bool in_handshake);

/* The error for the flags of a failed certificate verification (MBEDTLS_X509_BADCERT_*). */
int tls_error_from_verify(uint32_t flags);

/* The plain sentence for any negative result of a stream or a TLS connection. */
const char *tls_error_reason(int error);

/* A TLS alert's name in RFC 5246, section 7.2, or "unknown". */
const char *tls_alert_name(int alert);

#endif
