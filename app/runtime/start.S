/*
 * start.S - from the boot ROM's jump to main(), the exception vectors, and sleeping.
 *
 * The vectors lie at the start of IRAM, where the vendor SDK has them (offsets: Xtensa lx106
 * configuration). A level-1 interrupt only ends cpu_wait(): it masks all interrupts and returns;
 * when it is the end of a watch, and everything else, it goes to crash.S, with a0 in a special
 * register that nothing else uses. A timer interrupt in a watch that has time left is dropped: the
 * emulator's timers run beside its CPU, and one may fire for the wait before.
 */
#include "lx106.h"

#define TIMER_INTERRUPT 0x40     /* of CCOMPARE0, in INTENABLE: alone there, it is a watch */
#define DBREAKC_STORE 0x80000000 /* and a mask of six zeros: any of 64 bytes */

    .section .irom0.begin, "ax", @progbits /* see sections.ld */

    .section .vectors, "ax", @progbits
    .global vectors
vectors:
    .org    0x10                /* debug: level 2 */
    wsr     a0, excsave2
    j       crash_debug
    .org    0x20                /* NMI: level 3 */
    wsr     a0, excsave3
    j       crash_nmi
    .org    0x30                /* kernel exception */
    j       kernel_or_user
    .org    0x50                /* user exception */
    j       kernel_or_user
    .org    0x70                /* double exception */
    wsr     a0, excsave3
    j       crash_double_exception
    .org    0x80

    .literal_position
    .align  4
kernel_or_user:
    wsr     a0, excsave1
    rsr     a0, exccause
    beqi    a0, LX106_CAUSE_LEVEL1_INTERRUPT, 1f
2:  j       crash_exception
1:  rsr     a0, intenable
    beqi    a0, TIMER_INTERRUPT, 3f
    movi    a0, 0
    wsr     a0, intenable
    rsr     a0, excsave1
    rfe
3:  wsr     a1, excsave2
    rsr     a1, ccompare0
    rsr     a0, ccount
    sub     a0, a0, a1
    srli    a0, a0, 15          /* CCOUNT since the end of the watch; before it, nearly 2^32 */
    srli    a0, a0, 15
    bnez    a0, 4f
    rsr     a1, excsave2
    j       crash_exception
4:  wsr     a1, ccompare0       /* the same again: what was pending is not any more */
    rsr     a1, excsave2
    rsr     a0, excsave1
    rfe

/* The entry point in the image's header. */
    .align  4
    .global firmware_start
    .type   firmware_start, @function
firmware_start:
    movi    a0, 0
    wsr     a0, intenable
    wsr     a0, dbreakc0        /* after a restart it still guards the stack */
    movi    a0, vectors
    wsr     a0, vecbase
    movi    a0, 0x20            /* PS: user mode, all interrupt levels open */
    wsr     a0, ps
    rsync
    movi    a1, __stack_top

    movi    a2, __bss_start
    movi    a3, __bss_end
    movi    a0, 0
1:  bgeu    a2, a3, 2f
    s32i    a0, a2, 0
    addi    a2, a2, 4
    j       1b
2:  movi    a2, __sdk_bss_start
    movi    a3, __sdk_bss_end
3:  bgeu    a2, a3, 4f
    s32i    a0, a2, 0
    addi    a2, a2, 4
    j       3b
4:  movi    a2, __stack_base    /* the pattern that stack_unused() looks for */
    movi    a3, __stack_top
    movi    a0, 0x5a5a5a5a
5:  bgeu    a2, a3, 6f
    s32i    a0, a2, 0
    addi    a2, a2, 4
    j       5b
6:  movi    a2, __stack_base    /* a store to the stack's lowest 64 bytes is its end */
    wsr     a2, dbreaka0
    movi    a2, DBREAKC_STORE
    wsr     a2, dbreakc0
    rsync
    movi    a0, main
    callx0  a0
    movi    a2, main_returned
    movi    a0, panic
    callx0  a0
    .size   firmware_start, . - firmware_start

    .section .rodata.main_returned, "a", @progbits
main_returned:
    .asciz  "main() returned"
    .section .vectors, "ax", @progbits

/* void cpu_wait(uint32_t ticks): sleep until a device interrupts or `ticks` of CCOUNT passed. */
    .align  4
    .global cpu_wait
    .type   cpu_wait, @function
cpu_wait:
    movi    a3, 0               /* a watch ends before its CCOMPARE0 becomes another's */
    wsr     a3, intenable
    rsync
    rsr     a3, ccount
    add     a3, a3, a2
    wsr     a3, ccompare0
    movi    a3, -1
    rsil    a4, 1               /* no interrupt between here and the waiti */
    wsr     a3, intenable
    rsync
    waiti   0
    movi    a3, 0
    wsr     a3, intenable
    rsync
    ret
    .size   cpu_wait, . - cpu_wait

/* void cpu_watch(uint32_t ticks): the interrupt after `ticks` of CCOUNT is a crash. */
    .align  4
    .global cpu_watch
    .type   cpu_watch, @function
cpu_watch:
    rsr     a3, ccount
    add     a3, a3, a2
    wsr     a3, ccompare0       /* an interrupt that was pending is not any more */
    movi    a3, TIMER_INTERRUPT
    wsr     a3, intenable
    rsync
    ret
    .size   cpu_watch, . - cpu_watch

/* uint32_t cpu_ticks(void): CCOUNT. */
    .align  4
    .global cpu_ticks
    .type   cpu_ticks, @function
cpu_ticks:
    rsr     a2, ccount
    ret
    .size   cpu_ticks, . - cpu_ticks
