/*
 * host_flash.h - the board's flash for native programs: board_flash_*() of board.h on an array.
 *
 * NOR semantics as on the board. It counts what is done to it, can have bits that refuse, and its
 * power can be cut in the middle of a write or an erase. It is erased and 1 MiB large at start.
 */
#ifndef HOST_FLASH_H
#define HOST_FLASH_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOST_FLASH_MAX 0x100000u
#define HOST_FLASH_NO_CUT UINT32_MAX

/* In which order an erase goes through a sector, and so what a cut leaves of it. */
enum host_flash_order {
    HOST_FLASH_FORWARD,
    HOST_FLASH_BACKWARD,
    HOST_FLASH_SCATTERED, /* all bytes at once, each bit at its own time */
};

struct host_flash {
    uint32_t size; /* in bytes, up to HOST_FLASH_MAX */

    /* Counted since host_flash_reset_counters(). */
    unsigned erases;
    unsigned writes;
    uint32_t bytes; /* written or erased */

    /*
     * How many bytes are still written or erased before the power goes. Of the next one only the
     * bits in `cut_mask` change. Then control goes to `power_off` when that is set; without it,
     * every write and erase fails until host_flash_power_on().
     */
    uint32_t cut_after;
    uint8_t cut_mask;
    enum host_flash_order erase_order;
    jmp_buf *power_off;
    bool is_off;

    /* A byte some of whose bits neither a write clears nor an erase sets. */
    uint32_t stuck_at;
    uint8_t stuck_low, stuck_high;
};

extern struct host_flash host_flash;
extern uint8_t host_flash_bytes[HOST_FLASH_MAX];

void host_flash_init(uint32_t size); /* erased, no cut, nothing stuck */
void host_flash_reset_counters(void);
void host_flash_power_on(void); /* and no cut any more */

#endif
