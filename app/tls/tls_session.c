#include "tls_session.h"

#ifdef NODEMCU_TLS_SESSIONS

#include <string.h>

#include <mbedtls/platform.h>
#include <mbedtls/version.h>

#include "board.h"

#if MBEDTLS_VERSION_MAJOR < 3
#define MBEDTLS_PRIVATE(member) member /* 2.x hides nothing */
#endif

#define MAX_TICKET 1024u
#define MIN_ID 16u                    /* mbedTLS offers no shorter ones */
#define MAX_SECONDS (24u * 60u * 60u) /* RFC 5246, appendix F.1.4 */

struct kept {
    unsigned char key[TLS_SESSION_KEY_SIZE];
    mbedtls_ssl_session session;
    uint32_t verified; /* seconds since start, of the handshake that checked the certificate */
    uint32_t expires;
};

/* The last one used first; NULL after the end. */
static struct kept *sessions[NODEMCU_TLS_SESSIONS];
static bool copying; /* out of one of them: none may go */

static uint32_t seconds_since_start(void)
{
    return (uint32_t)(board_micros() / 1000000u);
}

static struct kept *take_out(size_t place)
{
    struct kept *taken = sessions[place];

    memmove(&sessions[place], &sessions[place + 1],
            (NODEMCU_TLS_SESSIONS - 1 - place) * sizeof sessions[0]);
    sessions[NODEMCU_TLS_SESSIONS - 1] = NULL;
    return taken;
}

static void forget(struct kept *kept)
{
    if (kept != NULL) {
        mbedtls_ssl_session_free(&kept->session); /* clears the master secret */
        mbedtls_free(kept);
    }
}

static void put_first(struct kept *kept)
{
    forget(take_out(NODEMCU_TLS_SESSIONS - 1));
    memmove(&sessions[1], &sessions[0], (NODEMCU_TLS_SESSIONS - 1) * sizeof sessions[0]);
    sessions[0] = kept;
}

/* The session of this key, taken out; or NULL. */
static struct kept *take(const unsigned char key[TLS_SESSION_KEY_SIZE])
{
    for (size_t i = 0; i < NODEMCU_TLS_SESSIONS && sessions[i] != NULL; i++) {
        if (memcmp(sessions[i]->key, key, TLS_SESSION_KEY_SIZE) == 0) {
            return take_out(i);
        }
    }
    return NULL;
}

void tls_session_offer(mbedtls_ssl_context *ssl, const unsigned char key[TLS_SESSION_KEY_SIZE])
{
    struct kept *kept = take(key);
    mbedtls_ssl_session *offered = ssl->MBEDTLS_PRIVATE(session_negotiate);

    if (kept == NULL || seconds_since_start() >= kept->expires) {
        forget(kept);
        return;
    }
    put_first(kept);
    copying = true;
    int result = mbedtls_ssl_set_session(ssl, &kept->session);
    copying = false;
    if (result != 0) {
        /* Out of memory: a half of a session would make a ClientHello that is not one. */
        mbedtls_ssl_session_free(offered);
        mbedtls_ssl_session_init(offered);
        return;
    }
#ifdef MBEDTLS_SSL_ENCRYPT_THEN_MAC
    /* Decided anew by each ServerHello; mbedTLS turns it on there, but never off. */
    offered->MBEDTLS_PRIVATE(encrypt_then_mac) = MBEDTLS_SSL_ETM_DISABLED;
#endif
}

bool tls_session_settle(mbedtls_ssl_context *ssl)
{
    if (ssl->MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_SERVER_CHANGE_CIPHER_SPEC) {
        return true; /* straight on, without the server's certificate */
    }
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
    if (mbedtls_ssl_get_version_number(ssl) == MBEDTLS_SSL_VERSION_TLS1_3) {
        return false; /* not told yet, and the ticket may be needed again */
    }
#endif
    mbedtls_ssl_session *session = ssl->MBEDTLS_PRIVATE(session_negotiate);
    mbedtls_free(session->MBEDTLS_PRIVATE(ticket));
    session->MBEDTLS_PRIVATE(ticket) = NULL;
    session->MBEDTLS_PRIVATE(ticket_len) = 0;
    return false;
}

static bool can_be_resumed(const mbedtls_ssl_session *session)
{
    if (session->MBEDTLS_PRIVATE(ticket) != NULL) {
        return session->MBEDTLS_PRIVATE(ticket_len) <= MAX_TICKET;
    }
    return session->MBEDTLS_PRIVATE(id_len) >= MIN_ID;
}

/* Whether one is the other resumed; a whole handshake may have put another in its place. */
static bool is_same(const mbedtls_ssl_session *one, const mbedtls_ssl_session *other)
{
    return memcmp(one->MBEDTLS_PRIVATE(master), other->MBEDTLS_PRIVATE(master),
                  sizeof one->MBEDTLS_PRIVATE(master)) == 0;
}

/* Whether the server sent a ticket, other than the one that was offered. */
static bool has_new_ticket(const mbedtls_ssl_session *session, const mbedtls_ssl_session *offered)
{
    size_t length = session->MBEDTLS_PRIVATE(ticket_len);

    return session->MBEDTLS_PRIVATE(ticket) != NULL &&
           (offered->MBEDTLS_PRIVATE(ticket) == NULL ||
            length != offered->MBEDTLS_PRIVATE(ticket_len) ||
            memcmp(session->MBEDTLS_PRIVATE(ticket), offered->MBEDTLS_PRIVATE(ticket), length));
}

/* When to stop offering a session: never later than a day after `verified`. */
static uint32_t find_end(const mbedtls_ssl_session *session, uint32_t verified)
{
    uint32_t now = seconds_since_start(), end = verified + MAX_SECONDS;
    uint32_t hint = session->MBEDTLS_PRIVATE(ticket_lifetime); /* 0: none */

    if (session->MBEDTLS_PRIVATE(ticket) == NULL || hint == 0 || hint >= MAX_SECONDS) {
        return end;
    }
    return now + hint < end ? now + hint : end;
}

/* Without the server's chain, which takes more than all the rest and is not needed to resume. */
static int copy_session(const mbedtls_ssl_context *ssl, mbedtls_ssl_session *copy)
{
#if defined(MBEDTLS_SSL_KEEP_PEER_CERTIFICATE) || MBEDTLS_VERSION_NUMBER < 0x02110000
    mbedtls_ssl_session *session = ssl->MBEDTLS_PRIVATE(session);
    mbedtls_x509_crt *chain = session->MBEDTLS_PRIVATE(peer_cert);

    session->MBEDTLS_PRIVATE(peer_cert) = NULL;
    int result = mbedtls_ssl_get_session(ssl, copy);
    session->MBEDTLS_PRIVATE(peer_cert) = chain;
    return result;
#else
    return mbedtls_ssl_get_session(ssl, copy);
#endif
}

static void keep_new(const mbedtls_ssl_context *ssl, const unsigned char key[TLS_SESSION_KEY_SIZE],
                     uint32_t verified)
{
    struct kept *kept;

    if (!can_be_resumed(ssl->MBEDTLS_PRIVATE(session))) {
        return;
    }
    kept = mbedtls_calloc(1, sizeof *kept);
    if (kept == NULL) {
        return;
    }
    mbedtls_ssl_session_init(&kept->session);
    if (copy_session(ssl, &kept->session) != 0) {
        forget(kept);
        return;
    }
    memcpy(kept->key, key, sizeof kept->key);
    kept->verified = verified;
    kept->expires = find_end(&kept->session, verified);
    put_first(kept);
}

void tls_session_keep(const mbedtls_ssl_context *ssl, const unsigned char key[TLS_SESSION_KEY_SIZE],
                      bool resumed)
{
    struct kept *old = take(key);

    if (!resumed) {
        forget(old);
        keep_new(ssl, key, seconds_since_start());
    } else if (old != NULL && (!is_same(ssl->MBEDTLS_PRIVATE(session), &old->session) ||
                               !has_new_ticket(ssl->MBEDTLS_PRIVATE(session), &old->session))) {
        put_first(old);
    } else if (old != NULL) { /* else it was forgotten meanwhile, and stays so */
        uint32_t verified = old->verified;
        forget(old);
        keep_new(ssl, key, verified);
    }
}

#ifdef MBEDTLS_SSL_PROTO_TLS1_3

bool tls_session_begin(const unsigned char key[TLS_SESSION_KEY_SIZE], bool resumed,
                       uint32_t *verified)
{
    struct kept *old = take(key);
    bool known = !resumed || old != NULL;

    if (known) {
        *verified = resumed ? old->verified : seconds_since_start();
    }
    forget(old);
    return known;
}

void tls_session_keep_ticket(const mbedtls_ssl_context *ssl,
                             const unsigned char key[TLS_SESSION_KEY_SIZE], uint32_t verified)
{
    forget(take(key));
    keep_new(ssl, key, verified);
}

#endif

void tls_session_forget(const unsigned char key[TLS_SESSION_KEY_SIZE])
{
    forget(take(key));
}

void tls_session_forget_all(void)
{
    while (sessions[0] != NULL) {
        forget(take_out(0));
    }
}

bool tls_session_give_way(void)
{
    if (copying || sessions[0] == NULL) {
        return false;
    }
    tls_session_forget_all();
    return true;
}

#endif
