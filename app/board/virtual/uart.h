/*
 * uart.h - the virtual board's console: a 16550.
 */
#ifndef UART_H
#define UART_H

#include <stdbool.h>
#include <stddef.h>

void uart_init(void);
void uart_write(const char *text, size_t length); /* returns when the UART took every byte */
bool uart_is_ready(void); /* whether a byte can be written without waiting */
int uart_read(void);      /* the next byte, or -1 */
void uart_drain(void);    /* returns when every byte has left */

#endif
