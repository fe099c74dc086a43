/*
 * tls_check.c - conversations of a TLS connection with a server that turns lines round, with an
 * allocation of each refused.
 *
 *     tls_check PORT OTHER fresh|resumed FIRST STEP [CLIENT.pem]
 *
 * Allocation number FIRST is refused, number FIRST + STEP, and so on to the last, each in a
 * conversation of its own. Each has to end with "out of memory", or to be whole where it could do
 * without, and to leave nothing behind; after a refusal at a new place, the next conversation has
 * to be whole. With "resumed", each goes on with the session of one before it. The file holds a
 * certificate and a key for the client to show.
 *
 * A fresh conversation is not begun anew for each: one that goes on to its end is forked where it
 * allocates. What could do without in the fork, and would need the server, is done again alone.
 * Prints what did not end, and a summary. Ends with 1 when anything failed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "board.h"
#include "failing_heap.h"
#include "host.h"
#include "tls_credentials.h"
#include "tls_handshake.h"
#include "tls_session.h"

#define DOES_WITHOUT 3 /* exit codes of a fork */
#define FAILED 1
#define MOST_WITHOUT 1000
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

static uint16_t port, other_port;
static char identity[8192];
static size_t identity_length;
static unsigned long failures, places, whole, resumed;
static bool in_fork, in_new_place;
static long blocks_before;
static unsigned long without[MOST_WITHOUT]; /* the numbers that a fork did without */
static size_t without_count;

static void leave_fork(int code)
{
    fflush(stdout);
    _exit(code);
}

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
        } else if (event == STREAM_NOTHING && in_fork) {
            leave_fork(DOES_WITHOUT);
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

static void enter_fork(void)
{
    in_fork = true;
    in_new_place = heap_refused_anew();
    host_cut_off();
    alarm(LIMIT_MS / 1000); /* the clock stands */
}

static void note_fork(unsigned long number, int code)
{
    if (heap_refused_anew()) { /* as the fork has found, but it kept that to itself */
        places++;
    }
    if (code == DOES_WITHOUT && without_count < MOST_WITHOUT) {
        without[without_count++] = number;
    } else if (code != 0) {
        printf("%lu ended with %d\n", number, code);
        failures++;
    }
}

/* The end of a fork: as check_one() has it. */
static void judge_fork(int error)
{
    in_fork = false;
    unsigned long number = heap_counted();
    tls_session_forget_all();
    if (error != 0 && error != TLS_ERR_MEMORY && error != STREAM_ERR_MEMORY) {
        complain(number, tls_error_reason(error));
        failures++;
    }
    if (heap_blocks() != blocks_before) {
        complain(number, "leaks");
        failures++;
    }
    if (in_new_place) {
        host_micros = 0;
        port = other_port;
        have_whole_talk(number);
    }
    leave_fork(failures != 0 ? FAILED : error == 0 ? DOES_WITHOUT : 0);
}

/* Refuse each of one conversation's allocations in a fork of it; return how many there were. */
static unsigned long check_forking(unsigned long first, unsigned long step)
{
    blocks_before = heap_blocks();
    host_micros = board_micros(); /* so that nothing times out while a fork runs */
    heap_start_forking(first, step, enter_fork, note_fork);
    int error = have_talk();
    if (in_fork) {
        judge_fork(error);
    }
    unsigned long count = heap_counted();
    host_micros = 0;
    tls_session_forget_all();
    if (error != 0) {
        complain(count, tls_error_reason(error));
        failures++;
    }
    for (size_t i = 0; i < without_count; i++) {
        check_one(without[i], false);
    }
    return count;
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
    if (argc < 6) {
        return 64;
    }
    if (argc > 6) {
        load_identity(argv[6]);
    }
    port = (uint16_t)atoi(argv[1]);
    other_port = (uint16_t)atoi(argv[2]);
    bool resume = strcmp(argv[3], "resumed") == 0;
    unsigned long number = strtoul(argv[4], NULL, 10), step = strtoul(argv[5], NULL, 10);

    have_whole_talk(0); /* what is made once in a program's life is made here */
    tls_session_forget_all();
    unsigned long count = 0;
    if (!resume) {
        count = check_forking(number, step);
    }
    while (resume && check_one(number, resume)) {
        number += step;
    }
    count = resume ? heap_counted() : count;
    printf("allocations %lu places %lu whole %lu resumed %lu failures %lu\n", count, places, whole,
           resumed, failures);
    return failures != 0;
}
