/*
 * tmr.c - the tmr module: timers that call Lua from the main loop.
 *
 * A timer is a userdata whose environment table holds the callback. While it runs the registry
 * refers to it, so a script may forget a timer that it started.
 */
#include <lauxlib.h>

#include "board.h"
#include "callback.h"
#include "modules.h"

#define TYPE_NAME "tmr.timer"
#define KEY_CALLBACK 1
#define INTERVAL_LIMIT 6870947u /* milliseconds: the longest that NodeMCU takes */

enum timer_mode {
    ALARM_SINGLE = 0, /* fires once, then forgets its callback */
    ALARM_AUTO = 1,   /* fires again and again */
    ALARM_SEMI = 2,   /* fires once, start() arms it again */
};

struct timer {
    struct timer *next; /* in the list of running timers */
    int self;           /* registry reference while running, else LUA_NOREF */
    uint32_t interval;  /* milliseconds */
    uint64_t due;       /* board_micros() */
    enum timer_mode mode;
    bool registered;
};

static struct timer *running;

static struct timer *check_timer(lua_State *L)
{
    return luaL_checkudata(L, 1, TYPE_NAME);
}

static bool is_running(const struct timer *timer)
{
    return timer->self != LUA_NOREF;
}

static void start(lua_State *L, struct timer *timer, int index)
{
    timer->due = board_micros() + (uint64_t)timer->interval * 1000u;
    if (!is_running(timer)) {
        lua_pushvalue(L, index);
        timer->self = luaL_ref(L, LUA_REGISTRYINDEX);
        timer->next = running;
        running = timer;
    }
}

static void stop(lua_State *L, struct timer *timer)
{
    if (!is_running(timer)) {
        return;
    }
    for (struct timer **link = &running; *link != NULL; link = &(*link)->next) {
        if (*link == timer) {
            *link = timer->next;
            break;
        }
    }
    luaL_unref(L, LUA_REGISTRYINDEX, timer->self);
    timer->self = LUA_NOREF;
}

static void unregister(lua_State *L, struct timer *timer, int index)
{
    stop(L, timer);
    timer->registered = false;
    lua_getfenv(L, index);
    lua_pushnil(L);
    lua_rawseti(L, -2, KEY_CALLBACK);
    lua_pop(L, 1);
}

static uint32_t check_interval(lua_State *L, int index)
{
    lua_Number interval = luaL_checknumber(L, index);

    luaL_argcheck(L, interval >= 1 && interval <= INTERVAL_LIMIT, index,
                  "interval must be 1 to 6870947 milliseconds");
    return (uint32_t)interval;
}

/* tmr.create() -> timer */
static int tmr_create(lua_State *L)
{
    struct timer *timer = lua_newuserdata(L, sizeof *timer);

    *timer = (struct timer){.self = LUA_NOREF};
    lua_newtable(L);
    lua_setfenv(L, -2);
    luaL_getmetatable(L, TYPE_NAME);
    lua_setmetatable(L, -2);
    return 1;
}

/* timer:register(interval_ms, mode, function(timer)) */
static int tmr_register(lua_State *L)
{
    struct timer *timer = check_timer(L);
    uint32_t interval = check_interval(L, 2);
    int mode = luaL_checkint(L, 3);

    luaL_argcheck(L, mode >= ALARM_SINGLE && mode <= ALARM_SEMI, 3,
                  "mode must be tmr.ALARM_SINGLE, tmr.ALARM_SEMI or tmr.ALARM_AUTO");
    luaL_checktype(L, 4, LUA_TFUNCTION);
    stop(L, timer);
    timer->interval = interval;
    timer->mode = (enum timer_mode)mode;
    timer->registered = true;
    lua_getfenv(L, 1);
    lua_pushvalue(L, 4);
    lua_rawseti(L, -2, KEY_CALLBACK);
    return 0;
}

/* timer:start([restart]) -> whether it was started */
static int tmr_start(lua_State *L)
{
    struct timer *timer = check_timer(L);
    bool can = timer->registered && (!is_running(timer) || lua_toboolean(L, 2));

    if (can) {
        start(L, timer, 1);
    }
    lua_pushboolean(L, can);
    return 1;
}

/* timer:alarm(interval_ms, mode, function(timer)) -> true */
static int tmr_alarm(lua_State *L)
{
    tmr_register(L);
    start(L, check_timer(L), 1);
    lua_pushboolean(L, true);
    return 1;
}

/* timer:stop() -> whether it was running */
static int tmr_stop(lua_State *L)
{
    struct timer *timer = check_timer(L);

    lua_pushboolean(L, is_running(timer));
    stop(L, timer);
    return 1;
}

/* timer:unregister() */
static int tmr_unregister(lua_State *L)
{
    unregister(L, check_timer(L), 1);
    return 0;
}

/* timer:interval(interval_ms): a running timer starts over */
static int tmr_interval(lua_State *L)
{
    struct timer *timer = check_timer(L);

    timer->interval = check_interval(L, 2);
    if (is_running(timer)) {
        start(L, timer, 1);
    }
    return 0;
}

/* timer:state() -> running, mode; or nil when no alarm is registered */
static int tmr_state(lua_State *L)
{
    struct timer *timer = check_timer(L);

    if (!timer->registered) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushboolean(L, is_running(timer));
    lua_pushinteger(L, timer->mode);
    return 2;
}

/* tmr.now() -> microseconds since start, 31 bits */
static int tmr_now(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)(board_micros() & 0x7fffffffu));
    return 1;
}

/* tmr.time() -> seconds since start */
static int tmr_time(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)(board_micros() / 1000000u));
    return 1;
}

static struct timer *find_first(void)
{
    struct timer *first = running;

    for (struct timer *timer = running; timer != NULL; timer = timer->next) {
        if (timer->due < first->due) {
            first = timer;
        }
    }
    return first;
}

bool tmr_poll(lua_State *L)
{
    struct timer *timer = find_first();

    if (timer == NULL || timer->due > board_micros()) {
        return false;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, timer->self);
    int index = lua_gettop(L);
    lua_getfenv(L, index);
    lua_rawgeti(L, -1, KEY_CALLBACK);
    lua_remove(L, -2);
    lua_pushvalue(L, index);
    if (timer->mode == ALARM_AUTO) {
        start(L, timer, index);
    } else if (timer->mode == ALARM_SEMI) {
        stop(L, timer);
    } else {
        unregister(L, timer, index);
    }
    callback_run(L, 1);
    lua_pop(L, 1);
    return true;
}

uint32_t tmr_next(void)
{
    struct timer *timer = find_first();
    uint64_t now = board_micros();

    if (timer == NULL) {
        return UINT32_MAX;
    }
    return timer->due <= now ? 0 : (uint32_t)((timer->due - now + 999u) / 1000u);
}

bool tmr_pending(void)
{
    return running != NULL;
}

static const luaL_Reg functions[] = {
    {"create", tmr_create},
    {"now", tmr_now},
    {"time", tmr_time},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"register", tmr_register},     {"alarm", tmr_alarm},
    {"start", tmr_start},           {"stop", tmr_stop},
    {"unregister", tmr_unregister}, {"interval", tmr_interval},
    {"state", tmr_state},           {NULL, NULL},
};

static void set_constant(lua_State *L, const char *name, int value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

int luaopen_tmr(lua_State *L)
{
    luaL_newmetatable(L, TYPE_NAME);
    luaL_register(L, NULL, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    luaL_register(L, "tmr", functions);
    set_constant(L, "ALARM_SINGLE", ALARM_SINGLE);
    set_constant(L, "ALARM_AUTO", ALARM_AUTO);
    set_constant(L, "ALARM_SEMI", ALARM_SEMI);
    return 1;
}
