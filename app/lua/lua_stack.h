/*
 * lua_stack.h - hooks by which the C stack that is left limits Lua's recursion.
 */
#ifndef LUA_STACK_H
#define LUA_STACK_H

#include "lua_config.h"

/*
 * The compiler calls these around the pattern matcher (-finstrument-functions), which recurses
 * once for each item of a pattern and which Lua 5.1 does not limit.
 */
void __cyg_profile_func_enter(void *function, void *caller);
void __cyg_profile_func_exit(void *function, void *caller);

#endif
