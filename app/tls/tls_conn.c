#include "tls_conn.h"

#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "tls_engine.h"
#include "tls_platform.h"

#define HANDSHAKE_TIMEOUT_MS 30000u /* between the start of the handshake and its end */

void tls_conn_init(struct tls_conn *conn)
{
    *conn = (struct tls_conn){.alert = -1};
    stream_init(&conn->stream);
}

int tls_conn_fail(struct tls_conn *conn, int error)
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

static int start_handshake(struct tls_conn *conn)
{
    ip_addr_t address;
    int error = tls_engine_create(&conn->engine, conn->verify);

    if (error < 0) {
        return error;
    }
    /* An address is no server name (RFC 6066, section 3). */
    conn->host_is_address = ipaddr_aton(conn->host, &address);
    mbedtls_ssl_context *ssl = &conn->engine->ssl;
    if (mbedtls_ssl_set_hostname(ssl, conn->host_is_address ? NULL : conn->host) != 0) {
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
    /* A certificate for another use is a different result with its flag set as well. */
    uint32_t flags = conn->verify ? mbedtls_ssl_get_verify_result(ssl) : 0;
    if (flags != 0 && flags != UINT32_MAX) { /* all ones: it was not verified */
        return tls_error_from_verify(flags);
    }
    return tls_error_from_mbedtls(result, true);
}

/* Go on with the handshake as far as the bytes at hand allow. */
static enum stream_event step(struct tls_conn *conn)
{
    mbedtls_ssl_context *ssl = &conn->engine->ssl;
    int result = 0;

    tls_platform_forget_failure();
    while (result == 0 && !tls_platform_allocation_failed() &&
           ssl->MBEDTLS_PRIVATE(state) != MBEDTLS_SSL_HANDSHAKE_OVER) {
        if (conn->host_is_address && ssl->MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_SERVER_HELLO) {
            /* The ClientHello went without a name; the certificate is checked for the address. */
            conn->host_is_address = false;
            if (mbedtls_ssl_set_hostname(ssl, conn->host) != 0) {
                tls_conn_fail(conn, TLS_ERR_MEMORY);
                return STREAM_NOTHING;
            }
        }
        result = mbedtls_ssl_handshake_step(ssl);
    }
    if (tls_platform_allocation_failed()) {
        conn->mbedtls_result = result; /* perhaps 0: a Finished is sent without its digest */
        tls_conn_fail(conn, TLS_ERR_MEMORY);
        return STREAM_NOTHING;
    }
    if (result == 0) {
        conn->state = TLS_CONN_OPEN;
        free(conn->host);
        conn->host = NULL;
        return STREAM_OPEN;
    }
    if (result != MBEDTLS_ERR_SSL_WANT_READ && result != MBEDTLS_ERR_SSL_WANT_WRITE) {
        tls_conn_fail(conn, handshake_error(conn, result));
    } else if (board_millis() - conn->handshake_start > HANDSHAKE_TIMEOUT_MS) {
        tls_conn_fail(conn, TLS_ERR_HANDSHAKE_TIMEOUT);
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
        tls_conn_fail(conn, TLS_ERR_MEMORY);
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
            tls_conn_fail(conn, error);
        }
        return STREAM_NOTHING;
    case STREAM_SENT:
        return conn->state == TLS_CONN_OPEN ? STREAM_SENT : STREAM_NOTHING;
    case STREAM_FAILED:
        tls_conn_fail(conn, conn->stream.error);
        return STREAM_NOTHING;
    case STREAM_READABLE:
        return conn->state == TLS_CONN_OPEN ? STREAM_READABLE : STREAM_NOTHING;
    default:
        return STREAM_NOTHING; /* an end is found by reading up to it: tls_conn_poll() */
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
        tls_conn_fail(conn, tls_error_from_mbedtls(result, false));
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
    return tls_conn_fail(conn, tls_error_from_mbedtls(result, false));
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
    tls_engine_free(conn->engine);
    conn->engine = NULL;
    free(conn->host);
    conn->host = NULL;
    stream_close(&conn->stream);
    conn->tell_failed = conn->tell_ended = false;
}
