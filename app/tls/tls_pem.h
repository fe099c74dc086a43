/*
 * tls_pem.h - find the objects in a PEM text (RFC 7468) and decode them.
 *
 * Text around the objects is ignored. White space inside an object is, too, so that a certificate
 * pasted into one line is read as well.
 */
#ifndef TLS_PEM_H
#define TLS_PEM_H

#include <stddef.h>

enum tls_pem_label {
    TLS_PEM_OTHER,       /* something else: a request, parameters of a curve; not decoded */
    TLS_PEM_CERTIFICATE, /* CERTIFICATE */
    TLS_PEM_PRIVATE_KEY, /* PRIVATE KEY (PKCS#8), RSA PRIVATE KEY (PKCS#1), EC PRIVATE KEY (SEC1) */
};

struct tls_pem {
    enum tls_pem_label label;
    size_t der_length; /* 0 for TLS_PEM_OTHER */
};

/*
 * Decode the first object of the `*left` bytes at `*text` into `der`, `room` bytes long, and move
 * `*text` and `*left` behind it. Returns 1 and describes it in `found`; 0 when there is none;
 * TLS_ERR_PEM_END, TLS_ERR_PEM_BASE64 (of an empty body too), TLS_ERR_KEY_ENCRYPTED (by its label
 * or its headers) or TLS_ERR_TOO_LARGE, and then the text stays where it was.
 */
int tls_pem_read(const char **text, size_t *left, unsigned char *der, size_t room,
                 struct tls_pem *found);

#endif
