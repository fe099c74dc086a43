/*
 * guest.c - a program that takes the boot ROM's place in the emulator, to test what is around it.
 *
 * Prints its arguments and what it finds in flash. Given a script it ends with 6; else it answers
 * every line with `got: LINE`; `exit N` ends it with N, ^D on an empty line with 0. State is on
 * the stack: the boot ROM's linker script allows no other.
 */
#include <string.h>

#include "lx106.h"
#include "simcall.h"
#include "uart.h"

#define END_OF_INPUT 4
#define EXIT_SCRIPT 6

static void print(const char *text)
{
    uart_write(text, strlen(text));
}

static void print_flash(unsigned offset)
{
    const unsigned char *flash = (const unsigned char *)LX106_FLASH_WINDOW + offset;
    char text[2] = {0, 0};

    print("flash: ");
    for (int i = 0; i < 4; i++) {
        text[0] = "0123456789abcdef"[flash[i] >> 4];
        print(text);
        text[0] = "0123456789abcdef"[flash[i] & 15];
        print(text);
    }
    print("\n");
}

/* Returns whether one of them names a script. */
static int print_arguments(void)
{
    char *arguments[512];
    int count = simcall(SIMCALL_ARGC, 0, 0, 0);
    int has_script = 0;

    if (simcall(SIMCALL_ARGV_SIZE, 0, 0, 0) > (int)sizeof(arguments)) {
        return 0;
    }
    simcall(SIMCALL_ARGV, (int)arguments, 0, 0);
    for (int i = 0; i < count; i++) {
        print(arguments[i]);
        print("\n");
        has_script |= strncmp(arguments[i], "script=", 7) == 0;
    }
    return has_script;
}

static void leave(int code)
{
    uart_drain();
    simcall(SIMCALL_EXIT, code, 0, 0);
}

static void answer(const char *line)
{
    print("got: ");
    print(line);
    print("\n");
    if (strncmp(line, "exit ", 5) == 0) {
        int code = 0;
        for (const char *p = line + 5; *p; p++) {
            code = code * 10 + *p - '0';
        }
        leave(code);
    }
}

void boot_main(void);

void boot_main(void)
{
    char line[256];
    unsigned length = 0;

    int has_script = print_arguments();

    print_flash(0);
    print_flash(0xffffc);
    print("ready\n");
    if (has_script) {
        leave(EXIT_SCRIPT);
    }
    for (;;) {
        int c = uart_read();
        if (c < 0) {
            /* Each look at the UART holds up the emulator's main loop: look less often. */
            for (volatile int i = 0; i < 20000; i++) {
            }
        } else if (c == END_OF_INPUT && length == 0) {
            print("bye\n");
            leave(0);
        } else if (c == '\n' || c == '\r') {
            line[length] = '\0';
            length = 0;
            answer(line);
        } else if (length < sizeof(line) - 1) {
            line[length++] = (char)c;
        }
    }
}
