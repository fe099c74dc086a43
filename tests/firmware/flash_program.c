/*
 * flash_program.c - does to the board's flash, and to the store of credentials in it, what is typed
 * on the console.
 *
 *   size                  prints the size of the flash
 *   read OFFSET LENGTH    prints the result and, when that is 0, the bytes
 *   write OFFSET BYTES    prints the result; BYTES are hexadecimal digits, or none
 *   erase SECTOR          prints the result
 *   map OFFSET LENGTH     prints the bytes where they are mapped, or "nowhere"
 *   put SET BYTES         stores records, prints the result
 *   get SET               prints the result and, when that is 0, the records
 *
 * A restart works as in the firmware; ^D ends the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "tls_store.h"

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

static void print_bytes(int result, const uint8_t *bytes, size_t length)
{
    printf("%d", result);
    for (size_t i = 0; result == 0 && i < length; i++) {
        printf("%s%02x", i == 0 ? " " : "", bytes[i]);
    }
    printf("\n");
}

static void print_read(uint32_t offset, size_t length)
{
    print_bytes(board_flash_read(offset, data, length), data, length);
}

static void print_map(uint32_t offset, size_t length)
{
    const uint8_t *bytes = board_flash_map(offset, length);

    if (bytes == NULL) {
        printf("nowhere\n");
    } else {
        print_bytes(0, bytes, length);
    }
}

static void print_set(enum tls_store_set set)
{
    struct tls_store_view view;
    int result = tls_store_open(set, &view);

    print_bytes(result, view.records, view.length);
    tls_store_close(&view);
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
        } else if (strcmp(verb, "map") == 0) {
            print_map(number, strtoul(second, NULL, 0));
        } else if (strcmp(verb, "put") == 0) {
            size_t length = parse_bytes(second == NULL ? "" : second);
            printf("%d\n", tls_store_write(number, data, length));
        } else if (strcmp(verb, "get") == 0) {
            print_set(number);
        } else {
            board_restart();
        }
    }
}
