/*
 * idle_check.c - data both ways through a connection whose buffers come and go.
 *
 * Arguments: cipher suite, certificate and key (DER), and what the server does about the record
 * size that the client asks for: "agreed" or "ignored"; or that it sends its handshake in "parts",
 * when there is no memory for a larger buffer ("starved"), or of a message that claims to be larger
 * than any ("large"). Prints what came of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls_idle.h"
#include "tls_pair.h"

#define ROUNDS 60
#define MAX_MESSAGE 6000u

static struct tls_idle idle;
static unsigned released, enlarged, refused;

/* Give back what can be, and have it again; now and then the memory is not there at first. */
static void rest(mbedtls_ssl_context *ssl,
                 int restore(mbedtls_ssl_context *, const struct tls_idle *))
{
    released += tls_idle_release(ssl, &idle);
    pair_allocations = pair_random(3) == 0 ? (int)pair_random(2) : -1;
    int result = restore(ssl, &idle);
    pair_allocations = -1;
    if (result != 0) {
        pair_expect(result != TLS_ERR_MEMORY, "another error than memory");
        refused++;
        released += tls_idle_release(ssl, &idle);
        pair_expect(restore(ssl, &idle), "buffers that were lost");
    }
}

static int read_client(mbedtls_ssl_context *ssl, unsigned char *buffer, size_t length)
{
    rest(ssl, tls_idle_restore);
    int result = mbedtls_ssl_read(ssl, buffer, length);
    if (result == MBEDTLS_ERR_SSL_BAD_INPUT_DATA && tls_idle_enlarge(ssl) == 1) {
        enlarged++;
        result = mbedtls_ssl_read(ssl, buffer, length);
    }
    return result;
}

static int write_client(mbedtls_ssl_context *ssl, const unsigned char *data, size_t length)
{
    rest(ssl, tls_idle_restore_out);
    return mbedtls_ssl_write(ssl, data, length);
}

static bool must_wait(int result)
{
    return result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE;
}

/* Send a message from one side to the other, reading small pieces of it. */
static void carry(struct tls_pair *pair, bool to_client, size_t length)
{
    static unsigned char sent[MAX_MESSAGE], got[MAX_MESSAGE];
    size_t written = 0, read = 0;

    for (size_t i = 0; i < length; i++) {
        sent[i] = (unsigned char)pair_random(256);
    }
    while (read < length) {
        int result = 0;
        if (written < length) {
            result = to_client ? mbedtls_ssl_write(&pair->server, sent + written, length - written)
                               : write_client(&pair->client, sent + written, length - written);
            pair_expect(result < 0 && !must_wait(result) ? result : 0, "write");
            written += result > 0 ? (size_t)result : 0;
        }
        size_t piece = 1 + pair_random(2000);
        piece = piece < length - read ? piece : length - read;
        result = to_client ? read_client(&pair->client, got + read, piece)
                           : mbedtls_ssl_read(&pair->server, got + read, piece);
        pair_expect(result <= 0 && !must_wait(result) ? result - 1 : 0, "read");
        read += result > 0 ? (size_t)result : 0;
    }
    pair_expect(memcmp(sent, got, length), "other bytes than were sent");
}

static int step(mbedtls_ssl_context *ssl)
{
    if (ssl->MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_HANDSHAKE_OVER) {
        return 0;
    }
    int result = mbedtls_ssl_handshake_step(ssl);
    return must_wait(result) ? 0 : result;
}

/* Shake hands to the end, or to what ends it; a larger buffer was needed once at most. */
static int shake_hands(struct tls_pair *pair, bool starved)
{
    size_t first = pair->client.MBEDTLS_PRIVATE(in_buf_len);
    unsigned grown = 0, shrunk = 0;
    int result = 0;

    while (result == 0 && (pair->client.MBEDTLS_PRIVATE(state) != MBEDTLS_SSL_HANDSHAKE_OVER ||
                           pair->server.MBEDTLS_PRIVATE(state) != MBEDTLS_SSL_HANDSHAKE_OVER)) {
        result = step(&pair->client);
        if (result == MBEDTLS_ERR_SSL_BAD_INPUT_DATA) {
            pair_allocations = starved ? 0 : -1;
            int now = tls_idle_enlarge(&pair->client);
            pair_allocations = -1;
            grown += now > 0;
            result = now > 0 ? 0 : now < 0 ? now : result;
        } else if (result == 0) {
            bool was_large = pair->client.MBEDTLS_PRIVATE(in_buf_len) > first;
            pair_expect(tls_idle_shrink(&pair->client), "a smaller buffer");
            shrunk += was_large && pair->client.MBEDTLS_PRIVATE(in_buf_len) == first;
        }
        pair_expect(step(&pair->server), "handshake of the server");
    }
    pair_expect(grown != (result == 0), "other than one larger buffer");
    pair_expect(shrunk != grown, "the larger buffer did not go");
    return result;
}

#define MAX_PART 300u

static bool claims_more; /* the certificate message, of its length */

static void send_record(struct tls_wire *wire, const unsigned char *header,
                        const unsigned char *content, size_t length)
{
    pair_expect(wire->end + 5 + length > sizeof wire->data, "the wire is full");
    memcpy(wire->data + wire->end, header, 3);
    wire->data[wire->end + 3] = (unsigned char)(length >> 8);
    wire->data[wire->end + 4] = (unsigned char)length;
    memcpy(wire->data + wire->end + 5, content, length);
    wire->end += 5 + length;
}

/* mbedTLS's server puts its certificate into one record, however large: cut it. */
static int send_parts(void *pair, const unsigned char *data, size_t length)
{
    static unsigned char record[WIRE_SIZE];
    static size_t held;
    static bool encrypted;
    struct tls_wire *wire = &((struct tls_pair *)pair)->to_client;

    pair_expect(length > sizeof record - held, "too much at once");
    memcpy(record + held, data, length);
    held += length;
    while (held >= 5) {
        size_t content = (size_t)record[3] << 8 | record[4];
        if (held < 5 + content) {
            break;
        }
        encrypted |= record[0] == MBEDTLS_SSL_MSG_CHANGE_CIPHER_SPEC;
        if (claims_more && !encrypted && record[5] == MBEDTLS_SSL_HS_CERTIFICATE) {
            record[6] = 1;
        }
        for (size_t at = 0, part; at < content; at += part) {
            part = encrypted || content - at < MAX_PART ? content - at : MAX_PART;
            send_record(wire, record, record + 5 + at, part);
        }
        held -= 5 + content;
        memmove(record, record + 5 + content, held);
    }
    return (int)length;
}

/* The server does not hear of max_fragment; the client believes that it was agreed on. */
static void ignore_max_fragment(struct tls_pair *pair)
{
    pair->client_config.MBEDTLS_PRIVATE(mfl_code) = MBEDTLS_SSL_MAX_FRAG_LEN_NONE;
    while (pair->client.MBEDTLS_PRIVATE(state) != MBEDTLS_SSL_SERVER_HELLO) {
        mbedtls_ssl_handshake_step(&pair->client);
    }
    pair->client_config.MBEDTLS_PRIVATE(mfl_code) = NODEMCU_TLS_MAX_FRAGMENT;
}

static void end_closed(struct tls_pair *pair)
{
    unsigned char byte;
    int result;

    rest(&pair->client, tls_idle_restore_out);
    while (mbedtls_ssl_close_notify(&pair->client) != 0) {
    }
    do {
        result = mbedtls_ssl_read(&pair->server, &byte, 1);
    } while (must_wait(result));
    pair_expect(result != MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY, "no end");
}

/* Make the client's context anew; when there is no memory for it at first, too. */
static void set_up_short(struct tls_pair *pair)
{
    mbedtls_ssl_context *ssl = &pair->client;
    mbedtls_ssl_send_t *send = ssl->MBEDTLS_PRIVATE(f_send);
    mbedtls_ssl_recv_t *receive = ssl->MBEDTLS_PRIVATE(f_recv);
    size_t whole = ssl->MBEDTLS_PRIVATE(in_buf_len);
    int result = 1;

    pair_cut_block = tls_idle_cut_block;
    for (int allowed = 0; result != 0; allowed++) {
        mbedtls_ssl_free(ssl);
        mbedtls_ssl_init(ssl);
        pair_allocations = allowed;
        result = tls_idle_set_up(ssl, &pair->client_config);
        ssl->MBEDTLS_PRIVATE(conf) = &pair->client_config; /* as tls_engine.c does */
        pair_allocations = -1;
        pair_expect(tls_idle_cut_block(whole) != whole, "cut later");
    }
    pair_cut_block = NULL;
    pair_expect(ssl->MBEDTLS_PRIVATE(in_buf_len) !=
                    whole - MBEDTLS_SSL_IN_CONTENT_LEN + (256u << NODEMCU_TLS_MAX_FRAGMENT),
                "another length");
    mbedtls_ssl_set_bio(ssl, pair, send, receive, NULL);
}

static void run(struct tls_pair *pair)
{
    for (int i = 0; i < ROUNDS; i++) {
        pair->max_piece = i % 2 ? 4096 : 7;
        carry(pair, i % 3 != 0, 1 + pair_random(i % 5 ? 300 : MAX_MESSAGE));
    }
    end_closed(pair);
    pair_expect(!tls_idle_release(&pair->client, &idle), "not given back at the end");
    pair_expect(released < ROUNDS || refused == 0, "hardly ever given back");
    printf("%s\n", enlarged ? "enlarged" : "as agreed");
}

int main(int argc, char **argv)
{
    static struct tls_pair pair;

    pair_expect(argc != 5, "arguments");
    pair_init(&pair, argv[1], argv[2], argv[3]);
    pair_open(&pair);
    set_up_short(&pair);
    pair_expect(tls_idle_release(&pair.client, &idle), "given back before the handshake");
    claims_more = strcmp(argv[4], "large") == 0;
    if (strcmp(argv[4], "ignored") == 0) {
        ignore_max_fragment(&pair);
    } else if (strcmp(argv[4], "agreed") != 0) {
        mbedtls_ssl_set_bio(&pair.server, &pair, send_parts, pair.server.MBEDTLS_PRIVATE(f_recv),
                            NULL);
    }
    int result = shake_hands(&pair, strcmp(argv[4], "starved") == 0);
    if (result == 0) {
        run(&pair);
    } else {
        printf("%s\n", result == TLS_ERR_MEMORY                   ? "out of memory"
                       : result == MBEDTLS_ERR_SSL_BAD_INPUT_DATA ? "too large"
                                                                  : "not put together");
    }
    pair_close(&pair); /* the client's buffers may be gone */
    pair_free(&pair);
    return 0;
}
