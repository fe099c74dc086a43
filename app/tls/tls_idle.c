#include "tls_idle.h"

#include <string.h>

#include <mbedtls/platform.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/version.h>

#if MBEDTLS_VERSION_MAJOR < 3
#define MBEDTLS_PRIVATE(member) member /* 2.x hides nothing */
#endif

/* How mbedTLS lays out either buffer: the record's number, its header, IV and payload. */
#define COUNTER_SIZE 8u
#define HEADER_SIZE 5u
#define LENGTH_OFFSET 3u /* in the header */

#ifdef MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH

/* Most that a cipher suite adds to a record: IV, HMAC of SHA-384, padding of CBC. */
#define MAX_EXPANSION (16u + 48u + 256u)
#define MAX_BUFFER (COUNTER_SIZE + HEADER_SIZE + MBEDTLS_SSL_IN_CONTENT_LEN + MAX_EXPANSION)
/* What the last part of a handshake message has around it: header and, in TLS 1.3, type and tag. */
#define PART_EXPANSION (HEADER_SIZE + 1u + 16u)
#define MAX_FRAGMENT                                                                               \
    (256u << NODEMCU_TLS_MAX_FRAGMENT) /* its code's meaning: RFC 6066, section 4 */

static void set_in_pointers(mbedtls_ssl_context *ssl, unsigned char *buffer)
{
    unsigned char *header = buffer == NULL ? NULL : buffer + COUNTER_SIZE;

    ssl->MBEDTLS_PRIVATE(in_buf) = buffer;
    ssl->MBEDTLS_PRIVATE(in_ctr) = buffer;
    ssl->MBEDTLS_PRIVATE(in_hdr) = header;
    ssl->MBEDTLS_PRIVATE(in_len) = header == NULL ? NULL : header + LENGTH_OFFSET;
    ssl->MBEDTLS_PRIVATE(in_iv) = header == NULL ? NULL : header + HEADER_SIZE;
    ssl->MBEDTLS_PRIVATE(in_msg) = ssl->MBEDTLS_PRIVATE(in_iv); /* set anew by each record */
}

/* Between records; not so between the parts of a handshake message, when the header is moved. */
static bool holds_no_input(const mbedtls_ssl_context *ssl)
{
    const unsigned char *buffer = ssl->MBEDTLS_PRIVATE(in_buf);

    return buffer != NULL && ssl->MBEDTLS_PRIVATE(in_left) == 0 &&
           ssl->MBEDTLS_PRIVATE(in_hdr) == buffer + COUNTER_SIZE &&
           mbedtls_ssl_check_pending(ssl) == 0;
}

static void give_back(unsigned char *buffer, size_t size)
{
    mbedtls_platform_zeroize(buffer, size); /* it has held plaintext */
    mbedtls_free(buffer);
}

/* By how much the next block is to be cut that could be a receive buffer. */
static size_t to_cut;

/* How long each connection's receive buffer is at first. */
static size_t first_length;

size_t tls_idle_cut_block(size_t size)
{
    size_t cut = size > MBEDTLS_SSL_IN_CONTENT_LEN ? to_cut : 0;

    to_cut -= cut;
    return size - cut;
}

int tls_idle_set_up(mbedtls_ssl_context *ssl, const mbedtls_ssl_config *config)
{
#if NODEMCU_TLS_MAX_FRAGMENT != 0 /* else any record may be a large one */
    const size_t cut =
        MBEDTLS_SSL_IN_CONTENT_LEN > MAX_FRAGMENT ? MBEDTLS_SSL_IN_CONTENT_LEN - MAX_FRAGMENT : 0;
#else
    const size_t cut = 0;
#endif
    to_cut = cut;
    int result = mbedtls_ssl_setup(ssl, config); /* takes the receive buffer first */
    bool is_cut = to_cut != cut;
    to_cut = 0;
    if (result == 0) {
        ssl->MBEDTLS_PRIVATE(in_buf_len) -= is_cut ? cut : 0;
        first_length = ssl->MBEDTLS_PRIVATE(in_buf_len);
    }
    return result;
}

/* Have another buffer with nothing but a record's header in it. */
static unsigned char *replace_input(mbedtls_ssl_context *ssl, size_t size)
{
    unsigned char start[COUNTER_SIZE + HEADER_SIZE];
    unsigned char *buffer = ssl->MBEDTLS_PRIVATE(in_buf);

    memcpy(start, buffer, sizeof start);
    /* The heap may not have room for both. */
    give_back(buffer, ssl->MBEDTLS_PRIVATE(in_buf_len));
    buffer = mbedtls_calloc(1, size);
    set_in_pointers(ssl, buffer);
    if (buffer != NULL) {
        memcpy(buffer, start, sizeof start);
    }
    return buffer;
}

/* Have a larger buffer that holds the parts of a handshake message before the header, too. */
static unsigned char *extend_input(mbedtls_ssl_context *ssl, size_t size)
{
    unsigned char *old = ssl->MBEDTLS_PRIVATE(in_buf), *buffer = mbedtls_calloc(1, size);
    size_t header = (size_t)(ssl->MBEDTLS_PRIVATE(in_hdr) - old);

    if (buffer != NULL) {
        memcpy(buffer, old, header + HEADER_SIZE);
        give_back(old, ssl->MBEDTLS_PRIVATE(in_buf_len));
        set_in_pointers(ssl, buffer);
        ssl->MBEDTLS_PRIVATE(in_hdr) = buffer + header;
        ssl->MBEDTLS_PRIVATE(in_len) = buffer + header + LENGTH_OFFSET;
        ssl->MBEDTLS_PRIVATE(in_iv) = buffer + header + HEADER_SIZE;
        ssl->MBEDTLS_PRIVATE(in_msg) = ssl->MBEDTLS_PRIVATE(in_iv);
    }
    return buffer;
}

/*
 * How large a buffer has to be for the record whose header was read; and at once for all of the
 * handshake message that the record goes on with, lest each of its parts needs a larger one.
 */
static size_t find_needed(const mbedtls_ssl_context *ssl)
{
    const unsigned char *header = ssl->MBEDTLS_PRIVATE(in_hdr);
    size_t before = (size_t)(header - ssl->MBEDTLS_PRIVATE(in_buf));
    size_t length = (size_t)header[LENGTH_OFFSET] << 8 | header[LENGTH_OFFSET + 1];
    size_t record = before + HEADER_SIZE + length, message = 0;

    if (before != COUNTER_SIZE) {
        message = COUNTER_SIZE + HEADER_SIZE + ssl->MBEDTLS_PRIVATE(in_hslen) + PART_EXPANSION;
    }
    return record > message ? record : message;
}

int tls_idle_enlarge(mbedtls_ssl_context *ssl)
{
    unsigned char *buffer = ssl->MBEDTLS_PRIVATE(in_buf);

    if (buffer == NULL || ssl->MBEDTLS_PRIVATE(in_left) != HEADER_SIZE) {
        return 0;
    }
    size_t size = find_needed(ssl);
    if (size > MAX_BUFFER || size <= ssl->MBEDTLS_PRIVATE(in_buf_len)) {
        return 0;
    }
    bool is_first = ssl->MBEDTLS_PRIVATE(in_hdr) == buffer + COUNTER_SIZE;
    buffer = is_first ? replace_input(ssl, size) : extend_input(ssl, size);
    if (buffer == NULL) {
        return TLS_ERR_MEMORY;
    }
    ssl->MBEDTLS_PRIVATE(in_buf_len) = size;
    return 1;
}

int tls_idle_shrink(mbedtls_ssl_context *ssl)
{
    if (ssl->MBEDTLS_PRIVATE(in_buf_len) <= first_length || !holds_no_input(ssl)) {
        return 0;
    }
    if (replace_input(ssl, first_length) == NULL) {
        return TLS_ERR_MEMORY;
    }
    ssl->MBEDTLS_PRIVATE(in_buf_len) = first_length;
    return 0;
}

#endif

#ifdef NODEMCU_TLS_RELEASE_BUFFERS

static bool holds_no_output(const mbedtls_ssl_context *ssl)
{
    const unsigned char *buffer = ssl->MBEDTLS_PRIVATE(out_buf);

    return buffer != NULL && ssl->MBEDTLS_PRIVATE(out_left) == 0 &&
           ssl->MBEDTLS_PRIVATE(out_hdr) == buffer + COUNTER_SIZE;
}

static void set_out_pointers(mbedtls_ssl_context *ssl, unsigned char *buffer, size_t msg_offset)
{
    unsigned char *header = buffer == NULL ? NULL : buffer + COUNTER_SIZE;

    ssl->MBEDTLS_PRIVATE(out_buf) = buffer;
    ssl->MBEDTLS_PRIVATE(out_ctr) = buffer; /* filled from cur_out_ctr for each record */
    ssl->MBEDTLS_PRIVATE(out_hdr) = header;
    ssl->MBEDTLS_PRIVATE(out_len) = header == NULL ? NULL : header + LENGTH_OFFSET;
    ssl->MBEDTLS_PRIVATE(out_iv) = header == NULL ? NULL : header + HEADER_SIZE;
    ssl->MBEDTLS_PRIVATE(out_msg) = buffer == NULL ? NULL : buffer + msg_offset;
}

bool tls_idle_release(mbedtls_ssl_context *ssl, struct tls_idle *idle)
{
    if (ssl->MBEDTLS_PRIVATE(state) != MBEDTLS_SSL_HANDSHAKE_OVER) {
        return false;
    }
    if (holds_no_input(ssl)) {
        unsigned char *buffer = ssl->MBEDTLS_PRIVATE(in_buf);
        memcpy(idle->in_counter, buffer, sizeof idle->in_counter);
        give_back(buffer, ssl->MBEDTLS_PRIVATE(in_buf_len));
        set_in_pointers(ssl, NULL);
    }
    if (holds_no_output(ssl)) {
        unsigned char *buffer = ssl->MBEDTLS_PRIVATE(out_buf);
        idle->out_msg = (uint8_t)(ssl->MBEDTLS_PRIVATE(out_msg) - buffer);
        give_back(buffer, ssl->MBEDTLS_PRIVATE(out_buf_len));
        set_out_pointers(ssl, NULL, 0);
    }
    return ssl->MBEDTLS_PRIVATE(in_buf) == NULL || ssl->MBEDTLS_PRIVATE(out_buf) == NULL;
}

int tls_idle_restore_out(mbedtls_ssl_context *ssl, const struct tls_idle *idle)
{
    if (ssl->MBEDTLS_PRIVATE(out_buf) == NULL) {
        unsigned char *buffer = mbedtls_calloc(1, ssl->MBEDTLS_PRIVATE(out_buf_len));
        if (buffer == NULL) {
            return TLS_ERR_MEMORY;
        }
        set_out_pointers(ssl, buffer, idle->out_msg);
    }
    return 0;
}

int tls_idle_restore(mbedtls_ssl_context *ssl, const struct tls_idle *idle)
{
    if (ssl->MBEDTLS_PRIVATE(in_buf) == NULL) {
        unsigned char *buffer = mbedtls_calloc(1, ssl->MBEDTLS_PRIVATE(in_buf_len));
        if (buffer == NULL) {
            return TLS_ERR_MEMORY;
        }
        memcpy(buffer, idle->in_counter, sizeof idle->in_counter);
        set_in_pointers(ssl, buffer);
    }
    return tls_idle_restore_out(ssl, idle);
}

#endif
