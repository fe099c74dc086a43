/*
 * lazy.h - a library that takes no heap until a script uses it.
 */
#ifndef LAZY_H
#define LAZY_H

#include <lua.h>

/*
 * Make the global `name` an empty table that `open` fills when it is first indexed. `open` must
 * use luaL_register(L, name, ...), which fills the table that is there.
 */
void lazy_register(lua_State *L, const char *name, lua_CFunction open);

#endif
