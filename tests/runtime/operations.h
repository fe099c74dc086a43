/*
 * The operations under test, each written once, as plain C.
 *
 * Compiled natively an expression is the host's own instruction; compiled for the lx106 the same
 * expression is a call to the compiler helper of that name. native_check.c compares the helpers
 * with the expressions; target_check.c makes hashes of the results, to compare host and chip.
 */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include <stdint.h>

typedef int32_t i32;
typedef uint32_t u32;
typedef int64_t i64;
typedef uint64_t u64;
typedef float f32;
typedef double f64;

#ifdef __XTENSA__
/* By name where no C expression means the helper, for all operands. */
#include "runtime.h"
#define WIDE_PRODUCT(x, y) __umulsidi3(x, y)
#define FIX_I32(x) __fixdfsi(x)
#define FIX_U32(x) __fixunsdfsi(x)
#define FIX_F32_U32(x) __fixunssfsi(x)
#else
#define WIDE_PRODUCT(x, y) ((u64)(x) * (y))
#define FIX_I32(x) fix_i32(x)
#define FIX_U32(x) fix_u32(x)
#define FIX_F32_U32(x) fix_f32_u32(x)

/* Where C leaves a conversion undefined, the values that runtime.h promises. */
static inline i32 fix_i32(f64 x)
{
    if (!(x < 0x1p31)) {
        return INT32_MAX;
    }
    return x > -0x1p31 - 1 ? (i32)x : INT32_MIN;
}

static inline u32 fix_u32(f64 x)
{
    if (!(x < 0x1p32)) {
        return UINT32_MAX;
    }
    if (x > -1) {
        return (u32)x;
    }
    return x > -0x1p32 ? 0 - (u32)-x : 0x80000000u;
}

static inline u32 fix_f32_u32(f32 x)
{
    if (!(x < 0x1p32f)) {
        return UINT32_MAX;
    }
    if (x > -1) {
        return (u32)x;
    }
    return x > -0x1p32f ? 0 - (u32)-x : 0x80000000u;
}
#endif

/*
 * What app/runtime/ supplies: OP1(result, name, x's type, operands, expression) and
 * OP2(result, name, x's type, y's type, operands, expression). Types are those above; `operands`
 * is the end of a function's name in operands.h.
 *
 * The quotient INT_MIN / -1 is undefined in C and promised by runtime.h to wrap.
 */
#define SUPPLIED(OP1, OP2)                                                                         \
    OP2(u32, udivsi3, u32, u32, divide_32, x / y)                                                  \
    OP2(u32, umodsi3, u32, u32, divide_32, x % y)                                                  \
    OP2(i32, divsi3, i32, i32, divide_32, y == -1 ? (i32)(0 - (u32)x) : x / y)                     \
    OP2(u64, umulsidi3, u32, u32, any_32, WIDE_PRODUCT(x, y))                                      \
    OP2(i64, muldi3, i64, i64, any_64, (i64)((u64)x * (u64)y))                                     \
    OP2(u64, udivdi3, u64, u64, divide_64, x / y)                                                  \
    OP2(u64, umoddi3, u64, u64, divide_64, x % y)                                                  \
    OP2(i64, divdi3, i64, i64, divide_64, y == -1 ? (i64)(0 - (u64)x) : x / y)                     \
    OP2(f32, addsf3, f32, f32, add_f32, x + y)                                                     \
    OP2(f32, subsf3, f32, f32, add_f32, x - y)                                                     \
    OP2(f32, mulsf3, f32, f32, multiply_f32, (x * y))                                              \
    OP2(f64, adddf3, f64, f64, add_f64, x + y)                                                     \
    OP2(f64, subdf3, f64, f64, add_f64, x - y)                                                     \
    OP2(f64, muldf3, f64, f64, multiply_f64, (x * y))                                              \
    OP2(f64, divdf3, f64, f64, divide_f64, x / y)                                                  \
    OP1(f32, floatsisf, i32, any_32, (f32)x)                                                       \
    OP1(f32, floatunsisf, u32, any_32, (f32)x)                                                     \
    OP1(f64, floatsidf, i32, any_32, (f64)x)                                                       \
    OP1(f64, floatunsidf, u32, any_32, (f64)x)                                                     \
    OP1(u32, fixunssfsi, f32, convert_f32, FIX_F32_U32(x))                                         \
    OP1(i32, fixdfsi, f64, convert_f64, FIX_I32(x))                                                \
    OP1(u32, fixunsdfsi, f64, convert_f64, FIX_U32(x))                                             \
    OP1(f64, extendsfdf2, f32, convert_f32, (f64)x)                                                \
    OP1(f32, truncdfsf2, f64, convert_f64, (f32)x)

/* What libgcc supplies beside them, partly by calling them; only the emulated chip has these. */
#define FROM_LIBGCC(OP1, OP2)                                                                      \
    OP2(i32, modsi3, i32, i32, divide_32, y == -1 ? 0 : x % y)                                     \
    OP2(i64, moddi3, i64, i64, divide_64, y == -1 ? 0 : x % y)                                     \
    OP2(u64, ashldi3, u64, u32, any_64, x << (y & 63))                                             \
    OP2(u64, lshrdi3, u64, u32, any_64, x >> (y & 63))                                             \
    OP2(i64, ashrdi3, i64, u32, any_64, x >> (y & 63))                                             \
    OP2(f32, divsf3, f32, f32, divide_f32, x / y)                                                  \
    OP2(u32, comparesf2, f32, f32, add_f32, ORDER(x, y))                                           \
    OP2(u32, comparedf2, f64, f64, add_f64, ORDER(x, y))                                           \
    OP1(f32, floatdisf, i64, any_64, (f32)x)                                                       \
    OP1(f32, floatundisf, u64, any_64, (f32)x)                                                     \
    OP1(f64, floatdidf, i64, any_64, (f64)x)                                                       \
    OP1(f64, floatundidf, u64, any_64, (f64)x)                                                     \
    OP1(i32, fixsfsi, f32, convert_f32, x > -0x1p31f && x < 0x1p31f ? (i32)x : 0)                  \
    OP1(i64, fixsfdi, f32, convert_f32, x > -0x1p63f && x < 0x1p63f ? (i64)x : 0)                  \
    OP1(i64, fixdfdi, f64, convert_f64, x > -0x1p63 && x < 0x1p63 ? (i64)x : 0)                    \
    OP1(u64, fixunssfdi, f32, convert_f32, x > -1 && x < 0x1p64f ? (u64)x : 0)                     \
    OP1(u64, fixunsdfdi, f64, convert_f64, x > -1 && x < 0x1p64 ? (u64)x : 0)

/* Every relation in a bit of its own, and so every comparison helper. */
#define ORDER(x, y)                                                                                \
    ((u32)((x) < (y)) | (u32)((x) <= (y)) << 1 | (u32)((x) > (y)) << 2 | (u32)((x) >= (y)) << 3 |  \
     (u32)((x) == (y)) << 4 | (u32)((x) != (y)) << 5 | (u32)__builtin_isunordered(x, y) << 6)

/* A value's bits as 64, and back. Any quiet NaN is as good as another; a signalling one is not. */
#define INTEGER_BITS(type)                                                                         \
    static inline u64 bits_of_##type(type value)                                                   \
    {                                                                                              \
        return (u64)value;                                                                         \
    }                                                                                              \
    static inline type type##_of_bits(u64 bits)                                                    \
    {                                                                                              \
        return (type)bits;                                                                         \
    }

#define FLOATING_BITS(type, word, exponent, quiet)                                                 \
    static inline u64 bits_of_##type(type value)                                                   \
    {                                                                                              \
        union {                                                                                    \
            type value;                                                                            \
            word bits;                                                                             \
        } u = {value};                                                                             \
        return (u.bits & (exponent | quiet)) == (exponent | quiet) ? exponent | quiet : u.bits;    \
    }                                                                                              \
    static inline type type##_of_bits(u64 bits)                                                    \
    {                                                                                              \
        union {                                                                                    \
            word bits;                                                                             \
            type value;                                                                            \
        } u = {(word)bits};                                                                        \
        return u.value;                                                                            \
    }

INTEGER_BITS(i32)
INTEGER_BITS(u32)
INTEGER_BITS(i64)
INTEGER_BITS(u64)
FLOATING_BITS(f32, u32, 0x7f800000u, 0x00400000u)
FLOATING_BITS(f64, u64, 0x7ff0000000000000u, 0x0008000000000000u)

#define EXPECT1(result, name, x_type, operands, expression)                                        \
    static u64 expect_##name(u64 x_bits, u64 y_bits)                                               \
    {                                                                                              \
        x_type x = x_type##_of_bits(x_bits);                                                       \
        (void)y_bits;                                                                              \
        return bits_of_##result(expression);                                                       \
    }

#define EXPECT2(result, name, x_type, y_type, operands, expression)                                \
    static u64 expect_##name(u64 x_bits, u64 y_bits)                                               \
    {                                                                                              \
        x_type x = x_type##_of_bits(x_bits);                                                       \
        y_type y = y_type##_of_bits(y_bits);                                                       \
        return bits_of_##result(expression);                                                       \
    }

#endif
