#include "tls_create.h"

#include <string.h>

#include <lauxlib.h>
#include <mbedtls/base64.h>

#include "tls_texts.h"

#define OPTIONS 1 /* stack indices */
#define ENVIRONMENT 3
#define HOST_NAME_MAX 253
#define TIMEOUT_MAX 86400000 /* a day, in milliseconds */

#define PIN_PREFIX "sha256//" /* as curl writes pins */

static int raise(lua_State *L, const char *key, const char *problem)
{
    return luaL_argerror(L, OPTIONS, lua_pushfstring(L, "%s: %s", key, problem));
}

/* Push the option; returns whether it is given. */
static bool push_option(lua_State *L, const char *key)
{
    lua_getfield(L, OPTIONS, key);
    return !lua_isnil(L, -1);
}

/* Move the value on top of the stack into the environment table, where it stays. */
static void keep(lua_State *L, const char *key)
{
    lua_setfield(L, ENVIRONMENT, key);
}

static bool read_boolean(lua_State *L, const char *key, bool otherwise)
{
    if (!push_option(L, key)) {
        lua_pop(L, 1);
        return otherwise;
    }
    if (!lua_isboolean(L, -1)) {
        raise(L, key, "boolean expected");
    }
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static uint32_t read_timeout(lua_State *L, const char *key, uint32_t otherwise)
{
    if (!push_option(L, key)) {
        lua_pop(L, 1);
        return otherwise;
    }
    lua_Number value = lua_tonumber(L, -1);
    if (!lua_isnumber(L, -1) || !(value >= 1 && value <= TIMEOUT_MAX)) {
        raise(L, key, "milliseconds expected, from 1 to 86400000");
    }
    lua_pop(L, 1);
    return (uint32_t)value;
}

static void read_server_name(lua_State *L, struct tls_options *options)
{
    static const char key[] = "server_name";
    size_t length;

    if (!push_option(L, key)) {
        lua_pop(L, 1);
        return;
    }
    if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) {
        options->send_name = false;
        lua_pop(L, 1);
        return;
    }
    if (lua_type(L, -1) != LUA_TSTRING) {
        raise(L, key, "string or false expected");
    }
    const char *name = lua_tolstring(L, -1, &length);
    if (length > 1 && name[length - 1] == '.') { /* the root's: of no use in TLS (RFC 6066) */
        length--;
    }
    if (length == 0 || length > HOST_NAME_MAX) {
        raise(L, key, "a host name has 1 to 253 characters");
    }
    for (size_t i = 0; i < length; i++) {
        if (name[i] <= ' ' || name[i] > '~') {
            raise(L, key, "a host name has letters, digits, dots and dashes");
        }
    }
    lua_pushlstring(L, name, length);
    lua_replace(L, -2);
    options->server_name = lua_tostring(L, -1);
    keep(L, key);
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);

    return c == '\0' || found == NULL ? -1 : (int)(found - digits);
}

static bool read_hex(const char *text, unsigned char *pin)
{
    for (size_t i = 0; i < TLS_PIN_SIZE; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        pin[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool read_base64(const char *text, size_t length, unsigned char *pin)
{
    size_t got;

    return mbedtls_base64_decode(pin, TLS_PIN_SIZE, &got, (const unsigned char *)text, length) ==
               0 &&
           got == TLS_PIN_SIZE;
}

/* Add the pin on top of the stack to the buffer, in place of it. */
static void add_pin(lua_State *L, luaL_Buffer *pins)
{
    unsigned char pin[TLS_PIN_SIZE];
    size_t length, prefix = sizeof PIN_PREFIX - 1;

    if (lua_type(L, -1) != LUA_TSTRING) {
        raise(L, "pin", "string or list of strings expected");
    }
    const char *text = lua_tolstring(L, -1, &length);
    if (length > prefix && memcmp(text, PIN_PREFIX, prefix) == 0) {
        text += prefix;
        length -= prefix;
    }
    bool is_right = length == 2 * sizeof pin ? read_hex(text, pin) : read_base64(text, length, pin);
    if (!is_right) {
        raise(L, "pin", "the SHA-256 of a public key expected, in 64 hex digits or 44 of base64");
    }
    lua_pop(L, 1);
    luaL_addlstring(pins, (const char *)pin, sizeof pin);
}

static void read_pins(lua_State *L, struct tls_options *options)
{
    luaL_Buffer pins;
    size_t length;

    if (!push_option(L, "pin")) {
        lua_pop(L, 1);
        return;
    }
    int value = lua_gettop(L);
    luaL_buffinit(L, &pins);
    if (lua_istable(L, value)) {
        size_t count = lua_objlen(L, value);
        for (size_t i = 1; i <= count; i++) {
            lua_rawgeti(L, value, (int)i);
            add_pin(L, &pins);
        }
    } else {
        lua_pushvalue(L, value);
        add_pin(L, &pins);
    }
    luaL_pushresult(&pins);
    options->pins = (const unsigned char *)lua_tolstring(L, -1, &length);
    options->pin_count = length / TLS_PIN_SIZE;
    if (options->pin_count == 0) {
        raise(L, "pin", "an empty list would trust any key");
    }
    keep(L, "pin");
    lua_pop(L, 1);
}

static void read_ca(lua_State *L, struct tls_socket *socket)
{
    bool given = push_option(L, TLS_KEY_CA);

    if (given) {
        tls_texts_push(L, TLS_STORE_CA, lua_gettop(L), 1, TLS_KEY_CA);
        keep(L, TLS_KEY_CA);
    }
    lua_pop(L, 1);
    if (push_option(L, "verify")) {
        socket->verify = read_boolean(L, "verify", false) ? TLS_YES : TLS_NO;
    } else if (given) {
        socket->verify = TLS_YES;
    }
    lua_pop(L, 1);
    if (given && socket->verify == TLS_NO) {
        raise(L, TLS_KEY_CA, "verify = false leaves it unused");
    }
}

static void read_identity(lua_State *L, struct tls_socket *socket)
{
    bool has_certificate = push_option(L, "cert"), has_key = push_option(L, "key");

    if (has_certificate) {
        tls_texts_push(L, TLS_STORE_CLIENT, lua_gettop(L) - 1, has_key ? 2 : 1, "cert and key");
        keep(L, TLS_KEY_CLIENT);
    } else if (has_key) {
        raise(L, "key", "there is no cert that it belongs to");
    }
    lua_pop(L, 2);
    if (push_option(L, "auth")) {
        socket->auth = read_boolean(L, "auth", false) ? TLS_YES : TLS_NO;
    } else if (has_certificate) {
        socket->auth = TLS_YES;
    }
    lua_pop(L, 1);
    if (has_certificate && socket->auth == TLS_NO) {
        raise(L, "cert", "auth = false leaves it unused");
    }
}

static void check_keys(lua_State *L)
{
    static const char *const known[] = {
        "auth",   "ca",           "cert", "connect_timeout", "handshake_timeout",
        "key",    "idle_timeout", "pin",  "resume",          "server_name",
        "verify", "verify_host",
    };

    lua_pushnil(L);
    while (lua_next(L, OPTIONS) != 0) {
        lua_pop(L, 1);
        const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        bool found = false;
        for (size_t i = 0; key != NULL && i < sizeof known / sizeof known[0]; i++) {
            found |= strcmp(key, known[i]) == 0;
        }
        if (!found) {
            raise(L, key ? key : luaL_typename(L, -1), "no such option");
        }
    }
}

void tls_create_read_options(lua_State *L, struct tls_socket *socket)
{
    struct tls_options *options = &socket->conn.options;

    check_keys(L);
    lua_getfenv(L, 2);
    read_ca(L, socket);
    read_identity(L, socket);
    read_server_name(L, options);
    read_pins(L, options);
    options->verify_host = read_boolean(L, "verify_host", options->verify_host);
    options->resume = read_boolean(L, "resume", options->resume);
    options->connect_timeout = read_timeout(L, "connect_timeout", options->connect_timeout);
    options->handshake_timeout = read_timeout(L, "handshake_timeout", options->handshake_timeout);
    options->idle_timeout = read_timeout(L, "idle_timeout", options->idle_timeout);
    lua_pop(L, 1);
}
