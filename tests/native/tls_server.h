/*
 * tls_server.h - a small TLS 1.2 server for tests on any TLS library.
 *
 * tls_server.c reads the options, listens and holds the conversation; one file for each library
 * does the TLS. Connections are served one after another. What a library has no means for, it
 * refuses with server_die().
 */
#ifndef TLS_SERVER_H
#define TLS_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#define SERVER_CHAIN_MAX 8

struct server_options {
    const char *chain[SERVER_CHAIN_MAX]; /* DER files: the certificate, then those above it */
    unsigned chain_length;
    const char *key;       /* DER file: its private key, PKCS#8 */
    const char *client_ca; /* DER file: clients must show a certificate of this CA; NULL: none */
    const char *suite;     /* the only cipher suite, by the library's name; NULL: its own choice */
    bool tickets;          /* keep sessions in tickets; without it, under their ID */
    const char *first;     /* something to do before each answer; see tls_do() */
    unsigned times;        /* how often to do it */
};

/* Set the library up, once. Calls server_die() when that fails. */
void tls_start(const struct server_options *options);

/* A handshake on a connected socket; what was agreed on is reported. False when it failed. */
bool tls_accept(int socket);

/*
 * What servers rarely do: "renegotiate" (ask for a new handshake), "warn" (send a warning alert),
 * "fail" (send a fatal alert) or "empty" (send a record with nothing in it).
 */
void tls_do(const char *what);

/* As read() and write(), but write everything; 0 from tls_read() when the client ended TLS. */
int tls_read(char *buffer, size_t length);
int tls_write(const char *data, size_t length);

/* End TLS as far as the connection allows, and forget it. */
void tls_close(void);

/* Print one line for the test to read: "name value". */
void server_report(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Print why, and end the server. */
_Noreturn void server_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The whole of a file, in memory that stays. */
unsigned char *server_load(const char *path, size_t *length);

#endif
