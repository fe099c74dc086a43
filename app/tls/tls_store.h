/*
 * tls_store.h - credentials in flash: the CA certificates, and the client's certificates and key.
 *
 * Each set has two sectors of its own. A change erases the sector that is not in use, writes it
 * and commits it with its last write, so that power loss at any byte leaves the old set or the
 * new one. Sectors and format: README.md, "Credentials in flash".
 */
#ifndef TLS_STORE_H
#define TLS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls_record.h"

enum tls_store_set {
    TLS_STORE_CA,     /* CA certificates */
    TLS_STORE_CLIENT, /* the client's certificate, those between it and its CA, and its key */
};

#define TLS_STORE_MAX 4064 /* bytes of records that a sector holds beside its header */

/* A stored set. It lies in mapped flash and stays as it is until tls_store_close(). */
struct tls_store_view {
    const unsigned char *records;
    size_t length;
    int sector; /* tls_store's own */
};

/* Find the stored set: 0, or TLS_ERR_NOT_STORED and a closed view. */
int tls_store_open(enum tls_store_set set, struct tls_store_view *view);
/* Close a view; one that is closed, or all zeros, stays as it is. */
void tls_store_close(struct tls_store_view *view);

/*
 * Replace a set by `length` bytes of records; what is stored already is not written again. Without
 * records the set counts as not stored. Returns 0, TLS_ERR_TOO_LARGE, TLS_ERR_STORE_BUSY,
 * TLS_ERR_STORE_FLASH, or TLS_ERR_INTERNAL when these are no records; when it fails, the old set
 * still stands.
 */
int tls_store_write(enum tls_store_set set, const void *records, size_t length);

#endif
