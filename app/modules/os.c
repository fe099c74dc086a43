/*
 * os.c - the part of Lua's os library that means something on a chip.
 */
#include <lauxlib.h>

#include "board.h"
#include "modules.h"

/* os.exit([code]): ends the emulator with that code */
static int os_exit(lua_State *L)
{
    board_exit(luaL_optint(L, 1, 0));
}

/* os.time() -> seconds since 1970-01-01 UTC, or nil while the board does not know */
static int os_time(lua_State *L)
{
    int64_t now = board_epoch();

    if (now == 0) {
        lua_pushnil(L);
    } else {
        lua_pushnumber(L, (lua_Number)now);
    }
    return 1;
}

/* os.clock() -> seconds since start */
static int os_clock(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)board_micros() / 1e6);
    return 1;
}

static const luaL_Reg functions[] = {
    {"exit", os_exit},
    {"time", os_time},
    {"clock", os_clock},
    {NULL, NULL},
};

int luaopen_os_small(lua_State *L)
{
    luaL_register(L, "os", functions);
    return 1;
}
