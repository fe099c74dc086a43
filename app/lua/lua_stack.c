/*
 * lua_stack.c - how deep Lua may recurse in C.
 */
#include "lua_stack.h"

#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>

#include "cpu.h"

#define LEVELS 200 /* Lua's own limit */
/* Measured with -fstack-usage: what may be called before the depth is asked for again. */
#define PARSER_RESERVE 1280  /* a nested function's state, then an error message */
#define CALL_RESERVE 2560    /* string.format() of a number; a socket's send */
#define HANDLER_RESERVE 1536 /* the traceback of a stack overflow */
#define PATTERN_RESERVE 1024 /* an error message */

int lua_c_levels(const char *caller)
{
    static bool handling; /* an overflow was raised: its error handlers may go deeper */
    size_t room = stack_room();

    if (strcmp(caller, "luaD_call") != 0) {
        /* The parser, or a coroutine about to start: they have an error of their own. */
        bool is_parser = strcmp(caller, "lua_resume") != 0;
        return room > (is_parser ? PARSER_RESERVE : CALL_RESERVE) ? LEVELS : 0;
    }
    if (room > CALL_RESERVE) {
        handling = false;
        return LEVELS;
    }
    if (handling) {
        return room > HANDLER_RESERVE ? LEVELS : 0;
    }
    handling = true;
    return luaL_error(lua_running, "stack overflow");
}

void __cyg_profile_func_enter(void *function, void *caller)
{
    (void)function;
    (void)caller;
    if (stack_room() < PATTERN_RESERVE) {
        luaL_error(lua_running, "pattern too complex");
    }
}

void __cyg_profile_func_exit(void *function, void *caller)
{
    (void)function;
    (void)caller;
}
