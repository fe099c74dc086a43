/*
 * heap_steps.c - linked into the firmware, it measures the heap of each step of a handshake.
 *
 * The link wraps malloc, realloc, free, board_chip_id, tls_conn_open and mbedTLS's step: to a
 * script, the next call of node.chipid() prints a line for each state of the handshake, "step
 * STATE BEGIN PEAK": heap that is in use more than before tls_conn_open(), when the state was
 * entered first and at the peak in it.
 */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS

#include <stdbool.h>
#include <stdio.h>

#include <mbedtls/ssl.h>

#include "board.h"
#include "heap_count.h"
#include "stream.h"

#define STATES 32

struct tls_conn;

uint32_t __real_board_chip_id(void);
void __real_tls_conn_open(struct tls_conn *conn, const char *host, uint16_t port);
int __real_mbedtls_ssl_handshake_step(mbedtls_ssl_context *ssl);
uint32_t __wrap_board_chip_id(void);
void __wrap_tls_conn_open(struct tls_conn *conn, const char *host, uint16_t port);
int __wrap_mbedtls_ssl_handshake_step(mbedtls_ssl_context *ssl);

static struct {
    bool entered;
    uint32_t begin, peak;
} steps[STATES];
static uint32_t before;
static bool opened;

void __wrap_tls_conn_open(struct tls_conn *conn, const char *host, uint16_t port)
{
    opened = true;
    before = used;
    __real_tls_conn_open(conn, host, port);
}

int __wrap_mbedtls_ssl_handshake_step(mbedtls_ssl_context *ssl)
{
    int state = ssl->state;

    peak = used;
    if (state < STATES && !steps[state].entered) {
        steps[state].entered = true;
        steps[state].begin = used;
    }
    int result = __real_mbedtls_ssl_handshake_step(ssl);
    if (state < STATES && peak > steps[state].peak) {
        steps[state].peak = peak;
    }
    return result;
}

uint32_t __wrap_board_chip_id(void)
{
    for (int state = 0; opened && state < STATES; state++) { /* at start it makes the MAC address */
        if (steps[state].entered) {
            printf("step %d %u %u\n", state, (unsigned)(steps[state].begin - before),
                   (unsigned)(steps[state].peak - before));
        }
    }
    return __real_board_chip_id();
}
