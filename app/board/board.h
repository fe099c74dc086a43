/*
 * board.h - what lies under the firmware: console, clock, random, flash, network.
 *
 * One board is linked in. Everything runs on the one main loop: no call here is made from an
 * interrupt, and none blocks except board_console_write() (until the console took the bytes) and
 * board_idle().
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Negative results of the calls below. */
enum board_err {
    BOARD_ERR_RANGE = -1, /* outside the flash, or not aligned as the call wants */
    BOARD_ERR_IO = -2,    /* the device refused */
};

void board_init(void);

/* End the program: the emulator exits with `code`'s low eight bits. */
void board_exit(int code) __attribute__((noreturn));
/* End after a crash report: the chip resets, the emulator exits with 2. Needs nothing of flash. */
void board_crash_end(void) __attribute__((noreturn));
/* Start again from the boot ROM, as after a reset. */
void board_restart(void) __attribute__((noreturn));

uint64_t board_micros(void); /* since start; monotonic */
uint32_t board_millis(void); /* since start; wraps after 49 days */
/* Seconds, and microseconds, since 1970-01-01 UTC; 0 while the board does not know the time. */
int64_t board_epoch(void);
int64_t board_epoch_micros(void);
/* Set the clock; 0 makes it unknown. A restart does not lose it. */
void board_set_epoch(int64_t seconds, uint32_t microseconds);
/* Sleep until a device has something or `milliseconds` have passed; may return early. */
void board_idle(uint32_t milliseconds);

/*
 * Crash when this is not called again for so many seconds, 100 at most; the time in board_idle(),
 * and until the console takes what is written to it, does not count.
 */
void board_watchdog(uint32_t seconds);

/* Fill `buffer` from the board's random source. Returns 0 or BOARD_ERR_IO. */
int board_random(void *buffer, size_t length);

uint32_t board_chip_id(void); /* 24 bits, the end of the MAC address */

void board_console_write(const char *text, size_t length);
int board_console_read(void); /* the next byte, or -1 when there is none yet */

/* The Lua script to run at start: its name (NULL: none), and the next bytes of it, 0 at its end. */
const char *board_script_name(void);
bool board_script_open(void);
int board_script_read(void *buffer, size_t length);

/* Flash with NOR semantics: a write clears bits only, an erase sets a whole sector to ones. */
uint32_t board_flash_size(void);
int board_flash_read(uint32_t offset, void *buffer, size_t length);
int board_flash_write(uint32_t offset, const void *data, size_t length);
int board_flash_erase(uint32_t sector); /* sector number, not offset */
/* Where these bytes of flash can be read in place, as they are at any time; NULL when nowhere. */
const uint8_t *board_flash_map(uint32_t offset, size_t length);

/* Bring the network interface up and start DHCP. */
void board_network_start(void);
/* Hand received frames to lwIP. */
void board_network_poll(void);
bool board_network_ready(void); /* has an address */

#endif
