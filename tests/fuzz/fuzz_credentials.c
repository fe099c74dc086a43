/*
 * fuzz_credentials.c - what scripts give as certificates and keys: what is taken can be used and
 * stored, what is refused leaves nothing behind.
 *
 * The first byte of an input says which set it is for, and how much room there is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/platform_util.h>

#include "check.h"
#include "server_ca.h"
#include "tls_credentials.h"
#include "tls_error.h"
#include "tls_platform.h"

const unsigned char server_ca_records[] = {0};
const size_t server_ca_length = 0;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* mbedTLS blinds with these; an input is to do the same each time. */
int tls_platform_start(void)
{
    return 0;
}

int tls_platform_random(void *context, unsigned char *buffer, size_t length)
{
    (void)context;
    memset(buffer, 0x5a, length);
    return 0;
}

bool tls_platform_allocation_failed(void)
{
    return false;
}

void tls_platform_forget_failure(void)
{
}

struct tm *mbedtls_platform_gmtime_r(const mbedtls_time_t *time, struct tm *date)
{
    return gmtime_r(time, date);
}

static bool is_documented(int error)
{
    return error == 0 || error == TLS_ERR_NOT_STORED ||
           (error <= TLS_ERR_PEM_NONE && error >= TLS_ERR_TOO_LARGE);
}

static void check_records(enum tls_store_set set, const unsigned char *records, size_t length)
{
    int error = tls_credentials_check_records(set, records, length);

    CHECK(tls_records_are_whole(records, length));
    CHECK(is_documented(error));
    if (set == TLS_STORE_CA) {
        CHECK(error == 0); /* each of them was read before */
    }
}

static void use_at_once(enum tls_store_set set, const void *text, size_t length, int made)
{
    struct tls_credentials *credentials = tls_credentials_new();

    CHECK(credentials != NULL);
    int error = tls_credentials_add(credentials, set, text, length);
    CHECK(is_documented(error));
    CHECK(made != 0 || error == 0);
    CHECK(error != 0 || set != TLS_STORE_CA || tls_credentials_has_ca(credentials));
    tls_credentials_free(credentials);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    enum tls_store_set set = data[0] & 1 ? TLS_STORE_CLIENT : TLS_STORE_CA;
    size_t room = data[0] & 2 ? TLS_STORE_MAX : data[0] * 4u, length = 0;
    unsigned char *records = malloc(room == 0 ? 1 : room);
    CHECK(records != NULL);
    int error = tls_credentials_make_records(set, data + 1, size - 1, records, room, &length);
    CHECK(is_documented(error) && length <= room);
    if (error == 0) {
        check_records(set, records, length);
    } else {
        CHECK(length == 0);
    }
    use_at_once(set, data + 1, size - 1, error);
    free(records);
    return 0;
}
