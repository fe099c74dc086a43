#include "tls_intake.h"

#include <stdbool.h>
#include <string.h>

#include <mbedtls/asn1.h>

#include "tls_error.h"
#include "tls_pem.h"

static const char pem_begin[] = "-----BEGIN ";

size_t tls_intake_der_length(const unsigned char *der, size_t length)
{
    unsigned char *body = (unsigned char *)der;
    size_t inner;

    if (mbedtls_asn1_get_tag(&body, der + length, &inner,
                             MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0) {
        return 0;
    }
    return (size_t)(body - der) + inner;
}

static bool holds_pem(const char *text, size_t length)
{
    const size_t begin_length = sizeof pem_begin - 1;

    for (size_t i = 0; i + begin_length <= length; i++) {
        if (memcmp(text + i, pem_begin, begin_length) == 0) {
            return true;
        }
    }
    return false;
}

/* By its contents: the first element of a certificate is a SEQUENCE, that of a key a number. */
static enum tls_record_kind find_kind(const unsigned char *der, size_t length)
{
    unsigned char *body = (unsigned char *)der;
    size_t inner;

    if (mbedtls_asn1_get_tag(&body, der + length, &inner,
                             MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) == 0 &&
        inner > 0 && *body == (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)) {
        return TLS_RECORD_CERTIFICATE;
    }
    return TLS_RECORD_PRIVATE_KEY;
}

static int read_der(const char **text, size_t *left, size_t room, struct tls_object *object)
{
    size_t length = *left;

    if (length == 0 || tls_intake_der_length((const unsigned char *)*text, length) != length) {
        return TLS_ERR_PEM_NONE;
    }
    if (length > room) {
        return TLS_ERR_TOO_LARGE;
    }
    memcpy(object->der, *text, length);
    object->length = length;
    object->kind = find_kind(object->der, length);
    *text += length;
    *left = 0;
    return 1;
}

int tls_intake_next(const char **text, size_t *left, size_t room, struct tls_object *object)
{
    struct tls_pem found;
    int result;

    do {
        result = tls_pem_read(text, left, object->der, room, &found);
    } while (result > 0 && found.label == TLS_PEM_OTHER);
    if (result > 0) {
        bool is_certificate = found.label == TLS_PEM_CERTIFICATE;
        object->kind = is_certificate ? TLS_RECORD_CERTIFICATE : TLS_RECORD_PRIVATE_KEY;
        object->length = found.der_length;
    }
    return result;
}

int tls_intake_first(const char **text, size_t *left, size_t room, struct tls_object *object)
{
    if (!holds_pem(*text, *left)) {
        return read_der(text, left, room, object);
    }
    return tls_intake_next(text, left, room, object);
}
