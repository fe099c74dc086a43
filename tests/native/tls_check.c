/*
 * tls_check.c - conversations of a TLS connection with a server that turns lines round, with an
 * allocation of each refused.
 *
 *     tls_check PORT FIRST STEP
 *
 * Conversation FIRST has its allocation number FIRST refused, the next one FIRST + STEP, and so
 * on, until one has had fewer. Each has to end with "out of memory" and leave nothing behind; after
 * a refusal at a new place, the next conversation has to be whole.
 * Prints what did not go so, and a summary. Ends with 1 when anything failed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "failing_heap.h"
#include "host.h"
#include "tls_conn.h"

#define LIMIT_MS 20000u
#define QUESTION "hello over there\n"
#define ANSWER "ereht revo olleh\n"

struct talk {
    struct tls_conn conn;
    char answer[sizeof ANSWER];
    size_t length;
    int error;
    bool over;
};

static uint16_t port;
static unsigned long failures, places;

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

/* Connect, ask, read the answer and close: 0, or the error that the connection told. */
static int have_talk(void)
{
    struct talk talk = {.length = 0};
    uint32_t start = board_millis();

    tls_conn_init(&talk.conn);
    talk.conn.verify = true;
    tls_conn_open(&talk.conn, "server.test", port);
    while (!talk.over) {
        enum stream_event event = tls_conn_poll(&talk.conn);
        if (event == STREAM_NOTHING) {
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
    return talk.error;
}

static void complain(unsigned long number, const char *what)
{
    printf("%lu %s:", number, what);
    heap_print_refused();
}

/* Returns whether an allocation was refused. */
static bool check_one(unsigned long number)
{
    long before = heap_blocks();

    heap_start(number);
    int error = have_talk();
    bool refused = heap_has_refused();
    if (error != 0 && !(refused && (error == TLS_ERR_MEMORY || error == STREAM_ERR_MEMORY))) {
        complain(number, tls_error_reason(error));
        failures++;
    } else if (error == 0 && refused) {
        complain(number, "whole"); /* it could do without */
    }
    if (heap_blocks() != before) {
        complain(number, "leaks");
        failures++;
    }
    if (refused && heap_refused_anew()) {
        places++;
        heap_start(0);
        if (have_talk() != 0 || heap_blocks() != before) {
            complain(number, "spoils the next one");
            failures++;
        }
    }
    return refused;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        return 64;
    }
    port = (uint16_t)atoi(argv[1]);
    unsigned long number = strtoul(argv[2], NULL, 10), step = strtoul(argv[3], NULL, 10);

    if (have_talk() != 0) {
        return 1; /* what is made once in a program's life is made here */
    }
    while (check_one(number)) {
        number += step;
    }
    printf("allocations %lu places %lu failures %lu\n", heap_counted(), places, failures);
    return failures != 0;
}
