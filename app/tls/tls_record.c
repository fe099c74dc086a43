#include "tls_record.h"

bool tls_record_next(const unsigned char **records, size_t *left, struct tls_record *record)
{
    const unsigned char *at = *records;

    if (*left < TLS_RECORD_HEADER) {
        return false;
    }
    size_t length = at[2] | (size_t)at[3] << 8;
    if ((at[0] != TLS_RECORD_CERTIFICATE && at[0] != TLS_RECORD_PRIVATE_KEY) || at[1] != 0 ||
        length == 0 || length > *left - TLS_RECORD_HEADER) {
        return false;
    }
    record->kind = at[0];
    record->der = at + TLS_RECORD_HEADER;
    record->length = length;
    *records += TLS_RECORD_HEADER + length;
    *left -= TLS_RECORD_HEADER + length;
    return true;
}

void tls_record_put_header(unsigned char *to, enum tls_record_kind kind, size_t der_length)
{
    to[0] = (unsigned char)kind;
    to[1] = 0;
    to[2] = der_length & 0xff;
    to[3] = der_length >> 8 & 0xff;
}

bool tls_records_are_whole(const unsigned char *records, size_t length)
{
    struct tls_record record;

    while (tls_record_next(&records, &length, &record)) {
    }
    return length == 0;
}
