/*
 * main.c - start the board, the network and Lua; run the script or the prompt; then the loop.
 */
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>
#include <lwip/timeouts.h>

#include "board.h"
#include "callback.h"
#include "cpu.h"
#include "lazy.h"
#include "lua_memory.h"
#include "modules.h"
#include "repl.h"
#include "stream.h"

#define NETWORK_WAIT_MS 5000u
/* What takes longer is taken for an endless loop; a DHE handshake of 4096 bits takes two. */
#define WATCHDOG_SECONDS 60u

static int on_lua_panic(lua_State *L)
{
    (void)L;
    panic("Lua: error outside a protected call");
}

static void print(const char *text)
{
    board_console_write(text, strlen(text));
}

static void poll_network(void)
{
    board_network_poll();
    sys_check_timeouts();
}

/* A script may connect in its first line, so wait for an address before it starts. */
static void wait_for_network(void)
{
    uint32_t start = board_millis();

    while (!board_network_ready()) {
        if (board_millis() - start > NETWORK_WAIT_MS) {
            print("net: no answer from DHCP, going on without an address\n");
            return;
        }
        poll_network();
        board_idle(sys_timeouts_sleeptime());
    }
}

/* Only what the prompt itself needs is opened now: every library costs heap. */
static int open_libraries(lua_State *L)
{
    static const struct {
        const char *name;
        lua_CFunction open;
    } later[] = {
        {"table", luaopen_table},     {"math", luaopen_math}, {"debug", luaopen_debug_safe},
        {"os", luaopen_os_small},     {"node", luaopen_node}, {"tmr", luaopen_tmr},
        {"net", luaopen_net},         {"tls", luaopen_tls},   {"sntp", luaopen_sntp},
        {"rtctime", luaopen_rtctime},
    };

    lua_pushcfunction(L, luaopen_base);
    lua_call(L, 0, 0);
    lua_pushcfunction(L, luaopen_string);
    lua_call(L, 0, 0);
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        lazy_register(L, later[i].name, later[i].open);
    }
    return 0;
}

static lua_State *start_lua(void)
{
    lua_State *L = lua_newstate(lua_memory_allocate, NULL);

    if (L == NULL) {
        panic("not enough memory for Lua");
    }
    lua_atpanic(L, on_lua_panic);
    if (lua_cpcall(L, open_libraries, NULL) != 0) {
        panic("not enough memory for the Lua libraries");
    }
    return L;
}

struct script {
    bool started;
    char text[LUAL_BUFFERSIZE];
};

/* A first line that begins with "#" is the shell's: it becomes a comment. */
static const char *read_script(lua_State *L, void *state, size_t *length)
{
    struct script *script = state;
    int got = board_script_read(script->text + 2, sizeof script->text - 2);
    bool is_shell_line = !script->started && got > 0 && script->text[2] == '#';

    (void)L;
    script->started = true;
    if (got <= 0) {
        return NULL;
    }
    *length = (size_t)got + (is_shell_line ? 2 : 0);
    return is_shell_line ? memcpy(script->text, "--", 2) : script->text + 2;
}

/* Loaded here, not in a protected call: the parser needs what stack there is. */
static void run_script(lua_State *L)
{
    static struct script script;
    char name[LUA_IDSIZE] = "@";
    const char *path = board_script_name();
    size_t length = strlen(path), room = sizeof name - 2;

    strcpy(name + 1, length > room ? path + length - room : path);
    if (lua_load(L, read_script, &script, name) == 0) {
        callback_run(L, 0);
    } else {
        callback_fail(L);
    }
}

static bool is_anything_pending(void)
{
    return tmr_pending() || net_pending() || socket_pending() || sync_pending() ||
           stream_any_unsent();
}

/* Protected, so that running out of memory between two callbacks is an error like any other. */
static int poll_modules(lua_State *L)
{
    bool *busy = lua_touserdata(L, 1);

    *busy = tmr_poll(L);
    *busy |= net_poll(L);
    *busy |= sync_poll(L);
    *busy |= socket_poll(L);
    return 0;
}

static void run_loop(lua_State *L, bool is_script)
{
    lua_pushcfunction(L, poll_modules); /* once: a new closure each turn would be garbage */
    int poll = lua_gettop(L);

    for (;;) {
        bool busy = true;
        board_watchdog(WATCHDOG_SECONDS);
        poll_network();
        lua_pushvalue(L, poll);
        lua_pushlightuserdata(L, &busy);
        int status = lua_pcall(L, 1, 0, 0);
        if (status == LUA_ERRMEM && socket_out_of_memory()) {
            lua_pop(L, 1); /* the socket tells it */
        } else if (status != 0) {
            callback_fail(L);
        }
        if (stack_unused() == 0) {
            panic("the stack is exhausted");
        }
        if (is_script && !is_anything_pending()) {
            board_exit(0);
        }
        if (!is_script) {
            busy |= repl_poll(L);
        }
        if (!busy) {
            uint32_t timer = tmr_next(), lwip = sys_timeouts_sleeptime();
            board_idle(timer < lwip ? timer : lwip);
        }
    }
}

int main(void)
{
    board_init();
    board_network_start();
    wait_for_network();
    lua_State *L = start_lua();
    bool is_script = board_script_name() != NULL;

    board_watchdog(WATCHDOG_SECONDS);
    if (is_script && !board_script_open()) {
        print("cannot open the script\n");
        board_exit(1);
    }
    if (is_script) {
        callback_end_on_error();
        run_script(L);
    } else {
        repl_start();
    }
    run_loop(L, is_script);
}
