#include "tls_server.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/debug.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_cache.h>
#include <mbedtls/ssl_ticket.h>

static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context generator;
static mbedtls_x509_crt chain, client_ca;
static mbedtls_pk_context key;
static mbedtls_ssl_cache_context cache;
static mbedtls_ssl_ticket_context tickets;
static mbedtls_ssl_config config;
static mbedtls_ssl_context ssl;
static mbedtls_net_context connection;
static bool resumed;

static void check(int result, const char *what)
{
    if (result != 0) {
        server_die("%s: -0x%04x", what, (unsigned)-result);
    }
}

/* The group, and whether a session was resumed, mbedTLS tells in its debug output only. */
static void hear_debug(void *context, int level, const char *file, int line, const char *text)
{
    static const char group[] = "ECDHE curve: ";
    const char *found = strstr(text, group);

    (void)context, (void)level, (void)file, (void)line;
    if (found != NULL) {
        found += strlen(group);
        server_report("group", "%.*s", (int)strcspn(found, "\n"), found);
    }
    resumed |= strstr(text, "session successfully restored") != NULL;
}

static void load_identity(const struct server_options *options)
{
    size_t length;

    for (unsigned i = 0; i < options->chain_length; i++) {
        const unsigned char *der = server_load(options->chain[i], &length);
        check(mbedtls_x509_crt_parse_der(&chain, der, length), "certificate");
    }
    const unsigned char *der = server_load(options->key, &length);
    check(mbedtls_pk_parse_key(&key, der, length, NULL, 0, mbedtls_ctr_drbg_random, &generator),
          "key");
    check(mbedtls_ssl_conf_own_cert(&config, &chain, &key), "identity");
    if (options->client_ca != NULL) {
        der = server_load(options->client_ca, &length);
        check(mbedtls_x509_crt_parse_der(&client_ca, der, length), "client's CA");
        mbedtls_ssl_conf_ca_chain(&config, &client_ca, NULL);
        mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);
    }
}

static void keep_sessions(bool in_tickets)
{
    if (in_tickets) {
        check(mbedtls_ssl_ticket_setup(&tickets, mbedtls_ctr_drbg_random, &generator,
                                       MBEDTLS_CIPHER_AES_256_GCM, 3600),
              "tickets");
        mbedtls_ssl_conf_session_tickets_cb(&config, mbedtls_ssl_ticket_write,
                                            mbedtls_ssl_ticket_parse, &tickets);
    } else {
        mbedtls_ssl_conf_session_cache(&config, &cache, mbedtls_ssl_cache_get,
                                       mbedtls_ssl_cache_set);
    }
}

void tls_start(const struct server_options *options)
{
    static int suites[2];

    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&generator);
    mbedtls_ssl_config_init(&config);
    mbedtls_ssl_ticket_init(&tickets);
    mbedtls_ssl_cache_init(&cache);
    mbedtls_ssl_init(&ssl);
    check(mbedtls_ctr_drbg_seed(&generator, mbedtls_entropy_func, &entropy, NULL, 0), "random");
    check(mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                      MBEDTLS_SSL_PRESET_DEFAULT),
          "defaults");
    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &generator);
    mbedtls_ssl_conf_max_tls_version(&config, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_dbg(&config, hear_debug, NULL);
    mbedtls_debug_set_threshold(3);
    load_identity(options);
    keep_sessions(options->tickets);
    mbedtls_ssl_conf_renegotiation(&config, MBEDTLS_SSL_RENEGOTIATION_ENABLED);
    if (options->suite != NULL) {
        suites[0] = mbedtls_ssl_get_ciphersuite_id(options->suite);
        if (suites[0] == 0) {
            server_die("cipher suite %s", options->suite);
        }
        mbedtls_ssl_conf_ciphersuites(&config, suites);
    }
}

static void report_client(void)
{
    char name[256];
    const mbedtls_x509_crt *certificate = mbedtls_ssl_get_peer_cert(&ssl);

    if (certificate != NULL && mbedtls_x509_dn_gets(name, sizeof name, &certificate->subject) > 0) {
        server_report("client", "%s", name);
    }
}

bool tls_accept(int socket)
{
    int result = mbedtls_ssl_setup(&ssl, &config);

    resumed = false;
    connection.fd = socket;
    mbedtls_ssl_set_bio(&ssl, &connection, mbedtls_net_send, mbedtls_net_recv, NULL);
    while (result == 0 && !mbedtls_ssl_is_handshake_over(&ssl)) {
        result = mbedtls_ssl_handshake_step(&ssl);
    }
    if (result != 0) {
        char text[128];
        mbedtls_strerror(result, text, sizeof text);
        server_report("failed", "%s", text);
        return false;
    }
    server_report("version", "%s", mbedtls_ssl_get_version(&ssl));
    server_report("suite", "%s", mbedtls_ssl_get_ciphersuite(&ssl));
    server_report("fragment", "%d", mbedtls_ssl_get_max_out_record_payload(&ssl));
    server_report("resumed", resumed ? "yes" : "no");
    report_client();
    return true;
}

void tls_do(const char *what)
{
    int result = 0;

    if (strcmp(what, "renegotiate") == 0) {
        result = mbedtls_ssl_renegotiate(&ssl);
    } else if (strcmp(what, "warn") == 0) {
        result = mbedtls_ssl_send_alert_message(&ssl, MBEDTLS_SSL_ALERT_LEVEL_WARNING,
                                                MBEDTLS_SSL_ALERT_MSG_USER_CANCELED);
    } else if (strcmp(what, "fail") == 0) {
        result = mbedtls_ssl_send_alert_message(&ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                                MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED);
    } else if (strcmp(what, "empty") == 0) {
        result = mbedtls_ssl_write(&ssl, NULL, 0);
    }
    server_report("did", "%s: %d", what, result);
}

int tls_read(char *buffer, size_t length)
{
    int result = mbedtls_ssl_read(&ssl, (unsigned char *)buffer, length);
    return result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY ? 0 : result;
}

int tls_write(const char *data, size_t length)
{
    size_t sent = 0;

    while (sent < length) {
        int result = mbedtls_ssl_write(&ssl, (const unsigned char *)data + sent, length - sent);
        if (result < 0) {
            return -1;
        }
        sent += (size_t)result;
    }
    return 0;
}

void tls_close(void)
{
    mbedtls_ssl_close_notify(&ssl);
    mbedtls_ssl_free(&ssl);
    mbedtls_ssl_init(&ssl);
}
