/*
 * send_queue.h - the strings that a socket has still to send, in order.
 *
 * They lie in the environment table of the socket's userdata, so they are referred to until the
 * transport has taken them, and go when the socket goes.
 */
#ifndef SEND_QUEUE_H
#define SEND_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

struct transport;

struct send_queue {
    int head, tail; /* the strings' numbers: head <= n < tail */
    size_t sent;    /* bytes of the first one that the transport took */
};

bool send_queue_is_empty(const struct send_queue *queue);

/* Add the string on top of the stack and take it off. The socket is at `index`, positive. */
void send_queue_push(lua_State *L, struct send_queue *queue, int index);

/* Give the transport what it takes. */
void send_queue_flush(lua_State *L, struct send_queue *queue, int index,
                      const struct transport *transport, void *conn);

void send_queue_clear(lua_State *L, struct send_queue *queue, int index);

#endif
