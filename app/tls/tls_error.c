#include "tls_error.h"

#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509.h>

#include "stream.h"
#include "tls_platform.h"

#if MBEDTLS_VERSION_MAJOR < 3
#define MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION
#define MBEDTLS_ERR_SSL_BAD_CERTIFICATE MBEDTLS_ERR_SSL_BAD_HS_CERTIFICATE
#endif

/* A certificate of the chain that cannot be read is no error of the protocol. */
static int handshake_error(int result)
{
    int module = -(-result & 0x7f80); /* without the low-level code that is added to some */

    if (module == MBEDTLS_ERR_PK_UNKNOWN_NAMED_CURVE || module == MBEDTLS_ERR_PK_UNKNOWN_PK_ALG) {
        return TLS_ERR_WEAK;
    }
    if (module <= MBEDTLS_ERR_X509_FEATURE_UNAVAILABLE && module >= MBEDTLS_ERR_X509_FATAL_ERROR) {
        return TLS_ERR_CERTIFICATE;
    }
    return TLS_ERR_HANDSHAKE;
}

int tls_error_from_mbedtls(int result, bool in_handshake)
{
    if (tls_platform_allocation_failed()) {
        return TLS_ERR_MEMORY; /* mbedTLS's result does not always tell */
    }
    switch (result) {
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
        return TLS_ERR_MEMORY;
    case MBEDTLS_ERR_SSL_CONN_EOF:
        return in_handshake ? TLS_ERR_HANDSHAKE_CLOSED : TLS_ERR_TRUNCATED;
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
        return in_handshake ? TLS_ERR_HANDSHAKE_CLOSED : 0;
    case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
        return TLS_ERR_ALERT;
    case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
        return TLS_ERR_VERSION;
    case MBEDTLS_ERR_SSL_BAD_CERTIFICATE:
    case MBEDTLS_ERR_X509_FATAL_ERROR: /* more certificates than the profile allows */
        return TLS_ERR_CERTIFICATE;
#if MBEDTLS_VERSION_MAJOR < 3
    case MBEDTLS_ERR_SSL_FEATURE_UNAVAILABLE: /* a message in several records */
#endif
    case MBEDTLS_ERR_SSL_BAD_INPUT_DATA: /* asked to fetch more than the buffer holds */
        return TLS_ERR_RECORD_SIZE;
    case MBEDTLS_ERR_SSL_INVALID_RECORD:
        return in_handshake ? TLS_ERR_NOT_TLS : TLS_ERR_RECORD;
    case MBEDTLS_ERR_SSL_INVALID_MAC:
        return TLS_ERR_RECORD;
    case MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL: /* only ever the one that is written to */
        return TLS_ERR_SEND_SIZE;
    default:
        return in_handshake ? handshake_error(result) : TLS_ERR_INTERNAL;
    }
}

/* Trust comes first: a stranger's certificate is not made better by its name or date. */
int tls_error_from_verify(uint32_t flags)
{
    static const struct {
        uint32_t flags;
        int error;
    } order[] = {
        {MBEDTLS_X509_BADCERT_NOT_TRUSTED, TLS_ERR_UNTRUSTED},
        {MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY,
         TLS_ERR_WEAK},
        {MBEDTLS_X509_BADCERT_EXPIRED, TLS_ERR_EXPIRED},
        {MBEDTLS_X509_BADCERT_FUTURE, TLS_ERR_NOT_YET_VALID},
        {MBEDTLS_X509_BADCERT_CN_MISMATCH, TLS_ERR_HOST_NAME},
        {MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE |
             MBEDTLS_X509_BADCERT_NS_CERT_TYPE,
         TLS_ERR_USAGE},
    };

    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (flags & order[i].flags) {
            return order[i].error;
        }
    }
    return TLS_ERR_CERTIFICATE;
}

const char *tls_error_stage(int error, const char *stage)
{
    switch (error) {
    case STREAM_ERR_DNS:
        return "dns";
    case STREAM_ERR_REFUSED:
    case STREAM_ERR_UNREACHABLE:
        return "tcp";
    case TLS_ERR_ALERT:
        return "alert";
    case TLS_ERR_RECORD:
    case TLS_ERR_TRUNCATED:
        return "record";
    case TLS_ERR_NO_CA:
    case TLS_ERR_BAD_CA:
    case TLS_ERR_UNTRUSTED:
    case TLS_ERR_HOST_NAME:
    case TLS_ERR_EXPIRED:
    case TLS_ERR_NOT_YET_VALID:
    case TLS_ERR_WEAK:
    case TLS_ERR_USAGE:
    case TLS_ERR_CERTIFICATE:
    case TLS_ERR_PIN:
        return "verify";
    default:
        return stage;
    }
}

const char *tls_error_reason(int error)
{
    static const char *const reasons[] = {
        [-TLS_ERR_MEMORY] = "out of memory",
        [-TLS_ERR_RANDOM] = "no random numbers from the board",
        [-TLS_ERR_NOT_TLS] = "the server does not speak TLS on this port",
        [-TLS_ERR_HANDSHAKE_CLOSED] = "the server closed the connection during the handshake",
        [-TLS_ERR_HANDSHAKE_TIMEOUT] = "the server stopped answering during the handshake",
        [-TLS_ERR_HANDSHAKE] = "the server's handshake breaks the TLS protocol",
        [-TLS_ERR_VERSION] = "the server speaks no TLS version that this firmware has",
        [-TLS_ERR_ALERT] = "the server refused with a TLS alert",
        [-TLS_ERR_RECORD_SIZE] = "the server sent a record larger than the receive buffer",
        [-TLS_ERR_RECORD] = "a damaged TLS record",
        [-TLS_ERR_TRUNCATED] = "the server closed the connection without ending TLS",
        [-TLS_ERR_NO_CA] = "verification is on but there is no CA certificate",
        [-TLS_ERR_BAD_CA] = "the CA certificate cannot be used by this firmware",
        [-TLS_ERR_UNTRUSTED] = "the certificate is not signed by a trusted CA",
        [-TLS_ERR_HOST_NAME] = "the certificate is not for this host name",
        [-TLS_ERR_EXPIRED] = "the certificate has expired",
        [-TLS_ERR_NOT_YET_VALID] = "the certificate is not valid yet",
        [-TLS_ERR_WEAK] = "the certificate uses a weak or unsupported algorithm",
        [-TLS_ERR_USAGE] = "the certificate is not for a TLS server",
        [-TLS_ERR_CERTIFICATE] = "the certificate is not valid",
        [-TLS_ERR_PIN] = "the server's public key is not a pinned one",
        [-TLS_ERR_CALLBACK] = "the credentials callback failed",
        [-TLS_ERR_INTERNAL] = "mbedTLS failed",
        [-TLS_ERR_PEM_NONE] = "no certificate or key in it, PEM or DER",
        [-TLS_ERR_PEM_END] = "a PEM object without its -----END line",
        [-TLS_ERR_PEM_BASE64] = "a PEM object that is not base64",
        [-TLS_ERR_KEY_ENCRYPTED] = "an encrypted private key: decrypt it first",
        [-TLS_ERR_NOT_CERTIFICATE] = "no certificate that this firmware can read",
        [-TLS_ERR_NOT_KEY] = "no private key that this firmware can read",
        [-TLS_ERR_KEY_MISMATCH] = "the private key is not the certificate's",
        [-TLS_ERR_TOO_LARGE] = "more than one flash sector holds",
        [-TLS_ERR_STORE_BUSY] = "a handshake is reading the stored credentials: try again later",
        [-TLS_ERR_STORE_FLASH] = "the flash could not be written",
        [-TLS_ERR_NOT_STORED] = "nothing is stored in flash",
        [-TLS_ERR_SEND_SIZE] = "a message to the server is larger than the send buffer",
    };

    if (error <= TLS_ERR_MEMORY && error >= TLS_ERR_SEND_SIZE) {
        return reasons[-error];
    }
    return stream_reason(error);
}

const char *tls_alert_name(int alert)
{
    static const struct {
        int alert;
        const char *name;
    } names[] = {
        {MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE, "unexpected_message"},
        {MBEDTLS_SSL_ALERT_MSG_BAD_RECORD_MAC, "bad_record_mac"},
        {MBEDTLS_SSL_ALERT_MSG_RECORD_OVERFLOW, "record_overflow"},
        {MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE, "handshake_failure"},
        {MBEDTLS_SSL_ALERT_MSG_BAD_CERT, "bad_certificate"},
        {MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT, "unsupported_certificate"},
        {MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED, "certificate_revoked"},
        {MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED, "certificate_expired"},
        {MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN, "certificate_unknown"},
        {MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER, "illegal_parameter"},
        {MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA, "unknown_ca"},
        {MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED, "access_denied"},
        {MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR, "decode_error"},
        {MBEDTLS_SSL_ALERT_MSG_DECRYPT_ERROR, "decrypt_error"},
        {MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION, "protocol_version"},
        {MBEDTLS_SSL_ALERT_MSG_INSUFFICIENT_SECURITY, "insufficient_security"},
        {MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR, "internal_error"},
        {MBEDTLS_SSL_ALERT_MSG_USER_CANCELED, "user_canceled"},
        {MBEDTLS_SSL_ALERT_MSG_NO_RENEGOTIATION, "no_renegotiation"},
        {MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_EXT, "unsupported_extension"},
        {MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME, "unrecognized_name"},
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].alert == alert) {
            return names[i].name;
        }
    }
    return "unknown";
}
