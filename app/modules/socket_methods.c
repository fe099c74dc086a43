/*
 * socket_methods.c - what scripts call on a socket.
 */
#include <string.h>

#include <lauxlib.h>

#include "board.h"
#include "socket_state.h"

static const char *const event_names[] = {
    "dns", "connection", "reconnection", "disconnection", "receive", "sent", NULL};

#define TRANSPORT_COUNT 2
static const struct transport *transports[TRANSPORT_COUNT]; /* the registered ones */

/* Both types share these methods, so the metatable tells whether the argument is one of them. */
static struct socket *check_socket(lua_State *L)
{
    struct socket *socket = lua_touserdata(L, 1);

    if (socket != NULL && lua_getmetatable(L, 1)) {
        for (size_t i = 0; i < TRANSPORT_COUNT && transports[i] != NULL; i++) {
            luaL_getmetatable(L, transports[i]->type_name);
            bool same = lua_rawequal(L, -1, -2);
            lua_pop(L, 1);
            if (same) {
                lua_pop(L, 1);
                return socket;
            }
        }
    }
    luaL_typerror(L, 1, "socket");
    return NULL;
}

/* socket:connect(port, host) */
static int socket_connect(lua_State *L)
{
    struct socket *socket = check_socket(L);
    lua_Number port = luaL_checknumber(L, 2);
    size_t length;
    const char *host = luaL_checklstring(L, 3, &length);

    luaL_argcheck(L, port >= 1 && port <= 65535 && port == (uint16_t)port, 2,
                  "port must be a whole number from 1 to 65535");
    luaL_argcheck(L, length > 0 && length <= 253, 3, "host name must have 1 to 253 characters");
    luaL_argcheck(L, strlen(host) == length, 3, "host name holds a zero byte");
    if (socket->closing) {
        socket_end(L, socket,
                   1); /* the new connection is wanted more than the rest of the old one */
    }
    if (socket_is_active(socket)) {
        return luaL_error(L, "socket is already connected or connecting: close it first");
    }
    socket->calls++;
    socket_activate(L, socket);
    socket->transport->open(socket->conn, host, (uint16_t)port);
    return 0;
}

/* socket:on(event, function or nil) */
static int socket_on(lua_State *L)
{
    check_socket(L);
    int event = luaL_checkoption(L, 2, NULL, event_names);

    if (!lua_isnoneornil(L, 3)) {
        luaL_checktype(L, 3, LUA_TFUNCTION);
    }
    lua_settop(L, 3);
    lua_getfenv(L, 1);
    lua_insert(L, 3);
    lua_rawseti(L, 3, KEY_CALLBACK(event));
    return 0;
}

/* socket:send(string) */
static int socket_send(lua_State *L)
{
    struct socket *socket = check_socket(L);

    luaL_checkstring(L, 2);
    if (!socket->open) {
        return luaL_error(L, "socket is not connected");
    }
    lua_settop(L, 2);
    send_queue_push(L, &socket->queue, 1);
    socket_flush(L, socket, 1);
    return 0;
}

/* socket:getpeer() -> ip, port, or nothing when not connected */
static int socket_getpeer(lua_State *L)
{
    struct socket *socket = check_socket(L);
    const struct stream *stream = socket->transport->stream(socket->conn);

    if (!socket->open) {
        return 0;
    }
    lua_pushstring(L, ipaddr_ntoa(&stream->address));
    lua_pushinteger(L, stream->port);
    return 2;
}

/* socket:close(): nothing is delivered afterwards; what send() has queued is still sent */
static int socket_close(lua_State *L)
{
    struct socket *socket = check_socket(L);

    socket->calls++;
    if (socket->open) {
        socket_flush(L, socket, 1);
        if (!send_queue_is_empty(&socket->queue)) {
            socket->transport->hold(socket->conn, false);
            socket->open = false;
            socket->closing = true;
            socket->closed_at = board_millis();
        }
    }
    if (!socket->closing) {
        socket_end(L, socket, 1);
    }
    return 0;
}

static int socket_hold(lua_State *L)
{
    struct socket *socket = check_socket(L);

    socket->transport->hold(socket->conn, true);
    return 0;
}

static int socket_unhold(lua_State *L)
{
    struct socket *socket = check_socket(L);

    socket->transport->hold(socket->conn, false);
    return 0;
}

/* Only an unreachable socket comes here, so it is in no list. */
static int socket_gc(lua_State *L)
{
    struct socket *socket = check_socket(L);

    socket->transport->close(socket->conn);
    return 0;
}

static const luaL_Reg methods[] = {
    {"connect", socket_connect}, {"on", socket_on},
    {"send", socket_send},       {"close", socket_close},
    {"getpeer", socket_getpeer}, {"hold", socket_hold},
    {"unhold", socket_unhold},   {NULL, NULL},
};

void socket_register(lua_State *L, const struct transport *transport)
{
    for (size_t i = 0; i < TRANSPORT_COUNT; i++) {
        if (transports[i] == NULL || transports[i] == transport) {
            transports[i] = transport;
            break;
        }
    }
    luaL_newmetatable(L, transport->type_name);
    lua_pushcfunction(L, socket_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable"); /* so that a script cannot call __gc */
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    if (transport->methods != NULL) {
        luaL_register(L, NULL, transport->methods);
    }
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

void *socket_create(lua_State *L, const struct transport *transport)
{
    struct socket *socket = lua_newuserdata(L, sizeof *socket + transport->size);

    socket->transport = transport;
    socket->next = NULL;
    socket->self = LUA_NOREF;
    socket->queue = (struct send_queue){0, 0, 0};
    socket->calls = 0;
    socket->open = socket->closing = false;
    transport->init(socket->conn);
    lua_newtable(L);
    lua_setfenv(L, -2);
    luaL_getmetatable(L, transport->type_name);
    lua_setmetatable(L, -2);
    return socket->conn;
}

void *socket_check_open(lua_State *L, const struct transport *transport)
{
    struct socket *socket = check_socket(L);

    luaL_argcheck(L, socket->transport == transport, 1, "socket of another kind");
    return socket->open ? socket->conn : NULL;
}
