#include "tls_engine.h"

#include <stdlib.h>

#include "tls_debug.h"
#include "tls_error.h"
#include "tls_idle.h"
#include "tls_offer.h"
#include "tls_platform.h"

static void configure(struct tls_engine *engine)
{
    mbedtls_ssl_config *config = &engine->config;

    mbedtls_ssl_conf_rng(config, tls_platform_random, NULL);
    mbedtls_ssl_conf_verify(config, tls_verify_certificate, &engine->verify);
    mbedtls_ssl_conf_cert_profile(config, &tls_verify_profile);
#ifdef MBEDTLS_DHM_C
    mbedtls_ssl_conf_dhm_min_bitlen(config, TLS_MIN_FINITE_FIELD_BITS);
#endif
#ifdef MBEDTLS_SSL_SESSION_TICKETS
    if (!engine->verify.options->resume) {
        mbedtls_ssl_conf_session_tickets(config, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    }
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        config, engine->verify.options->resume
                    ? MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED
                    : MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_DISABLED);
#endif
#endif
    tls_offer_configure(config);
    tls_debug_attach(config);
}

/* Without a CA and without pins, mbedTLS does not look at the certificate at all. */
static int choose_authmode(const struct tls_verify *verify)
{
    if (verify->has_ca) {
        return MBEDTLS_SSL_VERIFY_REQUIRED;
    }
    return verify->options->pin_count > 0 ? MBEDTLS_SSL_VERIFY_OPTIONAL : MBEDTLS_SSL_VERIFY_NONE;
}

static int set_up(struct tls_engine *engine, struct tls_credentials *credentials)
{
    mbedtls_ssl_config *config = &engine->config;

    if (mbedtls_ssl_config_defaults(config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0) {
        return TLS_ERR_MEMORY;
    }
    configure(engine);
    mbedtls_ssl_conf_authmode(config, choose_authmode(&engine->verify));
    if (engine->verify.has_ca) {
        mbedtls_ssl_conf_ca_chain(config, &credentials->ca, NULL);
    }
    if (tls_credentials_has_identity(credentials) &&
        mbedtls_ssl_conf_own_cert(config, &credentials->chain, &credentials->key) != 0) {
        return TLS_ERR_MEMORY;
    }
    if (tls_idle_set_up(&engine->ssl, config) != 0) {
        /* mbedTLS takes it away and then, with buffers of variable length, reads it to free. */
        engine->ssl.MBEDTLS_PRIVATE(conf) = config;
        return TLS_ERR_MEMORY;
    }
    return 0;
}

int tls_engine_create(struct tls_engine **engine, const struct tls_options *options,
                      struct tls_credentials *credentials)
{
    int error = tls_platform_start();
    if (error < 0) {
        return error;
    }
    struct tls_engine *created = malloc(sizeof *created);
    if (created == NULL) {
        return TLS_ERR_MEMORY;
    }
    mbedtls_ssl_init(&created->ssl);
    mbedtls_ssl_config_init(&created->config);
    created->verify = (struct tls_verify){options, tls_credentials_has_ca(credentials), false};
    error = set_up(created, credentials);
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
        free(engine);
    }
}
