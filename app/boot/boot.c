/*
 * boot.c - the virtual boot ROM: what the chip's mask ROM does after reset.
 *
 * Finds the image at the start of the mapped flash, copies its segments and jumps to its entry.
 * An image that it cannot trust is refused with a line on the console and exit code 3.
 */
#include <string.h>

#include "boot_image.h"
#include "lx106.h"
#include "simcall.h"
#include "uart.h"

#define EXIT_REFUSED 3

static void print(const char *text)
{
    uart_write(text, strlen(text));
}

static void refuse(int error)
{
    print("boot: refused: ");
    print(boot_image_reason(error));
    print("\n");
    uart_drain();
    simcall(SIMCALL_EXIT, EXIT_REFUSED, 0, 0);
}

void boot_main(void);

void boot_main(void)
{
    struct boot_image image;
    const uint8_t *flash = (const uint8_t *)LX106_FLASH_WINDOW;

    uart_init();
    int error = boot_image_read(&image, flash, LX106_FLASH_WINDOW_SIZE);
    if (error < 0) {
        refuse(error);
        return; /* not reached: the emulator has ended */
    }
    for (unsigned i = 0; i < image.segment_count; i++) {
        memcpy((void *)image.segments[i].address, image.segments[i].data, image.segments[i].length);
    }
    ((void (*)(void))image.entry)();
}
