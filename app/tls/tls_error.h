/*
 * tls_error.h - why a TLS connection failed: one number and one plain sentence for each reason.
 */
#ifndef TLS_ERROR_H
#define TLS_ERROR_H

#include <stdbool.h>
#include <stdint.h>

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
    TLS_ERR_NO_CA = -27,             /* verification is on and there is no CA */
    TLS_ERR_BAD_CA = -28,            /* the CA cannot be used by this mbedTLS */
    TLS_ERR_UNTRUSTED = -29,         /* no path to a trusted CA */
    TLS_ERR_HOST_NAME = -30,         /* the certificate is for another name */
    TLS_ERR_EXPIRED = -31,           /* a certificate's validity is over */
    TLS_ERR_NOT_YET_VALID = -32,     /* a certificate's validity has not begun */
    TLS_ERR_WEAK = -33,              /* a digest, key type or size that is not accepted */
    TLS_ERR_USAGE = -34,             /* the certificate is not for a TLS server */
    TLS_ERR_CERTIFICATE = -35,       /* a certificate that cannot be read or is not valid */
    TLS_ERR_PIN = -36,               /* the server's public key is none of the pinned ones */
    TLS_ERR_CALLBACK = -37,          /* the script's credentials callback raised an error */
    TLS_ERR_INTERNAL = -38,          /* anything else mbedTLS reports */
    /* Of credentials: those that a script gives, and those that are stored. */
    TLS_ERR_PEM_NONE = -39,        /* neither a PEM object nor DER */
    TLS_ERR_PEM_END = -40,         /* a BEGIN line without its END line */
    TLS_ERR_PEM_BASE64 = -41,      /* what stands between the two is not base64 */
    TLS_ERR_KEY_ENCRYPTED = -42,   /* a key that needs a passphrase */
    TLS_ERR_NOT_CERTIFICATE = -43, /* not a certificate, or not one this firmware can read */
    TLS_ERR_NOT_KEY = -44,         /* not a private key, or not one this firmware can read */
    TLS_ERR_KEY_MISMATCH = -45,    /* the key is not the certificate's */
    TLS_ERR_TOO_LARGE = -46,       /* more than one flash sector holds */
    TLS_ERR_STORE_BUSY = -47,      /* a handshake still reads what would be overwritten */
    TLS_ERR_STORE_FLASH = -48,     /* the flash did not take the change */
    TLS_ERR_NOT_STORED = -49,      /* nothing is stored */
    /* Of connections again: numbers are never given anew. */
    TLS_ERR_SEND_SIZE = -50, /* a message of the handshake larger than the send buffer */
};

/* The error for an mbedTLS result during a handshake (`in_handshake`) or after it. */
int tls_error_from_mbedtls(int result, bool in_handshake);

/* The error for the flags of a failed certificate verification (MBEDTLS_X509_BADCERT_*). */
int tls_error_from_verify(uint32_t flags);

/*
 * Where a connection was when it failed with `error`: "dns", "tcp" (connecting), "handshake",
 * "verify" (the server's certificate), "alert" (the server refused) or "record" (afterwards).
 * `stage` is what applies to errors that can happen anywhere.
 */
const char *tls_error_stage(int error, const char *stage);

/* The plain sentence for any negative result of a stream or a TLS connection. */
const char *tls_error_reason(int error);

/* A TLS alert's name in RFC 5246, section 7.2, or "unknown". */
const char *tls_alert_name(int alert);

#endif
