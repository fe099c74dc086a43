/*
 * flash_program.c - does to the board's flash what is typed on the console.
 *
 *   size                  prints the size of the flash
 *   read OFFSET LENGTH    prints the result and, when that is 0, the bytes
 *   write OFFSET BYTES    prints the result; BYTES are hexadecimal digits, or none
 *   erase SECTOR          prints the result
 *
 * A restart works as in the firmware; ^D ends the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"

#define LINE_SIZE 600
#define DATA_SIZE 256
#define END_OF_INPUT 0x04

static char line[LINE_SIZE];
static uint8_t data[DATA_SIZE];

int main(void);

static void read_line(void)
{
    size_t length = 0;

    for (;;) {
        int byte = board_console_read();
        if (byte == END_OF_INPUT) {
            board_exit(0);
        }
        if (byte == '\n') {
            line[length] = '\0';
            return;
        }
        if (byte >= 0 && length + 1 < sizeof line) {
            line[length++] = (char)byte;
        }
    }
}

static size_t parse_bytes(const char *digits)
{
    size_t count = 0;

    for (; digits[0] != '\0' && digits[1] != '\0' && count < sizeof data; digits += 2) {
        char pair[] = {digits[0], digits[1], '\0'};
        data[count++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return count;
}

static void print_read(uint32_t offset, size_t length)
{
    int result = board_flash_read(offset, data, length);

    printf("%d", result);
    for (size_t i = 0; result == 0 && i < length; i++) {
        printf("%s%02x", i == 0 ? " " : "", data[i]);
    }
    printf("\n");
}

int main(void)
{
    board_init();
    for (;;) {
        read_line();
        char *verb = strtok(line, " "), *first = strtok(NULL, " "), *second = strtok(NULL, " ");
        uint32_t number = first == NULL ? 0 : strtoul(first, NULL, 0);
        if (strcmp(verb, "size") == 0) {
            printf("%u\n", (unsigned)board_flash_size());
        } else if (strcmp(verb, "read") == 0) {
            print_read(number, strtoul(second, NULL, 0));
        } else if (strcmp(verb, "write") == 0) {
            size_t length = parse_bytes(second == NULL ? "" : second);
            printf("%d\n", board_flash_write(number, data, length));
        } else if (strcmp(verb, "erase") == 0) {
            printf("%d\n", board_flash_erase(number));
        } else {
            board_restart();
        }
    }
}
