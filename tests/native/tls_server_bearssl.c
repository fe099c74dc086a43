#include "tls_server.h"

#include <bearssl.h>
#include <string.h>
#include <unistd.h>

static br_x509_certificate chain[SERVER_CHAIN_MAX];
static unsigned chain_length;
static br_skey_decoder_context key;
static br_ssl_server_context server;
static unsigned char buffers[BR_SSL_BUFSIZE_BIDI];
static br_ssl_session_cache_lru cache;
static unsigned char cache_store[8192];
static br_sslio_context io;
static int connected;

void tls_start(const struct server_options *options)
{
    size_t length;

    if (options->first != NULL && strcmp(options->first, "renegotiate") != 0) {
        server_die("all it can do before its answer is to renegotiate");
    }
    if (options->client_ca != NULL || options->suite != NULL || options->tickets) {
        server_die("no client certificates, no choice of suites and no tickets");
    }
    for (; chain_length < options->chain_length; chain_length++) {
        chain[chain_length].data = server_load(options->chain[chain_length], &length);
        chain[chain_length].data_len = length;
    }
    const unsigned char *der = server_load(options->key, &length);
    br_skey_decoder_init(&key);
    br_skey_decoder_push(&key, der, length);
    if (br_skey_decoder_last_error(&key) != 0) {
        server_die("key: %d", br_skey_decoder_last_error(&key));
    }
    br_ssl_session_cache_lru_init(&cache, cache_store, sizeof cache_store);
}

static int receive(void *context, unsigned char *buffer, size_t length)
{
    (void)context;
    ssize_t got = read(connected, buffer, length);
    return got <= 0 ? -1 : (int)got;
}

static int transmit(void *context, const unsigned char *data, size_t length)
{
    (void)context;
    ssize_t put = write(connected, data, length);
    return put <= 0 ? -1 : (int)put;
}

bool tls_accept(int socket)
{
    /* Whoever signed its certificate: only suites with static ECDH would ask for that. */
    if (br_skey_decoder_key_type(&key) == BR_KEYTYPE_EC) {
        br_ssl_server_init_full_ec(&server, chain, chain_length, BR_KEYTYPE_EC,
                                   br_skey_decoder_get_ec(&key));
    } else {
        br_ssl_server_init_full_rsa(&server, chain, chain_length, br_skey_decoder_get_rsa(&key));
    }
    br_ssl_engine_set_versions(&server.eng, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_buffer(&server.eng, buffers, sizeof buffers, 1);
    br_ssl_server_set_cache(&server, &cache.vtable);
    connected = socket;
    br_ssl_server_reset(&server);
    br_sslio_init(&io, &server.eng, receive, NULL, transmit, NULL);
    if (br_sslio_flush(&io) < 0) { /* which makes the handshake */
        server_report("failed", "%d", br_ssl_engine_last_error(&server.eng));
        return false;
    }
    br_ssl_session_parameters session;
    br_ssl_engine_get_session_parameters(&server.eng, &session);
    server_report("version", "%04x", (unsigned)session.version);
    server_report("suite", "%04x", (unsigned)session.cipher_suite);
    server_report("group", "%d", br_ssl_engine_get_ecdhe_curve(&server.eng));
    server_report("fragment", "%d", 1 << server.eng.peer_log_max_frag_len);
    return true;
}

void tls_do(const char *what)
{
    server_report("did", "%s: %d", what, br_ssl_engine_renegotiate(&server.eng));
}

int tls_read(char *buffer, size_t length)
{
    return br_sslio_read(&io, buffer, length);
}

int tls_write(const char *data, size_t length)
{
    return br_sslio_write_all(&io, data, length) < 0 || br_sslio_flush(&io) < 0 ? -1 : 0;
}

void tls_close(void)
{
    br_sslio_close(&io);
}
