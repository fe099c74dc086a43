#include "fixed_client.h"

#include "fixed_client_keys.h"
#include "host.h"
#include "tls_credentials.h"
#include "tls_handshake.h"
#include "tls_platform.h"

#define DATE 1800000000    /* 2027-01-15 */
#define START_MICROS 1000u /* 0 would be the host's clock */
#define SEED 0x2545f4914f6cdd1dull

static uint64_t state;

int __wrap_tls_platform_random(void *context, unsigned char *buffer, size_t length);

/* Instead of the generator, whose state outlives a run (Marsaglia's xorshift64). */
int __wrap_tls_platform_random(void *context, unsigned char *buffer, size_t length)
{
    (void)context;
    for (size_t i = 0; i < length; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        buffer[i] = (unsigned char)(state >> 32);
    }
    return 0;
}

void fixed_client_reset(void)
{
    host_date = DATE;
    host_micros = START_MICROS;
    state = SEED;
}

void fixed_client_handshake(struct tls_conn *conn)
{
    int error = tls_credentials_add(conn->credentials, TLS_STORE_CA, fixed_client_roots,
                                    sizeof fixed_client_roots - 1);

    if (error == 0) {
        error = tls_credentials_add(conn->credentials, TLS_STORE_CLIENT, fixed_client_identity,
                                    sizeof fixed_client_identity - 1);
    }
    if (error < 0) {
        tls_conn_fail(conn, error);
    } else {
        tls_handshake_start(conn);
    }
}
