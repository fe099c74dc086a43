#include "tls_trust.h"

#include <string.h>

#include <mbedtls/md.h>

#include "tls_platform.h"

/* Each part goes in with its length, so that no two lists of parts look the same. */
static int add(mbedtls_md_context_t *digest, const void *data, size_t length)
{
    const unsigned char prefix[] = {(unsigned char)(length >> 8), (unsigned char)length};
    int result = mbedtls_md_update(digest, prefix, sizeof prefix);

    return result != 0 ? result : mbedtls_md_update(digest, data, length);
}

static int add_chain(mbedtls_md_context_t *digest, const mbedtls_x509_crt *chain)
{
    int result = 0;

    for (; result == 0 && chain != NULL && chain->raw.p != NULL; chain = chain->next) {
        result = add(digest, chain->raw.p, chain->raw.len);
    }
    return result != 0 ? result : add(digest, "", 0);
}

static int add_all(mbedtls_md_context_t *digest, const char *host, uint16_t port,
                   const struct tls_options *options, const struct tls_credentials *credentials)
{
    const char *name = options->server_name != NULL ? options->server_name : "";
    const unsigned char flags[] = {
        (unsigned char)(port >> 8), (unsigned char)port,         options->verify_host,
        options->send_name,         tls_platform_clock_is_set(), /* before that, dates are not
                                                                    looked at in full */
    };
    int result = mbedtls_md_starts(digest);

    result = result != 0 ? result : add(digest, host, strlen(host));
    result = result != 0 ? result : add(digest, name, strlen(name));
    result = result != 0 ? result : add(digest, flags, sizeof flags);
    result = result != 0 ? result
                         : add(digest, options->pin_count > 0 ? options->pins : flags,
                               options->pin_count * TLS_PIN_SIZE);
    result = result != 0 ? result : add_chain(digest, &credentials->ca);
    return result != 0 ? result : add_chain(digest, &credentials->chain);
}

bool tls_trust_digest(const char *host, uint16_t port, const struct tls_options *options,
                      const struct tls_credentials *credentials, unsigned char *digest)
{
    mbedtls_md_context_t context;

    mbedtls_md_init(&context);
    int result = mbedtls_md_setup(&context, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), 0);
    if (result == 0) {
        result = add_all(&context, host, port, options, credentials);
    }
    if (result == 0) {
        result = mbedtls_md_finish(&context, digest);
    }
    mbedtls_md_free(&context);
    return result == 0;
}
