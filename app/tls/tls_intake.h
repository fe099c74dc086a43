/*
 * tls_intake.h - take certificates and keys out of a text: PEM with any number of them, or DER.
 */
#ifndef TLS_INTAKE_H
#define TLS_INTAKE_H

#include <stddef.h>

#include "tls_store.h"

/* One certificate or key, decoded into memory of the caller's. */
struct tls_object {
    enum tls_record_kind kind;
    unsigned char *der;
    size_t length;
};

/*
 * Decode the first, or then the next, object of the `*left` bytes at `*text` into object->der,
 * `room` bytes long, and move `*text` and `*left` behind it. Returns 1, 0 at the end of the text,
 * or a negative enum tls_err. Whether it is a certificate or a key that can be used is not
 * looked at.
 */
int tls_intake_first(const char **text, size_t *left, size_t room, struct tls_object *object);
int tls_intake_next(const char **text, size_t *left, size_t room, struct tls_object *object);

/* The bytes of the ASN.1 SEQUENCE that `der` begins with, 0 when it is none or is cut off. */
size_t tls_intake_der_length(const unsigned char *der, size_t length);

#endif
