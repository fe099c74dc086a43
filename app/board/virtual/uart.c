#include "uart.h"

#include <stdint.h>

/* 16550 registers, one every four bytes (datasheet names). */
#define UART_BASE 0x9d050020u
#define UART_REG(n) (*(volatile uint32_t *)(UART_BASE + 4u * (n)))
#define UART_RBR UART_REG(0) /* read: receive buffer */
#define UART_THR UART_REG(0) /* write: transmit holding */
#define UART_IER UART_REG(1)
#define UART_LSR UART_REG(5)

#define UART_IER_RX 0x01u
#define UART_LSR_DATA 0x01u
#define UART_LSR_THR_EMPTY 0x20u
#define UART_LSR_IDLE 0x40u

void uart_init(void)
{
    /* The FIFO stays off: turning it on would throw away what was typed before. */
    UART_IER = UART_IER_RX; /* so that a key ends board_idle() */
}

bool uart_is_ready(void)
{
    return (UART_LSR & UART_LSR_THR_EMPTY) != 0;
}

void uart_write(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        while (!uart_is_ready()) {
        }
        UART_THR = (uint8_t)text[i];
    }
}

int uart_read(void)
{
    return UART_LSR & UART_LSR_DATA ? (int)(UART_RBR & 0xffu) : -1;
}

void uart_drain(void)
{
    while (!(UART_LSR & UART_LSR_IDLE)) {
    }
}
