#include "lazy.h"

#include <lauxlib.h>

/* __index of a library not yet opened; upvalue 1 is the library's luaopen function. */
static int open_library(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_call(L, 0, 0);
    lua_pushnil(L); /* only now: if it failed for want of memory, the next use tries again */
    lua_setmetatable(L, 1);
    lua_rawget(L, 1);
    return 1;
}

void lazy_register(lua_State *L, const char *name, lua_CFunction open)
{
    static const luaL_Reg nothing[] = {{NULL, NULL}};

    luaL_register(L, name, nothing);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, open);
    lua_pushcclosure(L, open_library, 1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}
