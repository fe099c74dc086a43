#include "tls_credentials.h"

#include <stdlib.h>

#include <mbedtls/platform_util.h>
#include <mbedtls/version.h>

#include "server_ca.h"
#include "tls_error.h"
#include "tls_intake.h"
#include "tls_platform.h"

struct tls_credentials *tls_credentials_new(void)
{
    struct tls_credentials *credentials = calloc(1, sizeof *credentials);

    if (credentials != NULL) {
        mbedtls_x509_crt_init(&credentials->ca);
        mbedtls_x509_crt_init(&credentials->chain);
        mbedtls_pk_init(&credentials->key);
    }
    return credentials;
}

void tls_credentials_free(struct tls_credentials *credentials)
{
    if (credentials == NULL) {
        return;
    }
    mbedtls_x509_crt_free(&credentials->ca);
    mbedtls_x509_crt_free(&credentials->chain);
    mbedtls_pk_free(&credentials->key);
    for (int set = TLS_STORE_CA; set <= TLS_STORE_CLIENT; set++) {
        if (credentials->stored[set].records != NULL) {
            tls_store_close(&credentials->stored[set]);
        }
    }
    free(credentials);
}

bool tls_credentials_has_ca(const struct tls_credentials *credentials)
{
    return credentials->ca.raw.p != NULL;
}

bool tls_credentials_has_identity(const struct tls_credentials *credentials)
{
    return credentials->chain.raw.p != NULL;
}

static bool has_key(const struct tls_credentials *credentials)
{
    return mbedtls_pk_get_type(&credentials->key) != MBEDTLS_PK_NONE;
}

/* mbedTLS's result does not always tell that memory was short. */
static int explain(int error)
{
    return tls_platform_allocation_failed() ? TLS_ERR_MEMORY : error;
}

static int parse_key(mbedtls_pk_context *key, const unsigned char *der, size_t length)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    int result = mbedtls_pk_parse_key(key, der, length, NULL, 0, tls_platform_random, NULL);
#else
    int result = mbedtls_pk_parse_key(key, der, length, NULL, 0);
#endif
    return result == 0 ? 0 : explain(TLS_ERR_NOT_KEY);
}

/* mbedTLS 2.16 copies every certificate. */
static int parse_certificate(mbedtls_x509_crt *chain, const struct tls_object *object, bool stays)
{
#if MBEDTLS_VERSION_NUMBER >= 0x02110000
    if (stays) {
        return mbedtls_x509_crt_parse_der_nocopy(chain, object->der, object->length);
    }
#else
    (void)stays;
#endif
    return mbedtls_x509_crt_parse_der(chain, object->der, object->length);
}

/* Use one object, copied unless it stays where it is as long as the credentials. */
static int use(struct tls_credentials *credentials, enum tls_store_set set,
               const struct tls_object *object, bool stays)
{
    mbedtls_x509_crt *chain = set == TLS_STORE_CA ? &credentials->ca : &credentials->chain;
    int error = tls_platform_start(); /* for refused memory to be noted, and for blinding */

    if (error < 0) {
        return error;
    }
    tls_platform_forget_failure();
    if (object->kind == TLS_RECORD_PRIVATE_KEY) {
        if (set == TLS_STORE_CA) {
            return TLS_ERR_NOT_CERTIFICATE;
        }
        return has_key(credentials) ? TLS_ERR_KEY_MISMATCH
                                    : parse_key(&credentials->key, object->der, object->length);
    }
    if (tls_intake_der_length(object->der, object->length) != object->length) {
        return TLS_ERR_NOT_CERTIFICATE;
    }
    int result = parse_certificate(chain, object, stays);
    return result == 0 ? 0 : explain(TLS_ERR_NOT_CERTIFICATE);
}

int tls_credentials_add(struct tls_credentials *credentials, enum tls_store_set set,
                        const void *data, size_t length)
{
    const char *text = data;
    size_t left = length;
    struct tls_object object = {.der = malloc(length == 0 ? 1 : length)};

    if (object.der == NULL) {
        return TLS_ERR_MEMORY;
    }
    int result = tls_intake_first(&text, &left, length, &object);
    if (result == 0) {
        result = TLS_ERR_PEM_NONE;
    }
    while (result > 0) {
        result = use(credentials, set, &object, false);
        if (result == 0) {
            result = tls_intake_next(&text, &left, length, &object);
        }
    }
    mbedtls_platform_zeroize(object.der, length);
    free(object.der);
    return result;
}

int tls_credentials_check_pair(struct tls_credentials *credentials)
{
    if (!tls_credentials_has_identity(credentials)) {
        return TLS_ERR_NOT_CERTIFICATE;
    }
    if (!has_key(credentials)) {
        return TLS_ERR_NOT_KEY;
    }
#if MBEDTLS_VERSION_MAJOR >= 3
    int result =
        mbedtls_pk_check_pair(&credentials->chain.pk, &credentials->key, tls_platform_random, NULL);
#else
    int result = mbedtls_pk_check_pair(&credentials->chain.pk, &credentials->key);
#endif
    return result == 0 ? 0 : explain(TLS_ERR_KEY_MISMATCH);
}

int tls_credentials_use_records(struct tls_credentials *credentials, enum tls_store_set set,
                                const unsigned char *records, size_t length)
{
    struct tls_record record;

    while (tls_record_next(&records, &length, &record)) {
        struct tls_object object = {record.kind, (unsigned char *)record.der, record.length};
        int error = use(credentials, set, &object, true);
        if (error < 0) {
            return error;
        }
    }
    if (set == TLS_STORE_CA) {
        return tls_credentials_has_ca(credentials) ? 0 : TLS_ERR_NOT_STORED;
    }
    return tls_credentials_check_pair(credentials);
}

int tls_credentials_use_stored(struct tls_credentials *credentials, enum tls_store_set set)
{
    struct tls_store_view *view = &credentials->stored[set];
    const unsigned char *records = server_ca_records;
    size_t length = set == TLS_STORE_CA ? server_ca_length : 0;

    if (tls_store_open(set, view) == 0) {
        records = view->records;
        length = view->length;
    }
    if (length == 0) {
        return TLS_ERR_NOT_STORED;
    }
    int error = tls_credentials_use_records(credentials, set, records, length);
    /* Perhaps a firmware of another profile stored it. */
    return error == TLS_ERR_NOT_CERTIFICATE && set == TLS_STORE_CA ? TLS_ERR_BAD_CA : error;
}

/* Whether an object can be used: 1, so as to go on, or a negative enum tls_err. */
static int check_object(enum tls_store_set set, const struct tls_object *object)
{
    struct tls_credentials *credentials = tls_credentials_new();

    if (credentials == NULL) {
        return TLS_ERR_MEMORY;
    }
    int error = use(credentials, set, object, true);
    tls_credentials_free(credentials);
    return error < 0 ? error : 1;
}

int tls_credentials_make_records(enum tls_store_set set, const void *data, size_t data_length,
                                 unsigned char *records, size_t room, size_t *length)
{
    const char *text = data;
    size_t left = data_length, end = *length;
    int result = 1;

    for (bool first = true; result > 0; first = false) {
        struct tls_object object = {.der = records + end + TLS_RECORD_HEADER};
        size_t used = end + TLS_RECORD_HEADER;
        size_t rest = used < room ? room - used : 0;
        result = first ? tls_intake_first(&text, &left, rest, &object)
                       : tls_intake_next(&text, &left, rest, &object);
        if (result > 0) {
            result = check_object(set, &object);
        }
        if (result > 0) {
            tls_record_put_header(records + end, object.kind, object.length);
            end = used + object.length;
        }
    }
    if (result == 0) {
        result = end == *length ? TLS_ERR_PEM_NONE : 0;
        *length = end;
    }
    return result;
}

int tls_credentials_check_records(enum tls_store_set set, const unsigned char *records,
                                  size_t length)
{
    struct tls_credentials *credentials = tls_credentials_new();

    if (credentials == NULL) {
        return TLS_ERR_MEMORY;
    }
    int error = tls_credentials_use_records(credentials, set, records, length);
    tls_credentials_free(credentials);
    return error;
}
