/*
 * stream.h - one TCP client connection: resolve, connect, read, write, close.
 *
 * The owner polls. lwIP's callbacks only note what happened, so no call here runs the owner's
 * code, and every call is safe at any time, between any two events, in any state.
 * The owner provides the memory; stream_close() takes everything else back.
 */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lwip/ip_addr.h>

/* Negative results; tls_error.h continues the numbers. */
enum stream_err {
    STREAM_ERR_DNS = -1,         /* the host name could not be resolved */
    STREAM_ERR_REFUSED = -2,     /* nobody listens on that port */
    STREAM_ERR_RESET = -3,       /* the peer broke the connection off */
    STREAM_ERR_TIMEOUT = -4,     /* the peer does not answer */
    STREAM_ERR_UNREACHABLE = -5, /* no way to that address */
    STREAM_ERR_MEMORY = -6,      /* no room for another connection or more data */
    STREAM_ERR_CLOSED = -7,      /* not connected */
};

/* What stream_poll() found; each but READABLE is told once. */
enum stream_event {
    STREAM_NOTHING,
    STREAM_RESOLVED, /* stream.address is known */
    STREAM_OPEN,     /* connected */
    STREAM_READABLE, /* bytes have come in: stream_read() */
    STREAM_SENT,     /* the peer acknowledged all that was written */
    STREAM_ENDED,    /* the peer closed, and everything it sent was read */
    STREAM_FAILED,   /* stream.error says why; the stream is closed */
};

struct stream {
    struct tcp_pcb *pcb;
    struct pbuf *received;      /* what the peer sent and nobody read yet */
    struct stream_query *query; /* a name being resolved */
    ip_addr_t address;
    uint16_t port;
    int error;
    bool connected;
    bool peer_closed;
    bool held; /* do not tell READABLE, so the window closes */
    bool tell_resolved, tell_open, tell_sent, tell_ended, tell_failed;
};

void stream_init(struct stream *stream);

/* Start to connect. Every outcome, failure included, comes from stream_poll(). */
void stream_open(struct stream *stream, const char *host, uint16_t port);

enum stream_event stream_poll(struct stream *stream);

/* Up to `length` bytes: their number, or 0 when there are none now. */
size_t stream_read(struct stream *stream, void *buffer, size_t length);

/* Bytes taken, 0 when the send buffer is full, or STREAM_ERR_CLOSED. The bytes are copied. */
int stream_write(struct stream *stream, const void *data, size_t length);

void stream_hold(struct stream *stream, bool held);

/* Close and forget; the peer still gets what was written. Harmless on a closed stream. */
void stream_close(struct stream *stream);

/* Close, and have stream_poll() tell STREAM_FAILED with this error. */
void stream_fail(struct stream *stream, int error);

/* Whether any stream, closed ones too, has bytes on their way that the peer has not got. */
bool stream_any_unsent(void);

/* The plain sentence for a negative result. */
const char *stream_reason(int error);

#endif
