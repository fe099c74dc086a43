#include "tls_server.h"

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

static WOLFSSL_CTX *context;
static WOLFSSL *ssl;

static void check(int result, const char *what)
{
    if (result != WOLFSSL_SUCCESS) {
        server_die("%s: %d", what, result);
    }
}

static void load_identity(const struct server_options *options)
{
    size_t length;
    const unsigned char *der = server_load(options->chain[0], &length);

    check(wolfSSL_CTX_use_certificate_buffer(context, der, (long)length, SSL_FILETYPE_ASN1),
          "certificate");
    for (unsigned i = 1; i < options->chain_length; i++) {
        der = server_load(options->chain[i], &length);
        WOLFSSL_X509 *above = wolfSSL_X509_d2i(NULL, der, (int)length);
        check((int)wolfSSL_CTX_add_extra_chain_cert(context, above), "chain");
    }
    der = server_load(options->key, &length);
    check(wolfSSL_CTX_use_PrivateKey_buffer(context, der, (long)length, SSL_FILETYPE_ASN1), "key");
    if (options->client_ca != NULL) {
        der = server_load(options->client_ca, &length);
        check(wolfSSL_CTX_load_verify_buffer(context, der, (long)length, SSL_FILETYPE_ASN1),
              "client's CA");
        wolfSSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
}

void tls_start(const struct server_options *options)
{
    wolfSSL_Init();
    context = wolfSSL_CTX_new(wolfTLSv1_2_server_method());
    if (context == NULL) {
        server_die("no context");
    }
    load_identity(options);
    if (options->suite != NULL) {
        check(wolfSSL_CTX_set_cipher_list(context, options->suite), "cipher suite");
    }
    if (!options->tickets) {
        wolfSSL_CTX_set_options(context, WOLFSSL_OP_NO_TICKET);
    }
    if (options->first != NULL) {
        server_die("it does nothing before its answer");
    }
}

static void report_client(void)
{
    char name[256];
    WOLFSSL_X509 *certificate = wolfSSL_get_peer_certificate(ssl);

    if (certificate != NULL) {
        wolfSSL_X509_NAME_oneline(wolfSSL_X509_get_subject_name(certificate), name, sizeof name);
        server_report("client", "%s", name);
        wolfSSL_X509_free(certificate);
    }
}

bool tls_accept(int socket)
{
    ssl = wolfSSL_new(context);
    if (ssl == NULL || wolfSSL_set_fd(ssl, socket) != WOLFSSL_SUCCESS) {
        return false;
    }
    if (wolfSSL_accept(ssl) != WOLFSSL_SUCCESS) {
        char text[WOLFSSL_MAX_ERROR_SZ];
        unsigned long code = (unsigned long)wolfSSL_get_error(ssl, WOLFSSL_FATAL_ERROR);
        server_report("failed", "%s", wolfSSL_ERR_error_string(code, text));
        return false;
    }
    server_report("version", "%s", wolfSSL_get_version(ssl));
    server_report("suite", "%s", wolfSSL_get_cipher_name(ssl));
    server_report("group", "%s", wolfSSL_get_curve_name(ssl));
    server_report("fragment", "%d", wolfSSL_GetMaxOutputSize(ssl));
    server_report("resumed", wolfSSL_session_reused(ssl) ? "yes" : "no");
    report_client();
    return true;
}

void tls_do(const char *what)
{
    (void)what;
}

int tls_read(char *buffer, size_t length)
{
    return wolfSSL_read(ssl, buffer, (int)length);
}

int tls_write(const char *data, size_t length)
{
    return wolfSSL_write(ssl, data, (int)length) == (int)length ? 0 : -1;
}

void tls_close(void)
{
    wolfSSL_shutdown(ssl);
    wolfSSL_free(ssl);
    ssl = NULL;
}
