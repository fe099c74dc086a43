/*
 * fixed_client.h - a TLS client that does the same in every run, its keys included.
 *
 * So what a server answered once can be played back to it, up to the end of a handshake and
 * beyond. Link with --wrap=tls_platform_random. What it trusts, and the identity that it shows,
 * are in fixed_client_keys.h, which belongs to the recorded answers: record_flights.py makes both.
 */
#ifndef FIXED_CLIENT_H
#define FIXED_CLIENT_H

#include "tls_conn.h"

#define FIXED_HOST "server.test"
#define FIXED_QUESTION "hello\n"

void fixed_client_reset(void); /* date, clock and random numbers as at the start */
void fixed_client_handshake(struct tls_conn *conn); /* in TLS_CONN_READY */

#endif
