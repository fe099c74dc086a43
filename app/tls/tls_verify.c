#include "tls_verify.h"

#include <string.h>

#include <mbedtls/md.h>

#include "tls_platform.h"

/* mbedTLS's default, and every curve that the profile has built in. */
const mbedtls_x509_crt_profile tls_verify_profile = {
    .allowed_mds =
        MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA224) | MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA256) |
        MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA384) | MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA512),
    .allowed_pks = UINT32_MAX,
    .allowed_curves = UINT32_MAX,
    .rsa_min_bitlen = TLS_MIN_FINITE_FIELD_BITS,
};

static bool is_pinned(const struct tls_options *options, const mbedtls_x509_crt *certificate)
{
    unsigned char digest[TLS_PIN_SIZE];

    if (mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), certificate->pk_raw.p,
                   certificate->pk_raw.len, digest) != 0) {
        return false;
    }
    for (size_t i = 0; i < options->pin_count; i++) {
        if (memcmp(digest, options->pins + i * TLS_PIN_SIZE, TLS_PIN_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

int tls_verify_certificate(void *argument, mbedtls_x509_crt *certificate, int depth,
                           uint32_t *flags)
{
    struct tls_verify *verify = argument;

    if (!tls_platform_clock_is_set()) { /* what had expired when it was built stays refused */
        *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_FUTURE;
    }
    if (!verify->options->verify_host) {
        *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_CN_MISMATCH;
    }
    if (!verify->has_ca) {
        *flags = 0;
    }
    if (depth == 0 && verify->options->pin_count > 0 && !is_pinned(verify->options, certificate)) {
        verify->pin_fails = true;
        return MBEDTLS_ERR_X509_FATAL_ERROR;
    }
    return 0;
}
