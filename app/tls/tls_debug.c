#include "tls_debug.h"

#ifdef MBEDTLS_DEBUG_C

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/debug.h>

#include "board.h"

/* mbedTLS's names for what is sent in the clear, or follows from it, in TLS 1.2. */
static const char *const public_names[] = {
    "DHM: G ",
    "DHM: GX",
    "DHM: GY",
    "DHM: P ",
    "ECDH: Q(X)",
    "ECDH: Q(Y)",
    "ECDH: Qp(X)",
    "ECDH: Qp(Y)",
    "IV used (transmitted)",
    "Supported groups extension",
    "additional data used for AEAD",
    "client hello extensions",
    "client hello, random bytes",
    "client hello, session id",
    "crt->eckey.Q(X)",
    "crt->eckey.Q(Y)",
    "crt->rsa.E",
    "crt->rsa.N",
    "handshake hash",
    "input record from network",
    "input record header",
    "my signature",
    "output record sent to network",
    "parameters hash",
    "random bytes",
    "requested DN",
    "server hello, random bytes",
    "server hello, session id",
    "server hello, version",
    "server key exchange",
    "session hash for extended master secret",
    "session id",
    "signature",
};

/* Whether the dump that is being printed may be seen. */
static bool dump_is_public;

/* Whether this starts a dump; if so `name` is what mbedTLS calls it, up to the next quote. */
static bool starts_dump(const char *message, const char **name)
{
    static const char *const starts[] = {"dumping '", "value of '"};

    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        size_t length = strlen(starts[i]);
        if (strncmp(message, starts[i], length) == 0) {
            *name = message + length;
            return true;
        }
    }
    return false;
}

static bool is_public(const char *name)
{
    for (size_t i = 0; i < sizeof public_names / sizeof public_names[0]; i++) {
        size_t length = strlen(public_names[i]);
        if (strncmp(name, public_names[i], length) == 0 && name[length] == '\'') {
            return true;
        }
    }
    return false;
}

/* A line of a dump, `0010:  0a 1b` or ` 0a 1b`: no other message starts like that. */
static bool is_in_dump(const char *message)
{
    const char *text = message;

    while (isxdigit((unsigned char)*text)) {
        text++;
    }
    return text == message ? *text == ' ' : text[0] == ':' && text[1] == ' ';
}

static void print(const char *file, int line, const char *message)
{
    const char *slash = strrchr(file, '/');
    char place[64];
    int length = snprintf(place, sizeof place, "%s:%d: ", slash == NULL ? file : slash + 1, line);

    if (length > 0) {
        board_console_write(place, strnlen(place, sizeof place));
    }
    board_console_write(message, strcspn(message, "\n"));
    board_console_write("\n", 1);
}

/* mbedTLS's f_dbg. */
static void receive(void *context, int level, const char *file, int line, const char *message)
{
    const char *name;

    (void)context;
    (void)level;
    if (starts_dump(message, &name)) {
        dump_is_public = is_public(name);
        print(file, line, message);
        if (!dump_is_public) {
            print(file, line, "(secret, not shown)");
        }
    } else if (!is_in_dump(message) || dump_is_public) {
        print(file, line, message);
    }
}

void tls_debug_attach(mbedtls_ssl_config *config)
{
    mbedtls_ssl_conf_dbg(config, receive, NULL);
}

void tls_debug_set_threshold(int level)
{
    mbedtls_debug_set_threshold(level);
}

#endif
