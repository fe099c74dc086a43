#include "sntp_packet.h"

#include <stdbool.h>
#include <string.h>

#define VERSION 4
#define MODE_CLIENT 3
#define MODE_SERVER 4
#define LEAP_UNSET 3
#define STRATUM_KISS 0
#define STRATUM_LAST 15

/* Where things are in the packet. */
#define STRATUM 1
#define REFERENCE_ID 12
#define ORIGINATED 24
#define RECEIVED 32
#define TRANSMITTED 40

#define UNIX_EPOCH 2208988800LL   /* seconds from 1900 to 1970 */
#define ERA (1LL << 32)           /* seconds until the 32 bits begin again, in 2036 */
#define FIRST_OF_ERA_0 (1u << 31) /* RFC 4330, section 3: without this bit it is 2036 or later */

static uint32_t read_32(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

/* Microseconds since 1970: from 1968 to 2104. */
static int64_t read_time(const uint8_t *from)
{
    uint32_t seconds = read_32(from), fraction = read_32(from + 4);
    int64_t since_1970 = (int64_t)seconds - UNIX_EPOCH;

    if (seconds < FIRST_OF_ERA_0) {
        since_1970 += ERA;
    }
    return since_1970 * 1000000 + (int64_t)((uint64_t)fraction * 1000000u >> 32);
}

void sntp_packet_ask(uint8_t packet[SNTP_PACKET_SIZE], const uint8_t cookie[SNTP_COOKIE_SIZE])
{
    memset(packet, 0, SNTP_PACKET_SIZE);
    packet[0] = VERSION << 3 | MODE_CLIENT;
    memcpy(packet + TRANSMITTED, cookie, SNTP_COOKIE_SIZE);
}

static void read_kiss(char kiss[SNTP_KISS_SIZE + 1], const uint8_t *from)
{
    for (int i = 0; i < SNTP_KISS_SIZE; i++) {
        kiss[i] = from[i] > ' ' && from[i] <= '~' ? (char)from[i] : '?';
    }
    kiss[SNTP_KISS_SIZE] = '\0';
}

enum sntp_verdict sntp_packet_check(const uint8_t *packet, size_t length,
                                    const uint8_t cookie[SNTP_COOKIE_SIZE],
                                    struct sntp_reply *reply)
{
    if (length < SNTP_PACKET_SIZE) {
        return SNTP_NOT_OURS;
    }
    unsigned version = packet[0] >> 3 & 7u, mode = packet[0] & 7u;
    if (mode != MODE_SERVER || version == 0 || version > VERSION ||
        memcmp(packet + ORIGINATED, cookie, SNTP_COOKIE_SIZE) != 0) {
        return SNTP_NOT_OURS;
    }
    reply->leap = packet[0] >> 6;
    reply->stratum = packet[STRATUM];
    reply->received = read_time(packet + RECEIVED);
    reply->sent = read_time(packet + TRANSMITTED);
    read_kiss(reply->kiss, packet + REFERENCE_ID);
    if (reply->stratum == STRATUM_KISS) {
        return SNTP_KISS;
    }
    bool has_time = read_32(packet + TRANSMITTED) != 0 || read_32(packet + TRANSMITTED + 4) != 0;
    if (reply->leap == LEAP_UNSET || reply->stratum > STRATUM_LAST || !has_time ||
        reply->sent <= 0) {
        return SNTP_UNSET;
    }
    return SNTP_TIME;
}
