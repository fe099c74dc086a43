/*
 * tls_cert.h - tls.cert: what is verified and what identity is shown, unless a socket says
 * otherwise; and the texts of credentials as Lua passes them.
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
 * Push the records of the `count` values from stack index `first` on, each a string or a list of
 * strings, PEM or DER, as one string. Raises an error that names the argument `argument` and what
 * is wrong with it, `field` being its name in a table or NULL.
 */
void tls_cert_push_records(lua_State *L, enum tls_store_set set, int first, int count,
                           const char *field);

/*
 * Add the stored or the callback's credentials of a set to conn->credentials, if tls.cert says so
 * or `wanted` does. Calls Lua, which may close the connection. Returns 0 or a negative tls_err.
 */
int tls_cert_add(lua_State *L, enum tls_store_set set, struct tls_conn *conn, bool wanted);

#endif
