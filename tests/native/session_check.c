/*
 * session_check.c - sessions kept and resumed, against a server that gives out tickets or IDs.
 *
 * Arguments: cipher suite, certificate and key (DER). Prints a line for each handshake: what is
 * special about it, and whether it was "whole", "resumed" or "failed".
 */
#include <stdio.h>
#include <string.h>

#include "tls_pair.h"
#include "tls_session.h"

#define HOUR 3600000000u /* microseconds */

static struct tls_pair pair;

/* Connect with the key that a letter stands for, as the firmware does. */
static void join(char letter, const char *what)
{
    unsigned char key[TLS_SESSION_KEY_SIZE];

    memset(key, letter, sizeof key);
    pair_open(&pair);
    tls_session_offer(&pair.client, key);
    int result = pair_handshake(&pair);
    if (result == 0) {
        tls_session_keep(&pair.client, key, pair.resumed);
    } else {
        tls_session_forget(key);
    }
    printf("%s: %s\n", what, result != 0 ? "failed" : pair.resumed ? "resumed" : "whole");
    pair_close(&pair);
}

static void serve_tickets(bool served)
{
    mbedtls_ssl_conf_session_tickets_cb(
        &pair.server_config, served ? mbedtls_ssl_ticket_write : NULL,
        served ? mbedtls_ssl_ticket_parse : NULL, served ? &pair.tickets : NULL);
}

static void serve_ids(bool served)
{
    mbedtls_ssl_conf_session_cache(&pair.server_config, &pair.cache,
                                   served ? mbedtls_ssl_cache_get : NULL,
                                   served ? mbedtls_ssl_cache_set : NULL);
}

static void lose_ids(void)
{
    mbedtls_ssl_cache_free(&pair.cache);
    mbedtls_ssl_cache_init(&pair.cache);
}

static void check_common(void)
{
    unsigned char first[TLS_SESSION_KEY_SIZE];

    join('a', "first");
    join('a', "again");
    join('a', "and again");
    join('b', "other key");
    memset(first, 'a', sizeof first);
    tls_session_forget(first);
    join('a', "forgotten");
    join('b', "not forgotten");
    join('c', "third");
    join('d', "fourth");
    join('a', "used again");
    join('e', "fifth");
    join('b', "unused longest");
    join('a', "used not so long ago");
    tls_session_forget_all();
    join('a', "all forgotten");
    pair_clock += 25ull * HOUR;
    join('a', "a day later");
}

static void check_tickets(void)
{
    serve_tickets(true);
    check_common();
    pair_clock += 3ull * HOUR;
    join('a', "after the ticket's time");
    serve_tickets(false);
    join('a', "refused, no new ticket");
    serve_tickets(true);
    join('a', "not the refused ticket");
    join('a', "the new one");
    mbedtls_ssl_conf_session_tickets(&pair.client_config, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    tls_session_forget_all();
    join('a', "without tickets");
    join('a', "and then");
    mbedtls_ssl_conf_session_tickets(&pair.client_config, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
}

static void check_ids(void)
{
    tls_session_forget_all();
    serve_tickets(false);
    serve_ids(true);
    check_common();
    lose_ids();
    join('a', "lost by the server");
    join('a', "known again");
#ifdef MBEDTLS_SSL_ENCRYPT_THEN_MAC
    lose_ids();
    mbedtls_ssl_conf_encrypt_then_mac(&pair.server_config, MBEDTLS_SSL_ETM_DISABLED);
    join('a', "lost, and MAC-then-encrypt");
    join('a', "and again so");
    mbedtls_ssl_conf_encrypt_then_mac(&pair.server_config, MBEDTLS_SSL_ETM_ENABLED);
    tls_session_forget_all();
    join('a', "back");
#endif
}

/* A ticket that comes with a resumed session lives no longer than the session. */
static void check_ticket_for_id(void)
{
    pair_clock += 23ull * HOUR;
    serve_tickets(true);
    join('a', "a ticket for an ID");
    serve_ids(false);
    join('a', "with the ticket");
    pair_clock += HOUR + 1000000u;
    join('a', "a day after the first");
}

/* Nothing but the resumption is lost without memory; every allocation of both calls fails once. */
static void check_memory(void)
{
    unsigned char key[TLS_SESSION_KEY_SIZE];
    unsigned resumed = 0, whole = 0;

    memset(key, 'm', sizeof key);
    for (int i = 0; i < 40; i++) {
        pair_open(&pair);
        pair_allocations = i % 8;
        tls_session_offer(&pair.client, key);
        pair_allocations = -1;
        pair_expect(pair_handshake(&pair), "handshake");
        pair_allocations = i / 8;
        tls_session_keep(&pair.client, key, pair.resumed);
        pair_allocations = -1;
        resumed += pair.resumed;
        whole += !pair.resumed;
        pair_close(&pair);
    }
    pair_expect(resumed == 0 || whole < 8, "hardly any allocation failed, or each");
    puts("memory: short");
}

int main(int argc, char **argv)
{
    pair_expect(argc != 4, "arguments");
    pair_init(&pair, argv[1], argv[2], argv[3]);
    puts("- tickets");
    check_tickets();
    check_memory();
    puts("- IDs");
    check_ids();
    check_ticket_for_id();
    tls_session_forget_all();
    pair_free(&pair);
    return 0;
}
