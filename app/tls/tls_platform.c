#include "tls_platform.h"

#include <stdlib.h>
#include <string.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/platform.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/version.h>
#ifdef MBEDTLS_PSA_CRYPTO_C
#include <psa/crypto.h>
#endif

#include "board.h"
#include "build_time.h"
#include "calendar.h"
#include "tls_error.h"
#include "tls_idle.h"
#include "tls_session.h"

static mbedtls_ctr_drbg_context generator;
static bool started;
static bool allocation_failed;

static void *allocate(size_t count, size_t wanted)
{
    size_t size = tls_idle_cut_block(wanted);
    void *block = calloc(count, size);

    if (block == NULL && tls_session_give_way()) {
        block = calloc(count, size);
    }
    if (block == NULL) {
        allocation_failed = true;
    }
    return block;
}

bool tls_platform_allocation_failed(void)
{
    return allocation_failed;
}

void tls_platform_forget_failure(void)
{
    allocation_failed = false;
}

static int read_entropy(void *context, unsigned char *buffer, size_t length)
{
    (void)context;
    return board_random(buffer, length) < 0 ? MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED : 0;
}

#if MBEDTLS_VERSION_MAJOR >= 3
mbedtls_ms_time_t mbedtls_ms_time(void)
{
    return (mbedtls_ms_time_t)(board_micros() / 1000u);
}
#endif

#ifdef MBEDTLS_PSA_CRYPTO_C

/* TLS 1.3 has its keys in PSA, which asks this for random numbers. */
psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context,
                                             uint8_t *output, size_t size, size_t *length)
{
    (void)context;
    for (*length = 0; *length < size;) {
        size_t most = MBEDTLS_CTR_DRBG_MAX_REQUEST, left = size - *length;
        size_t part = left < most ? left : most;
        if (mbedtls_ctr_drbg_random(&generator, output + *length, part) != 0) {
            return PSA_ERROR_INSUFFICIENT_ENTROPY;
        }
        *length += part;
    }
    return PSA_SUCCESS;
}

static bool start_psa(void)
{
    return psa_crypto_init() == PSA_SUCCESS;
}

#else

static bool start_psa(void)
{
    return true;
}

#endif

static bool seed_generator(void)
{
    static const char purpose[] = "nodemcu-tls";

    return mbedtls_ctr_drbg_seed(&generator, read_entropy, NULL, (const unsigned char *)purpose,
                                 strlen(purpose)) == 0;
}

int tls_platform_start(void)
{
    if (!started) {
        mbedtls_platform_set_calloc_free(allocate, free);
        mbedtls_platform_set_time(tls_platform_time);
        mbedtls_ctr_drbg_init(&generator);
        started = seed_generator() && start_psa();
    }
    return started ? 0 : TLS_ERR_RANDOM;
}

int tls_platform_random(void *context, unsigned char *buffer, size_t length)
{
    (void)context;
    return mbedtls_ctr_drbg_random(&generator, buffer, length);
}

mbedtls_time_t tls_platform_time(mbedtls_time_t *now)
{
    int64_t seconds = tls_platform_clock_is_set() ? board_epoch() : build_time;

    if (now != NULL) {
        *now = (mbedtls_time_t)seconds;
    }
    return (mbedtls_time_t)seconds;
}

bool tls_platform_clock_is_set(void)
{
    int64_t now = board_epoch();

    return now != 0 && now >= build_time;
}

/* mbedTLS's time has 32 bits where time_t has: taken without a sign they last until 2106. */
struct tm *mbedtls_platform_gmtime_r(const mbedtls_time_t *now, struct tm *date)
{
    calendar_date((uint32_t)*now, date);
    return date;
}
