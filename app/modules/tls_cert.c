#include "tls_cert.h"

#include <lauxlib.h>

#include "callback.h"
#include "server_ca.h"
#include "tls_credentials.h"
#include "tls_texts.h"

#define CERTIFICATES_MAX 16 /* a callback is asked for no more: it may never return nil */

#ifdef NODEMCU_TLS_VERIFY
#define VERIFY_AT_BOOT true
#else
#define VERIFY_AT_BOOT false
#endif

/* What tls.cert.verify() and tls.cert.auth() were told last. */
static struct setting {
    const char *name;
    bool enabled;
    int callback;
} settings[] = {
    [TLS_STORE_CA] = {"tls.cert.verify", VERIFY_AT_BOOT, LUA_NOREF},
    [TLS_STORE_CLIENT] = {"tls.cert.auth", false, LUA_NOREF},
};

/* Ask the callback for one certificate or key and push it. Returns 0 or a negative tls_err. */
static int ask(lua_State *L, const struct setting *setting, int number)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, setting->callback);
    lua_pushinteger(L, number);
    int status = callback_pcall(L, 1, 1);
    if (status == 0 && !lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING) {
        lua_pushfstring(L, "%s: the callback must return a string or nil, not a %s", setting->name,
                        luaL_typename(L, -1));
        lua_remove(L, -2);
        status = LUA_ERRRUN;
    }
    if (status == 0) {
        return 0;
    }
    if (status == LUA_ERRMEM) {
        lua_pop(L, 1);
        return TLS_ERR_MEMORY;
    }
    callback_fail(L);
    return TLS_ERR_CALLBACK;
}

/* Whether the connection still waits for credentials: a callback may close it or open it again. */
static bool is_waiting(const struct tls_conn *conn, unsigned opened)
{
    return conn->opened == opened && conn->state == TLS_CONN_READY;
}

/* The callback may take itself out, too. Returns how many it gave, or a negative tls_err. */
static int add_from_callback(lua_State *L, enum tls_store_set set, struct tls_conn *conn)
{
    const struct setting *setting = &settings[set];
    unsigned opened = conn->opened;
    int first = set == TLS_STORE_CA ? 1 : 0; /* 0 is the private key */
    int given = 0;

    while (given < CERTIFICATES_MAX && setting->callback != LUA_NOREF) {
        int error = ask(L, setting, first + given);
        if (error < 0) {
            return error;
        }
        size_t length;
        const char *text = lua_tolstring(L, -1, &length);
        bool is_given = text != NULL && is_waiting(conn, opened);
        if (is_given) {
            error = tls_credentials_add(conn->credentials, set, text, length);
        }
        lua_pop(L, 1);
        if (error < 0) {
            return error;
        }
        if (!is_given) {
            break;
        }
        given++;
    }
    return given;
}

/* A callback that gives nothing turns its check off, but not that of a socket which insists. */
static int check_given(struct tls_credentials *credentials, enum tls_store_set set, int given,
                       bool wanted)
{
    if (given == 0 && !wanted) {
        return 0;
    }
    if (set == TLS_STORE_CA) {
        return tls_credentials_has_ca(credentials) ? 0 : TLS_ERR_NO_CA;
    }
    return tls_credentials_check_pair(credentials);
}

int tls_cert_add(lua_State *L, enum tls_store_set set, struct tls_conn *conn, bool wanted)
{
    const struct setting *setting = &settings[set];

    if (setting->callback != LUA_NOREF) {
        unsigned opened = conn->opened;
        int given = add_from_callback(L, set, conn);
        if (given < 0 || !is_waiting(conn, opened)) {
            return given < 0 ? given : 0;
        }
        if (given > 0 || setting->callback != LUA_NOREF) {
            return check_given(conn->credentials, set, given, wanted);
        }
        /* It has put another setting in its place and given nothing: that one counts. */
    }
    if (!setting->enabled && !wanted) {
        return 0;
    }
    int error = tls_credentials_use_stored(conn->credentials, set);
    return error == TLS_ERR_NOT_STORED && set == TLS_STORE_CA ? TLS_ERR_NO_CA : error;
}

static void forget_callback(lua_State *L, struct setting *setting)
{
    luaL_unref(L, LUA_REGISTRYINDEX, setting->callback);
    setting->callback = LUA_NOREF;
}

static bool is_stored(enum tls_store_set set)
{
    struct tls_store_view view;

    if (tls_store_open(set, &view) == 0) {
        tls_store_close(&view);
        return true;
    }
    return set == TLS_STORE_CA && server_ca_length > 0;
}

static void enable(lua_State *L, enum tls_store_set set, bool enabled)
{
    if (enabled && !is_stored(set)) {
        luaL_error(L, set == TLS_STORE_CA
                          ? "no CA certificate is stored or built in: give one to tls.cert.verify, "
                            "or build the firmware with server-ca.crt"
                          : "no client certificate is stored: give one and its key to "
                            "tls.cert.auth");
    }
    forget_callback(L, &settings[set]);
    settings[set].enabled = enabled;
}

static void store(lua_State *L, enum tls_store_set set, int count)
{
    struct tls_texts *records = tls_texts_collect(L, set, 1, count, NULL);
    int error = tls_store_write(set, records->bytes, records->length);

    tls_texts_wipe(records);
    if (error == TLS_ERR_TOO_LARGE) {
        tls_texts_raise(L, count, NULL, error);
    }
    if (error < 0) {
        luaL_error(L, "%s: %s", settings[set].name, tls_error_reason(error));
    }
    enable(L, set, true);
}

/* (boolean), (text, ...), (function), or (nil), which takes the function back -> true */
static int set_credentials(lua_State *L, enum tls_store_set set)
{
    switch (lua_type(L, 1)) {
    case LUA_TBOOLEAN:
        enable(L, set, lua_toboolean(L, 1));
        break;
    case LUA_TNIL:
        forget_callback(L, &settings[set]);
        break;
    case LUA_TFUNCTION: {
        lua_pushvalue(L, 1);
        int callback = luaL_ref(L, LUA_REGISTRYINDEX); /* may raise: nothing is changed yet */
        forget_callback(L, &settings[set]);
        settings[set].callback = callback;
        break;
    }
    case LUA_TSTRING:
        store(L, set, lua_gettop(L));
        break;
    default:
        luaL_typerror(L, 1, "boolean, string, function or nil");
    }
    lua_pushboolean(L, true);
    return 1;
}

static int tls_cert_verify(lua_State *L)
{
    return set_credentials(L, TLS_STORE_CA);
}

static int tls_cert_auth(lua_State *L)
{
    return set_credentials(L, TLS_STORE_CLIENT);
}

static const luaL_Reg functions[] = {
    {"verify", tls_cert_verify},
    {"auth", tls_cert_auth},
    {NULL, NULL},
};

void tls_cert_push(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
}
