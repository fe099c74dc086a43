/*
 * net_port.h - the two things lwIP asks of the system: the time and a random number.
 */
#ifndef NET_PORT_H
#define NET_PORT_H

#include <stdint.h>

uint32_t net_random(void);

#endif
