/* Says of each file of DER whether mbedTLS reads it as a certificate: its name, and the result. */
#include <stdio.h>

#include <mbedtls/x509_crt.h>

#include "check.h"

int main(int argc, char **argv)
{
    static unsigned char data[65536];

    for (int i = 1; i < argc; i++) {
        mbedtls_x509_crt certificate;
        FILE *file = fopen(argv[i], "rb");
        size_t length;

        CHECK(file != NULL);
        length = fread(data, 1, sizeof(data), file);
        fclose(file);
        mbedtls_x509_crt_init(&certificate);
        printf("%s %d\n", argv[i], mbedtls_x509_crt_parse_der(&certificate, data, length));
        mbedtls_x509_crt_free(&certificate);
    }
    return 0;
}
