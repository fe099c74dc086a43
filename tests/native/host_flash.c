#include "host_flash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "lx106.h"

#define NOWHERE UINT32_MAX

struct host_flash host_flash;
_Alignas(LX106_FLASH_SECTOR) uint8_t host_flash_bytes[HOST_FLASH_MAX];

static uint32_t random_state = 1;

__attribute__((constructor)) static void start_erased(void)
{
    host_flash_init(HOST_FLASH_MAX);
}

void host_flash_init(uint32_t size)
{
    memset(host_flash_bytes, 0xff, sizeof host_flash_bytes);
    host_flash =
        (struct host_flash){.size = size, .cut_after = HOST_FLASH_NO_CUT, .stuck_at = NOWHERE};
}

void host_flash_reset_counters(void)
{
    host_flash.erases = 0;
    host_flash.writes = 0;
    host_flash.bytes = 0;
}

void host_flash_power_on(void)
{
    host_flash.is_off = false;
    host_flash.cut_after = HOST_FLASH_NO_CUT;
    host_flash.power_off = NULL;
}

static uint8_t draw_byte(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 24;
}

static void set_byte(uint32_t at, uint8_t value)
{
    if (at == host_flash.stuck_at) {
        value = (value & ~host_flash.stuck_low) | host_flash.stuck_high;
    }
    host_flash_bytes[at] = value;
}

/* Cut the power: returns when nobody wants to be told. */
static int cut_power(void)
{
    host_flash.is_off = true;
    if (host_flash.power_off != NULL) {
        longjmp(*host_flash.power_off, 1);
    }
    return BOARD_ERR_IO;
}

/* Change a byte, or only some of its bits when the power goes; returns whether it went. */
static bool change_byte(uint32_t at, uint8_t value)
{
    uint8_t old = host_flash_bytes[at];
    bool is_last = host_flash.cut_after == 0;

    set_byte(at, is_last ? old ^ ((old ^ value) & host_flash.cut_mask) : value);
    if (host_flash.cut_after != HOST_FLASH_NO_CUT && !is_last) {
        host_flash.cut_after--;
    }
    host_flash.bytes += !is_last;
    return is_last;
}

static int lies_inside(uint32_t offset, size_t length)
{
    return offset <= host_flash.size && length <= host_flash.size - offset;
}

/* The chip moves whole words only, and not from flash into flash: what works here must there. */
static void check_words(uint32_t offset, const void *memory, size_t length)
{
    const uint8_t *bytes = memory;
    bool in_flash = bytes >= host_flash_bytes && bytes < host_flash_bytes + HOST_FLASH_MAX;

    if (offset % 4 != 0 || length % 4 != 0 || (uintptr_t)memory % 4 != 0 || in_flash) {
        fprintf(stderr, "host_flash: the chip could not move %zu bytes at %#x\n", length, offset);
        abort();
    }
}

uint32_t board_flash_size(void)
{
    return host_flash.size;
}

int board_flash_read(uint32_t offset, void *buffer, size_t length)
{
    check_words(offset, buffer, length);
    if (!lies_inside(offset, length)) {
        return BOARD_ERR_RANGE;
    }
    memcpy(buffer, host_flash_bytes + offset, length);
    return 0;
}

int board_flash_write(uint32_t offset, const void *data, size_t length)
{
    const uint8_t *from = data;

    check_words(offset, data, length);
    if (!lies_inside(offset, length)) {
        return BOARD_ERR_RANGE;
    }
    if (host_flash.is_off) {
        return BOARD_ERR_IO;
    }
    host_flash.writes++;
    for (size_t i = 0; i < length; i++) {
        uint32_t at = offset + (uint32_t)i;
        if (change_byte(at, host_flash_bytes[at] & from[i])) {
            return cut_power();
        }
    }
    return 0;
}

/* Leave a sector as it is after a part of the time that an erase takes. */
static void erase_some_bits(uint32_t start, uint32_t part)
{
    for (uint32_t i = 0; i < LX106_FLASH_SECTOR; i++) {
        uint8_t bits = 0;
        for (unsigned bit = 0; bit < 8; bit++) {
            bits |= (draw_byte() << 4 < (int)part) << bit;
        }
        set_byte(start + i, host_flash_bytes[start + i] | bits);
    }
}

int board_flash_erase(uint32_t sector)
{
    uint32_t start = sector * LX106_FLASH_SECTOR;

    if (sector >= host_flash.size / LX106_FLASH_SECTOR) {
        return BOARD_ERR_RANGE;
    }
    if (host_flash.is_off) {
        return BOARD_ERR_IO;
    }
    host_flash.erases++;
    if (host_flash.erase_order == HOST_FLASH_SCATTERED &&
        host_flash.cut_after < LX106_FLASH_SECTOR) {
        erase_some_bits(start, host_flash.cut_after);
        return cut_power();
    }
    if (host_flash.cut_after == HOST_FLASH_NO_CUT && host_flash.stuck_at == NOWHERE) {
        memset(host_flash_bytes + start, 0xff, LX106_FLASH_SECTOR); /* the same, but fast */
        host_flash.bytes += LX106_FLASH_SECTOR;
        return 0;
    }
    for (uint32_t i = 0; i < LX106_FLASH_SECTOR; i++) {
        bool backward = host_flash.erase_order == HOST_FLASH_BACKWARD;
        if (change_byte(start + (backward ? LX106_FLASH_SECTOR - 1 - i : i), 0xff)) {
            return cut_power();
        }
    }
    return 0;
}

const uint8_t *board_flash_map(uint32_t offset, size_t length)
{
    return lies_inside(offset, length) ? host_flash_bytes + offset : NULL;
}
