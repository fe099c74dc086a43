/*
 * lua_config.h - Lua 5.1 for a 32-bit chip with little RAM; forced in before every Lua file.
 *
 * Lua's own luaconf.h is read first, then what differs here. Numbers stay double, as in
 * NodeMCU's default firmware.
 */
#ifndef LUA_CONFIG_H
#define LUA_CONFIG_H

#include <luaconf.h>

/* On the C stack, one in every luaL_Buffer. */
#undef LUAL_BUFFERSIZE
#define LUAL_BUFFERSIZE 256

/*
 * Lua limits the depth of its C recursion (the parser, pcall, metamethods, coroutines) by counting
 * levels of any size. With 8 KiB of stack it is their size that matters, so the limit depends on
 * what is left of it; the parser, which calls nothing large, may take more than the rest.
 */
int lua_c_levels(const char *caller);
#undef LUAI_MAXCCALLS
#define LUAI_MAXCCALLS lua_c_levels(__func__)

/*
 * Every call of Lua's API begins with this: it tells which coroutine runs, and it is a safe place
 * to collect garbage after an allocation has failed.
 */
struct lua_State;
extern struct lua_State *lua_running;
extern unsigned char lua_memory_failed;
void lua_collect_after_failure(struct lua_State *L);
#define lua_lock(L)                                                                                \
    ((void)(lua_running = (L), lua_memory_failed ? lua_collect_after_failure(L) : (void)0))
#define lua_unlock(L) ((void)0)

/* Runaway recursion should end in an error before it has taken the heap. */
#undef LUAI_MAXCALLS
#define LUAI_MAXCALLS 1000
#undef LUAI_MAXCSTACK
#define LUAI_MAXCSTACK 1000
/* Room for a script's name in messages; on the C stack too. */
#undef LUA_IDSIZE
#define LUA_IDSIZE 60

/* Most numbers are small and whole: printf() would take a kilobyte of stack for them. */
int lua_format_number(char *to, double number);
#undef lua_number2str
#define lua_number2str(to, number) lua_format_number((to), (number))

/* There is no heap to spare for garbage: collect early and fast. */
#undef LUAI_GCPAUSE
#define LUAI_GCPAUSE 110
#undef LUAI_GCMUL
#define LUAI_GCMUL 400

#endif
