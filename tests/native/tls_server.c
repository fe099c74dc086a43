#include "tls_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_LENGTH 10000 /* more than two records of 4 KiB */

void server_report(const char *name, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    printf("%s ", name);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

_Noreturn void server_die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    printf("cannot start: ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    exit(1);
}

unsigned char *server_load(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        server_die("%s cannot be opened", path);
    }
    size_t room = 65536;
    unsigned char *data = malloc(room);
    *length = data == NULL ? 0 : fread(data, 1, room, file);
    fclose(file);
    if (*length == 0 || *length == room) {
        server_die("%s is empty or too large", path);
    }
    return data;
}

static void read_option(struct server_options *options, const char *name, const char *value)
{
    if (strcmp(name, "certificate") == 0 && options->chain_length < SERVER_CHAIN_MAX) {
        options->chain[options->chain_length++] = value;
    } else if (strcmp(name, "key") == 0) {
        options->key = value;
    } else if (strcmp(name, "client-ca") == 0) {
        options->client_ca = value;
    } else if (strcmp(name, "suite") == 0) {
        options->suite = value;
    } else if (strcmp(name, "tickets") == 0) {
        options->tickets = strcmp(value, "yes") == 0;
    } else if (strcmp(name, "first") == 0) {
        options->first = value;
    } else if (strcmp(name, "times") == 0) {
        options->times = (unsigned)strtoul(value, NULL, 10);
    } else {
        server_die("option %s", name);
    }
}

/* "name=value" each. */
static void read_options(struct server_options *options, char **arguments)
{
    for (; *arguments != NULL; arguments++) {
        char *equals = strchr(*arguments, '=');
        if (equals == NULL) {
            server_die("option %s", *arguments);
        }
        *equals = '\0';
        read_option(options, *arguments, equals + 1);
    }
    if (options->chain_length == 0 || options->key == NULL) {
        server_die("it needs a certificate and a key");
    }
}

static int listen_anywhere(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) < 0 ||
        listen(listener, 8) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0) {
        server_die("no socket");
    }
    server_report("port", "%d", ntohs(address.sin_port));
    return listener;
}

/* Read a request up to its empty line. False when the client ended before. */
static bool read_request(void)
{
    char request[4096];
    size_t length = 0;

    while (length < sizeof request - 1) {
        int got = tls_read(request + length, sizeof request - 1 - length);
        if (got <= 0) {
            return false;
        }
        length += (size_t)got;
        request[length] = '\0';
        if (strstr(request, "\r\n\r\n") != NULL) {
            return true;
        }
    }
    return false;
}

static void serve(const struct server_options *options)
{
    static const char head[] = "HTTP/1.0 200 ok\r\n\r\n";
    static char body[BODY_LENGTH];

    if (!read_request()) {
        server_report("ended", "before the request");
        return;
    }
    for (unsigned i = 0; options->first != NULL && i < options->times; i++) {
        tls_do(options->first);
    }
    memset(body, 'x', sizeof body);
    bool sent = tls_write(head, strlen(head)) >= 0 && tls_write(body, sizeof body) >= 0;
    server_report("ended", sent ? "after the answer" : "before the answer");
}

/* Close when the client has, so that nothing unread makes a reset of it. */
static void finish(int client)
{
    char unread[256];

    shutdown(client, SHUT_WR);
    while (read(client, unread, sizeof unread) > 0) {
    }
    close(client);
}

int main(int argc, char **argv)
{
    struct server_options options = {.times = 1};

    (void)argc;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    read_options(&options, argv + 1);
    tls_start(&options);
    int listener = listen_anywhere();
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) {
            return 1;
        }
        if (tls_accept(client)) {
            serve(&options);
        }
        tls_close();
        finish(client);
    }
}
