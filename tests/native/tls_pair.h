/*
 * tls_pair.h - a client and a server of mbedTLS that talk through memory.
 *
 * The wire takes and gives a few bytes at a time, as many as a generator says that is the same in
 * every run, so that records are cut anywhere. A failure ends the program.
 */
#ifndef TLS_PAIR_H
#define TLS_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mbedtls/ssl.h>
#include <mbedtls/ssl_cache.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/version.h>

#if MBEDTLS_VERSION_MAJOR < 3
#define MBEDTLS_PRIVATE(member) member /* 2.28 hides nothing */
#endif

#define WIRE_SIZE 65536u

struct tls_wire {
    unsigned char data[WIRE_SIZE];
    size_t start, end;
};

struct tls_pair {
    struct tls_wire to_client, to_server;
    mbedtls_ssl_config client_config, server_config;
    mbedtls_ssl_context client, server;
    mbedtls_x509_crt certificate;
    mbedtls_pk_context key;
    mbedtls_ssl_ticket_context tickets;
    mbedtls_ssl_cache_context cache;
    int suites[2];
    int max_piece; /* bytes that the wire gives and takes at a time, at most */
    bool resumed;  /* what tls_session_settle() said */
};

extern uint64_t pair_clock; /* board_micros() */

/* Until the n-th allocation from now fails; negative: none does. */
extern int pair_allocations;

/* What of a block's size to take, or NULL. */
extern size_t (*pair_cut_block)(size_t size);

/* Set up both configurations, for this cipher suite alone; the files hold DER. */
void pair_init(struct tls_pair *pair, const char *suite, const char *certificate_path,
               const char *key_path);
void pair_free(struct tls_pair *pair);

/* Make both contexts for a connection, and free them. */
void pair_open(struct tls_pair *pair);
void pair_close(struct tls_pair *pair);

/* Run the handshake. Returns 0, or the client's result. */
int pair_handshake(struct tls_pair *pair);

/* A number below `limit`. */
unsigned pair_random(unsigned limit);

/* End the program unless `result` is 0. */
void pair_expect(int result, const char *what);

#endif
