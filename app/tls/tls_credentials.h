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
    mbedtls_x509_crt ca;    /* trusted; raw.p NULL: none */
    mbedtls_x509_crt chain; /* the client's own certificate first; raw.p NULL: none */
    mbedtls_pk_context key; /* the client's */
    struct tls_store_view stored[2];
    unsigned char trust[32]; /* whose sessions may be resumed: see tls_trust.h */
};

struct tls_credentials *tls_credentials_new(void); /* NULL: out of memory */
void tls_credentials_free(struct tls_credentials *credentials);

bool tls_credentials_has_ca(const struct tls_credentials *credentials);
bool tls_credentials_has_identity(const struct tls_credentials *credentials);

/*
 * Add what a text holds, PEM (several objects too) or DER; it is copied. Returns 0 or a negative
 * enum tls_err, and then what was added before stays.
 */
int tls_credentials_add(struct tls_credentials *credentials, enum tls_store_set set,
                        const void *text, size_t length);

/*
 * Use records without copying their DER: they must stay as long as the credentials. A set without
 * a certificate is TLS_ERR_NOT_STORED.
 */
int tls_credentials_use_records(struct tls_credentials *credentials, enum tls_store_set set,
                                const unsigned char *records, size_t length);

/* Use the stored set, or the built-in CA where none is stored; or return TLS_ERR_NOT_STORED. */
int tls_credentials_use_stored(struct tls_credentials *credentials, enum tls_store_set set);

/* Whether there are a certificate and a key, and the key is its own: 0 or a negative tls_err. */
int tls_credentials_check_pair(struct tls_credentials *credentials);

/*
 * Add the records of one text, PEM or DER, behind `*length` bytes of `records`, which has `room`
 * bytes, and count them in. Each certificate and key is read to see that it can be. Returns 0 or
 * a negative enum tls_err. Records take at most TLS_RECORD_HEADER bytes more than their text.
 */
int tls_credentials_make_records(enum tls_store_set set, const void *text, size_t text_length,
                                 unsigned char *records, size_t room, size_t *length);

/* Whether records are a whole set: see tls_credentials_use_records() and _check_pair(). */
int tls_credentials_check_records(enum tls_store_set set, const unsigned char *records,
                                  size_t length);

#endif
