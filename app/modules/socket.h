/*
 * socket.h - a Lua socket: methods, events and send queue, the same over TCP and over TLS.
 *
 * A socket is a userdata whose environment table holds the callbacks and the strings not yet
 * sent, so an unreachable socket is collected with all that it refers to. While it is connected
 * the registry refers to it too; that reference goes after the last event.
 */
#ifndef SOCKET_H
#define SOCKET_H

#include <lauxlib.h>
#include <lua.h>

#include "stream.h"

/* Where the send queue's keys begin in the environment table, above the callbacks'. */
#define SOCKET_KEY_QUEUE 16

/* What a socket runs over: a stream or a TLS connection. */
struct transport {
    const char *type_name; /* of the Lua type */
    size_t size;           /* of the connection */
    void (*init)(void *conn);
    void (*open)(void *conn, const char *host, uint16_t port);
    enum stream_event (*poll)(lua_State *L, void *conn); /* the socket is on top of the stack */
    size_t (*read)(void *conn, void *buffer, size_t length);
    int (*write)(void *conn, const void *data, size_t length);
    void (*hold)(void *conn, bool held);
    void (*fail)(void *conn, int error); /* close, and let the poll tell why */
    void (*close)(void *conn);
    const struct stream *(*stream)(const void *conn);
    int (*error)(const void *conn); /* why it FAILED or ENDED; 0 when the peer just closed */
    /* Push what events tell of that error: a sentence, its number, the stage; returns how many. */
    int (*push_failure)(lua_State *L, const void *conn);
    const luaL_Reg *methods; /* beside those that all sockets have, or NULL */
};

/* Make the Lua type of a transport known. */
void socket_register(lua_State *L, const struct transport *transport);

/* Push a new, closed socket and return its connection. */
void *socket_create(lua_State *L, const struct transport *transport);

/* The connection of argument 1, which must be a socket of this transport; NULL: not connected. */
void *socket_check_open(lua_State *L, const struct transport *transport);

#endif
