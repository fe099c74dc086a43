/*
 * tls_check.c - conversations of a TLS connection with a server that turns lines round, with an
 * allocation of each refused.
 *
 *     tls_check PORT fresh|resumed FIRST STEP [CLIENT.pem]
 *
 * Conversation FIRST has its allocation number FIRST refused, the next one FIRST + STEP, and so
 * on, until one has had fewer. Each has to end with "out of memory", or to be whole where it could
 * do without, and to leave nothing behind; after a refusal at a new place, the next conversation
 * has to be whole. With "resumed", each goes on with the session of one before it. The file
 * holds a certificate and a key for the client to show.
 * Prints what did not end, and a summary. Ends with 1 when anything failed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "failing_heap.h"
#include "host.h"
#include "tls_credentials.h"
#include "tls_handshake.h"
#include "tls_session.h"

#define LIMIT_MS 20000u
#define QUESTION "hello over there\n"
#define ANSWER "ereht revo olleh\n"

struct talk {
    struct tls_conn conn;
    char answer[sizeof ANSWER];
    size_t length;
    int error;
    bool over, resumed;
};

static uint16_t port;
static char identity[8192];
static size_t identity_length;
static unsigned long failures, places, whole, resumed;

static void stop(struct talk *talk, int error)
{
    tls_conn_close(&talk->conn);
    talk->error = error;
    talk->over = true;
}

static void read_answer(struct talk *talk)
{
    size_t room = sizeof talk->answer - talk->length;

    talk->length += tls_conn_read(&talk->conn, talk->answer + talk->length, room);
    if (talk->length == sizeof ANSWER - 1) {
        stop(talk, memcmp(talk->answer, ANSWER, talk->length) == 0 ? 0 : TLS_ERR_INTERNAL);
    }
}

static void handle(struct talk *talk, enum stream_event event)
{
    switch (event) {
    case STREAM_OPEN:
        talk->resumed = talk->conn.resumed;
        tls_conn_write(&talk->conn, QUESTION, sizeof QUESTION - 1); /* the poll tells errors */
        break;
    case STREAM_READABLE:
        read_answer(talk);
        break;
    case STREAM_FAILED:
        stop(talk, talk->conn.error);
        break;
    case STREAM_ENDED:
        stop(talk, talk->conn.error < 0 ? talk->conn.error : TLS_ERR_TRUNCATED);
        break;
    default:
        break;
    }
}

static void start_handshake(struct talk *talk)
{
    struct tls_credentials *credentials = talk->conn.credentials;
    int error = tls_credentials_use_stored(credentials, TLS_STORE_CA);

    if (error == 0 && identity_length > 0) {
        error = tls_credentials_add(credentials, TLS_STORE_CLIENT, identity, identity_length);
    }
    if (error == 0 && identity_length > 0) {
        error = tls_credentials_check_pair(credentials);
    }
    if (error < 0) {
        tls_conn_fail(&talk->conn, error);
    } else {
        tls_handshake_start(&talk->conn);
    }
}

/* Connect, ask, read the answer and close: 0, or the error that the connection told. */
static int have_talk(void)
{
    struct talk talk = {.length = 0};
    uint32_t start = board_millis();

    tls_conn_init(&talk.conn);
    tls_conn_open(&talk.conn, "server.test", port);
    while (!talk.over) {
        enum stream_event event = tls_conn_poll(&talk.conn);
        if (talk.conn.state == TLS_CONN_READY) {
            start_handshake(&talk);
        } else if (event == STREAM_NOTHING) {
            host_wait(20);
        } else {
            handle(&talk, event);
        }
        if (board_millis() - start > LIMIT_MS) {
            stop(&talk, STREAM_ERR_TIMEOUT);
        }
    }
    for (int i = 0; i < 3; i++) {
        if (tls_conn_poll(&talk.conn) != STREAM_NOTHING) {
            return TLS_ERR_INTERNAL; /* it told something after its end */
        }
    }
    resumed += talk.resumed && talk.error == 0;
    return talk.error;
}

static void complain(unsigned long number, const char *what)
{
    printf("%lu %s:", number, what);
    heap_print_refused();
}

/* A conversation that has to be whole. */
static void have_whole_talk(unsigned long number)
{
    heap_start(0);
    if (have_talk() != 0) {
        complain(number, "spoils the next one");
        failures++;
    }
}

/* Returns whether an allocation was refused. */
static bool check_one(unsigned long number, bool resume)
{
    long before = heap_blocks();

    if (resume) {
        have_whole_talk(number);
    }
    heap_start(number);
    int error = have_talk();
    bool refused = heap_has_refused();
    tls_session_forget_all();
    if (error != 0 && !(refused && (error == TLS_ERR_MEMORY || error == STREAM_ERR_MEMORY))) {
        complain(number, tls_error_reason(error));
        failures++;
    } else if (error == 0 && refused) {
        complain(number, "whole");
        whole++;
    }
    if (heap_blocks() != before) {
        complain(number, "leaks");
        failures++;
    }
    if (refused && heap_refused_anew()) {
        places++;
        have_whole_talk(number);
        tls_session_forget_all();
    }
    return refused;
}

static void load_identity(const char *path)
{
    FILE *file = fopen(path, "rb");

    identity_length = file == NULL ? 0 : fread(identity, 1, sizeof identity, file);
    if (identity_length == 0 || fclose(file) != 0) {
        exit(64);
    }
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        return 64;
    }
    if (argc > 5) {
        load_identity(argv[5]);
    }
    port = (uint16_t)atoi(argv[1]);
    bool resume = strcmp(argv[2], "resumed") == 0;
    unsigned long number = strtoul(argv[3], NULL, 10), step = strtoul(argv[4], NULL, 10);

    have_whole_talk(0); /* what is made once in a program's life is made here */
    tls_session_forget_all();
    while (check_one(number, resume)) {
        number += step;
    }
    printf("allocations %lu places %lu whole %lu resumed %lu failures %lu\n", heap_counted(),
           places, whole, resumed, failures);
    return failures != 0;
}
