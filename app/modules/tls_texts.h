/*
 * tls_texts.h - certificates and keys as scripts pass them: strings and lists of strings, each PEM
 * or DER.
 */
#ifndef TLS_TEXTS_H
#define TLS_TEXTS_H

#include <stddef.h>

#include <lua.h>

#include "tls_store.h"

/* The records of a script's texts, a userdata that is wiped when it is collected.
 */
struct tls_texts {
    size_t room, length;
    unsigned char bytes[];
};

/*
 * Push the records of the `count` values from stack index `first` on: a whole set, whose key is
 * its certificate's. Raises an error that names the argument, and `field` if the value is one of
 * a table's, and says what is wrong.
 */
struct tls_texts *tls_texts_collect(lua_State *L, enum tls_store_set set, int first, int count,
                                    const char *field);

/* The same as a string, which stays as long as something refers to it. */
void tls_texts_push(lua_State *L, enum tls_store_set set, int first, int count, const char *field);

void tls_texts_wipe(struct tls_texts *records);

/* Raise the error for a negative enum tls_err about an argument. Does not return. */
int tls_texts_raise(lua_State *L, int argument, const char *field, int error);

#endif
