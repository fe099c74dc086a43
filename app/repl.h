/*
 * repl.h - the Lua prompt on the console: line editing, and chunks of several lines.
 */
#ifndef REPL_H
#define REPL_H

#include <stdbool.h>

#include <lua.h>

/* Say which build this is, and prompt. */
void repl_start(void);

/* Take what was typed; run a chunk when it is whole. Returns whether anything was typed. */
bool repl_poll(lua_State *L);

#endif
