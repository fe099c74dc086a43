/*
 * crashes.c - linked into the firmware, it gives scripts crash(NAME), which brings it down.
 *
 * The link wraps luaopen_base, build_id_text and cpu_watch. Each way down goes through outer() and
 * inner(), so that a report has their return addresses to show.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lwip/pbuf.h>

#include "build_id.h"
#include "cpu.h"

#define FAULT __attribute__((noinline, noclone)) static void

int __real_luaopen_base(lua_State *L);
int __wrap_luaopen_base(lua_State *L);
void __real_build_id_text(char id[BUILD_ID_SIZE]);
void __wrap_build_id_text(char id[BUILD_ID_SIZE]);
void __real_cpu_watch(uint32_t ticks);
void __wrap_cpu_watch(uint32_t ticks);

static lua_State *state;
static volatile uint32_t zero, sink;
static bool fails_in_report, is_impatient;

FAULT fault_illegal(void)
{
    __asm__ volatile("ill");
}

FAULT fault_division(void)
{
    sink = 100 / zero;
}

FAULT fault_load(void)
{
    sink = *(volatile uint32_t *)(zero + 0x10);
}

FAULT fault_store(void)
{
    *(volatile uint32_t *)(zero + 0x20) = 1;
}

FAULT fault_misaligned(void)
{
    sink = *(volatile uint32_t *)(0x3ffe8001u + zero);
}

FAULT fault_jump_to_0(void)
{
    ((void (*)(void))zero)();
    sink++;
}

FAULT fault_jump_astray(void)
{
    ((void (*)(void))(zero + 0x20000000u))();
    sink++;
}

FAULT fault_break(void)
{
    __asm__ volatile("break 1, 1");
}

/* PS.EXCM says that an exception is being dealt with. */
FAULT fault_double(void)
{
    __asm__ volatile("movi a2, 0x30\n wsr a2, ps\n rsync\n ill" ::: "a2");
}

FAULT fault_registers(void)
{
    __asm__ volatile("ssai 13\n"
                     "movi a0, 0x100\n movi a2, 0x102\n movi a3, 0x103\n movi a4, 0x104\n"
                     "movi a5, 0x105\n movi a6, 0x106\n movi a7, 0x107\n movi a8, 0x108\n"
                     "movi a9, 0x109\n movi a10, 0x10a\n movi a11, 0x10b\n movi a12, 0x10c\n"
                     "movi a13, 0x10d\n movi a14, 0x10e\n movi a15, 0x10f\n ill");
}

FAULT fault_stack_pointer(void)
{
    __asm__ volatile("movi a1, 0x12345679\n ill");
}

FAULT fault_recursion(uint32_t depth)
{
    volatile uint32_t frame[4] = {depth};

    if (zero == 0) {
        fault_recursion(depth + 1);
    }
    sink = frame[0];
}

FAULT fault_overflow(void)
{
    fault_recursion(0);
    sink++;
}

/* Freed twice: lwIP asserts that it was not. */
FAULT fault_lwip(void)
{
    struct pbuf *p = pbuf_alloc(PBUF_RAW, 8, PBUF_RAM);

    p->ref = 0;
    pbuf_free(p);
}

/* An error in a state of its own, in no protected call, with the firmware's panic function. */
FAULT fault_lua(void)
{
    void *data;
    lua_Alloc allocate = lua_getallocf(state, &data);
    lua_State *other = lua_newstate(allocate, data);

    lua_atpanic(other, lua_atpanic(state, NULL));
    lua_pushliteral(other, "nobody catches this");
    lua_error(other);
}

FAULT fault_exit(void)
{
    exit(0);
}

FAULT fault_abort(void)
{
    abort();
}

FAULT fault_assert(void)
{
    assert(zero == 1);
}

FAULT fault_panic(void)
{
    panic("on purpose");
}

FAULT fault_null_reason(void)
{
    panic((const char *)zero);
}

/* A text without an end, at the end of the memory. */
FAULT fault_endless_reason(void)
{
    *(volatile uint32_t *)(0x40107ffc + zero) = 0x64636261;
    panic((const char *)zero + 0x40107ffc);
}

FAULT fault_in_the_report(void)
{
    fails_in_report = true;
    panic("with a report that fails");
}

/* No crash: from now on the watchdog takes a hundredth of its time. */
FAULT fault_impatient(void)
{
    is_impatient = true;
}

/* As the emulator's timer may fire in a new watch: nothing has happened. */
FAULT fault_early_timer(void)
{
    uint32_t saved;

    __asm__ volatile("movi %0, 4\n\t"
                     "wsr %0, exccause\n\t"
                     "movi %0, 1f\n\t"
                     "wsr %0, epc1\n\t"
                     "rsil %0, 15\n\t"
                     "movi %0, vectors + 0x50\n\t"
                     "jx %0\n"
                     "1: rsil %0, 0"
                     : "=&a"(saved));
}

/* Steps over the guard of the stack, then calls Lua. */
#pragma GCC diagnostic ignored "-Wframe-larger-than="
FAULT fault_large_frame(void)
{
    volatile char frame[8192];

    frame[sizeof frame - 1] = 0;
    lua_pushliteral(state, "a string that has to be allocated");
    sink = (uint32_t)frame[sizeof frame - 1];
}

/* Its callee has no debug information of what it does with the stack. */
FAULT fault_in_assembly(void)
{
    memset((void *)(zero + 0x20000000u), 1, 64 + zero);
    sink++;
}

static const struct {
    const char *name;
    void (*run)(void);
} faults[] = {
    {"illegal", fault_illegal},
    {"division", fault_division},
    {"load", fault_load},
    {"store", fault_store},
    {"misaligned", fault_misaligned},
    {"jump_to_0", fault_jump_to_0},
    {"jump_astray", fault_jump_astray},
    {"break", fault_break},
    {"double", fault_double},
    {"registers", fault_registers},
    {"stack_pointer", fault_stack_pointer},
    {"overflow", fault_overflow},
    {"lwip", fault_lwip},
    {"lua", fault_lua},
    {"exit", fault_exit},
    {"abort", fault_abort},
    {"assert", fault_assert},
    {"panic", fault_panic},
    {"null_reason", fault_null_reason},
    {"endless_reason", fault_endless_reason},
    {"in_the_report", fault_in_the_report},
    {"impatient", fault_impatient},
    {"early_timer", fault_early_timer},
    {"large_frame", fault_large_frame},
    {"in_assembly", fault_in_assembly},
};

FAULT inner(const char *name)
{
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        if (strcmp(faults[i].name, name) == 0) {
            faults[i].run();
        }
    }
    sink++;
}

FAULT outer(const char *name)
{
    inner(name);
    sink++;
}

void __wrap_build_id_text(char id[BUILD_ID_SIZE])
{
    if (fails_in_report) {
        fault_load();
    }
    __real_build_id_text(id);
}

void __wrap_cpu_watch(uint32_t ticks)
{
    __real_cpu_watch(is_impatient ? ticks / 100 : ticks);
}

static int crash(lua_State *L)
{
    state = L;
    outer(luaL_checkstring(L, 1));
    return 0;
}

int __wrap_luaopen_base(lua_State *L)
{
    int count = __real_luaopen_base(L);

    lua_register(L, "crash", crash);
    return count;
}
