#include "tls_conn.h"

#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "tls_engine.h"
#include "tls_handshake.h"
#include "tls_platform.h"
#include "tls_session.h"

void tls_conn_init(struct tls_conn *conn)
{
    *conn = (struct tls_conn){.options = TLS_OPTIONS_DEFAULT, .alert = -1};
    stream_init(&conn->stream);
}

/* The stage of errors that can happen anywhere. */
static const char *current_stage(const struct tls_conn *conn)
{
    switch (conn->state) {
    case TLS_CONN_DNS:
        return "dns";
    case TLS_CONN_TCP:
        return "tcp";
    case TLS_CONN_READY:
    case TLS_CONN_HANDSHAKE:
        return "handshake";
    default:
        return "record";
    }
}

int tls_conn_fail(struct tls_conn *conn, int error)
{
    if (conn->state == TLS_CONN_HANDSHAKE && conn->may_resume) {
        tls_session_forget(conn->credentials->trust);
    }
    if (error == TLS_ERR_MEMORY || error == STREAM_ERR_MEMORY) {
        tls_session_forget_all(); /* the next connection needs the heap more */
    }
    conn->stage = tls_error_stage(error, current_stage(conn));
    tls_conn_close(conn);
    conn->error = error;
    conn->tell_failed = true;
    return error;
}

void tls_conn_open(struct tls_conn *conn, const char *host, uint16_t port)
{
    struct tls_options options = conn->options;
    unsigned opened = conn->opened;
    size_t length = strlen(host) + 1;

    tls_conn_close(conn);
    tls_conn_init(conn);
    conn->options = options;
    conn->opened = opened + 1;
    conn->state = TLS_CONN_DNS;
    conn->since = board_millis();
    conn->host = malloc(length);
    if (conn->host == NULL) {
        tls_conn_fail(conn, TLS_ERR_MEMORY);
        return;
    }
    memcpy(conn->host, host, length);
    if (length > 2 && host[length - 2] == '.') { /* the root's: of no use in TLS (RFC 6066) */
        conn->host[length - 2] = '\0';
    }
    stream_open(&conn->stream, host, port);
}

static void get_ready(struct tls_conn *conn)
{
    conn->state = TLS_CONN_READY;
    conn->credentials = tls_credentials_new();
    if (conn->credentials == NULL) {
        tls_conn_fail(conn, TLS_ERR_MEMORY);
    }
}

/* What the stream tells, in terms of the connection. */
static enum stream_event poll_stream(struct tls_conn *conn)
{
    enum stream_event event = stream_poll(&conn->stream);

    switch (event) {
    case STREAM_RESOLVED:
        conn->state = TLS_CONN_TCP;
        return STREAM_RESOLVED;
    case STREAM_OPEN:
        get_ready(conn);
        return STREAM_NOTHING;
    case STREAM_FAILED:
        tls_conn_fail(conn, conn->stream.error);
        return STREAM_NOTHING;
    case STREAM_SENT:
        if (conn->state != TLS_CONN_OPEN || !conn->wrote) {
            return STREAM_NOTHING; /* the end of the handshake, or an alert */
        }
        conn->wrote = false;
        return STREAM_SENT;
    case STREAM_READABLE:
        if (conn->state != TLS_CONN_OPEN) {
            return STREAM_NOTHING;
        }
        conn->since = board_millis();
        return event;
    default:
        return STREAM_NOTHING; /* an end is found by reading up to it: tls_conn_poll() */
    }
}

static bool has_passed(const struct tls_conn *conn, uint32_t timeout)
{
    return timeout > 0 && board_millis() - conn->since > timeout;
}

static void check_timeouts(struct tls_conn *conn)
{
    const struct tls_options *options = &conn->options;

    switch (conn->state) {
    case TLS_CONN_DNS:
    case TLS_CONN_TCP:
        if (has_passed(conn, options->connect_timeout)) {
            tls_conn_fail(conn, STREAM_ERR_TIMEOUT);
        }
        break;
    case TLS_CONN_HANDSHAKE:
        if (has_passed(conn, options->handshake_timeout)) {
            tls_conn_fail(conn, TLS_ERR_HANDSHAKE_TIMEOUT);
        }
        break;
    case TLS_CONN_OPEN:
        if (!conn->stream.held && has_passed(conn, options->idle_timeout)) {
            tls_conn_fail(conn, STREAM_ERR_TIMEOUT);
        }
        break;
    default:
        break;
    }
}

/* Nothing is to be done: give back what is not needed for that. */
static void rest(struct tls_conn *conn)
{
    if (conn->state == TLS_CONN_OPEN) {
        tls_idle_release(&conn->engine->ssl, &conn->idle);
    }
}

enum stream_event tls_conn_poll(struct tls_conn *conn)
{
    enum stream_event event = poll_stream(conn);

    if (event == STREAM_NOTHING && conn->state == TLS_CONN_HANDSHAKE) {
        event = tls_handshake_step(conn);
    }
    if (event == STREAM_NOTHING && conn->state == TLS_CONN_OPEN && !conn->stream.held &&
        (mbedtls_ssl_get_bytes_avail(&conn->engine->ssl) > 0 || conn->stream.peer_closed)) {
        event = STREAM_READABLE;
    }
    if (event == STREAM_NOTHING) {
        check_timeouts(conn);
        rest(conn);
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
    conn->stage = tls_error_stage(error, current_stage(conn));
    tls_conn_close(conn);
    conn->error = error;
    conn->tell_ended = true;
}

static int starve(struct tls_conn *conn)
{
    if (conn->hunger == TLS_CONN_HELPED) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    conn->hunger = TLS_CONN_STARVED;
    return MBEDTLS_ERR_SSL_WANT_READ; /* to be tried again */
}

/* As mbedtls_ssl_read(), but what TLS 1.3 sends between the plaintext is dealt with. */
static int read_plaintext(struct tls_conn *conn, void *buffer, size_t length)
{
    mbedtls_ssl_context *ssl = &conn->engine->ssl;
    int result = mbedtls_ssl_read(ssl, buffer, length);

#if defined(MBEDTLS_SSL_PROTO_TLS1_3) && defined(NODEMCU_TLS_SESSIONS)
    while (result == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET ||
           (result == MBEDTLS_ERR_SSL_WANT_READ &&
            ssl->MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_TLS1_3_NEW_SESSION_TICKET)) {
        if (result == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET && conn->keeps_tickets) {
            tls_session_keep_ticket(ssl, conn->trust, conn->verified);
        }
        result = mbedtls_ssl_read(ssl, buffer, length);
    }
#endif
    return result;
}

/* Plaintext, as mbedtls_ssl_read(); the record buffers are there and large enough for it. */
static int read_record(struct tls_conn *conn, void *buffer, size_t length)
{
    mbedtls_ssl_context *ssl = &conn->engine->ssl;

    tls_platform_forget_failure();
    if (tls_idle_restore(ssl, &conn->idle) < 0) {
        return starve(conn);
    }
    conn->hunger = TLS_CONN_FED;
    int result = read_plaintext(conn, buffer, length);
    if (result == MBEDTLS_ERR_SSL_BAD_INPUT_DATA) {
        int enlarged = tls_idle_enlarge(ssl);
        if (enlarged < 0) {
            return MBEDTLS_ERR_SSL_ALLOC_FAILED;
        }
        result = enlarged > 0 ? read_plaintext(conn, buffer, length) : result;
    }
    return result;
}

size_t tls_conn_read(struct tls_conn *conn, void *buffer, size_t length)
{
    if (conn->state != TLS_CONN_OPEN) {
        return 0;
    }
    int result = read_record(conn, buffer, length);
    if (result > 0) {
        return (size_t)result;
    }
    if (result == 0 && !conn->read_to_end) {
        return 0; /* an empty record */
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

/*
 * mbedTLS takes whatever is under way for the text of the last call. It may be an alert, which
 * reading has sent, or the text may be gone with one.
 */
static int write_record(struct tls_conn *conn, const void *data, size_t length)
{
    mbedtls_ssl_context *ssl = &conn->engine->ssl;
    size_t pending = conn->pending;
    int most = mbedtls_ssl_get_max_out_record_payload(ssl), result = 0;

    if (most < 0) {
        return most;
    }
    conn->pending = 0;
    if (pending > 0 && ssl->MBEDTLS_PRIVATE(out_left) == 0) {
        return (int)pending; /* sent before an alert */
    }
    if (pending == 0 && ssl->MBEDTLS_PRIVATE(out_left) > 0) {
        result = mbedtls_ssl_write(ssl, data, 0); /* only sends the alert */
    }
    if (result >= 0) {
        result = mbedtls_ssl_write(ssl, data, length);
        if (result == MBEDTLS_ERR_SSL_WANT_WRITE) {
            conn->pending = length < (size_t)most ? length : (size_t)most;
        }
    }
    return result;
}

int tls_conn_write(struct tls_conn *conn, const void *data, size_t length)
{
    if (conn->state != TLS_CONN_OPEN) {
        return STREAM_ERR_CLOSED;
    }
    tls_platform_forget_failure();
    int result;
    if (tls_idle_restore_out(&conn->engine->ssl, &conn->idle) < 0) {
        result = starve(conn);
    } else {
        conn->hunger = TLS_CONN_FED;
        result = write_record(conn, data, length);
    }
    if (result >= 0) {
        conn->wrote = true;
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
    conn->since = board_millis();
}

void tls_conn_close(struct tls_conn *conn)
{
    if (conn->state == TLS_CONN_OPEN &&
        tls_idle_restore_out(&conn->engine->ssl, &conn->idle) == 0) {
        mbedtls_ssl_close_notify(&conn->engine->ssl); /* best effort: the stream may be full */
    }
    conn->state = TLS_CONN_CLOSED;
    tls_engine_free(conn->engine);
    conn->engine = NULL;
    tls_credentials_free(conn->credentials);
    conn->credentials = NULL;
    free(conn->host);
    conn->host = NULL;
    stream_close(&conn->stream);
    conn->tell_failed = conn->tell_ended = false;
}
