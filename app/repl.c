#include "repl.h"

#include <string.h>

#include <lauxlib.h>

#include "board.h"
#include "build_id.h"
#include "callback.h"

#define LINE_SIZE 256  /* as NodeMCU's: longer lines are refused */
#define INTERRUPT 0x03 /* ^C */
#define BACKSPACE 0x08
#define DELETE 0x7f
#define END_OF_INPUT 0x04 /* ^D */
#define ESCAPE 0x1b

static char line[LINE_SIZE];
static size_t line_length;
static bool line_too_long;
static bool in_chunk; /* the lines so far wait on the Lua stack for the rest */
static int last_byte;
static bool in_escape;

static void print(const char *text)
{
    board_console_write(text, strlen(text));
}

static void prompt(void)
{
    print(in_chunk ? ">> " : "> ");
}

void repl_start(void)
{
    char id[BUILD_ID_SIZE];

    build_id_text(id);
    print("nodemcu-tls build ");
    print(id);
    print("\n");
    prompt();
}

/* Whether loading failed only because the chunk goes on in the next line. */
static bool is_incomplete(lua_State *L, int status)
{
    size_t length;

    if (status != LUA_ERRSYNTAX) {
        return false;
    }
    const char *message = lua_tolstring(L, -1, &length);
    const char end[] = LUA_QL("<eof>");
    return length >= sizeof end - 1 && strcmp(message + length - (sizeof end - 1), end) == 0;
}

/* Print the values above `base`, with the script's own print(). */
static void print_results(lua_State *L, int base)
{
    int count = lua_gettop(L) - base;

    if (count == 0) {
        return;
    }
    lua_getglobal(L, "print");
    lua_insert(L, base + 1);
    callback_run(L, count);
}

static int run_chunk(lua_State *L)
{
    int base = lua_gettop(L) - 1;

    lua_call(L, 0, LUA_MULTRET);
    print_results(L, base);
    return 0;
}

/* The source so far, all lines of it, is on the stack: run it, or wait for more. */
static void take_source(lua_State *L)
{
    size_t length;
    const char *source = lua_tolstring(L, -1, &length);
    int status = luaL_loadbuffer(L, source, length, "=stdin");

    if (is_incomplete(L, status)) {
        lua_pop(L, 1);
        in_chunk = true;
        return;
    }
    in_chunk = false;
    lua_remove(L, -2); /* the source */
    if (status != 0) {
        print(lua_tostring(L, -1));
        print("\n");
        lua_pop(L, 1);
        return;
    }
    lua_pushcfunction(L, run_chunk);
    lua_insert(L, -2);
    callback_run(L, 1);
}

static int append_line(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        /* As in the stand-alone interpreter: "=x" prints x. */
        bool is_expression = line[0] == '=' && line_length > 0;
        lua_pushstring(L, is_expression ? "return " : "");
        lua_pushlstring(L, line + is_expression, line_length - is_expression);
        lua_concat(L, 2);
    } else {
        lua_pushliteral(L, "\n");
        lua_pushlstring(L, line, line_length);
        lua_concat(L, 3);
    }
    return 1;
}

static void take_line(lua_State *L)
{
    if (line_too_long) {
        print("line longer than 255 characters: ignored\n");
    } else if (line_length > 0 || in_chunk) {
        if (!in_chunk) {
            lua_pushnil(L);
        }
        lua_pushcfunction(L, append_line); /* may run out of memory: protected */
        lua_insert(L, -2);
        if (lua_pcall(L, 1, 1, 0) == 0) {
            take_source(L);
        } else {
            in_chunk = false;
            print("not enough memory\n");
            lua_pop(L, 1);
        }
    }
    line_length = 0;
    line_too_long = false;
    prompt();
}

/* Leave a chunk that never ends, or one that was not meant. */
static void drop_chunk(lua_State *L)
{
    if (in_chunk) {
        lua_pop(L, 1); /* the lines so far */
        in_chunk = false;
    }
    line_length = 0;
    line_too_long = false;
    print("\n");
    prompt();
}

static void take_byte(lua_State *L, int byte)
{
    int previous = last_byte;

    last_byte = byte;
    if (in_escape) { /* ESC [ parameters letter, or ESC letter */
        in_escape = byte == '[' || byte == 'O' || (byte >= '0' && byte <= '?');
        return;
    }
    if (byte == '\n' && previous == '\r') {
        return; /* the second half of one line end */
    }
    if (byte == '\r' || byte == '\n') {
        print("\n");
        take_line(L);
    } else if (byte == BACKSPACE || byte == DELETE) {
        if (line_length > 0) {
            line_length--;
            print("\b \b");
        }
    } else if (byte == INTERRUPT) {
        drop_chunk(L);
    } else if (byte == END_OF_INPUT) {
        if (line_length == 0) {
            print("\n");
            board_exit(0);
        }
    } else if (byte < ' ' && byte != '\t') {
        /* An arrow key or the like: this prompt has no use for it. */
        in_escape = byte == ESCAPE;
    } else if (line_length + 1 < sizeof line) {
        line[line_length++] = (char)byte;
        board_console_write(&line[line_length - 1], 1);
    } else {
        line_too_long = true;
    }
}

bool repl_poll(lua_State *L)
{
    int byte = board_console_read();

    if (byte < 0) {
        return false;
    }
    take_byte(L, byte);
    return true;
}
