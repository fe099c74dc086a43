/*
 * node.c - the node module: the chip itself.
 */
#include <lauxlib.h>

#include "board.h"
#include "libc_port.h"
#include "modules.h"

/* node.heap() -> bytes free */
static int node_heap(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)heap_free());
    return 1;
}

/* node.chipid() -> the last three bytes of the MAC address as a number */
static int node_chipid(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)board_chip_id());
    return 1;
}

/* node.restart() */
static int node_restart(lua_State *L)
{
    (void)L;
    board_restart();
}

static const luaL_Reg functions[] = {
    {"heap", node_heap},
    {"chipid", node_chipid},
    {"restart", node_restart},
    {NULL, NULL},
};

int luaopen_node(lua_State *L)
{
    luaL_register(L, "node", functions);
    return 1;
}
