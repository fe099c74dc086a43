/*
 * heap_operations.c - linked into the firmware, it measures the heap of single operations.
 *
 * The link wraps malloc, realloc, free and board_chip_id: node.chipid(), called from a script,
 * prints a line for each operation, "heap NAME KEPT PEAK": bytes of blocks with their headers that
 * are in use more than before when it has ended, and at its peak. Numbers stand for keys and
 * signatures: nothing verifies, but what is computed and how long the numbers are is the same.
 */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/ecp.h>
#include <mbedtls/pk.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#ifdef MBEDTLS_ECDH_C
#include <mbedtls/ecdh.h>
#endif
#ifdef MBEDTLS_DHM_C
#include <mbedtls/dhm.h>
#endif
#ifdef MBEDTLS_RSA_C
#include <mbedtls/rsa.h>
#endif

#include "board.h"
#include "heap_count.h"
#include "tls_platform.h"

#define DIGEST_SIZE 32u
#define MAX_BYTES 512u

uint32_t __real_board_chip_id(void);
uint32_t __wrap_board_chip_id(void);

static uint32_t before, asked;

static void begin(void)
{
    before = peak = used;
}

static void tell(const char *operation, const char *name)
{
    uint32_t kept = used - before, most = peak - before;
    printf("heap %s %s %u %u\n", operation, name, (unsigned)kept, (unsigned)most);
}

static unsigned char digest[DIGEST_SIZE] = {1};
static unsigned char bytes[MAX_BYTES + 4];

#ifdef MBEDTLS_ECP_C

/* A key on the curve: its base point, read as one of a certificate is. */
static int make_ec_key(mbedtls_pk_context *key, mbedtls_ecp_group_id id)
{
    unsigned char point[2 * MBEDTLS_ECP_MAX_BYTES + 1];
    mbedtls_ecp_group group;
    size_t length = 0;

    mbedtls_ecp_group_init(&group);
    int result = mbedtls_ecp_group_load(&group, id);
    if (result == 0) {
        result = mbedtls_ecp_point_write_binary(&group, &group.G, MBEDTLS_ECP_PF_UNCOMPRESSED,
                                                &length, point, sizeof point);
    }
    mbedtls_ecp_group_free(&group);
    begin();
    result =
        result != 0 ? result : mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    mbedtls_ecp_keypair *pair = result != 0 ? NULL : mbedtls_pk_ec(*key);
    result = result != 0 ? result : mbedtls_ecp_group_load(&pair->grp, id);
    return result != 0 ? result
                       : mbedtls_ecp_point_read_binary(&pair->grp, &pair->Q, point, length);
}

/* SEQUENCE { r INTEGER, s INTEGER }, both a little shorter than the curve's order. */
static size_t make_ec_signature(size_t size)
{
    size_t at = 0;

    bytes[at++] = 0x30;
    if (2 * (size + 2) >= 0x80) {
        bytes[at++] = 0x81;
    }
    bytes[at++] = (unsigned char)(2 * (size + 2));
    for (int part = 0; part < 2; part++) {
        bytes[at++] = 0x02;
        bytes[at++] = (unsigned char)size;
        memset(bytes + at, 0x35 + part, size);
        at += size;
    }
    return at;
}

static void measure_ecdsa(const mbedtls_ecp_curve_info *curve)
{
#ifdef MBEDTLS_ECDSA_C
    mbedtls_pk_context key;

    mbedtls_pk_init(&key);
    if (make_ec_key(&key, curve->grp_id) == 0) {
        tell("key", curve->name);
        size_t length = make_ec_signature((curve->bit_size + 7u) / 8 - (curve->bit_size % 8 != 0));
        begin();
        mbedtls_pk_verify(&key, MBEDTLS_MD_SHA256, digest, sizeof digest, bytes, length);
        tell("verify", curve->name);
    }
    mbedtls_pk_free(&key);
#else
    (void)curve;
#endif
}

/* The server's message has the base point in it. */
static size_t make_ecdh_params(const mbedtls_ecp_curve_info *curve)
{
    mbedtls_ecp_group group;
    size_t length = 0;

    bytes[0] = MBEDTLS_ECP_TLS_NAMED_CURVE;
    bytes[1] = (unsigned char)(curve->tls_id >> 8);
    bytes[2] = (unsigned char)curve->tls_id;
    mbedtls_ecp_group_init(&group);
    if (mbedtls_ecp_group_load(&group, curve->grp_id) == 0) {
        mbedtls_ecp_tls_write_point(&group, &group.G, MBEDTLS_ECP_PF_UNCOMPRESSED, &length,
                                    bytes + 3, sizeof bytes - 3);
    }
    mbedtls_ecp_group_free(&group);
    return 3 + length;
}

static void measure_ecdhe(const mbedtls_ecp_curve_info *curve)
{
#ifdef MBEDTLS_ECDH_C
    static unsigned char out[MAX_BYTES];
    const unsigned char *at = bytes;
    size_t length = make_ecdh_params(curve);
    mbedtls_ecdh_context context;

    mbedtls_ecdh_init(&context);
    begin();
    int result = mbedtls_ecdh_read_params(&context, &at, bytes + length);
    tell("ecdhe_read", curve->name);
    begin();
    result = result != 0 ? result
                         : mbedtls_ecdh_make_public(&context, &length, out, sizeof out,
                                                    tls_platform_random, NULL);
    result = result != 0 ? result
                         : mbedtls_ecdh_calc_secret(&context, &length, out, sizeof out,
                                                    tls_platform_random, NULL);
    if (result == 0) {
        tell("ecdhe", curve->name);
    }
    mbedtls_ecdh_free(&context);
#else
    (void)curve;
#endif
}

#endif

#ifdef MBEDTLS_RSA_C

static void measure_rsa(size_t size, const char *name)
{
    static const unsigned char exponent[] = {1, 0, 1};
    mbedtls_pk_context key;

    mbedtls_pk_init(&key);
    memset(bytes, 0xff, size);
    begin();
    int result = mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_RSA));
    result = result != 0 ? result
                         : mbedtls_rsa_import_raw(mbedtls_pk_rsa(key), bytes, size, NULL, 0, NULL,
                                                  0, NULL, 0, exponent, sizeof exponent);
    result = result != 0 ? result : mbedtls_rsa_complete(mbedtls_pk_rsa(key));
    if (result == 0) {
        tell("key", name);
        memset(bytes, 0x35, size);
        begin();
        mbedtls_pk_verify(&key, MBEDTLS_MD_SHA256, digest, sizeof digest, bytes, size);
        tell("verify", name);
    }
    mbedtls_pk_free(&key);
}

#endif

#ifdef MBEDTLS_DHM_C

static size_t put_number(size_t at, size_t size, int filling)
{
    bytes[at] = (unsigned char)(size >> 8);
    bytes[at + 1] = (unsigned char)size;
    memset(bytes + at + 2, filling, size);
    return at + 2 + size;
}

static void measure_dhe(size_t size, const char *name)
{
    static unsigned char message[3 * (MAX_BYTES + 2)], out[MAX_BYTES];
    unsigned char *at = message;
    mbedtls_dhm_context context;
    size_t length;

    length = put_number(0, size, 0xff);
    memcpy(message, bytes, length);
    memcpy(message + length, "\0\1\2", 3);
    size_t end = length + 3;
    length = put_number(0, size, 0x35);
    memcpy(message + end, bytes, length);
    mbedtls_dhm_init(&context);
    begin();
    int result = mbedtls_dhm_read_params(&context, &at, message + end + length);
    tell("dhe_read", name);
    begin();
    result = result != 0 ? result
                         : mbedtls_dhm_make_public(&context, (int)size, out, size,
                                                   tls_platform_random, NULL);
    result = result != 0 ? result
                         : mbedtls_dhm_calc_secret(&context, out, sizeof out, &length,
                                                   tls_platform_random, NULL);
    if (result == 0) {
        tell("dhe", name);
    }
    mbedtls_dhm_free(&context);
}

#endif

/* What mbedTLS keeps of a certificate beside its key, and of what is in it in numbers. */
static void measure_entries(void)
{
    /* volatile: or the compiler leaves the allocations out */
    begin();
    void *volatile certificate = calloc(1, sizeof(mbedtls_x509_crt));
    tell("entry", "certificate");
    begin();
    void *volatile name = calloc(1, sizeof(mbedtls_asn1_named_data));
    tell("entry", "name");
    begin();
    void *volatile item = calloc(1, sizeof(mbedtls_asn1_sequence));
    tell("entry", "item");
    free(certificate);
    free(name);
    free(item);
}

static void measure_all(void)
{
    measure_entries();
#ifdef MBEDTLS_ECP_C
    for (const mbedtls_ecp_curve_info *curve = mbedtls_ecp_curve_list();
         curve->grp_id != MBEDTLS_ECP_DP_NONE; curve++) {
        if (curve->grp_id != MBEDTLS_ECP_DP_CURVE25519) {
            measure_ecdsa(curve);
        }
        measure_ecdhe(curve);
    }
#endif
#ifdef MBEDTLS_RSA_C
    measure_rsa(256, "rsa-2048");
    measure_rsa(512, "rsa-4096");
#endif
#ifdef MBEDTLS_DHM_C
    measure_dhe(96, "dhe-768"); /* groups in use are longer: the heap has no room for all */
    measure_dhe(128, "dhe-1024");
#endif
}

uint32_t __wrap_board_chip_id(void)
{
    if (asked++ > 0 && tls_platform_start() == 0) { /* at start it makes the MAC address */
        measure_all();
    }
    return __real_board_chip_id();
}
