/* int simcall(int number, int a, int b, int c): the ABI puts the arguments where the emulator
   looks for them (a2..a5) and takes the result from where the emulator leaves it (a2). */
    .section .text.simcall, "ax", @progbits
    .align  4
    .global simcall
    .type   simcall, @function
simcall:
    simcall
    ret
    .size   simcall, . - simcall
