/*
 * fuzz_pem.c - the reader of PEM: it ends, stays in its buffers, and goes forward in the text.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "check.h"
#include "tls_error.h"
#include "tls_pem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_documented(int result)
{
    return result == 0 || result == 1 || result == TLS_ERR_PEM_END ||
           result == TLS_ERR_PEM_BASE64 || result == TLS_ERR_KEY_ENCRYPTED ||
           result == TLS_ERR_TOO_LARGE;
}

static void read_all(const char *text, size_t left, size_t room)
{
    unsigned char *der = malloc(room);
    const char *end = text + left;
    int result;

    CHECK(der != NULL);
    do {
        struct tls_pem found = {TLS_PEM_OTHER, 0};
        const char *before = text;
        result = tls_pem_read(&text, &left, der, room, &found);
        CHECK(is_documented(result));
        CHECK(text + left == end);
        CHECK(result == 1 ? text > before : text == before);
        CHECK(found.der_length <= room);
        CHECK(result != 1 || (found.der_length == 0) == (found.label == TLS_PEM_OTHER));
    } while (result == 1);
    free(der);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_all((const char *)data, size, 4096);
    read_all((const char *)data, size, 50);
    return 0;
}
