/*
 * modules.h - the Lua modules of this firmware, and their share of the main loop.
 */
#ifndef MODULES_H
#define MODULES_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

int luaopen_debug_safe(lua_State *L);
int luaopen_net(lua_State *L);
int luaopen_node(lua_State *L);
int luaopen_os_small(lua_State *L);
int luaopen_rtctime(lua_State *L);
int luaopen_sntp(lua_State *L);
int luaopen_tls(lua_State *L);
int luaopen_tmr(lua_State *L);

/* Fire what is due. Returns whether anything was. */
bool tmr_poll(lua_State *L);
bool net_poll(lua_State *L);
bool socket_poll(lua_State *L);
bool sync_poll(lua_State *L);

/*
 * After a poll that ran out of memory: fail the socket that was polled, since what it had received
 * is lost. Returns whether there was one.
 */
bool socket_out_of_memory(void);

/* Milliseconds until the next timer fires, UINT32_MAX when none runs. */
uint32_t tmr_next(void);

/* Whether anything is left that could call Lua: a running timer, an open socket, a DNS or time
 * query. */
bool tmr_pending(void);
bool net_pending(void);
bool socket_pending(void);
bool sync_pending(void);

#endif
