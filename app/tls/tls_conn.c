#include "tls_conn.h"

#include <stdlib.h>
#include <string.h>

#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

#include "board.h"
#include "server_ca.h"
#include "tls_platform.h"

#if MBEDTLS_VERSION_MAJOR < 3
#define MBEDTLS_PRIVATE(member) member /* 2.28 hides nothing */
#endif

#define HANDSHAKE_TIMEOUT_MS 30000u /* between the start of the handshake and its end */

#define MIN_FINITE_FIELD_BITS 2048 /* RSA keys and DHE groups (NIST SP 800-57) */

/* mbedTLS's default, and every curve that the profile has built in. */
static const mbedtls_x509_crt_profile certificate_profile = {
    .allowed_mds =
        MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA224) | MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA256) |
        MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA384) | MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA512),
    .allowed_pks = UINT32_MAX,
    .allowed_curves = UINT32_MAX,
    .rsa_min_bitlen = MIN_FINITE_FIELD_BITS,
};

struct tls_engine {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_x509_crt ca;
    bool host_is_address; /* the name to verify is set after the ClientHello: see step() */
};

void tls_conn_init(struct tls_conn *conn)
{
    *conn = (struct tls_conn){.alert = -1};
    stream_init(&conn->stream);
}

static void free_engine(struct tls_conn *conn)
{
    if (conn->engine != NULL) {
        mbedtls_ssl_free(&conn->engine->ssl);
        mbedtls_ssl_config_free(&conn->engine->config);
        mbedtls_x509_crt_free(&conn->engine->ca);
        free(conn->engine);
        conn->engine = NULL;
    }
}

static int fail(struct tls_conn *conn, int error)
{
    tls_conn_close(conn);
    conn->error = error;
    conn->tell_failed = true;
    return error;
}

/* mbedTLS reads and writes the stream through these two. */
static int bio_receive(void *argument, unsigned char *buffer, size_t length)
{
    struct tls_conn *conn = argument;
    size_t got = stream_read(&conn->stream, buffer, length);

    if (got > 0) {
        return (int)got;
    }
    return conn->stream.peer_closed ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
}

static int bio_send(void *argument, const unsigned char *data, size_t length)
{
    struct tls_conn *conn = argument;
    int put = stream_write(&conn->stream, data, length);

    if (put < 0) {
        return MBEDTLS_ERR_SSL_CONN_EOF;
    }
    return put == 0 ? MBEDTLS_ERR_SSL_WANT_WRITE : put;
}

/* A board that does not know the date cannot judge dates. */
static int forgive_dates_without_clock(void *argument, mbedtls_x509_crt *certificate, int depth,
                                       uint32_t *flags)
{
    (void)argument;
    (void)certificate;
    (void)depth;
    if (board_epoch() == 0) {
        *flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
    }
    return 0;
}

/* The certificates stay in flash; only what mbedTLS learns about them takes heap. */
static int load_built_in_ca(mbedtls_x509_crt *chain)
{
    const unsigned char *der = server_ca_der;
    size_t left = server_ca_der_len;

    if (left == 0) {
        return TLS_ERR_NO_CA;
    }
    while (left > 0) {
        unsigned char *body = (unsigned char *)der;
        size_t length;
        if (mbedtls_asn1_get_tag(&body, der + left, &length,
                                 MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0) {
            return TLS_ERR_BAD_CA;
        }
        length += (size_t)(body - der);
        int result = mbedtls_x509_crt_parse_der_nocopy(chain, der, length);
        if (result != 0) {
            return result == MBEDTLS_ERR_X509_ALLOC_FAILED ? TLS_ERR_MEMORY : TLS_ERR_BAD_CA;
        }
        der += length;
        left -= length;
    }
    return 0;
}

static void offer_versions_and_curves(mbedtls_ssl_config *config)
{
#ifdef MBEDTLS_ECP_C
    static const NODEMCU_TLS_GROUP_TYPE groups[] = {NODEMCU_TLS_GROUPS};
#endif

#if MBEDTLS_VERSION_MAJOR >= 3
    mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
#ifdef MBEDTLS_ECP_C
    mbedtls_ssl_conf_groups(config, groups);
#endif
#else
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#ifdef MBEDTLS_ECP_C
    mbedtls_ssl_conf_curves(config, groups);
#endif
#endif
}

static int configure(struct tls_conn *conn, mbedtls_ssl_config *config)
{
    if (mbedtls_ssl_config_defaults(config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0) {
        return TLS_ERR_MEMORY;
    }
    mbedtls_ssl_conf_rng(config, tls_platform_random, NULL);
    mbedtls_ssl_conf_verify(config, forgive_dates_without_clock, NULL);
    mbedtls_ssl_conf_cert_profile(config, &certificate_profile);
#ifdef MBEDTLS_DHM_C
    mbedtls_ssl_conf_dhm_min_bitlen(config, MIN_FINITE_FIELD_BITS);
#endif
    mbedtls_ssl_conf_max_frag_len(config, NODEMCU_TLS_MAX_FRAGMENT);
    offer_versions_and_curves(config);
    if (!conn->verify) {
        mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_NONE);
        return 0;
    }
    mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(config, &conn->engine->ca, NULL);
    return load_built_in_ca(&conn->engine->ca);
}

static int start_handshake(struct tls_conn *conn)
{
    ip_addr_t address;

    conn->engine = calloc(1, sizeof *conn->engine);
    if (conn->engine == NULL) {
        return TLS_ERR_MEMORY;
    }
    mbedtls_ssl_context *ssl = &conn->engine->ssl;
    mbedtls_ssl_init(ssl);
    mbedtls_ssl_config_init(&conn->engine->config);
    mbedtls_x509_crt_init(&conn->engine->ca);

    int error = tls_platform_start();
    if (error < 0) {
        return error;
    }
    error = configure(conn, &conn->engine->config);
    if (error < 0) {
        return error;
    }
    /* An address is no server name (RFC 6066, section 3). */
    conn->engine->host_is_address = ipaddr_aton(conn->host, &address);
    if (mbedtls_ssl_setup(ssl, &conn->engine->config) != 0 ||
        mbedtls_ssl_set_hostname(ssl, conn->engine->host_is_address ? NULL : conn->host) != 0) {
        return TLS_ERR_MEMORY;
    }
    mbedtls_ssl_set_bio(ssl, conn, bio_send, bio_receive, NULL);
    conn->handshake_start = board_millis();
    conn->state = TLS_CONN_HANDSHAKE;
    return 0;
}

static int handshake_error(struct tls_conn *conn, int result)
{
    mbedtls_ssl_context *ssl = &conn->engine->ssl;

    conn->mbedtls_result = result;
    if (result == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        conn->alert = ssl->MBEDTLS_PRIVATE(in_msg)[1];
    }
    if (result == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED) {
        return tls_error_from_verify(mbedtls_ssl_get_verify_result(ssl));
    }
    return tls_error_from_mbedtls(result, true);
}

/* Go on with the handshake as far as the bytes at hand allow. */
static enum stream_event step(struct tls_conn *conn)
{
    mbedtls_ssl_context *ssl = &conn->engine->ssl;
    int result = 0;

    while (result == 0 && ssl->MBEDTLS_PRIVATE(state) != MBEDTLS_SSL_HANDSHAKE_OVER) {
        if (conn->engine->host_is_address &&
            ssl->MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_SERVER_HELLO) {
            /* The ClientHello went without a name; the certificate is checked for the address. */
            conn->engine->host_is_address = false;
            if (mbedtls_ssl_set_hostname(ssl, conn->host) != 0) {
                fail(conn, TLS_ERR_MEMORY);
                return STREAM_NOTHING;
            }
        }
        result = mbedtls_ssl_handshake_step(ssl);
    }
    if (result == 0) {
        conn->state = TLS_CONN_OPEN;
        free(conn->host);
        conn->host = NULL;
        return STREAM_OPEN;
    }
    if (result != MBEDTLS_ERR_SSL_WANT_READ && result != MBEDTLS_ERR_SSL_WANT_WRITE) {
        fail(conn, handshake_error(conn, result));
    } else if (board_millis() - conn->handshake_start > HANDSHAKE_TIMEOUT_MS) {
        fail(conn, TLS_ERR_HANDSHAKE_TIMEOUT);
    }
    return STREAM_NOTHING;
}

void tls_conn_open(struct tls_conn *conn, const char *host, uint16_t port)
{
    bool verify = conn->verify;
    size_t length = strlen(host) + 1;

    tls_conn_close(conn);
    tls_conn_init(conn);
    conn->verify = verify;
    conn->host = malloc(length);
    if (conn->host == NULL) {
        fail(conn, TLS_ERR_MEMORY);
        return;
    }
    memcpy(conn->host, host, length);
    conn->state = TLS_CONN_TCP;
    stream_open(&conn->stream, host, port);
}

/* What the stream tells, in terms of the connection. */
static enum stream_event poll_stream(struct tls_conn *conn)
{
    enum stream_event event = stream_poll(&conn->stream);
    int error;

    switch (event) {
    case STREAM_RESOLVED:
        return STREAM_RESOLVED;
    case STREAM_OPEN:
        error = start_handshake(conn);
        if (error < 0) {
            fail(conn, error);
        }
        return STREAM_NOTHING;
    case STREAM_SENT:
        return conn->state == TLS_CONN_OPEN ? STREAM_SENT : STREAM_NOTHING;
    case STREAM_FAILED:
        fail(conn, conn->stream.error);
        return STREAM_NOTHING;
    default:
        /* READABLE and ENDED: mbedTLS reads until the end; it may be before the last record. */
        return conn->state == TLS_CONN_OPEN && event != STREAM_NOTHING ? STREAM_READABLE
                                                                       : STREAM_NOTHING;
    }
}

enum stream_event tls_conn_poll(struct tls_conn *conn)
{
    enum stream_event event = poll_stream(conn);

    if (event == STREAM_NOTHING && conn->state == TLS_CONN_HANDSHAKE) {
        event = step(conn);
    }
    if (event == STREAM_NOTHING && conn->state == TLS_CONN_OPEN && !conn->stream.held &&
        (mbedtls_ssl_get_bytes_avail(&conn->engine->ssl) > 0 || conn->stream.peer_closed)) {
        event = STREAM_READABLE;
    }
    if (event == STREAM_NOTHING && conn->tell_failed) {
        conn->tell_failed = false;
        event = STREAM_FAILED;
    }
    if (event == STREAM_NOTHING && conn->tell_ended) {
        conn->tell_ended = false;
        event = STREAM_ENDED;
    }
    return event;
}

static void end(struct tls_conn *conn, int error)
{
    tls_conn_close(conn);
    conn->error = error;
    conn->tell_ended = true;
}

size_t tls_conn_read(struct tls_conn *conn, void *buffer, size_t length)
{
    if (conn->state != TLS_CONN_OPEN) {
        return 0;
    }
    int result = mbedtls_ssl_read(&conn->engine->ssl, buffer, length);
    if (result > 0) {
        return (size_t)result;
    }
    switch (result) {
    case MBEDTLS_ERR_SSL_WANT_READ:
    case MBEDTLS_ERR_SSL_WANT_WRITE:
        break;
    case 0:
    case MBEDTLS_ERR_SSL_CONN_EOF:
        conn->mbedtls_result = result;
        end(conn, TLS_ERR_TRUNCATED);
        break;
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
        end(conn, 0);
        break;
    default:
        conn->mbedtls_result = result;
        if (result == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
            conn->alert = conn->engine->ssl.MBEDTLS_PRIVATE(in_msg)[1];
        }
        fail(conn, tls_error_from_mbedtls(result, false));
    }
    return 0;
}

int tls_conn_write(struct tls_conn *conn, const void *data, size_t length)
{
    if (conn->state != TLS_CONN_OPEN) {
        return STREAM_ERR_CLOSED;
    }
    int result = mbedtls_ssl_write(&conn->engine->ssl, data, length);
    if (result >= 0) {
        return result;
    }
    if (result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE) {
        return 0;
    }
    conn->mbedtls_result = result;
    return fail(conn, tls_error_from_mbedtls(result, false));
}

void tls_conn_hold(struct tls_conn *conn, bool held)
{
    stream_hold(&conn->stream, held);
}

void tls_conn_close(struct tls_conn *conn)
{
    if (conn->state == TLS_CONN_OPEN) {
        mbedtls_ssl_close_notify(&conn->engine->ssl); /* best effort: the stream may be full */
    }
    conn->state = TLS_CONN_CLOSED;
    free_engine(conn);
    free(conn->host);
    conn->host = NULL;
    stream_close(&conn->stream);
    conn->tell_failed = conn->tell_ended = false;
}
