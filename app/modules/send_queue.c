#include "send_queue.h"

#include "socket.h"

/* The keys of the environment table below this one are the callbacks'. */
#define KEY_QUEUE(number) (SOCKET_KEY_QUEUE + (number))

bool send_queue_is_empty(const struct send_queue *queue)
{
    return queue->head == queue->tail;
}

void send_queue_push(lua_State *L, struct send_queue *queue, int index)
{
    lua_getfenv(L, index);
    lua_insert(L, -2);
    lua_rawseti(L, -2, KEY_QUEUE(queue->tail));
    lua_pop(L, 1);
    queue->tail++; /* only now: rawseti may have run out of memory */
}

/* Take the first string out. The environment table is on top of the stack. */
static void drop_first(lua_State *L, struct send_queue *queue)
{
    lua_pushnil(L);
    lua_rawseti(L, -2, KEY_QUEUE(queue->head));
    queue->head++;
    queue->sent = 0;
    if (send_queue_is_empty(queue)) {
        queue->head = queue->tail = 0;
    }
}

void send_queue_flush(lua_State *L, struct send_queue *queue, int index,
                      const struct transport *transport, void *conn)
{
    lua_getfenv(L, index);
    while (!send_queue_is_empty(queue)) {
        size_t length;
        lua_rawgeti(L, -1, KEY_QUEUE(queue->head));
        const char *data = lua_tolstring(L, -1, &length);
        while (queue->sent < length) {
            int put = transport->write(conn, data + queue->sent, length - queue->sent);
            if (put <= 0) { /* full, or failed: the poll will tell */
                lua_pop(L, 2);
                return;
            }
            queue->sent += (size_t)put;
        }
        lua_pop(L, 1);
        drop_first(L, queue);
    }
    lua_pop(L, 1);
}

void send_queue_clear(lua_State *L, struct send_queue *queue, int index)
{
    lua_getfenv(L, index);
    while (!send_queue_is_empty(queue)) {
        drop_first(L, queue);
    }
    lua_pop(L, 1);
}
