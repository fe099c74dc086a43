/*
 * rtctime.c - the rtctime module: the board's clock.
 */
#include <lauxlib.h>

#include "board.h"
#include "calendar.h"
#include "modules.h"

#define LAST_SECOND 253402300799.0 /* of the year 9999 */

static lua_Number check_seconds(lua_State *L)
{
    lua_Number seconds = luaL_checknumber(L, 1);

    luaL_argcheck(L, seconds >= 0 && seconds <= LAST_SECOND, 1,
                  "seconds since 1970 must be 0 to 253402300799");
    return seconds;
}

/* rtctime.get() -> seconds, microseconds, rate; 0, 0, 0 while the board does not know the time */
static int rtctime_get(lua_State *L)
{
    uint64_t now = (uint64_t)board_epoch_micros(); /* a signed remainder costs 900 bytes of flash */

    lua_pushnumber(L, (lua_Number)(now / 1000000u));
    lua_pushnumber(L, (lua_Number)(now % 1000000u));
    lua_pushinteger(L, 0);
    return 3;
}

/* rtctime.set(seconds[, microseconds[, rate]]): the rate is not used */
static int rtctime_set(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        return 0;
    }
    lua_Number seconds = check_seconds(L), microseconds = luaL_optnumber(L, 2, 0);
    luaL_argcheck(L, microseconds >= 0 && microseconds < 1e6, 2,
                  "microseconds must be 0 to 999999");
    board_set_epoch((int64_t)seconds, (uint32_t)microseconds);
    return 0;
}

static void set_field(lua_State *L, const char *key, int value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, key);
}

/* rtctime.epoch2cal(seconds) -> table with year, mon, day, hour, min, sec, yday, wday (UTC) */
static int rtctime_epoch2cal(lua_State *L)
{
    struct tm date;

    calendar_date((uint64_t)check_seconds(L), &date);
    lua_createtable(L, 0, 8);
    set_field(L, "year", date.tm_year + 1900);
    set_field(L, "mon", date.tm_mon + 1);
    set_field(L, "day", date.tm_mday);
    set_field(L, "hour", date.tm_hour);
    set_field(L, "min", date.tm_min);
    set_field(L, "sec", date.tm_sec);
    set_field(L, "yday", date.tm_yday + 1);
    set_field(L, "wday", date.tm_wday + 1);
    return 1;
}

static const luaL_Reg functions[] = {
    {"get", rtctime_get},
    {"set", rtctime_set},
    {"epoch2cal", rtctime_epoch2cal},
    {NULL, NULL},
};

int luaopen_rtctime(lua_State *L)
{
    luaL_register(L, "rtctime", functions);
    return 1;
}
