/*
 * tls_credentials.h - the CA certificates that a handshake trusts, and the identity that it shows.
 *
 * They exist while a handshake does: afterwards nothing of them is needed.
 */
#ifndef TLS_CREDENTIALS_H
#define TLS_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

#include "tls_store.h"

struct tls_credentials {
    mbedtls_x509_crt ca;    /* trusted; version 0: none */
    mbedtls_x509_crt chain; /* the client's own certificate first; version 0: none */
    mbedtls_pk_context key; /* the client's */
    struct tls_store_view stored[2];
};

struct tls_credentials *tls_credentials_new(void); /* NULL: out of memory */
void tls_credentials_free(struct tls_credentials *credentials);

/*
 * Add what a text holds, PEM (several certificates too) or DER; it is copied. Returns 0 or a
 * negative enum tls_err, and then what was added before stays.
 */
int tls_credentials_add_ca(struct tls_credentials *credentials, const void *text, size_t length);
int tls_credentials_add_certificates(struct tls_credentials *credentials, const void *text,
                                     size_t length);
int tls_credentials_set_key(struct tls_credentials *credentials, const void *text, size_t length);

/*
 * Use records without copying their DER: they must stay as long as the credentials. A set without
 * a certificate is TLS_ERR_NOT_STORED.
 */
int tls_credentials_use_records(struct tls_credentials *credentials, enum tls_store_set set,
                                const unsigned char *records, size_t length);

/* Use the stored set, or the built-in CA in place of a stored one; or TLS_ERR_NOT_STORED. */
int tls_credentials_use_stored(struct tls_credentials *credentials, enum tls_store_set set);

/* Whether the key is that of the first certificate: 0 or TLS_ERR_KEY_MISMATCH. */
int tls_credentials_check_pair(struct tls_credentials *credentials);

/*
 * Make records of the texts that a script gave: each PEM or DER. Certificates are read and a key
 * is checked against the first of them. Returns the length of the records, which are put into
 * `records`, TLS_STORE_MAX bytes long; or a negative enum tls_err.
 */
int tls_credentials_make_records(enum tls_store_set set, const void *const *texts,
                                 const size_t *lengths, size_t count, unsigned char *records);

#endif
