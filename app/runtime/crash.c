#include "crash.h"

#include <stdbool.h>
#include <stddef.h>

#include "board.h"
#include "build_id.h"
#include "cpu.h"
#include "lx106.h"

#define REPORTING 0x63726173u /* a value that a stray write does not leave by chance */
#define CALL_LENGTH 3u        /* of the call instruction before a return address */
#define PS_EXCM 0x10u
#define DEBUGCAUSE_BREAKPOINT 0x04u /* DBREAK: the guard of the stack, nothing else sets one */
#define DEBUGCAUSE_BREAK 0x18u      /* a break instruction, of either size */
#define STACK_BYTES 2048u
#define LINE_BYTES 16u
#define REASON_LENGTH 120
#define WATCHDOG "watchdog: one callback took all the time, or never ended"

static uint32_t reporting;

/*
 * Nothing in flash is called from here, the C library included: the linker script puts this file
 * and what it calls into IRAM, its texts too, since the heap, the stack or the flash may be what
 * broke. From there, as from flash, the chip reads whole words only. Not inline, since the compiler
 * would see that the words of a short text go beyond it.
 */
__attribute__((noinline)) static char read_byte(const char *text)
{
    uint32_t address = (uint32_t)text;

    return (char)(*(const volatile uint32_t *)(address & ~3u) >> 8 * (address & 3u));
}

static void print(const char *text)
{
    for (char c = read_byte(text); c != '\0'; c = read_byte(++text)) {
        board_console_write(&c, 1);
    }
}

static void print_hex(const char *label, uint32_t value)
{
    char digits[9];

    for (unsigned i = 0; i < 8; i++) {
        unsigned digit = value >> (28 - 4 * i) & 15u;
        digits[i] = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
    }
    digits[8] = '\0';
    print(label);
    print(digits);
}

/* Of at most two digits, and without a division: what divides lies in flash. */
static void print_number(uint32_t number)
{
    char tens = '0', ones;

    for (number &= 63u; number >= 10; number -= 10) {
        tens++;
    }
    ones = (char)('0' + number);
    if (tens != '0') {
        board_console_write(&tens, 1);
    }
    board_console_write(&ones, 1);
}

/* Whether there is memory that can be read. */
static bool is_memory(uint32_t address)
{
    return (address >= LX106_DRAM_BASE && address < LX106_STACK_TOP) ||
           address - LX106_IRAM_BASE < LX106_IRAM_SIZE ||
           address - LX106_FLASH_WINDOW < LX106_FLASH_WINDOW_SIZE;
}

/* The reason may lie in flash, or be no pointer: believe nothing. */
static void print_reason(const char *reason)
{
    for (unsigned i = 0; i < REASON_LENGTH; i++) {
        if (!is_memory((uint32_t)reason + i)) {
            print_hex("(no text at 0x", (uint32_t)reason + i);
            print(")");
            return;
        }
        char c = read_byte(reason + i);
        if (c == '\0') {
            return;
        }
        c = c >= ' ' && c <= '~' ? c : '?';
        board_console_write(&c, 1);
    }
}

static bool is_watch(const uint32_t *frame)
{
    return frame[CRASH_KIND] == CRASH_EXCEPTION &&
           frame[CRASH_CAUSE] == LX106_CAUSE_LEVEL1_INTERRUPT;
}

/* The first line; returns where the program stood, which is EPC1 to whoever reads the report. */
static uint32_t print_cause(const uint32_t *frame)
{
    switch (frame[CRASH_KIND]) {
    case CRASH_PANIC:
        print("\nPanic: ");
        print_reason((const char *)frame[2]);
        print("\n");
        return frame[0] - CALL_LENGTH;
    case CRASH_DEBUG:
        print(frame[CRASH_DEBUGCAUSE] & DEBUGCAUSE_BREAKPOINT ? "\nPanic: the stack is exhausted\n"
              : frame[CRASH_DEBUGCAUSE] & DEBUGCAUSE_BREAK    ? "\nPanic: break instruction\n"
                                                              : "\nPanic: debug exception\n");
        return frame[CRASH_EPC2];
    case CRASH_NMI:
        print("\nPanic: non-maskable interrupt\n");
        return frame[CRASH_EPC3];
    default:
        if (is_watch(frame)) {
            print("\nPanic: " WATCHDOG "\n");
            return frame[CRASH_EPC1];
        }
        print("\nException (");
        print_number(frame[CRASH_CAUSE]);
        print("):\n");
        return frame[CRASH_EPC1];
    }
}

/* PS as it was before an exception changed it. */
static uint32_t find_ps(const uint32_t *frame)
{
    switch (frame[CRASH_KIND]) {
    case CRASH_EXCEPTION:
        return frame[CRASH_PS] & ~PS_EXCM;
    case CRASH_DEBUG:
        return frame[CRASH_EPS2];
    case CRASH_NMI:
        return frame[CRASH_EPS3];
    default:
        return frame[CRASH_PS];
    }
}

static void print_registers(const uint32_t *frame, uint32_t pc)
{
    print_hex("epc1=0x", pc);
    print_hex(" epc2=0x", frame[CRASH_EPC2]);
    print_hex(" epc3=0x", frame[CRASH_EPC3]);
    print_hex(" excvaddr=0x", frame[CRASH_EXCVADDR]);
    print_hex(" depc=0x", frame[CRASH_DEPC]);
    for (unsigned i = 0; i < 16; i++) {
        print(i % 4 == 0 ? "\na" : " a");
        print_number(i);
        print_hex("=0x", frame[i]);
    }
    print_hex("\nps=0x", find_ps(frame));
    print_hex(" sar=0x", frame[CRASH_SAR]);
    print("\n");
}

static void print_build_id(void)
{
    char id[BUILD_ID_SIZE];

    build_id_text(id);
    print("build=");
    print(id);
    print("\n");
}

/* Below its base the stack has run into the ROM's data, which can be read just as well. */
static bool is_stack(uint32_t address)
{
    return address >= LX106_ROM_DATA_BASE && address <= LX106_STACK_TOP;
}

static void print_stack(uint32_t sp)
{
    uint32_t begin = is_stack(sp) ? sp & ~(LINE_BYTES - 1) : LX106_STACK_TOP - STACK_BYTES;
    uint32_t end = LX106_STACK_TOP - begin > STACK_BYTES ? begin + STACK_BYTES : LX106_STACK_TOP;

    print("\n>>>stack>>>\n\nctx: sys\n");
    print_hex("sp: ", sp);
    print_hex(" end: ", LX106_STACK_TOP);
    print(" offset: 0000\n");
    if (!is_stack(sp)) {
        print("(sp is not in the stack: this is its end)\n");
    }
    for (uint32_t line = begin; line < end; line += LINE_BYTES) {
        print_hex("", line);
        print(": ");
        for (uint32_t at = line; at < line + LINE_BYTES; at += 4) {
            print_hex(" ", *(const volatile uint32_t *)at);
        }
        print("\n");
    }
    print(end < LX106_STACK_TOP ? "(cut)\n<<<stack<<<\n\n" : "<<<stack<<<\n\n");
}

/* A crash in here ends with a line of its own, and one in that with none. */
void crash_report(const uint32_t frame[CRASH_WORDS])
{
    if (reporting == REPORTING) {
        reporting++;
        bool is_double = frame[CRASH_KIND] == CRASH_DOUBLE_EXCEPTION;
        print_hex("\nCrash in the crash report at 0x", frame[is_double ? CRASH_DEPC : CRASH_EPC1]);
        print("\n");
    } else if (reporting != REPORTING + 1) {
        reporting = REPORTING;
        print_registers(frame, print_cause(frame));
        print_build_id();
        print_stack(frame[1]);
    }
    board_crash_end();
}
