/*
 * Start main() on QEMU's lx106 and end the emulator with its result. An exception ends it with
 * EXCEPTION_EXIT plus EXCCAUSE.
 */
#define SYS_EXIT 1
#define SYS_WRITE 4
#define STDOUT 1
#define EXCEPTION_EXIT 64
#define PS_USER_MODE 0x20

    /* The lx106's VECBASE after reset is 0x40000000. Offsets: kernel, user, double exception. */
    .section .vectors, "ax"
    .org    0x30
    j       exception
    .org    0x50
    j       exception
    .org    0x70
exception:
    rsr     a3, exccause
    addi    a3, a3, EXCEPTION_EXIT
    movi    a2, SYS_EXIT
    simcall

    .text
    .literal_position
    .global _start
    .align  4
_start:
    movi    a2, PS_USER_MODE    /* no exception is being handled */
    wsr     a2, ps
    rsync
    movi    a1, stack_top
    movi    a0, main
    callx0  a0
    mov     a3, a2
    movi    a2, SYS_EXIT
    simcall

    .global target_write
    .type   target_write, @function
    .align  4
target_write:
    mov     a5, a3
    mov     a4, a2
    movi    a3, STDOUT
    movi    a2, SYS_WRITE
    simcall
    ret
