#include "lua_memory.h"

#include <stdlib.h>

#include <lua.h>

#include "cpu.h"

struct lua_State *lua_running;
unsigned char lua_memory_failed;

void *lua_memory_allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    (void)context;
    (void)old_size;
    (void)stack_room(); /* panics when there is none: this is called everywhere */
    if (new_size == 0) {
        free(block);
        return NULL;
    }
    void *moved = realloc(block, new_size);
    if (moved == NULL) {
        lua_memory_failed = 1;
    }
    return moved;
}

void lua_collect_after_failure(lua_State *L)
{
    lua_memory_failed = 0;
    lua_gc(L, LUA_GCCOLLECT, 0);
}
