#include "net_port.h"

#include <lwip/sys.h>

#include "board.h"

uint32_t sys_now(void)
{
    return board_millis();
}

uint32_t net_random(void)
{
    uint32_t value;

    if (board_random(&value, sizeof value) < 0) {
        panic("no random source"); /* predictable ports and sequence numbers are worse */
    }
    return value;
}
