/*
 * socket_state.h - what a Lua socket is made of: for socket.c, which runs it, and
 * socket_methods.c, which scripts call.
 */
#ifndef SOCKET_STATE_H
#define SOCKET_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "send_queue.h"
#include "socket.h"

enum socket_event {
    EVENT_DNS,
    EVENT_CONNECTION,
    EVENT_RECONNECTION,
    EVENT_DISCONNECTION,
    EVENT_RECEIVE,
    EVENT_SENT,
};

/* Keys of the environment table; the queue's come after them. */
#define KEY_CALLBACK(event) ((event) + 1)

struct socket {
    const struct transport *transport;
    struct socket *next; /* in the list of connected and connecting sockets */
    int self;            /* registry reference while in the list, else LUA_NOREF */
    struct send_queue queue;
    unsigned calls; /* of connect() and close(), so that an event notices one in its callback */
    bool open;
    bool closing;       /* closed by the script: only what it had queued is still sent */
    uint32_t closed_at; /* board_millis() */
    char conn[] __attribute__((aligned(8)));
};

bool socket_is_active(const struct socket *socket);

/* Put the socket at stack index 1 into the list of those that are polled. */
void socket_activate(lua_State *L, struct socket *socket);

/* Close the connection and forget what was not sent. The socket is at `index`. */
void socket_end(lua_State *L, struct socket *socket, int index);

/* Give the transport what it takes of the queue. The socket is at `index`. */
void socket_flush(lua_State *L, struct socket *socket, int index);

#endif
