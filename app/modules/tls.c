/*
 * tls.c - the tls module: TLS clients.
 */
#include <lauxlib.h>

#include "modules.h"
#include "socket.h"
#include "tls_cert.h"
#include "tls_create.h"
#include "tls_credentials.h"
#include "tls_debug.h"
#include "tls_handshake.h"

static void init(void *conn)
{
    struct tls_socket *socket = conn;

    tls_conn_init(&socket->conn);
    socket->verify = socket->auth = TLS_AS_SET;
}

static void open(void *conn, const char *host, uint16_t port)
{
    tls_conn_open(conn, host, port);
}

/*
 * Put the socket's own credentials, or what tls.cert says, into conn->credentials. The socket is
 * on top of the stack. Returns 0 or a negative enum tls_err.
 */
static int add_credentials(lua_State *L, enum tls_store_set set, enum tls_choice choice,
                           const char *key, struct tls_conn *conn)
{
    size_t length;

    if (choice == TLS_NO) {
        return 0;
    }
    lua_getfenv(L, -1);
    lua_getfield(L, -1, key);
    const char *records = lua_tolstring(L, -1, &length);
    lua_pop(L, 2); /* the environment table has it still */
    if (records == NULL) {
        return tls_cert_add(L, set, conn, choice == TLS_YES);
    }
    return tls_credentials_use_records(conn->credentials, set, (const unsigned char *)records,
                                       length);
}

/* The scripts' callbacks may close the connection, or open it again. */
static void start(lua_State *L, struct tls_socket *socket)
{
    struct tls_conn *conn = &socket->conn;
    unsigned opened = conn->opened;
    int error = add_credentials(L, TLS_STORE_CA, socket->verify, TLS_KEY_CA, conn);

    if (error == 0 && conn->opened == opened && conn->state == TLS_CONN_READY) {
        error = add_credentials(L, TLS_STORE_CLIENT, socket->auth, TLS_KEY_CLIENT, conn);
    }
    if (conn->opened != opened || conn->state != TLS_CONN_READY) {
        return;
    }
    if (error < 0) {
        tls_conn_fail(conn, error);
    } else {
        tls_handshake_start(conn);
    }
}

static enum stream_event poll(lua_State *L, void *conn)
{
    struct tls_conn *tls = conn;

    if (tls->hunger == TLS_CONN_STARVED) {
        lua_gc(L, LUA_GCCOLLECT, 0);
        tls->hunger = TLS_CONN_HELPED;
    }
    enum stream_event event = tls_conn_poll(tls);
    if (event == STREAM_NOTHING && tls->state == TLS_CONN_READY) {
        start(L, conn);
        event = tls_conn_poll(conn); /* what is to be sent or told now, before the loop rests */
    }
    return event;
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

/* The reason, its number, the stage; then the alert's name, or mbedTLS's result if it has one. */
static int push_failure(lua_State *L, const void *conn)
{
    const struct tls_conn *tls = conn;
    const char *reason = tls_error_reason(tls->error);

    if (tls->error == TLS_ERR_ALERT) {
        lua_pushfstring(L, "%s: %s", reason, tls_alert_name(tls->alert));
    } else if (tls->error <= TLS_ERR_PEM_NONE && tls->error >= TLS_ERR_NOT_STORED) {
        lua_pushfstring(L, "credentials: %s", reason);
    } else {
        lua_pushstring(L, reason);
    }
    lua_pushinteger(L, tls->error);
    lua_pushstring(L, tls->stage);
    if (tls->error == TLS_ERR_ALERT) {
        lua_pushstring(L, tls_alert_name(tls->alert));
    } else if (tls->mbedtls_result != 0) {
        lua_pushinteger(L, tls->mbedtls_result);
    } else {
        lua_pushnil(L);
    }
    return 4;
}

static int socket_info(lua_State *L);

static const luaL_Reg methods[] = {
    {"info", socket_info},
    {NULL, NULL},
};

static const struct transport tls = {
    .type_name = "tls.socket",
    .size = sizeof(struct tls_socket),
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
    .push_failure = push_failure,
    .methods = methods,
};

/* socket:info() -> {protocol =, cipher_suite =, resumed =, alpn =}, or nothing when not connected
 */
static int socket_info(lua_State *L)
{
    const struct tls_conn *conn = socket_check_open(L, &tls);

    if (conn == NULL) {
        return 0;
    }
    lua_createtable(L, 0, 4);
    lua_pushstring(L, conn->protocol);
    lua_setfield(L, -2, "protocol");
    lua_pushstring(L, conn->cipher_suite);
    lua_setfield(L, -2, "cipher_suite");
    lua_pushboolean(L, conn->resumed);
    lua_setfield(L, -2, "resumed");
    lua_pushstring(L, conn->application); /* NULL: nil */
    lua_setfield(L, -2, "alpn");
    return 1;
}

/* tls.createConnection([options]); numbers in place of the table, as net has them, mean nothing */
static int tls_create_connection(lua_State *L)
{
    if (!lua_isnoneornil(L, 1) && !lua_isnumber(L, 1)) {
        luaL_checktype(L, 1, LUA_TTABLE);
    }
    lua_settop(L, 1);
    struct tls_socket *socket = socket_create(L, &tls);
    if (lua_istable(L, 1)) {
        tls_create_read_options(L, socket);
    }
    return 1;
}

#ifdef MBEDTLS_DEBUG_C

/* tls.setDebug(level): 0 to 4 */
static int tls_set_debug(lua_State *L)
{
    lua_Number level = luaL_checknumber(L, 1);

    luaL_argcheck(L, level >= 0 && level <= TLS_DEBUG_MAX_LEVEL && level == (int)level, 1,
                  "level must be from 0 to 4");
    tls_debug_set_threshold((int)level);
    return 0;
}

#endif

static const luaL_Reg functions[] = {
    {"createConnection", tls_create_connection},
#ifdef MBEDTLS_DEBUG_C
    {"setDebug", tls_set_debug},
#endif
    {NULL, NULL},
};

int luaopen_tls(lua_State *L)
{
    socket_register(L, &tls);
    luaL_register(L, "tls", functions);
    tls_cert_push(L);
    lua_setfield(L, -2, "cert");
    return 1;
}
