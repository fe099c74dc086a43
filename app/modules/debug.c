/*
 * debug.c - Lua's debug library without its known way to crash.
 */
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "modules.h"

/*
 * debug.getinfo(1, ">S"): Lua 5.1 takes the ">", which is for its C API only, for a function on
 * the stack where none is. Later versions refuse it, too.
 */
static int getinfo(lua_State *L)
{
    int argument = lua_isthread(L, 1) ? 3 : 2;
    const char *options = lua_isstring(L, argument) ? lua_tostring(L, argument) : "";

    luaL_argcheck(L, strchr(options, '>') == NULL, argument, "invalid option");
    return lua_tocfunction(L, lua_upvalueindex(1))(L); /* not called: that would be a level more */
}

int luaopen_debug_safe(lua_State *L)
{
    luaopen_debug(L);
    lua_getfield(L, -1, "getinfo");
    lua_pushcclosure(L, getinfo, 1);
    lua_setfield(L, -2, "getinfo");
    return 1;
}
