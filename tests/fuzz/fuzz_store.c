/*
 * fuzz_store.c - the store of credentials, with anything in its flash.
 *
 * Input: one byte, whose bits make the headers of the two CA sectors right (0 and 1: magic,
 * version, set and commit word; 2 and 3: the CRC), 16 bits of length, little-endian, so many bytes
 * of the first sector, and then those of the second. What is missing is erased.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "host_flash.h"
#include "store_sets.h"

#define SIZE (64 * 1024u)
#define SECTOR_AT(copy) (SIZE - (9 - (copy)) * LX106_FLASH_SECTOR)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t add_to_crc(uint32_t crc, const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (0xedb88320 & -(crc & 1)); /* no branch: nothing to explore */
        }
    }
    return crc;
}

static void make_header_right(uint8_t *sector)
{
    memcpy(sector, "NTLS\1\0", 6);
    memcpy(sector + 28, "DONE", 4);
}

static void make_crc_right(uint8_t *sector)
{
    uint32_t length;

    memcpy(&length, sector + 12, sizeof length);
    length = length < TLS_STORE_MAX ? length : TLS_STORE_MAX;
    uint32_t crc = ~add_to_crc(add_to_crc(UINT32_MAX, sector, 16), sector + 32, length);
    memcpy(sector + 16, &crc, sizeof crc);
}

static void fill_sector(int copy, const uint8_t *data, size_t size, unsigned flags)
{
    uint8_t *sector = host_flash_bytes + SECTOR_AT(copy);

    memset(sector, 0xff, LX106_FLASH_SECTOR);
    memcpy(sector, data, size < LX106_FLASH_SECTOR ? size : LX106_FLASH_SECTOR);
    if (flags >> copy & 1) {
        make_header_right(sector);
    }
    if (flags >> copy & 4) {
        make_crc_right(sector);
    }
}

/* Go through records in a block of exactly their size; returns what is left. */
static size_t read_records(const uint8_t *data, size_t size)
{
    uint8_t *block = malloc(size);
    const unsigned char *at = block;
    struct tls_record record;

    CHECK(block != NULL || size == 0);
    memcpy(block, data, size);
    while (tls_record_next(&at, &size, &record)) {
        CHECK(record.length > 0 && record.der + record.length == at);
    }
    free(block);
    return size;
}

static void check_stored(void)
{
    struct tls_store_view view;

    if (tls_store_open(TLS_STORE_CA, &view) == 0) {
        size_t start = (size_t)(view.records - host_flash_bytes);
        CHECK(start == SECTOR_AT(0) + 32 || start == SECTOR_AT(1) + 32);
        CHECK(view.length > 0 && view.length <= TLS_STORE_MAX);
        CHECK(read_records(view.records, view.length) == 0);
        tls_store_close(&view);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) {
        return 0;
    }
    size_t first = data[1] | (size_t)data[2] << 8, left = size - 3;
    first = first < left ? first : left;
    host_flash.size = SIZE;
    fill_sector(0, data + 3, first, data[0]);
    fill_sector(1, data + 3 + first, left - first, data[0]);
    check_stored();
    read_records(data, size);
    struct set set = make_set(data[0], 50);
    CHECK(tls_store_write(TLS_STORE_CA, set.records, set.length) == 0);
    CHECK(store_holds(TLS_STORE_CA, &set));
    return 0;
}
