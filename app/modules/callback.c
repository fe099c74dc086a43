#include "callback.h"

#include <string.h>

#include <lauxlib.h>

#include "board.h"

#define EXIT_LUA_ERROR 1

static bool end_on_error;

/* The message handler: debug.traceback, also when the script has replaced or removed it. */
static int add_traceback(lua_State *L)
{
    lua_Debug frame;

    if (!lua_isstring(L, 1)) {
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
        lua_replace(L, 1);
    }
    lua_settop(L, 1);
    lua_pushliteral(L, "\nstack traceback:");
    for (int level = 1; level < 12 && lua_getstack(L, level, &frame); level++) {
        lua_getinfo(L, "Snl", &frame);
        if (frame.currentline > 0) {
            lua_pushfstring(L, "\n\t%s:%d: in ", frame.short_src, frame.currentline);
        } else {
            lua_pushfstring(L, "\n\t%s: in ", frame.short_src);
        }
        if (frame.name != NULL) {
            lua_pushfstring(L, "function '%s'", frame.name);
        } else {
            lua_pushstring(L, *frame.what == 'm' ? "main chunk" : "function");
        }
        lua_concat(L, 2);
        lua_concat(L, 2);
    }
    lua_concat(L, 2);
    return 1;
}

int callback_pcall(lua_State *L, int arguments, int results)
{
    int handler = lua_gettop(L) - arguments;

    lua_pushcfunction(L, add_traceback);
    lua_insert(L, handler);
    int status = lua_pcall(L, arguments, results, handler);
    lua_remove(L, handler);
    return status;
}

void callback_end_on_error(void)
{
    end_on_error = true;
}

void callback_fail(lua_State *L)
{
    const char *message = lua_tostring(L, -1);

    board_console_write(message, strlen(message));
    board_console_write("\n", 1);
    lua_pop(L, 1);
    if (end_on_error) {
        board_exit(EXIT_LUA_ERROR);
    }
}

void callback_run(lua_State *L, int arguments)
{
    if (callback_pcall(L, arguments, 0) != 0) {
        callback_fail(L);
    }
}
