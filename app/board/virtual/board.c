/*
 * board.c - the virtual board: an emulated lx106 on the ESP8266's memory map.
 */
#include "board.h"

#include "cpu.h"
#include "options.h"
#include "simcall.h"
#include "uart.h"
#include "lx106.h"

#define TICKS_PER_MICROSECOND 40u /* CCOUNT of the emulated CPU: 40 MHz */
#define IDLE_LIMIT_MS 1000u       /* well inside CCOUNT's 107 s */
#define EXIT_CRASH 2
#define CHIP_ID 0x123456u /* the end of the emulator's MAC address */

static uint32_t watchdog_ticks;
static uint64_t ticks_total;
static uint32_t ticks_last;
static int64_t epoch_offset; /* microseconds from board_micros() to the epoch */
static bool epoch_known;

/* The clock over a restart: start.S leaves this memory alone, as a reset leaves the chip's RTC. */
static LX106_EMULATOR_ONLY struct {
    bool valid;
    uint32_t ticks;
    int64_t epoch;
} kept_clock;

static int random_file = -1;
static int script_file = -1;

static void set_epoch_micros(int64_t epoch)
{
    epoch_known = epoch != 0;
    epoch_offset = epoch - (int64_t)board_micros();
}

static void start_clock(void)
{
    ticks_last = cpu_ticks();
    if (kept_clock.valid) {
        uint32_t passed = ticks_last - kept_clock.ticks;
        set_epoch_micros(kept_clock.epoch + passed / TICKS_PER_MICROSECOND);
        kept_clock.valid = false;
    } else {
        board_set_epoch(options_number("epoch", 0), 0);
    }
}

void board_init(void)
{
    uart_init();
    options_load();
    start_clock();
    random_file = simcall(SIMCALL_OPEN, (int)"/dev/urandom", SIMCALL_O_RDONLY, 0);
}

void board_exit(int code)
{
    uart_drain();
    for (;;) {
        simcall(SIMCALL_EXIT, code & 0xff, 0, 0);
    }
}

void board_crash_end(void)
{
    board_exit(EXIT_CRASH);
}

void board_restart(void)
{
    uart_drain();
    kept_clock.epoch = board_epoch_micros();
    kept_clock.ticks = ticks_last;
    kept_clock.valid = kept_clock.epoch != 0;
    ((void (*)(void))LX106_RESET_VECTOR)();
    for (;;) {
    }
}

uint64_t board_micros(void)
{
    uint32_t now = cpu_ticks();

    ticks_total += now - ticks_last; /* called at least once a wrap: board_idle() is bounded */
    ticks_last = now;
    return ticks_total / TICKS_PER_MICROSECOND;
}

uint32_t board_millis(void)
{
    return (uint32_t)(board_micros() / 1000u);
}

int64_t board_epoch(void)
{
    return (int64_t)((uint64_t)board_epoch_micros() / 1000000u);
}

int64_t board_epoch_micros(void)
{
    return epoch_known ? epoch_offset + (int64_t)board_micros() : 0;
}

void board_set_epoch(int64_t seconds, uint32_t microseconds)
{
    set_epoch_micros(seconds * 1000000 + microseconds);
}

void board_idle(uint32_t milliseconds)
{
    if (milliseconds > IDLE_LIMIT_MS) {
        milliseconds = IDLE_LIMIT_MS;
    }
    if (milliseconds > 0) {
        cpu_wait(milliseconds * 1000u * TICKS_PER_MICROSECOND);
    }
}

void board_watchdog(uint32_t seconds)
{
    watchdog_ticks = seconds * 1000000u * TICKS_PER_MICROSECOND;
    cpu_watch(watchdog_ticks);
}

int board_random(void *buffer, size_t length)
{
    char *to = buffer;

    while (length > 0) {
        int got = simcall(SIMCALL_READ, random_file, (int)to, (int)length);
        if (got <= 0) {
            return BOARD_ERR_IO;
        }
        to += got;
        length -= (size_t)got;
    }
    return 0;
}

uint32_t board_chip_id(void)
{
    return CHIP_ID;
}

void board_console_write(const char *text, size_t length)
{
    for (; length > 0; text++, length--) {
        do {
            if (watchdog_ticks > 0) {
                cpu_watch(watchdog_ticks);
            }
        } while (!uart_is_ready());
        uart_write(text, 1);
    }
}

int board_console_read(void)
{
    return uart_read();
}

bool board_script_open(void)
{
    const char *path = options_text("script");

    if (path != NULL) {
        script_file = simcall(SIMCALL_OPEN, (int)path, SIMCALL_O_RDONLY, 0);
    }
    return script_file >= 0;
}

int board_script_read(void *buffer, size_t length)
{
    int got = simcall(SIMCALL_READ, script_file, (int)buffer, (int)length);

    if (got <= 0) {
        simcall(SIMCALL_CLOSE, script_file, 0, 0);
        script_file = -1;
    }
    return got < 0 ? BOARD_ERR_IO : got;
}

const char *board_script_name(void)
{
    return options_text("script");
}
