/*
 * tls_handshake.h - from the ClientHello to Finished: what a connection does once.
 */
#ifndef TLS_HANDSHAKE_H
#define TLS_HANDSHAKE_H

#include "tls_conn.h"

/*
 * Start the handshake of a connection that is TLS_CONN_READY, with what is in its credentials.
 * Its outcome comes from tls_conn_poll().
 */
void tls_handshake_start(struct tls_conn *conn);

/* Go on with it as far as the bytes at hand allow. Returns STREAM_OPEN at its end. */
enum stream_event tls_handshake_step(struct tls_conn *conn);

#endif
