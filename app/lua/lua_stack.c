/*
 * lua_stack.c - how deep Lua may recurse in C.
 */
#include "lua_config.h"

#include "cpu.h"

#define LEVELS 200 /* Lua's own limit */
/* Measured with -fstack-usage: what may be called before the depth is asked for again. */
#define PARSER_RESERVE 1280 /* a nested function's state, then an error message */
#define CALL_RESERVE 2560   /* string.format() of a number; a socket's send */

int lua_c_levels(int is_parser)
{
    return stack_room() > (is_parser ? PARSER_RESERVE : CALL_RESERVE) ? LEVELS : 0;
}
