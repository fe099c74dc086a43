/*
 * store_sets.h - sets of records to store, and what a store holds.
 */
#ifndef STORE_SETS_H
#define STORE_SETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lx106.h"
#include "tls_store.h"

struct set {
    size_t length;
    unsigned char records[TLS_STORE_MAX];
};

/* Two records of `length` bytes together, with contents that differ from tag to tag. */
static inline struct set make_set(unsigned tag, size_t length)
{
    struct set set = {.length = length};
    size_t first = (length - 2 * TLS_RECORD_HEADER) / 2;

    for (size_t i = 0; i < length; i++) {
        set.records[i] = (unsigned char)((i + 1) * 31 + tag * 89 + (i >> 8));
    }
    tls_record_put_header(set.records, TLS_RECORD_CERTIFICATE, first);
    tls_record_put_header(set.records + TLS_RECORD_HEADER + first, TLS_RECORD_PRIVATE_KEY,
                          length - first - 2 * TLS_RECORD_HEADER);
    return set;
}

/* Whether the store holds exactly this set; NULL: none. */
static inline bool store_holds(enum tls_store_set which, const struct set *set)
{
    struct tls_store_view view;
    bool is_stored = tls_store_open(which, &view) == 0;
    bool same = set == NULL ? !is_stored
                            : is_stored && view.length == set->length &&
                                  memcmp(view.records, set->records, set->length) == 0;

    tls_store_close(&view);
    return same;
}

#endif
