#include "tls_pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/platform.h>
#include <mbedtls/platform_time.h>
#include <mbedtls/platform_util.h>

#include "board.h"
#include "tls_session.h"

#define TICKET_SECONDS 7200
#define MAX_FILE 4096
#define MAX_ROUNDS 100000

uint64_t pair_clock = 1000000;
int pair_allocations = -1;
size_t (*pair_cut_block)(size_t size);

uint64_t board_micros(void)
{
    return pair_clock;
}

#if MBEDTLS_VERSION_MAJOR >= 3
mbedtls_ms_time_t mbedtls_ms_time(void)
{
    return (mbedtls_ms_time_t)(pair_clock / 1000u);
}
#endif

struct tm *mbedtls_platform_gmtime_r(const mbedtls_time_t *time, struct tm *date)
{
    return gmtime_r(time, date);
}

static void *allocate(size_t count, size_t size)
{
    if (pair_allocations >= 0 && pair_allocations-- == 0) {
        return NULL;
    }
    return calloc(count, pair_cut_block == NULL ? size : pair_cut_block(size));
}

/* Not random at all, but the same in every run (Marsaglia's xorshift64). */
unsigned pair_random(unsigned limit)
{
    static uint64_t state = 20240607;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 32) % limit;
}

static int fill_random(void *context, unsigned char *buffer, size_t length)
{
    (void)context;
    for (size_t i = 0; i < length; i++) {
        buffer[i] = (unsigned char)pair_random(256);
    }
    return 0;
}

void pair_expect(int result, const char *what)
{
    if (result != 0) {
        printf("%s: -0x%04x\n", what, (unsigned)-result);
        exit(1);
    }
}

static size_t cut(size_t length, int max_piece)
{
    size_t piece = 1 + pair_random((unsigned)max_piece);

    return piece < length ? piece : length;
}

static int put(struct tls_pair *pair, struct tls_wire *wire, const void *data, size_t length)
{
    if (pair_random(4) == 0) {
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    }
    length = cut(length, pair->max_piece);
    memmove(wire->data, wire->data + wire->start, wire->end - wire->start);
    wire->end -= wire->start;
    wire->start = 0;
    pair_expect(length > WIRE_SIZE - wire->end, "the wire is full");
    memcpy(wire->data + wire->end, data, length);
    wire->end += length;
    return (int)length;
}

static int get(struct tls_pair *pair, struct tls_wire *wire, void *buffer, size_t length)
{
    if (wire->start == wire->end || pair_random(4) == 0) {
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    length = cut(length, pair->max_piece);
    if (length > wire->end - wire->start) {
        length = wire->end - wire->start;
    }
    memcpy(buffer, wire->data + wire->start, length);
    wire->start += length;
    return (int)length;
}

static int client_send(void *pair, const unsigned char *data, size_t length)
{
    return put(pair, &((struct tls_pair *)pair)->to_server, data, length);
}

static int client_receive(void *pair, unsigned char *buffer, size_t length)
{
    return get(pair, &((struct tls_pair *)pair)->to_client, buffer, length);
}

static int server_send(void *pair, const unsigned char *data, size_t length)
{
    return put(pair, &((struct tls_pair *)pair)->to_client, data, length);
}

static int server_receive(void *pair, unsigned char *buffer, size_t length)
{
    return get(pair, &((struct tls_pair *)pair)->to_server, buffer, length);
}

static size_t read_file(const char *path, unsigned char *buffer)
{
    FILE *file = fopen(path, "rb");

    pair_expect(file == NULL, path);
    size_t length = fread(buffer, 1, MAX_FILE, file);
    fclose(file);
    return length;
}

static void load_identity(struct tls_pair *pair, const char *certificate_path, const char *key_path)
{
    unsigned char data[MAX_FILE];
    size_t length = read_file(certificate_path, data);

    mbedtls_x509_crt_init(&pair->certificate);
    pair_expect(mbedtls_x509_crt_parse_der(&pair->certificate, data, length), "certificate");
    length = read_file(key_path, data);
    mbedtls_pk_init(&pair->key);
#if MBEDTLS_VERSION_MAJOR >= 3
    pair_expect(mbedtls_pk_parse_key(&pair->key, data, length, NULL, 0, fill_random, NULL), "key");
#else
    pair_expect(mbedtls_pk_parse_key(&pair->key, data, length, NULL, 0), "key");
#endif
    pair_expect(mbedtls_ssl_conf_own_cert(&pair->server_config, &pair->certificate, &pair->key),
                "own certificate");
}

static void configure(struct tls_pair *pair, mbedtls_ssl_config *config, int endpoint)
{
    mbedtls_ssl_config_init(config);
    pair_expect(mbedtls_ssl_config_defaults(config, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                            MBEDTLS_SSL_PRESET_DEFAULT),
                "defaults");
    mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_rng(config, fill_random, NULL);
    mbedtls_ssl_conf_ciphersuites(config, pair->suites);
#if MBEDTLS_VERSION_MAJOR >= 3
    mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
#else
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#endif
}

void pair_init(struct tls_pair *pair, const char *suite, const char *certificate_path,
               const char *key_path)
{
    memset(pair, 0, sizeof *pair);
    mbedtls_platform_set_calloc_free(allocate, free);
    pair->max_piece = 4096;
    pair->suites[0] = mbedtls_ssl_get_ciphersuite_id(suite);
    pair_expect(pair->suites[0] == 0, suite);
    configure(pair, &pair->client_config, MBEDTLS_SSL_IS_CLIENT);
    configure(pair, &pair->server_config, MBEDTLS_SSL_IS_SERVER);
    pair_expect(mbedtls_ssl_conf_max_frag_len(&pair->client_config, NODEMCU_TLS_MAX_FRAGMENT),
                "max_fragment");
    load_identity(pair, certificate_path, key_path);
    mbedtls_ssl_ticket_init(&pair->tickets);
    pair_expect(mbedtls_ssl_ticket_setup(&pair->tickets, fill_random, NULL,
                                         MBEDTLS_CIPHER_AES_256_GCM, TICKET_SECONDS),
                "tickets");
    mbedtls_ssl_cache_init(&pair->cache);
}

void pair_free(struct tls_pair *pair)
{
    mbedtls_ssl_cache_free(&pair->cache);
    mbedtls_ssl_ticket_free(&pair->tickets);
    mbedtls_ssl_config_free(&pair->client_config);
    mbedtls_ssl_config_free(&pair->server_config);
    mbedtls_x509_crt_free(&pair->certificate);
    mbedtls_pk_free(&pair->key);
}

void pair_open(struct tls_pair *pair)
{
    pair->to_client.start = pair->to_client.end = 0;
    pair->to_server.start = pair->to_server.end = 0;
    mbedtls_ssl_init(&pair->client);
    mbedtls_ssl_init(&pair->server);
    pair_expect(mbedtls_ssl_setup(&pair->client, &pair->client_config), "client");
    pair_expect(mbedtls_ssl_setup(&pair->server, &pair->server_config), "server");
    mbedtls_ssl_set_bio(&pair->client, pair, client_send, client_receive, NULL);
    mbedtls_ssl_set_bio(&pair->server, pair, server_send, server_receive, NULL);
}

void pair_close(struct tls_pair *pair)
{
    mbedtls_ssl_free(&pair->client);
    mbedtls_ssl_free(&pair->server);
}

static bool is_over(const mbedtls_ssl_context *ssl)
{
    return ssl->MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_HANDSHAKE_OVER;
}

/* One step of a side that is not done; 0 also when it has to wait. */
static int step(mbedtls_ssl_context *ssl)
{
    int result = is_over(ssl) ? 0 : mbedtls_ssl_handshake_step(ssl);

    return result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE ? 0 : result;
}

int pair_handshake(struct tls_pair *pair)
{
    mbedtls_ssl_context *client = &pair->client;

    for (int i = 0; i < MAX_ROUNDS; i++) {
        int before = client->MBEDTLS_PRIVATE(state);
        int result = step(client);
        if (before == MBEDTLS_SSL_SERVER_HELLO && client->MBEDTLS_PRIVATE(state) != before) {
            pair->resumed = tls_session_settle(client);
        }
        if (result != 0) {
            return result;
        }
        result = step(&pair->server);
        if (result != 0) {
            return result;
        }
        if (is_over(client) && is_over(&pair->server)) {
            return 0;
        }
    }
    pair_expect(1, "the handshake does not end");
    return 1;
}
