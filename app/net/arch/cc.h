/*
 * cc.h - lwIP's view of the compiler and the board.
 */
#ifndef LWIP_ARCH_CC_H
#define LWIP_ARCH_CC_H

#include "cpu.h"
#include "net_port.h"

#define LWIP_NO_CTYPE_H 0
#define BYTE_ORDER LITTLE_ENDIAN

#define LWIP_RAND() net_random()
#define LWIP_PLATFORM_DIAG(message)
#define LWIP_PLATFORM_ASSERT(message) panic("lwIP: " message)

#endif
