/*
 * sntp.c - the sntp module: sets the clock from time servers.
 */
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "board.h"
#include "callback.h"
#include "modules.h"
#include "sntp.h"

#define NAME_LIMIT 253 /* as DNS has it */
#define PORT_CHARS 6   /* with its colon */

/* What lies in the environment table of a sync's userdata. */
#define KEY_SERVERS 1 /* a table of names; nil: those of the pool */
#define KEY_SUCCESS 2
#define KEY_FAILURE 3

static const char *const pool[] = {
    "0.pool.ntp.org",
    "1.pool.ntp.org",
    "2.pool.ntp.org",
    "3.pool.ntp.org",
};
#define POOL_COUNT ((int)(sizeof pool / sizeof pool[0]))

/* The sntp.sync() under way; the registry refers to it. */
struct sync {
    struct sntp sntp;
    int self;   /* registry reference */
    int server; /* the number of the one that is asked, from 1 */
    int count;
    int code;   /* how the servers before it failed: the failure that got furthest, or 0 */
    int failed; /* and that server's number */
    char kiss[SNTP_KISS_SIZE + 1];
};

static struct sync *current;

/* HOST or HOST:PORT. Returns the host's length, or 0 when it is neither. */
static size_t parse_server(const char *name, size_t length, uint16_t *port)
{
    const char *colon = memchr(name, ':', length);
    size_t host = colon == NULL ? length : (size_t)(colon - name);
    unsigned long number = SNTP_PORT;

    if (colon != NULL) {
        char *end;
        number = colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 0;
        if (number == 0 || number > UINT16_MAX || length - host > PORT_CHARS ||
            end != name + length) {
            return 0;
        }
    }
    *port = (uint16_t)number;
    return host > NAME_LIMIT || memchr(name, '\0', length) != NULL ? 0 : host;
}

static void check_server(lua_State *L, int index)
{
    uint16_t port;
    size_t length;

    luaL_argcheck(L, lua_type(L, index) == LUA_TSTRING, 1, "a server is a string");
    const char *name = lua_tolstring(L, index, &length);
    luaL_argcheck(L, parse_server(name, length, &port) > 0, 1,
                  "a server is HOST or HOST:PORT, the host of 1 to 253 characters");
}

/* Returns how many servers argument 1 names. */
static int check_servers(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        return POOL_COUNT;
    }
    if (!lua_istable(L, 1)) {
        check_server(L, 1);
        return 1;
    }
    int count = (int)lua_objlen(L, 1);
    luaL_argcheck(L, count > 0, 1, "the list of servers is empty");
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, i);
        check_server(L, -1);
        lua_pop(L, 1);
    }
    return count;
}

static void check_callback(lua_State *L, int index)
{
    if (!lua_isnoneornil(L, index)) {
        luaL_checktype(L, index, LUA_TFUNCTION);
    }
}

/* Push the name of server `number` of the sync at `index`. */
static const char *push_server(lua_State *L, int index, int number)
{
    lua_getfenv(L, index);
    lua_rawgeti(L, -1, KEY_SERVERS);
    lua_remove(L, -2);
    if (lua_isnil(L, -1)) {
        lua_pushstring(L, pool[number - 1]);
    } else {
        lua_rawgeti(L, -1, number);
    }
    lua_remove(L, -2);
    return lua_tostring(L, -1);
}

/* Ask the sync's next server. */
static void start(lua_State *L, struct sync *sync, int index)
{
    char host[NAME_LIMIT + 1];
    uint16_t port;
    const char *name = push_server(L, index, sync->server + 1);
    size_t length = parse_server(name, strlen(name), &port);

    memcpy(host, name, length);
    host[length] = '\0';
    lua_pop(L, 1);
    sync->server++;
    sntp_init(&sync->sntp);
    sntp_start(&sync->sntp, host, port);
}

/* The list is copied: the script may change its own. */
static void copy_servers(lua_State *L, int count)
{
    if (lua_isnoneornil(L, 1)) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, count, 0);
    for (int i = 1; i <= count; i++) {
        if (lua_istable(L, 1)) {
            lua_rawgeti(L, 1, i);
        } else {
            lua_pushvalue(L, 1);
        }
        lua_rawseti(L, -2, i);
    }
}

/* sntp.sync([server | {servers}], [function(s, us, server, info)], [function(code, info)]) */
static int sntp_sync(lua_State *L)
{
    int count = check_servers(L);

    check_callback(L, 2);
    check_callback(L, 3);
    luaL_argcheck(L, !lua_toboolean(L, 4), 4, "it does not repeat: call sntp.sync() from a timer");
    if (current != NULL) {
        return luaL_error(L, "another sntp.sync() is under way");
    }
    lua_settop(L, 3);
    struct sync *sync = lua_newuserdata(L, sizeof *sync);
    *sync = (struct sync){.count = count};
    lua_createtable(L, KEY_FAILURE, 0);
    copy_servers(L, count);
    lua_rawseti(L, 5, KEY_SERVERS);
    lua_pushvalue(L, 2);
    lua_rawseti(L, 5, KEY_SUCCESS);
    lua_pushvalue(L, 3);
    lua_rawseti(L, 5, KEY_FAILURE);
    lua_setfenv(L, 4);
    lua_pushvalue(L, 4);
    sync->self = luaL_ref(L, LUA_REGISTRYINDEX); /* may raise: nothing is under way yet */
    current = sync;
    start(L, sync, 4);
    return 0;
}

static void set_number(lua_State *L, const char *key, lua_Number value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, key);
}

/* Push seconds, microseconds, server and a table, as NodeMCU has them. */
static void push_success(lua_State *L, const struct sntp *sntp)
{
    uint64_t now = (uint64_t)board_epoch_micros();
    bool is_large = sntp->offset_us / 1000000 != 0;

    lua_pushnumber(L, (lua_Number)(now / 1000000u));
    lua_pushnumber(L, (lua_Number)(now % 1000000u));
    lua_pushstring(L, ipaddr_ntoa(&sntp->address));
    lua_createtable(L, 0, 4);
    set_number(L, is_large ? "offset_s" : "offset_us",
               (lua_Number)(is_large ? sntp->offset_us / 1000000 : sntp->offset_us));
    set_number(L, "delay_us", sntp->delay_us);
    set_number(L, "stratum", sntp->reply.stratum);
    set_number(L, "leap", sntp->reply.leap);
}

/* Push the code, the server's name and, if that says more, what the server gave as its reason. */
static void push_failure(lua_State *L, const struct sync *sync, int index)
{
    lua_pushinteger(L, sync->code);
    push_server(L, index, sync->failed);
    if (sync->code == -SNTP_ERR_REFUSED) {
        lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), sync->kiss);
        lua_remove(L, -2);
    }
}

/* The sync on top of the stack is over: call what it is to call. */
static void finish(lua_State *L, struct sync *sync, bool succeeded)
{
    int index = lua_gettop(L);

    current = NULL;
    luaL_unref(L, LUA_REGISTRYINDEX, sync->self);
    lua_getfenv(L, index);
    lua_rawgeti(L, -1, succeeded ? KEY_SUCCESS : KEY_FAILURE);
    lua_remove(L, -2);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
    } else if (succeeded) {
        push_success(L, &sync->sntp);
        callback_run(L, 4);
    } else {
        push_failure(L, sync, index);
        callback_run(L, 2);
    }
}

bool sync_poll(lua_State *L)
{
    struct sync *sync = current;
    int result = sync == NULL ? SNTP_PENDING : sntp_poll(&sync->sntp);

    if (result == SNTP_PENDING) {
        return false;
    }
    if (result < 0 && -result > sync->code) {
        sync->code = -result;
        sync->failed = sync->server;
        memcpy(sync->kiss, sync->sntp.reply.kiss, sizeof sync->kiss);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, sync->self);
    if (result < 0 && sync->server < sync->count) {
        start(L, sync, lua_gettop(L));
    } else {
        finish(L, sync, result == SNTP_DONE);
    }
    lua_pop(L, 1);
    return true;
}

bool sync_pending(void)
{
    return current != NULL;
}

static const luaL_Reg functions[] = {
    {"sync", sntp_sync},
    {NULL, NULL},
};

int luaopen_sntp(lua_State *L)
{
    luaL_register(L, "sntp", functions);
    return 1;
}
