#include "tls_engine.h"

#include <stdlib.h>

#include "board.h"
#include "server_ca.h"
#include "tls_error.h"
#include "tls_platform.h"

#define MIN_FINITE_FIELD_BITS 2048 /* RSA keys and DHE groups (NIST SP 800-57) */

/* mbedTLS's default, and every curve that the profile has built in. */
static const mbedtls_x509_crt_profile certificate_profile = {
    .allowed_mds =
        MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA224) | MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA256) |
        MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA384) | MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA512),
    .allowed_pks = UINT32_MAX,
    .allowed_curves = UINT32_MAX,
    .rsa_min_bitlen = MIN_FINITE_FIELD_BITS,
};

/* A board that does not know the date cannot judge dates. */
static int forgive_dates_without_clock(void *argument, mbedtls_x509_crt *certificate, int depth,
                                       uint32_t *flags)
{
    (void)argument;
    (void)certificate;
    (void)depth;
    if (board_epoch() == 0) {
        *flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
    }
    return 0;
}

/* The certificates stay in flash; only what mbedTLS learns about them takes heap. */
static int load_built_in_ca(mbedtls_x509_crt *chain)
{
    const unsigned char *der = server_ca_der;
    size_t left = server_ca_der_len;

    if (left == 0) {
        return TLS_ERR_NO_CA;
    }
    while (left > 0) {
        unsigned char *body = (unsigned char *)der;
        size_t length;
        if (mbedtls_asn1_get_tag(&body, der + left, &length,
                                 MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0) {
            return TLS_ERR_BAD_CA;
        }
        length += (size_t)(body - der);
        int result = mbedtls_x509_crt_parse_der_nocopy(chain, der, length);
        if (result != 0) {
            return tls_platform_allocation_failed() ? TLS_ERR_MEMORY : TLS_ERR_BAD_CA;
        }
        der += length;
        left -= length;
    }
    return 0;
}

static void offer_versions_and_curves(mbedtls_ssl_config *config)
{
#ifdef MBEDTLS_ECP_C
    static const NODEMCU_TLS_GROUP_TYPE groups[] = {NODEMCU_TLS_GROUPS};
#endif

#if MBEDTLS_VERSION_MAJOR >= 3
    mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
#ifdef MBEDTLS_ECP_C
    mbedtls_ssl_conf_groups(config, groups);
#endif
#else
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#ifdef MBEDTLS_ECP_C
    mbedtls_ssl_conf_curves(config, groups);
#endif
#endif
}

static void configure(mbedtls_ssl_config *config)
{
    mbedtls_ssl_conf_rng(config, tls_platform_random, NULL);
    mbedtls_ssl_conf_verify(config, forgive_dates_without_clock, NULL);
    mbedtls_ssl_conf_cert_profile(config, &certificate_profile);
#ifdef MBEDTLS_DHM_C
    mbedtls_ssl_conf_dhm_min_bitlen(config, MIN_FINITE_FIELD_BITS);
#endif
    mbedtls_ssl_conf_max_frag_len(config, NODEMCU_TLS_MAX_FRAGMENT);
    offer_versions_and_curves(config);
}

static int trust_built_in_ca(struct tls_engine *engine, bool verify)
{
    if (!verify) {
        mbedtls_ssl_conf_authmode(&engine->config, MBEDTLS_SSL_VERIFY_NONE);
        return 0;
    }
    mbedtls_ssl_conf_authmode(&engine->config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&engine->config, &engine->ca, NULL);
    return load_built_in_ca(&engine->ca);
}

static int set_up(struct tls_engine *engine, bool verify)
{
    if (mbedtls_ssl_config_defaults(&engine->config, MBEDTLS_SSL_IS_CLIENT,
                                    MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0) {
        return TLS_ERR_MEMORY;
    }
    configure(&engine->config);
    int error = trust_built_in_ca(engine, verify);
    if (error < 0) {
        return error;
    }
    return mbedtls_ssl_setup(&engine->ssl, &engine->config) == 0 ? 0 : TLS_ERR_MEMORY;
}

int tls_engine_create(struct tls_engine **engine, bool verify)
{
    int error = tls_platform_start();
    if (error < 0) {
        return error;
    }
    tls_platform_forget_failure();
    struct tls_engine *created = malloc(sizeof *created);
    if (created == NULL) {
        return TLS_ERR_MEMORY;
    }
    mbedtls_ssl_init(&created->ssl);
    mbedtls_ssl_config_init(&created->config);
    mbedtls_x509_crt_init(&created->ca);
    error = set_up(created, verify);
    if (error < 0) {
        tls_engine_free(created);
        return error;
    }
    *engine = created;
    return 0;
}

void tls_engine_free(struct tls_engine *engine)
{
    if (engine != NULL) {
        mbedtls_ssl_free(&engine->ssl);
        mbedtls_ssl_config_free(&engine->config);
        mbedtls_x509_crt_free(&engine->ca);
        free(engine);
    }
}
