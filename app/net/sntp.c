#include "sntp.h"

#include <stdlib.h>
#include <string.h>

#include <lwip/dns.h>
#include <lwip/udp.h>

#include "board.h"
#include "net_port.h"

/* A DNS query cannot be taken back from lwIP: one that was stopped has no owner any more. */
struct sntp_query {
    struct sntp *owner;
};

static void set_clock(struct sntp *sntp)
{
    const struct sntp_reply *reply = &sntp->reply;
    int64_t delay = (int64_t)(board_micros() - sntp->asked_at);
    int64_t in_server = reply->sent - reply->received;

    if (in_server > 0 && in_server <= delay) {
        delay -= in_server;
    }
    uint64_t now = (uint64_t)(reply->sent + delay / 2); /* the way back took half of it */
    sntp->delay_us = (uint32_t)delay;
    sntp->offset_us = (int64_t)now - board_epoch_micros();
    board_set_epoch((int64_t)(now / 1000000u), (uint32_t)(now % 1000000u));
}

static void on_reply(void *argument, struct udp_pcb *pcb, struct pbuf *data,
                     const ip_addr_t *address, u16_t port)
{
    struct sntp *sntp = argument;
    uint8_t packet[SNTP_PACKET_SIZE];
    size_t length = data->tot_len;

    (void)pcb;
    pbuf_copy_partial(data, packet, sizeof packet, 0);
    pbuf_free(data);
    if (sntp->result != SNTP_PENDING || port != sntp->port ||
        !ip_addr_cmp(address, &sntp->address)) {
        return;
    }
    switch (sntp_packet_check(packet, length, sntp->cookie, &sntp->reply)) {
    case SNTP_TIME:
        set_clock(sntp);
        sntp->result = SNTP_DONE;
        break;
    case SNTP_KISS:
        sntp->result = SNTP_ERR_REFUSED;
        break;
    case SNTP_UNSET:
        sntp->result = SNTP_ERR_UNSET;
        break;
    default:
        break; /* the true answer may still come */
    }
}

/* Each question has a cookie of its own: an answer to the one before would be measured wrongly. */
static void ask(struct sntp *sntp)
{
    uint32_t random[] = {net_random(), net_random()};
    struct pbuf *data = pbuf_alloc(PBUF_TRANSPORT, SNTP_PACKET_SIZE, PBUF_RAM);

    sntp->tries--;
    sntp->asked_at = board_micros();
    memcpy(sntp->cookie, random, sizeof sntp->cookie);
    if (data != NULL) {
        sntp_packet_ask(data->payload, sntp->cookie);
        sntp->sent |= udp_sendto(sntp->pcb, data, &sntp->address, sntp->port) == ERR_OK;
        pbuf_free(data);
    }
}

static void open_port(struct sntp *sntp)
{
    sntp->pcb = udp_new();
    if (sntp->pcb == NULL) {
        sntp->result = SNTP_ERR_MEMORY;
        return;
    }
    udp_recv(sntp->pcb, on_reply, sntp);
    ask(sntp);
}

static void on_resolved(const char *name, const ip_addr_t *address, void *argument)
{
    struct sntp_query *query = argument;
    struct sntp *sntp = query->owner;

    (void)name;
    free(query);
    if (sntp == NULL) {
        return;
    }
    sntp->query = NULL;
    if (address == NULL) {
        sntp->result = SNTP_ERR_DNS;
    } else {
        sntp->address = *address;
        open_port(sntp);
    }
}

void sntp_init(struct sntp *sntp)
{
    *sntp = (struct sntp){.tries = 3, .timeout_ms = 5000};
}

void sntp_start(struct sntp *sntp, const char *host, uint16_t port)
{
    sntp->port = port;
    struct sntp_query *query = malloc(sizeof *query);
    if (query == NULL) {
        sntp->result = SNTP_ERR_MEMORY;
        return;
    }
    query->owner = sntp;
    err_t error = dns_gethostbyname(host, &sntp->address, on_resolved, query);
    if (error == ERR_INPROGRESS) {
        sntp->query = query;
        return;
    }
    free(query);
    if (error == ERR_OK) {
        open_port(sntp);
    } else {
        sntp->result = error == ERR_MEM ? SNTP_ERR_MEMORY : SNTP_ERR_DNS;
    }
}

int sntp_poll(struct sntp *sntp)
{
    bool waited =
        sntp->pcb != NULL && board_micros() - sntp->asked_at >= (uint64_t)sntp->timeout_ms * 1000u;

    if (sntp->result == SNTP_PENDING && waited) {
        if (sntp->tries > 0) {
            ask(sntp);
        } else {
            sntp->result = sntp->sent ? SNTP_ERR_TIMEOUT : SNTP_ERR_SEND;
        }
    }
    if (sntp->result != SNTP_PENDING) {
        sntp_stop(sntp);
    }
    return sntp->result;
}

void sntp_stop(struct sntp *sntp)
{
    if (sntp->query != NULL) {
        sntp->query->owner = NULL;
        sntp->query = NULL;
    }
    if (sntp->pcb != NULL) {
        udp_remove(sntp->pcb);
        sntp->pcb = NULL;
    }
}
