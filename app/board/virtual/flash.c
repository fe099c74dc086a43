/*
 * flash.c - the virtual board's NOR flash: the emulator's mapped copy, and the file behind it.
 *
 * Reads come from the mapped window. Writes and erases change the window and the file, so that
 * the contents survive the emulator. A board started without a file keeps them in memory only.
 */
#include <string.h>

#include "board.h"
#include "lx106.h"
#include "options.h"
#include "simcall.h"

static uint8_t *const window = (uint8_t *)LX106_FLASH_WINDOW;
static int flash_file = -1;

uint32_t board_flash_size(void)
{
    int64_t size = options_number("flash_size", LX106_FLASH_WINDOW_SIZE);

    return size > 0 && size < LX106_FLASH_WINDOW_SIZE ? (uint32_t)size : LX106_FLASH_WINDOW_SIZE;
}

static int lies_inside(uint32_t offset, size_t length)
{
    return offset <= board_flash_size() && length <= board_flash_size() - offset;
}

/* Bring the file up to the window for this range. */
static int save(uint32_t offset, size_t length)
{
    const char *path = options_text("flash");

    if (path == NULL) {
        return 0;
    }
    if (flash_file < 0) {
        flash_file = simcall(SIMCALL_OPEN, (int)path, SIMCALL_O_RDWR, 0);
    }
    if (flash_file < 0 ||
        simcall(SIMCALL_LSEEK, flash_file, (int)offset, SIMCALL_SEEK_SET) != (int)offset) {
        return BOARD_ERR_IO;
    }
    while (length > 0) {
        int put = simcall(SIMCALL_WRITE, flash_file, (int)(window + offset), (int)length);
        if (put <= 0) {
            return BOARD_ERR_IO;
        }
        offset += (uint32_t)put;
        length -= (size_t)put;
    }
    return 0;
}

int board_flash_read(uint32_t offset, void *buffer, size_t length)
{
    if (!lies_inside(offset, length)) {
        return BOARD_ERR_RANGE;
    }
    memcpy(buffer, window + offset, length);
    return 0;
}

int board_flash_write(uint32_t offset, const void *data, size_t length)
{
    const uint8_t *from = data;

    if (!lies_inside(offset, length)) {
        return BOARD_ERR_RANGE;
    }
    for (size_t i = 0; i < length; i++) {
        window[offset + i] &= from[i];
    }
    return save(offset, length);
}

int board_flash_erase(uint32_t sector)
{
    if (sector >= board_flash_size() / LX106_FLASH_SECTOR) {
        return BOARD_ERR_RANGE;
    }
    memset(window + sector * LX106_FLASH_SECTOR, 0xff, LX106_FLASH_SECTOR);
    return save(sector * LX106_FLASH_SECTOR, LX106_FLASH_SECTOR);
}

const uint8_t *board_flash_map(uint32_t offset, size_t length)
{
    return lies_inside(offset, length) ? window + offset : NULL;
}
