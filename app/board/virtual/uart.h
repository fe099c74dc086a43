/*
 * uart.h - the virtual board's console: a 16550.
 */
#ifndef UART_H
#define UART_H

#include <stddef.h>

void uart_init(void);
void uart_write(const char *text, size_t length); /* returns when the UART took every byte */
int uart_read(void);                              /* the next byte, or -1 */
void uart_drain(void);                            /* returns when every byte has left */

#endif
