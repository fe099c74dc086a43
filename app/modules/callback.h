/*
 * callback.h - how the main loop calls Lua, and what becomes of an error in there.
 */
#ifndef CALLBACK_H
#define CALLBACK_H

#include <stdbool.h>

#include <lua.h>

/*
 * Call the function below `arguments` values on the stack; nothing is left of them. An error is
 * printed with its traceback; then the board ends with code 1 if a script is run
 * (callback_end_on_error()), else the program goes on.
 */
void callback_run(lua_State *L, int arguments);

void callback_end_on_error(void);

/* Print the error message on top of the stack, take it off, and end as said above. */
void callback_fail(lua_State *L);

/* As lua_pcall(), with the traceback in the message. */
int callback_pcall(lua_State *L, int arguments, int results);

#endif
