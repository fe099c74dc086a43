/*
 * tls_store_cut.c - the store of credentials, with the power cut at every byte of a change.
 *
 * Arguments: the state to start from, the order of an erase, what a change is made to. Prints how
 * many cuts left the old set and how many the new one.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "host_flash.h"
#include "store_sets.h"

#define SIZE (64 * 1024u)
#define CA_AT(copy) (SIZE - (9 - (copy)) * LX106_FLASH_SECTOR)
#define STORE_SIZE (4 * LX106_FLASH_SECTOR)

static uint8_t start[STORE_SIZE];
static struct set sets[5], client;
static const struct set *old;

/* Sets 0 and 1 may be stored before; each write goes to the other sector. */
static void prepare(const char *state)
{
    static const uint8_t damage[] = {0, 0, 0, 0};
    int stored = strcmp(state, "empty") == 0 ? 0 : strcmp(state, "one") == 0 ? 1 : 2;

    host_flash_init(SIZE);
    CHECK(tls_store_write(TLS_STORE_CLIENT, client.records, client.length) == 0);
    for (int i = 0; i < stored; i++) {
        CHECK(tls_store_write(TLS_STORE_CA, sets[i].records, sets[i].length) == 0);
    }
    old = stored == 0 ? NULL : &sets[stored - 1];
    if (strcmp(state, "first-corrupt") == 0) {
        memcpy(host_flash_bytes + CA_AT(0) + 40, damage, sizeof damage);
    } else if (strcmp(state, "second-corrupt") == 0) {
        memcpy(host_flash_bytes + CA_AT(1) + 40, damage, sizeof damage);
        old = &sets[0];
    } else if (strcmp(state, "both-corrupt") == 0) {
        memcpy(host_flash_bytes + CA_AT(0) + 40, damage, sizeof damage);
        memcpy(host_flash_bytes + CA_AT(1) + 40, damage, sizeof damage);
        old = NULL;
    }
    CHECK(store_holds(TLS_STORE_CA, old) && store_holds(TLS_STORE_CLIENT, &client));
    memcpy(start, host_flash_bytes + CA_AT(0), STORE_SIZE);
}

/* Change the set and cut the power after so many bytes; false: the change came to its end. */
static bool change_and_cut(const struct set *new, uint32_t after, uint8_t mask, bool jumps)
{
    jmp_buf power_off;

    host_flash_power_on();
    host_flash.cut_after = after;
    host_flash.cut_mask = mask;
    if (jumps) {
        host_flash.power_off = &power_off;
        if (setjmp(power_off) != 0) {
            return true;
        }
    }
    int result = tls_store_write(TLS_STORE_CA, new->records, new->length);
    CHECK((result != 0) == host_flash.is_off);
    return result != 0;
}

/* Which set stands after a cut: it is whole, and the other sets are as they were. */
static const struct set *find_standing(const struct set *before, const struct set *after)
{
    host_flash_power_on();
    CHECK(store_holds(TLS_STORE_CLIENT, &client));
    if (store_holds(TLS_STORE_CA, after)) {
        return after;
    }
    CHECK(store_holds(TLS_STORE_CA, before));
    return before;
}

/* One cut, another one in the change after it, and then a change that must succeed. */
static bool check_cut(uint32_t after, uint8_t mask, bool jumps, bool *is_new)
{
    memcpy(host_flash_bytes + CA_AT(0), start, STORE_SIZE);
    if (!change_and_cut(&sets[2], after, mask, jumps)) {
        return false;
    }
    const struct set *standing = find_standing(old, &sets[2]);
    *is_new = standing == &sets[2];
    CHECK(change_and_cut(&sets[3], after * 7 % 4200, mask, jumps));
    standing = find_standing(standing, &sets[3]);

    host_flash_power_on();
    host_flash_reset_counters();
    CHECK(tls_store_write(TLS_STORE_CA, sets[4].records, sets[4].length) == 0);
    CHECK(host_flash.erases == 1);
    CHECK(store_holds(TLS_STORE_CA, &sets[4]) && store_holds(TLS_STORE_CLIENT, &client));
    return true;
}

static enum host_flash_order parse_order(const char *name)
{
    return strcmp(name, "forward") == 0    ? HOST_FLASH_FORWARD
           : strcmp(name, "backward") == 0 ? HOST_FLASH_BACKWARD
                                           : HOST_FLASH_SCATTERED;
}

int main(int argc, char **argv)
{
    static const uint8_t masks[] = {0x00, 0xff, 0x0f, 0xa5, 0x80};
    unsigned left_old = 0, left_new = 0;

    CHECK(argc == 4);
    size_t length = strtoul(argv[3], NULL, 10);
    for (unsigned i = 0; i < 5; i++) {
        sets[i] = make_set(i, i < 2 ? 4064 - 100 * i : length + i % 2 * 8);
    }
    client = make_set(9, 300);
    prepare(argv[1]);
    host_flash.erase_order = parse_order(argv[2]);
    for (uint32_t after = 0;; after++) {
        bool is_new = false;
        if (!check_cut(after, masks[after % 5], after % 2 != 0, &is_new)) {
            break;
        }
        *(is_new ? &left_new : &left_old) += 1;
    }
    printf("%u %u\n", left_old, left_new);
    return 0;
}
