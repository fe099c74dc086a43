/*
 * tls_conn.h - one TLS client connection: a state machine over mbedTLS and a stream.
 *
 * Polled like a stream and with the same events: STREAM_OPEN comes when the handshake is done,
 * STREAM_READABLE when plaintext may be there, STREAM_FAILED with a stream_err or tls_err in
 * `error` and mbedTLS's own result in `mbedtls_result`. STREAM_ENDED with `error` set means that
 * the server closed TCP without ending TLS.
 *
 * When TCP is up the state is TLS_CONN_READY: the owner fills `credentials` and calls
 * tls_handshake_start(). The owner provides the memory of struct tls_conn; what the handshake needs
 * is taken from the heap then and given back by tls_conn_close(), which every failure calls itself.
 */
#ifndef TLS_CONN_H
#define TLS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream.h"
#include "tls_error.h"
#include "tls_idle.h"
#include "tls_options.h"

enum tls_conn_state {
    TLS_CONN_CLOSED,
    TLS_CONN_DNS,       /* resolving the host's name */
    TLS_CONN_TCP,       /* connecting */
    TLS_CONN_READY,     /* connected: waiting for tls_handshake_start() */
    TLS_CONN_HANDSHAKE, /* from the ClientHello to Finished */
    TLS_CONN_OPEN,
};

/* Whether there was heap for the record buffers when they were wanted back: see tls_idle.h. */
enum tls_conn_hunger {
    TLS_CONN_FED,
    TLS_CONN_STARVED, /* no: the owner is to free some if it can, and to say so */
    TLS_CONN_HELPED,  /* it has: if that is not enough, the connection fails */
};

struct tls_conn {
    struct stream stream;
    struct tls_options options; /* the owner's, set before tls_conn_open() */
    enum tls_conn_state state;
    struct tls_credentials *credentials; /* from TLS_CONN_READY to the end of the handshake */
    struct tls_idle idle;
    enum tls_conn_hunger hunger;
    struct tls_engine *engine; /* mbedTLS's contexts, while there is a handshake or a session */
    char *host;                /* as given to tls_conn_open(), until the handshake is over */
    const char *late_name;     /* to be set before the certificate is looked at; see do_step() */
    unsigned opened;           /* counts calls of tls_conn_open() */
    uint32_t since;            /* board_millis() of what the timeout of the state counts from */
    const char *protocol, *cipher_suite; /* agreed on, by mbedTLS's names, from STREAM_OPEN on */
    const char *application;             /* the protocol of those offered, or NULL (RFC 7301) */
#if defined(MBEDTLS_SSL_PROTO_TLS1_3) && defined(NODEMCU_TLS_SESSIONS)
    bool keeps_tickets; /* under this key, with the time when the certificate was checked */
    unsigned char trust[32];
    uint32_t verified;
#endif
    bool may_resume; /* credentials->trust tells whose session */
    bool resumed;
    bool read_to_end; /* mbedTLS was told that nothing more comes */
    bool tell_failed, tell_ended;
    bool wrote;     /* something whose arrival is to be told */
    size_t pending; /* bytes in the record that mbedTLS has begun to send */
    int error;
    const char *stage; /* where it failed: see tls_error_stage() */
    int mbedtls_result;
    int alert; /* the server's fatal alert, or -1 */
};

void tls_conn_init(struct tls_conn *conn);

/* Start to connect. Every outcome comes from the poll. */
void tls_conn_open(struct tls_conn *conn, const char *host, uint16_t port);
enum stream_event tls_conn_poll(struct tls_conn *conn);

/* Up to `length` bytes of plaintext; 0 when there is no whole record yet. */
size_t tls_conn_read(struct tls_conn *conn, void *buffer, size_t length);

/*
 * Bytes taken, or 0 when they do not fit now: then call again with the same bytes.
 * Negative: STREAM_ERR_CLOSED, or the error that the next poll will tell.
 */
int tls_conn_write(struct tls_conn *conn, const void *data, size_t length);

/* Close, and have the poll tell STREAM_FAILED with this error; returns it. */
int tls_conn_fail(struct tls_conn *conn, int error);

void tls_conn_hold(struct tls_conn *conn, bool held);
void tls_conn_close(struct tls_conn *conn);

#endif
