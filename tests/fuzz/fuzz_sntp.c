/*
 * fuzz_sntp.c - the judge of what time servers send: nothing but a whole answer to the question
 * that was asked is the time, and what is none changes nothing.
 */
#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "sntp_packet.h"

#define LAST_SECOND 4240211968LL /* of what the 64 bits can say: July 2104 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t cookie[SNTP_COOKIE_SIZE] = "cookie!";

static void check_common(const uint8_t *data, size_t size, const struct sntp_reply *reply)
{
    CHECK(size >= SNTP_PACKET_SIZE);
    CHECK((data[0] & 7) == 4 && (data[0] >> 3 & 7) >= 1 && (data[0] >> 3 & 7) <= 4);
    CHECK(memcmp(data + 24, cookie, sizeof cookie) == 0);
    CHECK(reply->leap == data[0] >> 6 && reply->stratum == data[1]);
    CHECK(reply->kiss[SNTP_KISS_SIZE] == '\0');
    for (int i = 0; i < SNTP_KISS_SIZE; i++) {
        CHECK(isgraph((unsigned char)reply->kiss[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sntp_reply reply, untouched;

    memset(&reply, 0x5a, sizeof reply);
    untouched = reply;
    enum sntp_verdict verdict = sntp_packet_check(data, size, cookie, &reply);
    if (verdict == SNTP_NOT_OURS) {
        CHECK(memcmp(&reply, &untouched, sizeof reply) == 0);
        return 0;
    }
    check_common(data, size, &reply);
    if (verdict == SNTP_KISS) {
        CHECK(reply.stratum == 0);
    } else if (verdict == SNTP_TIME) {
        CHECK(reply.stratum >= 1 && reply.stratum <= 15 && reply.leap != 3);
        CHECK(reply.sent > 0 && reply.sent / 1000000 < LAST_SECOND);
    } else {
        CHECK(verdict == SNTP_UNSET);
    }
    return 0;
}
