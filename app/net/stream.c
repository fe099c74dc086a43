#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include <lwip/dns.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>

/* A DNS query cannot be taken back from lwIP: one whose stream closed has no owner any more. */
struct stream_query {
    struct stream *owner;
};

void stream_fail(struct stream *stream, int error)
{
    stream_close(stream);
    stream->error = error;
    stream->tell_failed = true;
}

static err_t on_connected(void *argument, struct tcp_pcb *pcb, err_t error)
{
    struct stream *stream = argument;

    (void)pcb;
    (void)error; /* lwIP always passes ERR_OK */
    stream->connected = true;
    stream->tell_open = true;
    return ERR_OK;
}

/* A receive buffer that nobody else refers to. */
static bool is_own_buffer(const struct pbuf *pbuf)
{
    return pbuf_match_type(pbuf, PBUF_POOL) && pbuf->ref == 1;
}

static u8_t *buffer_start(struct pbuf *pbuf)
{
    return (u8_t *)pbuf + LWIP_MEM_ALIGN_SIZE(sizeof *pbuf);
}

/* How many bytes fit behind those that a pbuf holds. */
static size_t count_room(struct pbuf *pbuf)
{
    const u8_t *end = buffer_start(pbuf) + LWIP_MEM_ALIGN_SIZE(PBUF_POOL_BUFSIZE);

    return is_own_buffer(pbuf) ? (size_t)(end - ((u8_t *)pbuf->payload + pbuf->len)) : 0;
}

/*
 * Add what has come in to what is not read yet, each buffer filled before the next is kept: a
 * peer that sends many small segments to a held stream must not get every buffer that lwIP has.
 */
static void append(struct pbuf *received, struct pbuf *data)
{
    struct pbuf *last = received;

    while (last->next != NULL) {
        last = last->next;
    }
    size_t room = count_room(last);
    u16_t moved = room < data->tot_len ? (u16_t)room : data->tot_len;
    pbuf_copy_partial(data, (u8_t *)last->payload + last->len, moved, 0);
    for (struct pbuf *pbuf = received; pbuf != NULL; pbuf = pbuf->next) {
        pbuf->tot_len = (u16_t)(pbuf->tot_len + moved);
    }
    last->len = (u16_t)(last->len + moved);
    data = pbuf_free_header(data, moved);
    if (data == NULL) {
        return;
    }
    if (is_own_buffer(data) && data->next == NULL) {
        /* To the start of its buffer, where the headers were, to leave all the room behind it. */
        data->payload = memmove(buffer_start(data), data->payload, data->len);
    }
    pbuf_cat(received, data);
}

static err_t on_received(void *argument, struct tcp_pcb *pcb, struct pbuf *data, err_t error)
{
    struct stream *stream = argument;

    (void)pcb;
    (void)error;
    if (data == NULL) {
        stream->peer_closed = true;
        stream->tell_ended = true;
    } else if (stream->received == NULL) {
        stream->received = data;
    } else {
        append(stream->received, data);
    }
    return ERR_OK;
}

static err_t on_sent(void *argument, struct tcp_pcb *pcb, u16_t length)
{
    struct stream *stream = argument;

    (void)length;
    if (pcb->unsent == NULL && pcb->unacked == NULL) {
        stream->tell_sent = true;
    }
    return ERR_OK;
}

/* lwIP has freed the pcb already. What was received before can still be read. */
static void on_error(void *argument, err_t error)
{
    struct stream *stream = argument;

    stream->pcb = NULL;
    if (error == ERR_CLSD) {
        return; /* both sides have closed: on_received() told it */
    }
    stream->tell_failed = true;
    if (error != ERR_RST) {
        stream->error = STREAM_ERR_TIMEOUT;
    } else {
        stream->error = stream->connected ? STREAM_ERR_RESET : STREAM_ERR_REFUSED;
    }
}

static void connect_pcb(struct stream *stream)
{
    stream->tell_resolved = true;
    stream->pcb = tcp_new();
    if (stream->pcb == NULL) {
        stream_fail(stream, STREAM_ERR_MEMORY);
        return;
    }
    tcp_arg(stream->pcb, stream);
    tcp_err(stream->pcb, on_error);
    tcp_recv(stream->pcb, on_received);
    tcp_sent(stream->pcb, on_sent);
    err_t error = tcp_connect(stream->pcb, &stream->address, stream->port, on_connected);
    if (error != ERR_OK) {
        stream_fail(stream, error == ERR_RTE ? STREAM_ERR_UNREACHABLE : STREAM_ERR_MEMORY);
    }
}

static void on_resolved(const char *name, const ip_addr_t *address, void *argument)
{
    struct stream_query *query = argument;
    struct stream *stream = query->owner;

    (void)name;
    free(query);
    if (stream == NULL) {
        return;
    }
    stream->query = NULL;
    if (address == NULL) {
        stream_fail(stream, STREAM_ERR_DNS);
    } else {
        stream->address = *address;
        connect_pcb(stream);
    }
}

void stream_init(struct stream *stream)
{
    *stream = (struct stream){.pcb = NULL};
}

void stream_open(struct stream *stream, const char *host, uint16_t port)
{
    stream_close(stream);
    stream_init(stream);
    stream->port = port;

    struct stream_query *query = malloc(sizeof *query);
    if (query == NULL) {
        stream_fail(stream, STREAM_ERR_MEMORY);
        return;
    }
    query->owner = stream;
    err_t error = dns_gethostbyname(host, &stream->address, on_resolved, query);
    if (error == ERR_INPROGRESS) {
        stream->query = query;
        return;
    }
    free(query);
    if (error == ERR_OK) {
        connect_pcb(stream);
    } else {
        stream_fail(stream, error == ERR_MEM ? STREAM_ERR_MEMORY : STREAM_ERR_DNS);
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
    if (stream->received == NULL || length == 0) {
        return 0;
    }
    if (length > UINT16_MAX) {
        length = UINT16_MAX;
    }
    u16_t got = pbuf_copy_partial(stream->received, buffer, (u16_t)length, 0);
    stream->received = pbuf_free_header(stream->received, got);
    if (stream->pcb != NULL) {
        tcp_recved(stream->pcb, got);
    }
    return got;
}

int stream_write(struct stream *stream, const void *data, size_t length)
{
    if (stream->pcb == NULL) {
        return STREAM_ERR_CLOSED;
    }
    if (length > tcp_sndbuf(stream->pcb)) {
        length = tcp_sndbuf(stream->pcb);
    }
    if (length == 0) {
        return 0;
    }
    err_t error = tcp_write(stream->pcb, data, (u16_t)length, TCP_WRITE_FLAG_COPY);
    if (error == ERR_MEM) {
        return 0; /* acknowledgements on their way will make room */
    }
    if (error != ERR_OK) {
        return STREAM_ERR_CLOSED;
    }
    tcp_output(stream->pcb);
    return (int)length;
}

void stream_hold(struct stream *stream, bool held)
{
    stream->held = held;
}

void stream_close(struct stream *stream)
{
    if (stream->query != NULL) {
        stream->query->owner = NULL;
        stream->query = NULL;
    }
    if (stream->received != NULL) {
        if (stream->pcb != NULL) {
            tcp_recved(stream->pcb, stream->received->tot_len);
        }
        pbuf_free(stream->received);
        stream->received = NULL;
    }
    if (stream->pcb != NULL) {
        tcp_arg(stream->pcb, NULL);
        tcp_err(stream->pcb, NULL);
        tcp_recv(stream->pcb, NULL);
        tcp_sent(stream->pcb, NULL);
        if (tcp_close(stream->pcb) != ERR_OK) {
            tcp_abort(stream->pcb);
        }
        stream->pcb = NULL;
    }
    stream->tell_open = stream->tell_sent = stream->tell_ended = stream->tell_failed = false;
}

bool stream_any_unsent(void)
{
    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        if (pcb->unsent != NULL || pcb->unacked != NULL) {
            return true;
        }
    }
    return false;
}

const char *stream_reason(int error)
{
    switch (error) {
    case STREAM_ERR_DNS:
        return "host name could not be resolved";
    case STREAM_ERR_REFUSED:
        return "connection refused";
    case STREAM_ERR_RESET:
        return "connection reset by the server";
    case STREAM_ERR_TIMEOUT:
        return "no answer from the server";
    case STREAM_ERR_UNREACHABLE:
        return "no route to the server";
    case STREAM_ERR_MEMORY:
        return "out of memory";
    case STREAM_ERR_CLOSED:
        return "not connected";
    default:
        return "unknown error";
    }
}
