/*
 * debug_check.c - mbedTLS's debugging output, as it comes from the library and as it is shown.
 *
 * Arguments: cipher suite, certificate and key (DER), level. What mbedTLS hands over goes to
 * standard error, what the firmware makes of it to standard output. Standard error ends with the
 * master secret, or with what came after it when the connection was freed.
 */
#include <stdio.h>

#include "board.h"
#include "tls_debug.h"
#include "tls_pair.h"

typedef void receive_debug(void *context, int level, const char *file, int line, const char *text);

static receive_debug *show;

void board_console_write(const char *text, size_t length)
{
    fwrite(text, 1, length, stdout);
}

static void receive(void *context, int level, const char *file, int line, const char *text)
{
    fputs(text, stderr);
    show(context, level, file, line, text);
}

static bool must_wait(int result)
{
    return result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE;
}

/* Send a message from client to server, and the answer back. */
static void talk(struct tls_pair *pair)
{
    static const unsigned char message[] = "password=12345";
    unsigned char got[sizeof message];
    int result;

    while (must_wait(result = mbedtls_ssl_write(&pair->client, message, sizeof message))) {
    }
    while (must_wait(result = mbedtls_ssl_read(&pair->server, got, sizeof got))) {
    }
    while (must_wait(result = mbedtls_ssl_write(&pair->server, message, sizeof message))) {
    }
    while (must_wait(result = mbedtls_ssl_read(&pair->client, got, sizeof got))) {
    }
    pair_expect(result < 0 ? result : 0, "talk");
}

int main(int argc, char **argv)
{
    static struct tls_pair pair;

    pair_expect(argc != 5, "arguments");
    pair_init(&pair, argv[1], argv[2], argv[3]);
    tls_debug_attach(&pair.client_config);
    show = pair.client_config.MBEDTLS_PRIVATE(f_dbg);
    mbedtls_ssl_conf_dbg(&pair.client_config, receive, NULL);
    tls_debug_set_threshold(argv[4][0] - '0');
    pair_open(&pair);
    pair_expect(pair_handshake(&pair), "handshake");
    talk(&pair);
    const mbedtls_ssl_session *session = pair.client.MBEDTLS_PRIVATE(session);
    fprintf(stderr, "master:");
    for (size_t i = 0; i < sizeof session->MBEDTLS_PRIVATE(master); i++) {
        fprintf(stderr, " %02x", session->MBEDTLS_PRIVATE(master)[i]);
    }
    fprintf(stderr, "\n");
    pair_close(&pair);
    pair_free(&pair);
    return 0;
}
