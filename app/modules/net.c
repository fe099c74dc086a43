/*
 * net.c - the net module: TCP clients and name resolution.
 */
#include <stdlib.h>

#include <lauxlib.h>
#include <lwip/dns.h>

#include "callback.h"
#include "modules.h"
#include "socket.h"

static void init(void *conn)
{
    stream_init(conn);
}

static void open(void *conn, const char *host, uint16_t port)
{
    stream_open(conn, host, port);
}

static enum stream_event poll(lua_State *L, void *conn)
{
    (void)L;
    return stream_poll(conn);
}

static size_t receive(void *conn, void *buffer, size_t length)
{
    return stream_read(conn, buffer, length);
}

static int transmit(void *conn, const void *data, size_t length)
{
    return stream_write(conn, data, length);
}

static void hold(void *conn, bool held)
{
    stream_hold(conn, held);
}

static void fail(void *conn, int error)
{
    stream_fail(conn, error);
}

static void close_stream(void *conn)
{
    stream_close(conn);
}

static const struct stream *get_stream(const void *conn)
{
    return conn;
}

static int get_error(const void *conn)
{
    return ((const struct stream *)conn)->error;
}

static int push_failure(lua_State *L, const void *conn)
{
    int error = get_error(conn);

    lua_pushstring(L, stream_reason(error));
    lua_pushinteger(L, error);
    lua_pushstring(L, error == STREAM_ERR_DNS ? "dns" : "tcp");
    return 3;
}

static const struct transport tcp = {
    .type_name = "net.socket",
    .size = sizeof(struct stream),
    .init = init,
    .open = open,
    .poll = poll,
    .read = receive,
    .write = transmit,
    .hold = hold,
    .fail = fail,
    .close = close_stream,
    .stream = get_stream,
    .error = get_error,
    .push_failure = push_failure,
};

/* net.createConnection([type[, secure]]): plain TCP; tls.createConnection() is the secure one */
static int net_create_connection(lua_State *L)
{
    int type = luaL_optint(L, 1, 1);

    luaL_argcheck(L, type == 1, 1, "only net.TCP connections can be created");
    luaL_argcheck(L, !lua_toboolean(L, 2), 2, "use tls.createConnection() for TLS");
    socket_create(L, &tcp);
    return 1;
}

/* One net.dns.resolve(); the callback is in the registry until it was called. */
struct query {
    struct query *next;
    int callback;
    bool done, found;
    ip_addr_t address;
};

static struct query *queries;

static void on_resolved(const char *name, const ip_addr_t *address, void *argument)
{
    struct query *query = argument;

    (void)name;
    query->done = true;
    query->found = address != NULL;
    if (address != NULL) {
        query->address = *address;
    }
}

/* net.dns.resolve(host, function(sk, ip)): ip is nil when there is no such host */
static int net_dns_resolve(lua_State *L)
{
    const char *host = luaL_checkstring(L, 1);

    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    int callback = luaL_ref(L, LUA_REGISTRYINDEX); /* may raise: nothing is taken yet */
    struct query *query = calloc(1, sizeof *query);
    if (query == NULL) {
        luaL_unref(L, LUA_REGISTRYINDEX, callback);
        return luaL_error(L, "not enough memory");
    }
    query->callback = callback;
    err_t error = dns_gethostbyname(host, &query->address, on_resolved, query);
    if (error != ERR_INPROGRESS) {
        query->done = true;
        query->found = error == ERR_OK;
    }
    query->next = queries;
    queries = query;
    return 0;
}

bool net_poll(lua_State *L)
{
    for (struct query **link = &queries; *link != NULL; link = &(*link)->next) {
        struct query *query = *link;
        if (!query->done) {
            continue;
        }
        *link = query->next;
        lua_rawgeti(L, LUA_REGISTRYINDEX, query->callback);
        luaL_unref(L, LUA_REGISTRYINDEX, query->callback);
        bool found = query->found;
        ip_addr_t address = query->address;
        free(query);    /* before anything that may raise */
        lua_pushnil(L); /* NodeMCU passes a socket here; there is none */
        if (found) {
            lua_pushstring(L, ipaddr_ntoa(&address));
        } else {
            lua_pushnil(L);
        }
        callback_run(L, 2);
        return true;
    }
    return false;
}

bool net_pending(void)
{
    return queries != NULL;
}

static const luaL_Reg functions[] = {
    {"createConnection", net_create_connection},
    {NULL, NULL},
};

static const luaL_Reg dns_functions[] = {
    {"resolve", net_dns_resolve},
    {NULL, NULL},
};

int luaopen_net(lua_State *L)
{
    socket_register(L, &tcp);
    luaL_register(L, "net", functions);
    lua_pushinteger(L, 1);
    lua_setfield(L, -2, "TCP");
    lua_newtable(L);
    luaL_register(L, NULL, dns_functions);
    lua_setfield(L, -2, "dns");
    return 1;
}
