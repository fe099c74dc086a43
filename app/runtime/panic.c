#include "board.h"
#include "cpu.h"

#define EXIT_PANIC 2
#define STACK_PATTERN 0x5a5a5a5au

extern const uint32_t __stack_base[], __stack_top[];

size_t stack_room(void)
{
    return (size_t)((const char *)__builtin_frame_address(0) - (const char *)__stack_base);
}

size_t stack_unused(void)
{
    const uint32_t *word = __stack_base;

    while (word < __stack_top && *word == STACK_PATTERN) {
        word++;
    }
    return (size_t)((const char *)word - (const char *)__stack_base);
}

/*
 * Nothing in flash is called from here, the C library included: the linker script puts this file
 * and what it calls into RAM, since the heap, the stack or the flash may be what broke.
 */
static void print(const char *text)
{
    for (; *text != '\0'; text++) {
        board_console_write(text, 1);
    }
}

static void print_hex(const char *label, uint32_t value)
{
    char digits[9];

    for (int i = 0; i < 8; i++) {
        digits[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15u];
    }
    digits[8] = '\0';
    print(label);
    print(digits);
}

void panic(const char *reason)
{
    print("\npanic: ");
    print(reason);
    print("\n");
    board_exit(EXIT_PANIC);
}

void panic_exception(uint32_t cause, uint32_t pc, uint32_t address, uint32_t stack)
{
    print_hex("\nexception: cause 0x", cause);
    print_hex(" epc1 0x", pc);
    print_hex(" excvaddr 0x", address);
    print_hex(" sp 0x", stack);
    panic("CPU exception");
}
