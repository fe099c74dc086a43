/*
 * sntp.h - ask one server for the time, once, and set the board's clock (RFC 4330).
 *
 * The owner polls, as with stream.h: no call here runs its code. It provides the memory, which
 * must stay where it is until sntp_stop(), or until sntp_poll() has told how it ended.
 */
#ifndef SNTP_H
#define SNTP_H

#include <stdbool.h>
#include <stdint.h>

#include <lwip/ip_addr.h>

#include "sntp_packet.h"

#define SNTP_PORT 123

/* Negative results; the first four are the codes of NodeMCU's sntp module. */
enum sntp_err {
    SNTP_ERR_DNS = -1,     /* the host name could not be resolved */
    SNTP_ERR_MEMORY = -2,  /* no room for a query */
    SNTP_ERR_SEND = -3,    /* no question could be sent */
    SNTP_ERR_TIMEOUT = -4, /* no good answer came */
    SNTP_ERR_REFUSED = -5, /* the server does not want to be asked: reply.kiss */
    SNTP_ERR_UNSET = -6,   /* the server does not know the time itself */
};

/* What sntp_poll() says besides those. */
#define SNTP_PENDING 0
#define SNTP_DONE 1

struct sntp {
    unsigned tries;      /* questions to ask, one after another: 3 after sntp_init() */
    uint32_t timeout_ms; /* to wait for the answer to each: 5000 after sntp_init() */

    struct udp_pcb *pcb;
    struct sntp_query *query; /* a name being resolved */
    ip_addr_t address;
    uint16_t port;
    bool sent; /* at least once */
    uint64_t asked_at;
    uint8_t cookie[SNTP_COOKIE_SIZE];
    int result;

    /* After SNTP_DONE. */
    struct sntp_reply reply;
    int64_t offset_us; /* by how much the clock was moved */
    uint32_t delay_us; /* of the way to the server and back */
};

void sntp_init(struct sntp *sntp);

/* Begin. Every outcome, failure included, comes from sntp_poll(). */
void sntp_start(struct sntp *sntp, const char *host, uint16_t port);

/* SNTP_PENDING, or the outcome: SNTP_DONE when the clock was set, else an enum sntp_err. */
int sntp_poll(struct sntp *sntp);

/* Take everything back; harmless when nothing is under way. */
void sntp_stop(struct sntp *sntp);

#endif
