#include "tls_idle.h"

#include <string.h>

#include <mbedtls/platform.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/version.h>

#if MBEDTLS_VERSION_MAJOR < 3
#define MBEDTLS_PRIVATE(member) member /* 2.28 hides nothing */
#endif

/* How mbedTLS lays out either buffer: the record's number, its header, IV and payload. */
#define COUNTER_SIZE 8u
#define HEADER_SIZE 5u
#define LENGTH_OFFSET 3u /* in the header */

#ifdef MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH

/* Most that a cipher suite adds to a record: IV, HMAC of SHA-384, padding of CBC. */
#define MAX_EXPANSION (16u + 48u + 256u)

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

static void give_back(unsigned char *buffer, size_t size)
{
    mbedtls_platform_zeroize(buffer, size); /* it has held plaintext */
    mbedtls_free(buffer);
}

int tls_idle_enlarge(mbedtls_ssl_context *ssl)
{
    unsigned char start[COUNTER_SIZE + HEADER_SIZE]; /* all that was read yet */
    unsigned char *buffer = ssl->MBEDTLS_PRIVATE(in_buf);

    if (buffer == NULL || ssl->MBEDTLS_PRIVATE(in_left) != HEADER_SIZE ||
        ssl->MBEDTLS_PRIVATE(in_hdr) != buffer + COUNTER_SIZE) {
        return 0;
    }
    memcpy(start, buffer, sizeof start);
    const unsigned char *field = start + COUNTER_SIZE + LENGTH_OFFSET;
    size_t length = (size_t)field[0] << 8 | field[1];
    size_t size = sizeof start + length;
    if (length > MBEDTLS_SSL_IN_CONTENT_LEN + MAX_EXPANSION ||
        size <= ssl->MBEDTLS_PRIVATE(in_buf_len)) {
        return 0;
    }
    /* The heap may not have room for both. */
    give_back(buffer, ssl->MBEDTLS_PRIVATE(in_buf_len));
    ssl->MBEDTLS_PRIVATE(in_buf_len) = size;
    buffer = mbedtls_calloc(1, size);
    set_in_pointers(ssl, buffer);
    if (buffer == NULL) {
        return TLS_ERR_MEMORY;
    }
    memcpy(buffer, start, sizeof start);
    return 1;
}

#endif

#ifdef NODEMCU_TLS_RELEASE_BUFFERS

/* Between records; not so between the parts of a handshake message, when the header is moved. */
static bool holds_no_input(const mbedtls_ssl_context *ssl)
{
    const unsigned char *buffer = ssl->MBEDTLS_PRIVATE(in_buf);

    return buffer != NULL && ssl->MBEDTLS_PRIVATE(in_left) == 0 &&
           ssl->MBEDTLS_PRIVATE(in_hdr) == buffer + COUNTER_SIZE &&
           mbedtls_ssl_check_pending(ssl) == 0;
}

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
