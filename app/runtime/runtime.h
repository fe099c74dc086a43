/*
 * The compiler helpers that the ESP8266's mask ROM holds.
 *
 * GCC for the lx106 leaves them out of its libgcc because the chip's ROM has them. A firmware
 * that does not call into the ROM brings its own, and these are exactly the 24 that libgcc
 * lacks; everything else (comparisons, __divsf3, __moddi3, 64-bit shifts, conversions between
 * floating point and 64-bit integers …) comes from libgcc. The compiler calls them by itself
 * wherever C says `a / b` or `x * y`; nothing includes this header to use one.
 *
 * Contracts, besides what C and IEEE 754 say:
 *  - Floating point rounds to nearest, ties to even. Denormals, signed zeros and infinities are
 *    exact. There are no exception flags.
 *  - A NaN operand comes back quiet, with its payload. Which one of two, and its sign, are not
 *    specified. An invalid operation gives the positive quiet NaN without payload.
 *  - Floating point to integer truncates. What does not fit gives the nearest limit, a NaN the
 *    largest value. To unsigned, a negative number wraps modulo 2^32 while its magnitude fits,
 *    and is 0x80000000 below that. libgcc's own conversions do the same.
 *  - Integer division by zero executes `ill`, as libgcc's own division does: the exception
 *    handler sees EXCCAUSE 0. INT_MIN / -1 is INT_MIN.
 *
 * RUNTIME_NAME may be redefined to give the helpers names that a hosted build's own compiler
 * library does not have.
 */
#ifndef RUNTIME_H
#define RUNTIME_H

#include <stdint.h>

#ifndef RUNTIME_NAME
#define RUNTIME_NAME(name) __##name
#endif

/* div32.c */
uint32_t RUNTIME_NAME(udivsi3)(uint32_t dividend, uint32_t divisor);
uint32_t RUNTIME_NAME(umodsi3)(uint32_t dividend, uint32_t divisor);
int32_t RUNTIME_NAME(divsi3)(int32_t dividend, int32_t divisor);

/* int64.c */
uint64_t RUNTIME_NAME(umulsidi3)(uint32_t x, uint32_t y);
int64_t RUNTIME_NAME(muldi3)(int64_t x, int64_t y);
uint64_t RUNTIME_NAME(udivdi3)(uint64_t dividend, uint64_t divisor);
uint64_t RUNTIME_NAME(umoddi3)(uint64_t dividend, uint64_t divisor);
int64_t RUNTIME_NAME(divdi3)(int64_t dividend, int64_t divisor);

/* float32.c */
float RUNTIME_NAME(addsf3)(float x, float y);
float RUNTIME_NAME(subsf3)(float x, float y);
float RUNTIME_NAME(mulsf3)(float x, float y);

/* float64.c */
double RUNTIME_NAME(adddf3)(double x, double y);
double RUNTIME_NAME(subdf3)(double x, double y);
double RUNTIME_NAME(muldf3)(double x, double y);
double RUNTIME_NAME(divdf3)(double x, double y);

/* convert.c */
float RUNTIME_NAME(floatsisf)(int32_t value);
float RUNTIME_NAME(floatunsisf)(uint32_t value);
double RUNTIME_NAME(floatsidf)(int32_t value);
double RUNTIME_NAME(floatunsidf)(uint32_t value);
uint32_t RUNTIME_NAME(fixunssfsi)(float x);
int32_t RUNTIME_NAME(fixdfsi)(double x);
uint32_t RUNTIME_NAME(fixunsdfsi)(double x);
double RUNTIME_NAME(extendsfdf2)(float x);
float RUNTIME_NAME(truncdfsf2)(double x);

#endif
