#include "tls_texts.h"

#include <lauxlib.h>
#include <mbedtls/platform_util.h>

#include "tls_credentials.h"
#include "tls_error.h"

int tls_texts_raise(lua_State *L, int argument, const char *field, int error)
{
    const char *reason = tls_error_reason(error);

    if (error == TLS_ERR_MEMORY) {
        return luaL_error(L, "not enough memory");
    }
    if (field != NULL) {
        reason = lua_pushfstring(L, "%s: %s", field, reason);
    }
    return luaL_argerror(L, argument, reason);
}

void tls_texts_wipe(struct tls_texts *records)
{
    mbedtls_platform_zeroize(records->bytes, records->room);
}

static int collect_records(lua_State *L)
{
    tls_texts_wipe(lua_touserdata(L, 1));
    return 0;
}

static struct tls_texts *new_records(lua_State *L, size_t room)
{
    if (room > TLS_STORE_MAX) {
        room = TLS_STORE_MAX;
    }
    struct tls_texts *records = lua_newuserdata(L, sizeof *records + room);

    records->room = room;
    records->length = 0;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, collect_records);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return records;
}

static void add_text(lua_State *L, enum tls_store_set set, struct tls_texts *records, int argument,
                     const char *field)
{
    size_t length;

    if (lua_type(L, -1) != LUA_TSTRING) {
        const char *problem = lua_pushfstring(L, "%s%sstring expected, got %s", field ? field : "",
                                              field ? ": " : "", luaL_typename(L, -1));
        luaL_argerror(L, argument, problem);
    }
    const char *text = lua_tolstring(L, -1, &length);
    int error = tls_credentials_make_records(set, text, length, records->bytes, records->room,
                                             &records->length);
    if (error < 0) {
        tls_texts_raise(L, argument, field, error);
    }
}

static void add_value(lua_State *L, enum tls_store_set set, struct tls_texts *records, int index,
                      const char *field)
{
    if (!lua_istable(L, index)) {
        lua_pushvalue(L, index);
        add_text(L, set, records, field ? 1 : index, field);
        lua_pop(L, 1);
        return;
    }
    size_t texts = lua_objlen(L, index);
    for (size_t i = 1; i <= texts; i++) {
        lua_rawgeti(L, index, (int)i);
        add_text(L, set, records, field ? 1 : index, field);
        lua_pop(L, 1);
    }
}

/* The most that the records of a value can take. */
static size_t measure_value(lua_State *L, int index)
{
    size_t room = 0;

    if (!lua_istable(L, index)) {
        return lua_objlen(L, index) + TLS_RECORD_HEADER;
    }
    size_t count = lua_objlen(L, index);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, index, (int)i);
        room += lua_objlen(L, -1) + TLS_RECORD_HEADER;
        lua_pop(L, 1);
    }
    return room;
}

/* Push a struct tls_texts, complete, with the texts of these values. */
struct tls_texts *tls_texts_collect(lua_State *L, enum tls_store_set set, int first, int count,
                                    const char *field)
{
    size_t room = 0;

    for (int index = first; index < first + count; index++) {
        room += measure_value(L, index);
    }
    struct tls_texts *records = new_records(L, room);
    for (int index = first; index < first + count; index++) {
        add_value(L, set, records, index, field);
    }
    int error = tls_credentials_check_records(set, records->bytes, records->length);
    if (error < 0) {
        tls_texts_raise(L, field ? 1 : first + count - 1, field,
                        error == TLS_ERR_NOT_STORED ? TLS_ERR_NOT_CERTIFICATE : error);
    }
    return records;
}

void tls_texts_push(lua_State *L, enum tls_store_set set, int first, int count, const char *field)
{
    struct tls_texts *records = tls_texts_collect(L, set, first, count, field);

    lua_pushlstring(L, (const char *)records->bytes, records->length);
    tls_texts_wipe(records);
    lua_remove(L, -2);
}
