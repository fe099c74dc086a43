/*
 * host_stream.c - stream.h over the host's sockets, to ports of this machine.
 *
 * As with lwIP, connections and what they receive have static memory, and only a query is
 * allocated: who fails allocations sees those of the firmware. Every name that ends in ".test" and
 * every address is this machine.
 */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "host.h"

#define CONNECTIONS 8
#define WINDOW 5840
#define BACKLOG 2920 /* bytes that a write takes at most */

/* lwIP's names, since struct stream refers to them. */
struct tcp_pcb {
    int fd;
    bool used;
};

struct pbuf {
    unsigned char bytes[WINDOW];
    size_t start, end;
};

struct stream_query {
    struct stream *owner;
};

static struct tcp_pcb connections[CONNECTIONS];
static struct pbuf windows[CONNECTIONS];

static struct pbuf *window_of(const struct stream *stream)
{
    return &windows[stream->pcb - connections];
}

void host_wait(int milliseconds)
{
    struct pollfd set[CONNECTIONS];
    nfds_t count = 0;

    for (int i = 0; i < CONNECTIONS; i++) {
        if (connections[i].used) {
            /* A full window or a held stream would not block: then this is a short wait. */
            set[count++] = (struct pollfd){.fd = connections[i].fd, .events = POLLIN};
        }
    }
    poll(set, count, milliseconds);
}

void host_cut_off(void)
{
    int ends[2]; /* the other one stays open: a stream does not end */

    for (int i = 0; i < CONNECTIONS; i++) {
        if (connections[i].used && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0) {
            dup2(ends[0], connections[i].fd);
            close(ends[0]);
        }
    }
}

void stream_init(struct stream *stream)
{
    *stream = (struct stream){.pcb = NULL};
}

void stream_fail(struct stream *stream, int error)
{
    stream_close(stream);
    stream->error = error;
    stream->tell_failed = true;
}

static struct tcp_pcb *take_connection(void)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        if (!connections[i].used) {
            connections[i] = (struct tcp_pcb){.fd = socket(AF_INET, SOCK_STREAM, 0), .used = true};
            windows[i].start = windows[i].end = 0;
            return &connections[i];
        }
    }
    return NULL;
}

/* A connection to this machine is made, or refused, at once. */
static void connect_stream(struct stream *stream)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(stream->port)};

    stream->tell_resolved = true;
    stream->pcb = take_connection();
    if (stream->pcb == NULL) {
        stream_fail(stream, STREAM_ERR_MEMORY);
        return;
    }
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(stream->pcb->fd, (struct sockaddr *)&to, sizeof to) != 0) {
        stream_fail(stream, errno == ECONNREFUSED ? STREAM_ERR_REFUSED : STREAM_ERR_UNREACHABLE);
        return;
    }
    fcntl(stream->pcb->fd, F_SETFL, O_NONBLOCK);
    stream->connected = stream->tell_open = true;
}

void stream_open(struct stream *stream, const char *host, uint16_t port)
{
    const char *end = strrchr(host, '.');

    stream_close(stream);
    stream_init(stream);
    stream->port = port;
    struct stream_query *query = malloc(sizeof *query);
    if (query == NULL) {
        stream_fail(stream, STREAM_ERR_MEMORY);
        return;
    }
    free(query);
    if (!ipaddr_aton(host, &stream->address) && (end == NULL || strcmp(end, ".test") != 0)) {
        stream_fail(stream, STREAM_ERR_DNS);
        return;
    }
    IP_ADDR4(&stream->address, 127, 0, 0, 1);
    connect_stream(stream);
}

/* Take what has come in, as far as the window has room. */
static void receive(struct stream *stream)
{
    struct pbuf *window = window_of(stream);

    if (window->start == window->end) {
        window->start = window->end = 0;
        stream->received = NULL;
    }
    if (window->end == WINDOW || stream->peer_closed) {
        return;
    }
    ssize_t got =
        recv(stream->pcb->fd, window->bytes + window->end, WINDOW - window->end, MSG_DONTWAIT);
    if (got > 0) {
        window->end += (size_t)got;
        stream->received = window;
    } else if (got == 0) {
        stream->peer_closed = stream->tell_ended = true;
    } else if (errno != EAGAIN) {
        stream->peer_closed = true; /* what was received can still be read */
        stream->error = STREAM_ERR_RESET;
        stream->tell_failed = true;
    }
}

static bool take(bool *flag)
{
    bool was = *flag;

    *flag = false;
    return was;
}

enum stream_event stream_poll(struct stream *stream)
{
    if (stream->pcb != NULL) {
        receive(stream);
    }
    if (take(&stream->tell_resolved)) {
        return STREAM_RESOLVED;
    }
    if (take(&stream->tell_open)) {
        return STREAM_OPEN;
    }
    if (take(&stream->tell_sent)) {
        return STREAM_SENT;
    }
    if (stream->received != NULL && !stream->held) {
        return STREAM_READABLE;
    }
    if (stream->received == NULL && take(&stream->tell_ended)) {
        return STREAM_ENDED;
    }
    return take(&stream->tell_failed) ? STREAM_FAILED : STREAM_NOTHING;
}

size_t stream_read(struct stream *stream, void *buffer, size_t length)
{
    struct pbuf *window = stream->received;

    if (window == NULL) {
        return 0;
    }
    if (length > window->end - window->start) {
        length = window->end - window->start;
    }
    memcpy(buffer, window->bytes + window->start, length);
    window->start += length;
    if (window->start == window->end) {
        stream->received = NULL;
    }
    return length;
}

int stream_write(struct stream *stream, const void *data, size_t length)
{
    if (stream->pcb == NULL) {
        return STREAM_ERR_CLOSED;
    }
    ssize_t sent = send(stream->pcb->fd, data, length < BACKLOG ? length : BACKLOG, MSG_NOSIGNAL);
    if (sent < 0) {
        return errno == EAGAIN ? 0 : STREAM_ERR_CLOSED;
    }
    stream->tell_sent = true;
    return (int)sent;
}

void stream_hold(struct stream *stream, bool held)
{
    stream->held = held;
}

void stream_close(struct stream *stream)
{
    if (stream->pcb != NULL) {
        close(stream->pcb->fd);
        stream->pcb->used = false;
        stream->pcb = NULL;
    }
    stream->received = NULL;
    stream->tell_open = stream->tell_sent = stream->tell_ended = stream->tell_failed = false;
}

bool stream_any_unsent(void)
{
    return false;
}

const char *stream_reason(int error)
{
    return error == STREAM_ERR_MEMORY ? "out of memory" : "the stream failed";
}
