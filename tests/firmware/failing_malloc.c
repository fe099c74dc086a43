/*
 * failing_malloc.c - linked into the firmware, it refuses one allocation of each TLS connection.
 *
 * It spares the first WARM_UP connections. The next one has its allocation number FIRST refused,
 * that after it FIRST + 1, and so on up to number DENSE; from there on it goes in steps of STEP.
 * With EVERY 2, only every second connection has one refused. Allocations count from
 * tls_conn_open() to the tls_conn_close() of its socket, Lua's among them. The link wraps malloc,
 * calloc, realloc, tls_conn_open, tls_conn_close and board_chip_id: to scripts, node.chipid() is
 * the number of the allocation that was refused last, or 0 when none was.
 */
#include <stdbool.h>
#include <stddef.h>

#include "board.h"

struct tls_conn;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_tls_conn_open(struct tls_conn *conn, const char *host, uint16_t port);
void __real_tls_conn_close(struct tls_conn *conn);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_tls_conn_open(struct tls_conn *conn, const char *host, uint16_t port);
void __wrap_tls_conn_close(struct tls_conn *conn);
uint32_t __real_board_chip_id(void);
uint32_t __wrap_board_chip_id(void);

static uint32_t opened, counted, refused, to_refuse, next = FIRST;
static bool counts, inside; /* inside calloc() and realloc(), which call malloc() */

static bool refuse(void)
{
    if (!counts || inside || ++counted != to_refuse) {
        return false;
    }
    refused = to_refuse;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return refuse() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    if (refuse()) {
        return NULL;
    }
    inside = true;
    void *block = __real_calloc(count, size);
    inside = false;
    return block;
}

void *__wrap_realloc(void *block, size_t size)
{
    if (refuse()) {
        return NULL;
    }
    inside = true;
    void *moved = __real_realloc(block, size);
    inside = false;
    return moved;
}

void __wrap_tls_conn_open(struct tls_conn *conn, const char *host, uint16_t port)
{
    opened++;
    counted = refused = 0;
    if (opened > WARM_UP && opened % EVERY == 0) {
        to_refuse = next;
        next += next < DENSE ? 1 : STEP;
        counts = true;
    }
    __real_tls_conn_open(conn, host, port);
}

void __wrap_tls_conn_close(struct tls_conn *conn)
{
    __real_tls_conn_close(conn);
    counts = false;
}

uint32_t __wrap_board_chip_id(void)
{
    return opened == 0 ? __real_board_chip_id() : refused; /* at start it makes the MAC address */
}
