/*
 * tls_pem_check.c - what tls_pem_read() makes of each text given on standard input.
 *
 * Input: the room for DER and the length of the text (32 bits each, little-endian) and the text,
 * again and again. Output: a line for each with all its objects, kind and DER, and the result that
 * ended it. Text and DER lie in blocks of exactly their size, so that the address sanitizer sees
 * every byte read or written beyond them.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "tls_pem.h"

static void print_object(const struct tls_pem *found, const unsigned char *der)
{
    static const char *const kinds[] = {"other", "certificate", "key"};

    printf("%s:", kinds[found->label]);
    for (size_t i = 0; i < found->der_length; i++) {
        printf("%02x", der[i]);
    }
    printf(" ");
}

static void read_all(const char *text, size_t left, unsigned char *der, size_t room)
{
    for (;;) {
        struct tls_pem found;
        const char *before = text, *end = text + left;
        int result = tls_pem_read(&text, &left, der, room, &found);
        CHECK(text + left == end);
        if (result != 1) {
            CHECK(result <= 0 && text == before);
            printf("%d\n", result);
            return;
        }
        CHECK(text > before && found.der_length <= room);
        print_object(&found, der);
    }
}

int main(void)
{
    uint32_t sizes[2];

    while (fread(sizes, sizeof sizes, 1, stdin) == 1) {
        unsigned char *der = malloc(sizes[0]);
        char *text = malloc(sizes[1]);
        CHECK(der != NULL && text != NULL && fread(text, 1, sizes[1], stdin) == sizes[1]);
        read_all(text, sizes[1], der, sizes[0]);
        free(text);
        free(der);
    }
    return 0;
}
