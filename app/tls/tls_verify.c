#include "tls_verify.h"

#include <string.h>

#include <mbedtls/asn1.h>
#include <mbedtls/md.h>
#include <mbedtls/version.h>

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

/* Hash the public key as the certificate has it, algorithm and all. */
static int hash_key(const mbedtls_x509_crt *certificate, unsigned char *digest)
{
    const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
#if MBEDTLS_VERSION_NUMBER >= 0x02110000
    return mbedtls_md(sha256, certificate->pk_raw.p, certificate->pk_raw.len, digest);
#else /* 2.16 keeps no note of where the key is: it follows the subject */
    unsigned char *start = certificate->subject_raw.p + certificate->subject_raw.len;
    const unsigned char *end = certificate->tbs.p + certificate->tbs.len;
    unsigned char *body = start;
    size_t length;
    int result =
        mbedtls_asn1_get_tag(&body, end, &length, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE);

    if (result != 0) {
        return result;
    }
    return mbedtls_md(sha256, start, (size_t)(body - start) + length, digest);
#endif
}

static bool is_pinned(const struct tls_options *options, const mbedtls_x509_crt *certificate)
{
    unsigned char digest[TLS_PIN_SIZE];

    if (hash_key(certificate, digest) != 0) {
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

#ifdef NODEMCU_TLS_IGNORE_DATES
    *flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
#endif
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
