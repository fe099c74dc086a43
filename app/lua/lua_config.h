/*
 * lua_config.h - Lua 5.1 for a 32-bit chip with little RAM; forced in before every Lua file.
 *
 * Lua's own luaconf.h is read first, then what differs here. Numbers stay double, as in
 * NodeMCU's default firmware.
 */
#ifndef LUA_CONFIG_H
#define LUA_CONFIG_H

#include <luaconf.h>

/* On the C stack: LUAL_BUFFERSIZE per luaL_Buffer, and a parser frame per nested construct. */
#undef LUAL_BUFFERSIZE
#define LUAL_BUFFERSIZE 256
#undef LUAI_MAXCCALLS
#define LUAI_MAXCCALLS 30
#undef LUAI_MAXCALLS
#define LUAI_MAXCALLS 1000
#undef LUAI_MAXCSTACK
#define LUAI_MAXCSTACK 1000
#undef LUA_IDSIZE
#define LUA_IDSIZE 60

/* A collection cycle starts when memory has grown by half, not doubled. */
#undef LUAI_GCPAUSE
#define LUAI_GCPAUSE 150

#endif
