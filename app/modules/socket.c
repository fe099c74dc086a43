#include "socket_state.h"

#include <lauxlib.h>

#include "board.h"
#include "callback.h"
#include "modules.h"

#define LINGER_MS 30000u   /* how long a closed socket goes on sending what was queued */
#define RECEIVE_LIMIT 1460 /* bytes of one "receive" event: a network frame's worth */

static struct socket *active;
static struct socket *polled; /* while its events are found out and told */

bool socket_is_active(const struct socket *socket)
{
    return socket->self != LUA_NOREF;
}

void socket_activate(lua_State *L, struct socket *socket)
{
    struct socket **end = &active;

    while (*end != NULL) {
        end = &(*end)->next;
    }
    lua_pushvalue(L, 1);
    socket->self = luaL_ref(L, LUA_REGISTRYINDEX);
    socket->next = NULL;
    *end = socket;
}

/* Take the socket out of the list. The caller keeps it alive on the stack if it still needs it. */
static void deactivate(lua_State *L, struct socket *socket)
{
    if (!socket_is_active(socket)) {
        return;
    }
    for (struct socket **link = &active; *link != NULL; link = &(*link)->next) {
        if (*link == socket) {
            *link = socket->next;
            break;
        }
    }
    luaL_unref(L, LUA_REGISTRYINDEX, socket->self);
    socket->self = LUA_NOREF;
    socket->open = socket->closing = false;
}

void socket_end(lua_State *L, struct socket *socket, int index)
{
    socket->transport->close(socket->conn);
    send_queue_clear(L, &socket->queue, index);
    deactivate(L, socket);
}

void socket_flush(lua_State *L, struct socket *socket, int index)
{
    send_queue_flush(L, &socket->queue, index, socket->transport, socket->conn);
}

static bool has_callback(lua_State *L, int socket, enum socket_event event)
{
    lua_getfenv(L, socket);
    lua_rawgeti(L, -1, KEY_CALLBACK(event));
    bool has = !lua_isnil(L, -1);
    lua_pop(L, 2);
    return has;
}

static bool hears_failures(lua_State *L, int socket)
{
    return has_callback(L, socket, EVENT_RECONNECTION) ||
           has_callback(L, socket, EVENT_DISCONNECTION);
}

/*
 * Call the callback of an event with the socket and, on top of the stack, `arguments` more
 * values, which are taken off. The socket is just below them and stays.
 */
static void fire(lua_State *L, enum socket_event event, int arguments)
{
    int socket = lua_gettop(L) - arguments;

    lua_getfenv(L, socket);
    lua_rawgeti(L, -1, KEY_CALLBACK(event));
    lua_remove(L, -2);
    if (lua_isnil(L, -1)) {
        lua_settop(L, socket);
        return;
    }
    lua_insert(L, socket + 1);
    lua_pushvalue(L, socket);
    lua_insert(L, socket + 2);
    int status = callback_pcall(L, arguments + 1, 0);
    if (status == LUA_ERRMEM && hears_failures(L, socket) && socket_out_of_memory()) {
        lua_pop(L, 1); /* the socket's failure says it */
    } else if (status != 0) {
        callback_fail(L);
    }
}

static void fire_dns(lua_State *L, const struct socket *socket, bool resolved)
{
    const struct stream *stream = socket->transport->stream(socket->conn);

    if (resolved) {
        lua_pushstring(L, ipaddr_ntoa(&stream->address));
    } else {
        lua_pushnil(L);
    }
    fire(L, EVENT_DNS, 1);
}

static void fire_received(lua_State *L, struct socket *socket)
{
    luaL_Buffer buffer;
    size_t total = 0, got;

    luaL_buffinit(L, &buffer);
    do {
        char *to = luaL_prepbuffer(&buffer);
        size_t room = RECEIVE_LIMIT - total;
        got = socket->transport->read(socket->conn, to,
                                      room < LUAL_BUFFERSIZE ? room : LUAL_BUFFERSIZE);
        luaL_addsize(&buffer, got);
        total += got;
    } while (got > 0 && total < RECEIVE_LIMIT);
    luaL_pushresult(&buffer);
    if (total == 0) {
        lua_pop(L, 1); /* bytes came, but no whole record */
    } else {
        fire(L, EVENT_RECEIVE, 1);
    }
}

/* The connection is over: one event, after which the socket can connect again. */
static void finish(lua_State *L, struct socket *socket, bool failed)
{
    int index = lua_gettop(L);
    int error = socket->transport->error(socket->conn);
    unsigned calls = socket->calls;
    int arguments = 1;

    if (error == 0) {
        lua_pushnil(L);
    } else { /* may raise: all is as it was */
        arguments = socket->transport->push_failure(L, socket->conn);
    }
    socket_end(L, socket, index);
    if (failed && error == STREAM_ERR_DNS) {
        lua_pushvalue(L, index);
        fire_dns(L, socket, false);
        lua_pop(L, 1);
        if (socket->calls != calls) {
            lua_settop(L, index);
            return; /* the callback has closed it, or connected again */
        }
    }
    /* As in NodeMCU: "reconnection" when the script listens to it, else "disconnection". */
    bool reconnection = failed && has_callback(L, index, EVENT_RECONNECTION);
    fire(L, reconnection ? EVENT_RECONNECTION : EVENT_DISCONNECTION, arguments);
}

/* Go on sending what the script had queued when it closed the socket. Tells it nothing. */
static bool poll_closing(lua_State *L, struct socket *socket)
{
    static char unread[64];
    enum stream_event event = socket->transport->poll(L, socket->conn);
    int index = lua_gettop(L);

    if (event == STREAM_READABLE) {
        socket->transport->read(socket->conn, unread, sizeof unread);
    }
    socket_flush(L, socket, index);
    bool late = board_millis() - socket->closed_at > LINGER_MS;
    if (event == STREAM_ENDED || event == STREAM_FAILED || late ||
        send_queue_is_empty(&socket->queue)) {
        socket_end(L, socket, index);
    }
    return event != STREAM_NOTHING;
}

/* Tell Lua one thing about the socket on top of the stack. Returns whether there was one. */
static bool poll_one(lua_State *L, struct socket *socket)
{
    if (socket->closing) {
        return poll_closing(L, socket);
    }
    enum stream_event event = socket->transport->poll(L, socket->conn);

    switch (event) {
    case STREAM_RESOLVED:
        fire_dns(L, socket, true);
        return true;
    case STREAM_OPEN:
        socket->open = true;
        fire(L, EVENT_CONNECTION, 0);
        return true;
    case STREAM_READABLE:
        fire_received(L, socket);
        return true;
    case STREAM_SENT: /* all that the transport has got so far */
        if (send_queue_is_empty(&socket->queue)) {
            fire(L, EVENT_SENT, 0);
        } else {
            socket_flush(L, socket, lua_gettop(L));
        }
        return true;
    case STREAM_ENDED:
    case STREAM_FAILED:
        finish(L, socket, event == STREAM_FAILED);
        return true;
    default:
        if (socket->open) {
            socket_flush(L, socket, lua_gettop(L));
        }
        return false;
    }
}

/*
 * One event of one socket a turn: its callback may close or collect any other. The socket goes
 * to the end of the list, so that a busy one does not starve the rest.
 */
bool socket_poll(lua_State *L)
{
    polled = NULL; /* an error may have left it */
    for (struct socket *socket = active; socket != NULL; socket = socket->next) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, socket->self);
        polled = socket;
        bool told = poll_one(L, socket);
        polled = NULL;
        if (told && socket_is_active(socket) && socket->next != NULL) {
            struct socket **link = &active;
            while (*link != socket) {
                link = &(*link)->next;
            }
            *link = socket->next;
            while (*link != NULL) {
                link = &(*link)->next;
            }
            *link = socket;
            socket->next = NULL;
        }
        bool closed = !socket_is_active(socket); /* in Lua: its successor may be gone as well */
        lua_pop(L, 1);
        if (told || closed) {
            return true;
        }
    }
    return false;
}

bool socket_out_of_memory(void)
{
    struct socket *socket = polled;

    polled = NULL;
    if (socket == NULL || !socket_is_active(socket)) {
        return false;
    }
    socket->transport->fail(socket->conn, STREAM_ERR_MEMORY);
    return true;
}

bool socket_pending(void)
{
    return active != NULL;
}
