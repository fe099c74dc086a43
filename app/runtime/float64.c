#include "runtime.h"

#include "softfp.h"

/* The methods are those of float32.c, two words wide. */

/* Shift right; what falls out is remembered in bit 0. */
static __attribute__((noinline)) uint64_t shift_sticky(uint64_t significand, int count)
{
    uint32_t high = (uint32_t)(significand >> 32), low = (uint32_t)significand;
    uint32_t lost = 0;

    if (count > 63) {
        return significand != 0;
    }
    if (count > 31) {
        lost = low;
        low = high;
        high = 0;
        count -= 32;
    }
    /* Left by 32 - count, in two steps because C does not define a shift by 32. */
    lost |= low << 1 << (31 - count);
    low = low >> count | high << 1 << (31 - count) | (lost != 0);
    return (uint64_t)(high >> count) << 32 | low;
}

/* Round to nearest even and put together; as softfp_round32, with the leading one at bit 55. */
static uint64_t round64(uint64_t sign, int exponent, uint64_t significand)
{
    if (exponent >= F64_MAX_EXPONENT) {
        return sign | F64_INFINITY;
    }
    if (exponent < 1) {
        significand = shift_sticky(significand, 1 - exponent);
        exponent = 1;
    }
    significand = (significand + 3 + ((uint32_t)significand >> 3 & 1)) >> 3;
    return sign | (((uint64_t)(exponent - 1) << 52) + significand);
}

/* A sum or product one bit too long: halve it. */
static uint64_t round_carry(uint64_t sign, int exponent, uint64_t significand)
{
    if (significand >= F64_IMPLICIT << 4) {
        significand = significand >> 1 | (significand & 1);
        exponent += 1;
    }
    return round64(sign, exponent, significand);
}

/* Biased exponent of a finite number; that of denormals and zero is 1, without an implicit one. */
static inline int exponent_of(uint64_t bits)
{
    int exponent = (int)((uint32_t)(bits >> 52) & F64_MAX_EXPONENT);

    return exponent == 0 ? 1 : exponent;
}

static inline uint64_t significand_of(uint64_t bits)
{
    uint64_t fraction = bits & (F64_IMPLICIT - 1);

    return (bits & F64_INFINITY) == 0 ? fraction : fraction | F64_IMPLICIT;
}

static inline int count_leading_zeros(uint64_t x)
{
    uint32_t high = (uint32_t)(x >> 32);

    return high != 0 ? __builtin_clz(high) : 32 + __builtin_clz((uint32_t)x);
}

static inline __attribute__((always_inline)) uint64_t add(uint64_t a, uint64_t b)
{
    uint64_t significand, smaller, sign;
    int exponent, shift;

    if ((a & ~F64_SIGN) < (b & ~F64_SIGN)) {
        uint64_t larger = b;

        b = a;
        a = larger;
    }
    sign = a & F64_SIGN;
    if ((a ^ sign) >= F64_INFINITY) {
        if ((a ^ sign) > F64_INFINITY) {
            return a | F64_QUIET;
        }
        return (a ^ b) == F64_SIGN ? F64_NAN : a;
    }
    exponent = exponent_of(a);
    significand = significand_of(a) << 3;
    smaller = shift_sticky(significand_of(b) << 3, exponent - exponent_of(b));
    if (((a ^ b) & F64_SIGN) == 0) {
        return round_carry(sign, exponent, significand + smaller);
    }
    significand -= smaller;
    if (significand == 0) {
        return 0;
    }
    shift = count_leading_zeros(significand) - 8;
    /* Below the normal range, rounding shifts it back: exactly, as zeros came in. */
    return round64(sign, exponent - shift, significand << shift);
}

double RUNTIME_NAME(adddf3)(double x, double y)
{
    return f64_value(add(f64_bits(x), f64_bits(y)));
}

double RUNTIME_NAME(subdf3)(double x, double y)
{
    return RUNTIME_NAME(adddf3)(x, f64_value(f64_bits(y) ^ F64_SIGN));
}

/* The high half of 64 × 64 → 128 bits; what the low half holds is remembered in bit 0. */
static inline uint64_t multiply_high(uint64_t x, uint64_t y)
{
    uint32_t x_low = (uint32_t)x, x_high = (uint32_t)(x >> 32);
    uint32_t y_low = (uint32_t)y, y_high = (uint32_t)(y >> 32);
    uint64_t low = RUNTIME_NAME(umulsidi3)(x_low, y_low);
    uint64_t first = RUNTIME_NAME(umulsidi3)(x_low, y_high) + (low >> 32);
    uint64_t second = RUNTIME_NAME(umulsidi3)(x_high, y_low) + (uint32_t)first;
    uint64_t high = RUNTIME_NAME(umulsidi3)(x_high, y_high) + (first >> 32) + (second >> 32);

    return high | (((uint32_t)low | (uint32_t)second) != 0);
}

static uint64_t multiply(uint64_t a, uint64_t b)
{
    uint64_t sign = (a ^ b) & F64_SIGN;
    uint64_t significand;
    int exponent, shift;

    a &= ~F64_SIGN;
    b &= ~F64_SIGN;
    if (a < b) {
        uint64_t larger = b;

        b = a;
        a = larger;
    }
    if (a >= F64_INFINITY) {
        if (a > F64_INFINITY) {
            return a | F64_QUIET;
        }
        return b == 0 ? F64_NAN : sign | F64_INFINITY;
    }
    /* Two denormals make less than half of the smallest denormal. */
    if (b == 0 || a < F64_IMPLICIT) {
        return sign;
    }
    significand = significand_of(b);
    shift = count_leading_zeros(significand) - 11;
    exponent = exponent_of(a) + exponent_of(b) - shift - F64_BIAS;
    /* 53 × 53 bits, shifted up by fifteen so that the high half holds all but the sticky bit. */
    significand = multiply_high(significand_of(a) << 11, significand << (shift + 4));
    return round_carry(sign, exponent, significand);
}

double RUNTIME_NAME(muldf3)(double x, double y)
{
    return f64_value(multiply(f64_bits(x), f64_bits(y)));
}

/* Shift and subtract, 28 bits to a word of the quotient: 53, guard, round and one more. */
static inline uint64_t divide_significands(uint64_t remainder, uint64_t divisor)
{
    uint64_t quotient = 0;

    for (int word = 0; word < 2; word++) {
        uint32_t bits = 0;

        for (int step = 28; step > 0; step--) {
            bits <<= 1;
            if (remainder >= divisor) {
                remainder -= divisor;
                bits += 1;
            }
            remainder <<= 1;
        }
        quotient = quotient << 28 | bits;
    }
    return quotient | (remainder != 0);
}

static uint64_t divide(uint64_t a, uint64_t b)
{
    uint64_t sign = (a ^ b) & F64_SIGN;
    uint64_t significand, divisor;
    int exponent, shift;

    a &= ~F64_SIGN;
    b &= ~F64_SIGN;
    if (a >= F64_INFINITY || b >= F64_INFINITY) {
        if (a > F64_INFINITY) {
            return a | F64_QUIET;
        }
        if (b > F64_INFINITY) {
            return b | F64_QUIET;
        }
        if (a == b) {
            return F64_NAN;
        }
        return a > b ? sign | F64_INFINITY : sign;
    }
    if (b == 0) {
        return a == 0 ? F64_NAN : sign | F64_INFINITY;
    }
    if (a == 0) {
        return sign;
    }
    exponent = exponent_of(a) - exponent_of(b) + F64_BIAS;
    significand = significand_of(a);
    shift = count_leading_zeros(significand) - 11;
    significand <<= shift;
    exponent -= shift;
    divisor = significand_of(b);
    shift = count_leading_zeros(divisor) - 11;
    divisor <<= shift;
    exponent += shift;
    if (significand < divisor) {
        significand <<= 1;
        exponent -= 1;
    }
    return round64(sign, exponent, divide_significands(significand, divisor));
}

double RUNTIME_NAME(divdf3)(double x, double y)
{
    return f64_value(divide(f64_bits(x), f64_bits(y)));
}
