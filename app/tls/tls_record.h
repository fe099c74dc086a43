/*
 * tls_record.h - what sets of credentials are made of: certificates and keys, one after another.
 *
 * A record is a byte of kind, a zero, 16 bits of length, little-endian, and so many bytes of DER.
 */
#ifndef TLS_RECORD_H
#define TLS_RECORD_H

#include <stdbool.h>
#include <stddef.h>

enum tls_record_kind {
    TLS_RECORD_CERTIFICATE = 1,
    TLS_RECORD_PRIVATE_KEY = 2,
};

#define TLS_RECORD_HEADER 4

struct tls_record {
    enum tls_record_kind kind;
    const unsigned char *der;
    size_t length;
};

/*
 * Take the first record off `*records`, `*left` bytes long. Returns false at the end, and where
 * the rest is no record.
 */
bool tls_record_next(const unsigned char **records, size_t *left, struct tls_record *record);

/* Write a record's header; its DER comes behind it. */
void tls_record_put_header(unsigned char *to, enum tls_record_kind kind, size_t der_length);

/* Whether these bytes are records and nothing else; no bytes are. */
bool tls_records_are_whole(const unsigned char *records, size_t length);

#endif
