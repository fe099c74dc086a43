#include "tls_pem.h"

#include <stdbool.h>
#include <string.h>

#include <mbedtls/base64.h>
#include <mbedtls/platform_util.h>

#include "tls_error.h"

#define LABEL_MAX 64
#define GROUP 64 /* characters that are decoded at once */

static const char begin_mark[] = "-----BEGIN ", end_mark[] = "-----END ", dashes[] = "-----";

#define LENGTH(array) (sizeof(array) - 1)

/* Some of the text. */
struct span {
    const char *at;
    size_t length;
};

static struct span skip(struct span span, size_t count)
{
    return (struct span){span.at + count, span.length - count};
}

static bool starts_with(struct span span, const char *word, size_t length)
{
    return span.length >= length && memcmp(span.at, word, length) == 0;
}

static bool equals(struct span span, const char *word)
{
    return span.length == strlen(word) && memcmp(span.at, word, span.length) == 0;
}

/* Where `word` comes first; where it does not come, the length of the span. */
static size_t find(struct span span, const char *word, size_t length)
{
    for (size_t i = 0; length <= span.length && i <= span.length - length; i++) {
        if (memcmp(span.at + i, word, length) == 0) {
            return i;
        }
    }
    return span.length;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The label that the text starts with, up to its dashes; length 0: there is none. */
static struct span read_label(struct span text)
{
    struct span label = {text.at, 0};

    while (label.length < text.length && label.length <= LABEL_MAX) {
        if (starts_with(skip(text, label.length), dashes, LENGTH(dashes))) {
            return label;
        }
        if (text.at[label.length] < ' ' || text.at[label.length] > '~') {
            break;
        }
        label.length++;
    }
    return (struct span){text.at, 0};
}

/*
 * Find the first BEGIN line with a label, and move the text behind it. Marks without a label are
 * text around objects.
 */
static bool find_begin(struct span *text, struct span *label)
{
    for (;;) {
        *text = skip(*text, find(*text, begin_mark, LENGTH(begin_mark)));
        if (text->length == 0) {
            return false;
        }
        *text = skip(*text, LENGTH(begin_mark));
        *label = read_label(*text);
        if (label->length > 0) {
            *text = skip(*text, label->length + LENGTH(dashes));
            return true;
        }
    }
}

/* Take the body off the text, and its END line; base64 has no dashes in it. */
static bool take_body(struct span *text, struct span label, struct span *body)
{
    *body = (struct span){text->at, find(*text, dashes, LENGTH(dashes))};
    struct span end = skip(*text, body->length);
    if (!starts_with(end, end_mark, LENGTH(end_mark))) {
        return false;
    }
    end = skip(end, LENGTH(end_mark));
    if (!starts_with(end, label.at, label.length) ||
        !starts_with(skip(end, label.length), dashes, LENGTH(dashes))) {
        return false;
    }
    *text = skip(end, label.length + LENGTH(dashes));
    return true;
}

static enum tls_pem_label find_kind(struct span label)
{
    if (equals(label, "CERTIFICATE")) {
        return TLS_PEM_CERTIFICATE;
    }
    if (equals(label, "PRIVATE KEY") || equals(label, "RSA PRIVATE KEY") ||
        equals(label, "EC PRIVATE KEY")) {
        return TLS_PEM_PRIVATE_KEY;
    }
    return TLS_PEM_OTHER;
}

/* Encrypted by its label, or by the headers of RFC 1421. */
static bool is_encrypted(struct span label, struct span body)
{
    static const char proc_type[] = "Proc-Type:", dek_info[] = "DEK-Info:";

    while (body.length > 0 && is_space(*body.at)) {
        body = skip(body, 1);
    }
    return equals(label, "ENCRYPTED PRIVATE KEY") ||
           starts_with(body, proc_type, LENGTH(proc_type)) ||
           starts_with(body, dek_info, LENGTH(dek_info));
}

/* Take up to GROUP characters off the body, without white space; returns how many. */
static size_t take_group(struct span *body, unsigned char *group)
{
    size_t count = 0;

    while (body->length > 0 && count < GROUP) {
        if (!is_space(*body->at)) {
            group[count++] = (unsigned char)*body->at;
        }
        *body = skip(*body, 1);
    }
    return count;
}

/* Returns the length of the DER or a negative enum tls_err. */
static int decode(struct span body, unsigned char *der, size_t room)
{
    unsigned char group[GROUP];
    size_t done = 0, count;
    bool is_padded = false;
    int result = 0;

    while (result == 0 && (count = take_group(&body, group)) > 0) {
        size_t length = 0;
        if (is_padded || count % 4 != 0) {
            result = TLS_ERR_PEM_BASE64;
            break;
        }
        is_padded = group[count - 1] == '=';
        result = mbedtls_base64_decode(der + done, room - done, &length, group, count);
        done += length;
    }
    mbedtls_platform_zeroize(group, sizeof group); /* it may be a private key */
    if (result == MBEDTLS_ERR_BASE64_BUFFER_TOO_SMALL) {
        return TLS_ERR_TOO_LARGE;
    }
    return result != 0 || done == 0 ? TLS_ERR_PEM_BASE64 : (int)done;
}

int tls_pem_read(const char **text, size_t *left, unsigned char *der, size_t room,
                 struct tls_pem *found)
{
    struct span rest = {*text, *left}, label, body;

    if (!find_begin(&rest, &label)) {
        return 0;
    }
    if (!take_body(&rest, label, &body)) {
        return TLS_ERR_PEM_END;
    }
    if (is_encrypted(label, body)) {
        return TLS_ERR_KEY_ENCRYPTED;
    }
    found->label = find_kind(label);
    found->der_length = 0;
    if (found->label != TLS_PEM_OTHER) {
        int length = decode(body, der, room);
        if (length < 0) {
            return length;
        }
        found->der_length = (size_t)length;
    }
    *text = rest.at;
    *left = rest.length;
    return 1;
}
