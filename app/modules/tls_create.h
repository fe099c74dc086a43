/*
 * tls_create.h - tls.createConnection{...}: what one socket does its own way.
 */
#ifndef TLS_CREATE_H
#define TLS_CREATE_H

#include <lua.h>

#include "tls_conn.h"

/* Whether a socket says so itself, or leaves it to tls.cert. */
enum tls_choice { TLS_AS_SET, TLS_NO, TLS_YES };

struct tls_socket {
    struct tls_conn conn; /* first, so that one is the other */
    enum tls_choice verify, auth;
};

/* Keys of a socket's environment table: records, which must stay as long as the socket. */
#define TLS_KEY_CA "ca"
#define TLS_KEY_CLIENT "client"

/* Read the options in the table at index 1 into the socket on top of the stack. */
void tls_create_read_options(lua_State *L, struct tls_socket *socket);

#endif
