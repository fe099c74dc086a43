/*
 * record_flights.c - let the fixed client talk to the servers on these ports, one after another.
 *
 *     record_flights PORT...
 *
 * It says FIXED_QUESTION and closes when it has as many bytes of answer, or when that fails. What
 * the servers say is recorded on the way, see record_flights.py.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fixed_client.h"
#include "host.h"

#define PATIENCE 500 /* waits of 20 ms */

static void talk(uint16_t port)
{
    struct tls_conn conn;
    char answer[sizeof FIXED_QUESTION - 1];
    size_t length = 0;

    tls_conn_init(&conn);
    tls_conn_open(&conn, FIXED_HOST, port);
    for (int waits = 0; waits < PATIENCE && length < sizeof answer;) {
        enum stream_event event = tls_conn_poll(&conn);
        if (conn.state == TLS_CONN_READY) {
            fixed_client_handshake(&conn);
        } else if (event == STREAM_OPEN) {
            printf("open%s\n", conn.resumed ? ", resumed" : "");
            tls_conn_write(&conn, FIXED_QUESTION, sizeof FIXED_QUESTION - 1);
        } else if (event == STREAM_READABLE) {
            length += tls_conn_read(&conn, answer + length, sizeof answer - length);
        } else if (event == STREAM_FAILED || event == STREAM_ENDED) {
            printf("%s\n", conn.error == 0 ? "ended" : tls_error_reason(conn.error));
            break;
        } else if (event == STREAM_NOTHING) {
            host_wait(20);
            waits++;
        }
    }
    tls_conn_close(&conn);
}

int main(int argc, char **argv)
{
    fixed_client_reset();
    for (int i = 1; i < argc; i++) {
        talk((uint16_t)atoi(argv[i]));
    }
    return 0;
}
