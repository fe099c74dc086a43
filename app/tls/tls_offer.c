#include "tls_offer.h"

#include <stdint.h>

#include <mbedtls/version.h>

#if MBEDTLS_VERSION_MAJOR < 3
#define MBEDTLS_PRIVATE(member) member /* 2.x hides nothing */
#endif

static void offer_versions(mbedtls_ssl_config *config)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    (void)config; /* all that are built in, and none below TLS 1.2 is */
#else
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#endif
}

static void offer_groups(mbedtls_ssl_config *config)
{
#ifdef NODEMCU_TLS_GROUPS
#if MBEDTLS_VERSION_MAJOR >= 3
    static const uint16_t groups[] = {NODEMCU_TLS_GROUPS};

    mbedtls_ssl_conf_groups(config, groups);
#else
    static const mbedtls_ecp_group_id groups[] = {NODEMCU_TLS_GROUPS};

    mbedtls_ssl_conf_curves(config, groups);
#endif
#else
    (void)config;
#endif
}

static void offer_signatures(mbedtls_ssl_config *config)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    static const uint16_t algorithms[] = {NODEMCU_TLS_SIGNATURE_ALGORITHMS};

    mbedtls_ssl_conf_sig_algs(config, algorithms);
#else
    static const int hashes[] = {NODEMCU_TLS_SIGNATURE_HASHES};

    mbedtls_ssl_conf_sig_hashes(config, hashes);
#endif
}

static void offer_protocols(mbedtls_ssl_config *config)
{
#ifdef NODEMCU_TLS_ALPN
    static const char *const protocols[] = {NODEMCU_TLS_ALPN};

    /* It only reads them, and refuses only lengths that no profile has. */
    (void)mbedtls_ssl_conf_alpn_protocols(config, (const char **)protocols);
#else
    (void)config;
#endif
}

static void offer_record_size(mbedtls_ssl_config *config)
{
#ifdef MBEDTLS_SSL_MAX_FRAGMENT_LENGTH
    /* mbedtls_ssl_conf_max_frag_len() refuses what the send buffer is too small for. */
    config->MBEDTLS_PRIVATE(mfl_code) = NODEMCU_TLS_MAX_FRAGMENT;
#else
    (void)config;
#endif
}

void tls_offer_configure(mbedtls_ssl_config *config)
{
    offer_versions(config);
    offer_groups(config);
    offer_signatures(config);
    offer_protocols(config);
    offer_record_size(config);
}
