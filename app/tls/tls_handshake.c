#include "tls_handshake.h"

#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "tls_1_3.h"
#include "tls_engine.h"
#include "tls_platform.h"
#include "tls_session.h"
#include "tls_trust.h"

/* mbedTLS reads and writes the stream through these two. */
static int bio_receive(void *argument, unsigned char *buffer, size_t length)
{
    struct tls_conn *conn = argument;
    size_t got = stream_read(&conn->stream, buffer, length);

    if (got > 0) {
        return (int)got;
    }
    conn->read_to_end = conn->stream.peer_closed;
    return conn->read_to_end ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
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

/*
 * The name goes into the ClientHello, and the certificate is checked for it. An address is no
 * server name (RFC 6066, section 3): it is set when the ClientHello has gone.
 */
static int set_name(struct tls_conn *conn)
{
    const char *name = conn->options.server_name ? conn->options.server_name : conn->host;
    ip_addr_t address;
    bool send = conn->options.send_name && !ipaddr_aton(name, &address);

    conn->late_name = send ? NULL : name;
    return mbedtls_ssl_set_hostname(&conn->engine->ssl, send ? name : NULL) == 0 ? 0
                                                                                 : TLS_ERR_MEMORY;
}

/* mbedTLS ties tickets of TLS 1.3 to the name that was sent, and fails where it was set late. */
static bool can_resume(const struct tls_conn *conn)
{
#if defined(MBEDTLS_SSL_PROTO_TLS1_3) && defined(MBEDTLS_SSL_SERVER_NAME_INDICATION)
    return conn->options.resume && conn->late_name == NULL;
#else
    return conn->options.resume;
#endif
}

static void offer_session(struct tls_conn *conn)
{
    conn->may_resume =
        can_resume(conn) && tls_trust_digest(conn->host, conn->stream.port, &conn->options,
                                             conn->credentials, conn->credentials->trust);
    if (conn->may_resume) {
        tls_session_offer(&conn->engine->ssl, conn->credentials->trust);
    }
}

void tls_handshake_start(struct tls_conn *conn)
{
    tls_platform_forget_failure();
    int error = tls_engine_create(&conn->engine, &conn->options, conn->credentials);

    if (error == 0) {
        error = set_name(conn);
    }
    if (error < 0) {
        tls_conn_fail(conn, error);
        return;
    }
    mbedtls_ssl_set_bio(&conn->engine->ssl, conn, bio_send, bio_receive, NULL);
    offer_session(conn);
    conn->since = board_millis();
    conn->state = TLS_CONN_HANDSHAKE;
}

static int handshake_error(struct tls_conn *conn, int result)
{
    mbedtls_ssl_context *ssl = &conn->engine->ssl;

    conn->mbedtls_result = result;
    if (result == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        conn->alert = ssl->MBEDTLS_PRIVATE(in_msg)[1];
        return TLS_ERR_ALERT;
    }
    if (conn->engine->verify.pin_fails) {
        return TLS_ERR_PIN;
    }
    /* A certificate for another use is a different result with its flag set as well. */
    uint32_t flags = mbedtls_ssl_get_verify_result(ssl);
    if (conn->engine->verify.has_ca && flags != 0 && flags != UINT32_MAX) { /* all ones: not done */
        return tls_error_from_verify(flags);
    }
    if (result == MBEDTLS_ERR_SSL_INVALID_RECORD &&
        ssl->MBEDTLS_PRIVATE(state) > MBEDTLS_SSL_SERVER_HELLO) {
        return TLS_ERR_RECORD; /* it did speak TLS */
    }
    if (result == MBEDTLS_ERR_SSL_BAD_INPUT_DATA && ssl->MBEDTLS_PRIVATE(in_hslen) > 0 &&
        ssl->MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_SERVER_HELLO) {
        return TLS_ERR_HANDSHAKE; /* a cipher suite that mbedTLS does not know */
    }
    return tls_error_from_mbedtls(result, true);
}

/* Keep the session, or have what is needed for the tickets that TLS 1.3 sends later. */
static void keep_session(struct tls_conn *conn)
{
#if defined(MBEDTLS_SSL_PROTO_TLS1_3) && defined(NODEMCU_TLS_SESSIONS)
    if (mbedtls_ssl_get_version_number(&conn->engine->ssl) == MBEDTLS_SSL_VERSION_TLS1_3) {
        memcpy(conn->trust, conn->credentials->trust, sizeof conn->trust);
        conn->keeps_tickets = tls_session_begin(conn->trust, conn->resumed, &conn->verified);
        return;
    }
#endif
    tls_session_keep(&conn->engine->ssl, conn->credentials->trust, conn->resumed);
}

/* The credentials were for the handshake only; there is no renegotiation. */
static void finish_handshake(struct tls_conn *conn)
{
    if (conn->may_resume) {
        keep_session(conn);
    }
    tls_1_3_finished(&conn->engine->ssl);
    conn->protocol = mbedtls_ssl_get_version(&conn->engine->ssl);
    conn->cipher_suite = mbedtls_ssl_get_ciphersuite(&conn->engine->ssl);
#ifdef MBEDTLS_SSL_ALPN
    conn->application = mbedtls_ssl_get_alpn_protocol(&conn->engine->ssl);
#endif
    conn->state = TLS_CONN_OPEN;
    conn->since = board_millis();
    tls_credentials_free(conn->credentials);
    conn->credentials = NULL;
    free(conn->host);
    conn->host = NULL;
}

/* One step of mbedTLS's handshake, and what has to be done between two of them. */
static int do_step(struct tls_conn *conn)
{
    mbedtls_ssl_context *ssl = &conn->engine->ssl;
    int state = ssl->MBEDTLS_PRIVATE(state);

    if (conn->late_name != NULL && state == MBEDTLS_SSL_SERVER_HELLO) {
        if (mbedtls_ssl_set_hostname(ssl, conn->late_name) != 0) {
            return MBEDTLS_ERR_SSL_ALLOC_FAILED;
        }
        conn->late_name = NULL;
    }
    int result = mbedtls_ssl_handshake_step(ssl);
    if (result == MBEDTLS_ERR_SSL_BAD_INPUT_DATA) {
        int enlarged = tls_idle_enlarge(ssl);
        result = enlarged < 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : enlarged > 0 ? 0 : result;
    } else if (result == 0 && tls_idle_shrink(ssl) < 0) {
        result = MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    if (state == MBEDTLS_SSL_CLIENT_HELLO && ssl->MBEDTLS_PRIVATE(state) != state) {
        tls_1_3_sent_hello(ssl);
    }
    if (state == MBEDTLS_SSL_SERVER_HELLO && ssl->MBEDTLS_PRIVATE(state) != state) {
        conn->resumed = tls_session_settle(ssl);
    }
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
    if (state == MBEDTLS_SSL_ENCRYPTED_EXTENSIONS) { /* straight on here, too */
        conn->resumed = ssl->MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_SERVER_FINISHED;
    }
#endif
    return result;
}

enum stream_event tls_handshake_step(struct tls_conn *conn)
{
    mbedtls_ssl_context *ssl = &conn->engine->ssl;
    uint32_t start = board_millis();
    int result = 0;

    tls_platform_forget_failure();
    while (result == 0 && !tls_platform_allocation_failed() &&
           ssl->MBEDTLS_PRIVATE(state) != MBEDTLS_SSL_HANDSHAKE_OVER) {
        result = do_step(conn);
    }
    conn->since += board_millis() - start;  /* DHE takes the chip longer than the server may */
    if (tls_platform_allocation_failed()) { /* the result may be 0 all the same */
        conn->mbedtls_result = result;
        tls_conn_fail(conn, TLS_ERR_MEMORY);
        return STREAM_NOTHING;
    }
    if (result == 0) {
        finish_handshake(conn);
        return STREAM_OPEN;
    }
    if (result != MBEDTLS_ERR_SSL_WANT_READ && result != MBEDTLS_ERR_SSL_WANT_WRITE) {
        tls_conn_fail(conn, handshake_error(conn, result));
    }
    return STREAM_NOTHING;
}
