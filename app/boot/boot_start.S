/* The boot ROM's reset entry, at the mask ROM's address (LX106_RESET_VECTOR). */
    .section .text.reset, "ax", @progbits
    .align  4
    .global boot_reset
    .type   boot_reset, @function
boot_reset:
    j       1f                  /* the literals must not come first */
    .align  4
    .literal_position
1:  movi    a0, 0x21            /* PS: user mode, interrupt level 1 masked */
    wsr     a0, ps
    movi    a0, 0
    wsr     a0, intenable
    rsync
    movi    a1, __stack_top
    movi    a0, boot_main
    jx      a0
    .size   boot_reset, . - boot_reset
