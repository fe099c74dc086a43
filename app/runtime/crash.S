/*
 * crash.S - from an exception or panic() to crash_report(), every register saved as it was.
 *
 * The frame and the report's stack take the end of the heap: whatever broke, they are memory, and
 * what is on the old stack stays to be read. The code lies in IRAM, as the vectors do.
 */
#include "crash.h"

    .section .vectors.crash, "ax", @progbits
    .literal_position

/* Each of the entries begins with a1 to a15 as they were, and a0 in a register of its own. */
    .macro  entry name, kind, saved_a0
    .align  4
    .global \name
    .type   \name, @function
\name:
    movi    a0, __crash_frame
    s32i    a1, a0, 4 * 1
    rsr     a1, \saved_a0
    s32i    a1, a0, 4 * 0
    movi    a1, \kind
    j       save
    .size   \name, . - \name
    .endm

    entry   crash_exception, CRASH_EXCEPTION, excsave1
    entry   crash_double_exception, CRASH_DOUBLE_EXCEPTION, excsave3
    entry   crash_debug, CRASH_DEBUG, excsave2
    entry   crash_nmi, CRASH_NMI, excsave3
    entry   save_panic, CRASH_PANIC, excsave1

/* void panic(const char *reason) */
    .align  4
    .global panic
    .type   panic, @function
panic:
    wsr     a0, excsave1
    j       save_panic
    .size   panic, . - panic

    .macro  save_special register, word
    rsr     a2, \register
    s32i    a2, a0, 4 * \word
    .endm

    .align  4
    .type   save, @function
save:
    s32i    a1, a0, 4 * CRASH_KIND
    .irp    n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    s32i    a\n, a0, 4 * \n
    .endr
    save_special exccause, CRASH_CAUSE
    save_special epc1, CRASH_EPC1
    save_special epc2, CRASH_EPC2
    save_special epc3, CRASH_EPC3
    save_special excvaddr, CRASH_EXCVADDR
    save_special depc, CRASH_DEPC
    save_special ps, CRASH_PS
    save_special eps2, CRASH_EPS2
    save_special eps3, CRASH_EPS3
    save_special sar, CRASH_SAR
    save_special debugcause, CRASH_DEBUGCAUSE
    movi    a2, 0
    wsr     a2, dbreakc0        /* the guard of the stack: the report has a stack of its own */
    wsr     a2, intenable
    movi    a2, 0x2f            /* PS: user mode, every interrupt masked, as is a breakpoint */
    wsr     a2, ps
    rsync
    mov     a1, a0
    mov     a2, a0
    movi    a0, crash_report
    jx      a0
    .size   save, . - save
