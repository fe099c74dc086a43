/*
 * tls_offer.h - what the profile has the ClientHello offer, beside the cipher suites.
 *
 * All of it comes from macros of user_mbedtls.h, so that no default of any mbedTLS shows.
 */
#ifndef TLS_OFFER_H
#define TLS_OFFER_H

#include <mbedtls/ssl.h>

/*
 * Set versions, curves, signature algorithms, application protocols and record size. Nothing is
 * copied and no memory is taken. Call it after mbedtls_ssl_config_defaults().
 */
void tls_offer_configure(mbedtls_ssl_config *config);

#endif
