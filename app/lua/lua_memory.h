/*
 * lua_memory.h - Lua's memory: the heap, and a full collection after it was too small.
 */
#ifndef LUA_MEMORY_H
#define LUA_MEMORY_H

#include <stddef.h>

/* A lua_Alloc. When it fails, the next call of Lua's API collects all garbage. */
void *lua_memory_allocate(void *context, void *block, size_t old_size, size_t new_size);

#endif
