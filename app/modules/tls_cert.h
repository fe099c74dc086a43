/*
 * tls_cert.h - tls.cert: what is verified and what identity is shown, unless a socket says
 * otherwise.
 */
#ifndef TLS_CERT_H
#define TLS_CERT_H

#include <stdbool.h>

#include <lua.h>

#include "tls_conn.h"
#include "tls_store.h"

/* Push the table tls.cert. */
void tls_cert_push(lua_State *L);

/*
 * Add the stored or the callback's credentials of a set to conn->credentials, if tls.cert says so
 * or `wanted` does. Calls Lua, which may close the connection. Returns 0 or a negative tls_err.
 */
int tls_cert_add(lua_State *L, enum tls_store_set set, struct tls_conn *conn, bool wanted);

#endif
