/*
 * fuzz_tls_conn.c - a TLS connection to a server that says anything.
 *
 * Input: steps, one byte each. Its low three bits tell what is done, the other five, `n`, how much.
 *     0, 1  the server says so many bytes: 16 bits of length, little-endian, and the bytes
 *     2     write n bytes; 0: the question whose answer was recorded
 *     3     hold (n odd) or go on receiving
 *     4     the server closes, or resets the connection (n odd)
 *     5     close and connect again
 *     6     n seconds pass
 *     7     the send buffer is full (n odd) or not; plaintext is read in pieces of n bytes
 *
 * With TLS_CONN_TELL in the environment, each input's end is told: see test_fuzz.py.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "fixed_client.h"
#include "host.h"
#include "tls_handshake.h"
#include "tls_session.h"

#define SERVER_LIMIT 65536
#define POLLS 64 /* more in a row would mean that one event is told again and again */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The stream: what the server has said and nobody has read yet. */
static unsigned char said[SERVER_LIMIT];
static size_t said_start, said_end;
static bool full;

static size_t piece;
static struct {
    unsigned opened, resumed, failed;
    size_t received;
} told;

void stream_init(struct stream *stream)
{
    *stream = (struct stream){.pcb = NULL};
}

void stream_open(struct stream *stream, const char *host, uint16_t port)
{
    CHECK(strcmp(host, FIXED_HOST) == 0);
    stream_init(stream);
    stream->port = port;
    said_start = said_end = 0;
    full = false;
    stream->connected = stream->tell_resolved = stream->tell_open = true;
}

static bool take(bool *flag)
{
    bool was = *flag;

    *flag = false;
    return was;
}

enum stream_event stream_poll(struct stream *stream)
{
    if (take(&stream->tell_resolved)) {
        return STREAM_RESOLVED;
    }
    if (take(&stream->tell_open)) {
        return STREAM_OPEN;
    }
    if (take(&stream->tell_sent)) {
        return STREAM_SENT;
    }
    if (said_start < said_end && !stream->held) {
        return STREAM_READABLE;
    }
    if (said_start == said_end && take(&stream->tell_ended)) {
        return STREAM_ENDED;
    }
    return take(&stream->tell_failed) ? STREAM_FAILED : STREAM_NOTHING;
}

size_t stream_read(struct stream *stream, void *buffer, size_t length)
{
    if (!stream->connected) {
        return 0;
    }
    if (length > said_end - said_start) {
        length = said_end - said_start;
    }
    memcpy(buffer, said + said_start, length);
    said_start += length;
    return length;
}

int stream_write(struct stream *stream, const void *data, size_t length)
{
    (void)data;
    if (!stream->connected) {
        return STREAM_ERR_CLOSED;
    }
    stream->tell_sent = !full;
    return full ? 0 : (int)length;
}

void stream_hold(struct stream *stream, bool held)
{
    stream->held = held;
}

void stream_close(struct stream *stream)
{
    stream->connected = false;
    said_start = said_end = 0;
    stream->tell_open = stream->tell_sent = stream->tell_ended = stream->tell_failed = false;
}

const char *stream_reason(int error)
{
    return error < 0 && error >= STREAM_ERR_CLOSED ? "of the stream" : "unknown error";
}

static void server_says(const uint8_t *data, size_t length)
{
    if (length > SERVER_LIMIT - said_end) {
        length = SERVER_LIMIT - said_end;
    }
    memcpy(said + said_end, data, length);
    said_end += length;
}

static void server_closes(struct tls_conn *conn, bool reset)
{
    struct stream *stream = &conn->stream;

    if (stream->connected && !stream->peer_closed) {
        stream->peer_closed = true;
        stream->tell_ended = !reset;
        stream->tell_failed = reset;
        stream->error = reset ? STREAM_ERR_RESET : 0;
    }
}

static void check_failure(const struct tls_conn *conn)
{
    CHECK(conn->state == TLS_CONN_CLOSED && conn->engine == NULL && conn->credentials == NULL);
    CHECK(conn->error < 0 && conn->error >= TLS_ERR_INTERNAL);
    CHECK(conn->stage != NULL && strcmp(tls_error_reason(conn->error), "unknown error") != 0);
    CHECK((conn->error == TLS_ERR_ALERT) == (conn->alert >= 0));
    CHECK(conn->error != TLS_ERR_MEMORY);
}

static void handle(struct tls_conn *conn, enum stream_event event)
{
    unsigned char plain[64];

    switch (event) {
    case STREAM_OPEN:
        CHECK(conn->state == TLS_CONN_OPEN);
        CHECK(conn->protocol != NULL && conn->cipher_suite != NULL);
        told.opened++;
        told.resumed += conn->resumed;
        break;
    case STREAM_READABLE:
        CHECK(!conn->stream.held);
        told.received += tls_conn_read(conn, plain, piece);
        break;
    case STREAM_FAILED:
        check_failure(conn);
        told.failed++;
        break;
    case STREAM_ENDED:
        CHECK(conn->state == TLS_CONN_CLOSED && conn->engine == NULL);
        break;
    default:
        break;
    }
}

/* Poll until there is nothing more to tell; what is over stays so. */
static void poll_all(struct tls_conn *conn)
{
    bool over = false;

    for (size_t i = 0; i < POLLS + SERVER_LIMIT; i++) {
        enum stream_event event = tls_conn_poll(conn);
        if (conn->state == TLS_CONN_READY) {
            fixed_client_handshake(conn);
            continue;
        }
        if (event == STREAM_NOTHING) {
            return;
        }
        CHECK(!over);
        handle(conn, event);
        over = event == STREAM_FAILED || event == STREAM_ENDED;
    }
    CHECK(!"an end of the events");
}

static void write_some(struct tls_conn *conn, unsigned amount)
{
    static const char bytes[32];
    size_t length = amount > 0 ? amount : sizeof FIXED_QUESTION - 1;
    int taken = tls_conn_write(conn, amount > 0 ? bytes : FIXED_QUESTION, length);

    CHECK(taken <= (int)length);
    if (taken < 0 && taken != STREAM_ERR_CLOSED) {
        CHECK(conn->state == TLS_CONN_CLOSED && conn->error == taken);
    }
}

static void do_step(struct tls_conn *conn, unsigned step, unsigned amount)
{
    switch (step) {
    case 2:
        write_some(conn, amount);
        break;
    case 3:
        tls_conn_hold(conn, amount & 1);
        break;
    case 4:
        server_closes(conn, amount & 1);
        break;
    case 5:
        tls_conn_close(conn);
        CHECK(tls_conn_poll(conn) == STREAM_NOTHING);
        tls_conn_open(conn, FIXED_HOST, 443);
        break;
    case 6:
        host_micros += amount * 1000000u;
        break;
    default:
        full = amount & 1;
        piece = amount + 1;
        break;
    }
}

static void tell(void)
{
    if (getenv("TLS_CONN_TELL") != NULL) {
        fprintf(stderr, "opened %u resumed %u failed %u received %zu\n", told.opened, told.resumed,
                told.failed, told.received);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tls_conn conn;
    size_t at = 0;

    memset(&told, 0, sizeof told);
    piece = 64;
    fixed_client_reset();
    tls_conn_init(&conn);
    tls_conn_open(&conn, FIXED_HOST, 443);
    poll_all(&conn);
    while (at < size) {
        unsigned step = data[at] & 7, amount = data[at] >> 3;
        at++;
        if (step > 1) {
            do_step(&conn, step, amount);
        } else if (size - at >= 2) {
            size_t length = data[at] | (size_t)data[at + 1] << 8;
            at += 2;
            length = length < size - at ? length : size - at;
            server_says(data + at, length);
            at += length;
        }
        poll_all(&conn);
    }
    tls_conn_close(&conn);
    CHECK(tls_conn_poll(&conn) == STREAM_NOTHING);
    tls_session_forget_all();
    tell();
    return 0;
}
