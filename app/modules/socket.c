#include "socket.h"

#include <string.h>

#include <lauxlib.h>

#include "board.h"
#include "callback.h"
#include "modules.h"
#include "send_queue.h"

#define LINGER_MS 30000u   /* how long a closed socket goes on sending what was queued */
#define RECEIVE_LIMIT 1460 /* bytes of one "receive" event: a network frame's worth */

enum socket_event {
    EVENT_DNS,
    EVENT_CONNECTION,
    EVENT_RECONNECTION,
    EVENT_DISCONNECTION,
    EVENT_RECEIVE,
    EVENT_SENT,
};
static const char *const event_names[] = {
    "dns", "connection", "reconnection", "disconnection", "receive", "sent", NULL};

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

#define TRANSPORT_COUNT 2
static const struct transport *transports[TRANSPORT_COUNT]; /* the registered ones */

static struct socket *active;
static struct socket *polled; /* while its events are found out and told */

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

static bool is_active(const struct socket *socket)
{
    return socket->self != LUA_NOREF;
}

static void activate(lua_State *L, struct socket *socket)
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
    if (!is_active(socket)) {
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

/* Close the connection and forget what was not sent. The socket is at `index`. */
static void end(lua_State *L, struct socket *socket, int index)
{
    socket->transport->close(socket->conn);
    send_queue_clear(L, &socket->queue, index);
    deactivate(L, socket);
}

/* Give the transport what it takes of the queue. The socket is at `index`. */
static void flush(lua_State *L, struct socket *socket, int index)
{
    send_queue_flush(L, &socket->queue, index, socket->transport, socket->conn);
}

/* Whether the socket just below the top of the stack listens to an event. */
static bool has_callback(lua_State *L, enum socket_event event)
{
    lua_getfenv(L, -2);
    lua_rawgeti(L, -1, KEY_CALLBACK(event));
    bool has = !lua_isnil(L, -1);
    lua_pop(L, 2);
    return has;
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
    callback_run(L, arguments + 1);
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

    if (error == 0) {
        lua_pushnil(L);
    } else {
        socket->transport->push_reason(L, socket->conn); /* may raise: all is as it was */
    }
    end(L, socket, index);
    if (failed && error == STREAM_ERR_DNS) {
        lua_pushvalue(L, index);
        fire_dns(L, socket, false);
        lua_pop(L, 1);
        if (socket->calls != calls) {
            lua_pop(L, 1);
            return; /* the callback has closed it, or connected again */
        }
    }
    /* As in NodeMCU: "reconnection" when the script listens to it, else "disconnection". */
    bool reconnection = failed && has_callback(L, EVENT_RECONNECTION);
    fire(L, reconnection ? EVENT_RECONNECTION : EVENT_DISCONNECTION, 1);
}

/* Go on sending what the script had queued when it closed the socket. Tells it nothing. */
static bool poll_closing(lua_State *L, struct socket *socket)
{
    static char unread[64];
    enum stream_event event = socket->transport->poll(socket->conn);
    int index = lua_gettop(L);

    if (event == STREAM_READABLE) {
        socket->transport->read(socket->conn, unread, sizeof unread);
    }
    flush(L, socket, index);
    bool late = board_millis() - socket->closed_at > LINGER_MS;
    if (event == STREAM_ENDED || event == STREAM_FAILED || late ||
        send_queue_is_empty(&socket->queue)) {
        end(L, socket, index);
    }
    return event != STREAM_NOTHING;
}

/* Tell Lua one thing about the socket on top of the stack. Returns whether there was one. */
static bool poll_one(lua_State *L, struct socket *socket)
{
    if (socket->closing) {
        return poll_closing(L, socket);
    }
    enum stream_event event = socket->transport->poll(socket->conn);

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
            flush(L, socket, lua_gettop(L));
        }
        return true;
    case STREAM_ENDED:
    case STREAM_FAILED:
        finish(L, socket, event == STREAM_FAILED);
        return true;
    default:
        if (socket->open) {
            flush(L, socket, lua_gettop(L));
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
    for (struct socket *socket = active; socket != NULL; socket = socket->next) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, socket->self);
        polled = socket;
        bool told = poll_one(L, socket);
        polled = NULL;
        if (told && is_active(socket) && socket->next != NULL) {
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
        lua_pop(L, 1);
        if (told) {
            return true;
        }
    }
    return false;
}

bool socket_out_of_memory(void)
{
    struct socket *socket = polled;

    polled = NULL;
    if (socket == NULL || !is_active(socket)) {
        return false;
    }
    socket->transport->fail(socket->conn, STREAM_ERR_MEMORY);
    return true;
}

bool socket_pending(void)
{
    return active != NULL;
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
        end(L, socket, 1); /* the new connection is wanted more than the rest of the old one */
    }
    if (is_active(socket)) {
        return luaL_error(L, "socket is already connected or connecting: close it first");
    }
    socket->calls++;
    activate(L, socket);
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
    flush(L, socket, 1);
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
        flush(L, socket, 1);
        if (!send_queue_is_empty(&socket->queue)) {
            socket->transport->hold(socket->conn, false);
            socket->open = false;
            socket->closing = true;
            socket->closed_at = board_millis();
        }
    }
    if (!socket->closing) {
        end(L, socket, 1);
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
    lua_setfield(L, -2, "__gc"); /* not a method: a script cannot call it */
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

int socket_create(lua_State *L, const struct transport *transport)
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
    return 1;
}
