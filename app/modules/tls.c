/*
 * tls.c - the tls module: TLS clients and what they verify.
 */
#include <lauxlib.h>

#include "modules.h"
#include "server_ca.h"
#include "socket.h"
#include "tls_conn.h"

/* tls.cert.verify(): applies to connections opened from then on. */
static bool verify;

static void init(void *conn)
{
    tls_conn_init(conn);
}

static void open(void *conn, const char *host, uint16_t port)
{
    ((struct tls_conn *)conn)->verify = verify;
    tls_conn_open(conn, host, port);
}

static enum stream_event poll(void *conn)
{
    return tls_conn_poll(conn);
}

static size_t receive(void *conn, void *buffer, size_t length)
{
    return tls_conn_read(conn, buffer, length);
}

static int transmit(void *conn, const void *data, size_t length)
{
    return tls_conn_write(conn, data, length);
}

static void hold(void *conn, bool held)
{
    tls_conn_hold(conn, held);
}

static void fail(void *conn, int error)
{
    tls_conn_fail(conn, error);
}

static void close_conn(void *conn)
{
    tls_conn_close(conn);
}

static const struct stream *get_stream(const void *conn)
{
    return &((const struct tls_conn *)conn)->stream;
}

static int get_error(const void *conn)
{
    return ((const struct tls_conn *)conn)->error;
}

static void push_reason(lua_State *L, const void *conn)
{
    const struct tls_conn *tls = conn;

    if (tls->error == TLS_ERR_ALERT) {
        lua_pushfstring(L, "%s: %s", tls_error_reason(tls->error), tls_alert_name(tls->alert));
    } else {
        lua_pushstring(L, tls_error_reason(tls->error));
    }
}

static const struct transport tls = {
    .type_name = "tls.socket",
    .size = sizeof(struct tls_conn),
    .init = init,
    .open = open,
    .poll = poll,
    .read = receive,
    .write = transmit,
    .hold = hold,
    .fail = fail,
    .close = close_conn,
    .stream = get_stream,
    .error = get_error,
    .push_reason = push_reason,
};

/* tls.createConnection() */
static int tls_create_connection(lua_State *L)
{
    return socket_create(L, &tls);
}

/* tls.cert.verify(true|false) -> true */
static int tls_cert_verify(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TBOOLEAN);
    bool enable = lua_toboolean(L, 1);

    if (enable && server_ca_der_len == 0) {
        return luaL_error(L, "no CA certificate is built into this firmware: "
                             "put server-ca.crt in place and build again");
    }
    verify = enable;
    lua_pushboolean(L, true);
    return 1;
}

static const luaL_Reg functions[] = {
    {"createConnection", tls_create_connection},
    {NULL, NULL},
};

static const luaL_Reg cert_functions[] = {
    {"verify", tls_cert_verify},
    {NULL, NULL},
};

int luaopen_tls(lua_State *L)
{
    socket_register(L, &tls);
    luaL_register(L, "tls", functions);
    lua_newtable(L);
    luaL_register(L, NULL, cert_functions);
    lua_setfield(L, -2, "cert");
    return 1;
}
