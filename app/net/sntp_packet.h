/*
 * sntp_packet.h - the 48 bytes that SNTP asks and answers with (RFC 4330, section 4).
 *
 * No lwIP and no clock in here: whatever a stranger sends is judged by one pure function.
 */
#ifndef SNTP_PACKET_H
#define SNTP_PACKET_H

#include <stddef.h>
#include <stdint.h>

#define SNTP_PACKET_SIZE 48
#define SNTP_COOKIE_SIZE 8
#define SNTP_KISS_SIZE 4

enum sntp_verdict {
    SNTP_TIME,     /* the time: all of the reply holds */
    SNTP_NOT_OURS, /* not an answer to this question: forged, late or broken */
    SNTP_KISS,     /* the server does not want to be asked: `kiss` says why (RFC 5905, 7.4) */
    SNTP_UNSET,    /* the server does not know the time itself */
};

struct sntp_reply {
    int64_t received, sent;        /* microseconds since 1970 by the server's clock */
    uint8_t stratum, leap;         /* as in the packet */
    char kiss[SNTP_KISS_SIZE + 1]; /* printable */
};

/* Write the question. The server answers with the cookie, which nobody else knows. */
void sntp_packet_ask(uint8_t packet[SNTP_PACKET_SIZE], const uint8_t cookie[SNTP_COOKIE_SIZE]);

/* Judge `length` bytes that came back. Fills `reply` unless they are SNTP_NOT_OURS. */
enum sntp_verdict sntp_packet_check(const uint8_t *packet, size_t length,
                                    const uint8_t cookie[SNTP_COOKIE_SIZE],
                                    struct sntp_reply *reply);

#endif
