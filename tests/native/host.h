/*
 * host.h - what the host board has beside board.h: values that a test sets, and waiting.
 */
#ifndef HOST_H
#define HOST_H

#include <stdint.h>

extern uint64_t host_seed;   /* 0: random numbers from the system; else always the same ones */
extern uint64_t host_micros; /* 0: the system's clock; else what board_micros() says */
extern int64_t host_date;    /* 0: the system's; else what board_epoch() says */

/* Wait until a stream may have something to tell, but no longer than this. */
void host_wait(int milliseconds);

/* From now on nothing reaches the peers of open streams, and nothing comes from them. */
void host_cut_off(void);

#endif
