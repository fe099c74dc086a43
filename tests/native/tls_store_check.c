/*
 * tls_store_check.c - the store of credentials on a flash that does as it is told, and on one that
 * does not.
 *
 *   NAME         runs the check of that name
 *   show SET     prints the set's records in the flash on standard input, in hexadecimal, or "none"
 *   put SET      stores the records on standard input in an erased flash and writes that flash out
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "check.h"
#include "host_flash.h"
#include "store_sets.h"
#include "tls_error.h"

#define SMALL (64 * 1024u)
#define CA_AT(copy) (SMALL - (9 - (copy)) * LX106_FLASH_SECTOR)

static int write_set(enum tls_store_set which, const struct set *set)
{
    host_flash_reset_counters();
    return tls_store_write(which, set->records, set->length);
}

static void check_nothing_stored(void)
{
    struct tls_store_view view;

    for (int which = TLS_STORE_CA; which <= TLS_STORE_CLIENT; which++) {
        CHECK(tls_store_open(which, &view) == TLS_ERR_NOT_STORED);
        CHECK(view.records == NULL && view.length == 0);
        tls_store_close(&view);
        CHECK(tls_store_write(which, NULL, 0) == 0);
    }
    CHECK(host_flash.erases == 0 && host_flash.writes == 0);
}

static void check_stored_sets(void)
{
    struct set ca = make_set(1, 1000), client = make_set(2, 1001), other = make_set(3, 11);

    CHECK(write_set(TLS_STORE_CA, &ca) == 0);
    CHECK(store_holds(TLS_STORE_CA, &ca) && store_holds(TLS_STORE_CLIENT, NULL));
    CHECK(write_set(TLS_STORE_CLIENT, &client) == 0);
    CHECK(store_holds(TLS_STORE_CA, &ca) && store_holds(TLS_STORE_CLIENT, &client));
    CHECK(write_set(TLS_STORE_CLIENT, &other) == 0);
    CHECK(store_holds(TLS_STORE_CA, &ca) && store_holds(TLS_STORE_CLIENT, &other));
    CHECK(tls_store_write(TLS_STORE_CLIENT, NULL, 0) == 0);
    CHECK(store_holds(TLS_STORE_CA, &ca) && store_holds(TLS_STORE_CLIENT, NULL));
    CHECK(write_set(TLS_STORE_CLIENT, &other) == 0);
    CHECK(store_holds(TLS_STORE_CLIENT, &other));

    uint32_t first = CA_AT(0);
    for (uint32_t at = 0; at < SMALL; at++) {
        bool is_ours = at >= first && at < first + 4 * LX106_FLASH_SECTOR;
        CHECK(is_ours || host_flash_bytes[at] == 0xff);
    }
}

static void check_wear(void)
{
    for (unsigned change = 0; change < 100; change++) {
        struct set set = make_set(change, 40 + change * 40);
        CHECK(write_set(TLS_STORE_CA, &set) == 0);
        CHECK(host_flash.erases == 1);
        CHECK(host_flash.bytes <= LX106_FLASH_SECTOR + 32 + set.length + 3);
        CHECK(write_set(TLS_STORE_CA, &set) == 0);
        CHECK(host_flash.erases == 0 && host_flash.writes == 0);
        CHECK(store_holds(TLS_STORE_CA, &set));
    }
    CHECK(tls_store_write(TLS_STORE_CA, NULL, 0) == 0);
    host_flash_reset_counters();
    CHECK(tls_store_write(TLS_STORE_CA, NULL, 0) == 0);
    CHECK(host_flash.erases == 0 && host_flash.writes == 0);
}

static void check_sizes(void)
{
    static unsigned char records[TLS_STORE_MAX + 1];
    struct set old = make_set(1, 100), full = make_set(2, TLS_STORE_MAX);

    CHECK(write_set(TLS_STORE_CA, &old) == 0);
    tls_record_put_header(records, TLS_RECORD_CERTIFICATE, sizeof records - TLS_RECORD_HEADER);
    host_flash_reset_counters();
    CHECK(tls_store_write(TLS_STORE_CA, records, sizeof records) == TLS_ERR_TOO_LARGE);
    CHECK(tls_store_write(TLS_STORE_CA, records, 100) == TLS_ERR_INTERNAL); /* cut short */
    CHECK(tls_store_write(TLS_STORE_CA, records, 3) == TLS_ERR_INTERNAL);
    CHECK(host_flash.erases == 0 && host_flash.writes == 0);
    CHECK(store_holds(TLS_STORE_CA, &old));
    for (size_t length = TLS_STORE_MAX - 8; length <= TLS_STORE_MAX; length++) {
        struct set set = make_set((unsigned)length, length);
        CHECK(write_set(TLS_STORE_CA, &set) == 0);
        CHECK(store_holds(TLS_STORE_CA, &set));
    }
    CHECK(write_set(TLS_STORE_CA, &full) == 0);
    CHECK(host_flash_bytes[CA_AT(0) - 1] == 0xff && host_flash_bytes[CA_AT(2)] == 0xff);
}

static void check_readers(void)
{
    struct set one = make_set(1, 500), two = make_set(2, 600), three = make_set(3, 700);
    struct tls_store_view view, again, newer, closed = {0};

    CHECK(write_set(TLS_STORE_CA, &one) == 0);
    CHECK(tls_store_open(TLS_STORE_CA, &view) == 0);
    CHECK(tls_store_open(TLS_STORE_CA, &again) == 0);
    CHECK(write_set(TLS_STORE_CA, &two) == 0); /* into the other sector */
    CHECK(tls_store_open(TLS_STORE_CA, &newer) == 0);
    CHECK(write_set(TLS_STORE_CA, &three) == TLS_ERR_STORE_BUSY);
    CHECK(host_flash.erases == 0 && host_flash.writes == 0);
    CHECK(write_set(TLS_STORE_CA, &two) == 0); /* nothing to do */
    CHECK(write_set(TLS_STORE_CLIENT, &three) == 0);
    CHECK(memcmp(view.records, one.records, one.length) == 0);
    tls_store_close(&view);
    tls_store_close(&view);
    tls_store_close(&closed);
    CHECK(write_set(TLS_STORE_CA, &three) == TLS_ERR_STORE_BUSY);
    tls_store_close(&again);
    CHECK(write_set(TLS_STORE_CA, &three) == 0);
    CHECK(memcmp(newer.records, two.records, two.length) == 0);
    tls_store_close(&newer);
    CHECK(write_set(TLS_STORE_CA, &one) == 0);
}

/* Two records, cut short at every byte, in a block of that size. */
static void check_records(void)
{
    struct set set = make_set(1, 40);

    for (size_t size = 0; size <= set.length; size++) {
        unsigned char *block = malloc(size);
        const unsigned char *at = block;
        struct tls_record record;
        size_t left = size, count = 0;
        CHECK(block != NULL);
        memcpy(block, set.records, size);
        while (tls_record_next(&at, &left, &record)) {
            CHECK(record.kind == (count == 0 ? TLS_RECORD_CERTIFICATE : TLS_RECORD_PRIVATE_KEY));
            CHECK(record.length == 16 && record.der + 16 == at && at + left == block + size);
            count++;
        }
        CHECK(count == size / 20 && at == block + count * 20 && left == size - count * 20);
        free(block);
    }
}

/* A bit that an erase does not set, anywhere in the sector that is written next. */
static void check_stuck_erase(void)
{
    struct set old = make_set(1, 61), new = make_set(2, 61);

    for (uint32_t at = 0; at < LX106_FLASH_SECTOR; at++) {
        host_flash_init(SMALL);
        CHECK(write_set(TLS_STORE_CA, &old) == 0);
        host_flash.stuck_at = CA_AT(1) + at;
        host_flash.stuck_low = (uint8_t)(1 << at % 8);
        CHECK(write_set(TLS_STORE_CA, &new) == TLS_ERR_STORE_FLASH);
        CHECK(host_flash.erases == 1 && host_flash.writes == 0);
        CHECK(store_holds(TLS_STORE_CA, &old));
    }
}

/* Bits that a write does not clear, in the header or a record. */
static void check_stuck_write(void)
{
    struct set old = make_set(1, 61), new = make_set(2, 61);
    unsigned refused = 0;

    for (uint32_t at = 0; at < 32 + 61; at++) {
        host_flash_init(SMALL);
        CHECK(write_set(TLS_STORE_CA, &old) == 0);
        host_flash.stuck_at = CA_AT(1) + at;
        host_flash.stuck_high = 0xff;
        int result = write_set(TLS_STORE_CA, &new);
        CHECK(store_holds(TLS_STORE_CA, result == 0 ? &new : &old));
        refused += result == TLS_ERR_STORE_FLASH;
    }
    CHECK(refused > 60); /* the rest are bytes of 0xff */
}

/* Every bit of a valid sector, turned over: it is not valid then, and the one before it counts. */
static void check_damage(void)
{
    struct set old = make_set(1, 61), new = make_set(2, 61);

    CHECK(write_set(TLS_STORE_CA, &old) == 0);
    CHECK(write_set(TLS_STORE_CA, &new) == 0);
    for (uint32_t at = 0; at < 32 + 61; at++) {
        bool is_reserved = at >= 20 && at < 28;
        for (unsigned bit = 0; bit < 8; bit++) {
            host_flash_bytes[CA_AT(1) + at] ^= 1 << bit;
            CHECK(store_holds(TLS_STORE_CA, is_reserved ? &new : &old));
            host_flash_bytes[CA_AT(1) + at] ^= 1 << bit;
        }
    }
}

static enum tls_store_set parse_set(const char *name)
{
    return strcmp(name, "client") == 0 ? TLS_STORE_CLIENT : TLS_STORE_CA;
}

static int show(enum tls_store_set which)
{
    struct tls_store_view view;

    host_flash.size = (uint32_t)fread(host_flash_bytes, 1, HOST_FLASH_MAX, stdin);
    if (tls_store_open(which, &view) != 0) {
        puts("none");
        return 0;
    }
    for (size_t i = 0; i < view.length; i++) {
        printf("%02x", view.records[i]);
    }
    puts("");
    tls_store_close(&view);
    return 0;
}

static int put(enum tls_store_set which)
{
    static unsigned char records[TLS_STORE_MAX];
    size_t length = fread(records, 1, sizeof records, stdin);

    host_flash.size = SMALL;
    CHECK(tls_store_write(which, records, length) == 0);
    fwrite(host_flash_bytes, 1, SMALL, stdout);
    return 0;
}

static const struct {
    const char *name;
    void (*run)(void);
} checks[] = {
    {"nothing-stored", check_nothing_stored},
    {"stored-sets", check_stored_sets},
    {"wear", check_wear},
    {"sizes", check_sizes},
    {"readers", check_readers},
    {"records", check_records},
    {"stuck-erase", check_stuck_erase},
    {"stuck-write", check_stuck_write},
    {"damage", check_damage},
};

int main(int argc, char **argv)
{
    if (argc == 3) {
        return strcmp(argv[1], "show") == 0 ? show(parse_set(argv[2])) : put(parse_set(argv[2]));
    }
    for (size_t i = 0; argc == 2 && i < sizeof checks / sizeof *checks; i++) {
        if (strcmp(argv[1], checks[i].name) == 0) {
            host_flash_init(SMALL);
            checks[i].run();
            return 0;
        }
    }
    return 2;
}
