#include "runtime.h"

#include "softfp.h"

/* Shift right; what falls out is remembered in bit 0. */
static uint32_t shift_sticky(uint32_t significand, int count)
{
    uint32_t kept;

    if (count > 31) {
        return significand != 0;
    }
    kept = significand >> count;
    return kept | (kept << count != significand);
}

uint32_t softfp_round32(uint32_t sign, int exponent, uint32_t significand)
{
    if (exponent >= F32_MAX_EXPONENT) {
        return sign | F32_INFINITY;
    }
    if (exponent < 1) {
        significand = shift_sticky(significand, 1 - exponent);
        exponent = 1;
    }
    /*
     * Adding 3, or 4 to an odd last place, carries into that place from above the middle, and from
     * the middle when odd. The implicit one and a carry out of rounding add themselves to the
     * exponent; the largest finite number so becomes infinity.
     */
    significand = (significand + 3 + (significand >> 3 & 1)) >> 3;
    return sign | (((uint32_t)(exponent - 1) << 23) + significand);
}

/* A sum or product one bit too long: halve it. */
static inline uint32_t round_carry(uint32_t sign, int exponent, uint32_t significand)
{
    if (significand >= F32_IMPLICIT << 4) {
        significand = significand >> 1 | (significand & 1);
        exponent += 1;
    }
    return softfp_round32(sign, exponent, significand);
}

/* Biased exponent of a finite number; that of denormals and zero is 1, without an implicit one. */
static inline int exponent_of(uint32_t bits)
{
    int exponent = (int)(bits >> 23 & F32_MAX_EXPONENT);

    return exponent == 0 ? 1 : exponent;
}

static inline uint32_t significand_of(uint32_t bits)
{
    uint32_t fraction = bits & (F32_IMPLICIT - 1);

    return (bits & F32_INFINITY) == 0 ? fraction : fraction | F32_IMPLICIT;
}

static inline __attribute__((always_inline)) uint32_t add(uint32_t a, uint32_t b)
{
    uint32_t significand, smaller, sign;
    int exponent, shift;

    if (a << 1 < b << 1) {
        uint32_t larger = b;

        b = a;
        a = larger;
    }
    sign = a & F32_SIGN;
    if ((a ^ sign) >= F32_INFINITY) {
        if ((a ^ sign) > F32_INFINITY) {
            return a | F32_QUIET;
        }
        return (a ^ b) == F32_SIGN ? F32_NAN : a;
    }
    exponent = exponent_of(a);
    significand = significand_of(a) << 3;
    smaller = shift_sticky(significand_of(b) << 3, exponent - exponent_of(b));
    if (((a ^ b) & F32_SIGN) == 0) {
        return round_carry(sign, exponent, significand + smaller);
    }
    significand -= smaller;
    if (significand == 0) {
        return 0;
    }
    shift = __builtin_clz(significand) - 5;
    /* Below the normal range, rounding shifts it back: exactly, as zeros came in. */
    return softfp_round32(sign, exponent - shift, significand << shift);
}

float RUNTIME_NAME(addsf3)(float x, float y)
{
    return f32_value(add(f32_bits(x), f32_bits(y)));
}

float RUNTIME_NAME(subsf3)(float x, float y)
{
    return RUNTIME_NAME(addsf3)(x, f32_value(f32_bits(y) ^ F32_SIGN));
}

static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t sign = (a ^ b) & F32_SIGN;
    uint32_t significand;
    uint64_t product;
    int exponent, shift;

    a &= ~F32_SIGN;
    b &= ~F32_SIGN;
    if (a < b) {
        uint32_t larger = b;

        b = a;
        a = larger;
    }
    if (a >= F32_INFINITY) {
        if (a > F32_INFINITY) {
            return a | F32_QUIET;
        }
        return b == 0 ? F32_NAN : sign | F32_INFINITY;
    }
    /* Two denormals make less than half of the smallest denormal. */
    if (b == 0 || a < F32_IMPLICIT) {
        return sign;
    }
    significand = significand_of(b);
    shift = __builtin_clz(significand) - 8;
    exponent = exponent_of(a) + exponent_of(b) - shift - F32_BIAS;
    /* 24 × 24 bits, shifted up by twelve so that the high word holds all but the sticky bit. */
    product = RUNTIME_NAME(umulsidi3)(significand_of(a) << 8, significand << (shift + 4));
    significand = (uint32_t)(product >> 32) | ((uint32_t)product != 0);
    return round_carry(sign, exponent, significand);
}

float RUNTIME_NAME(mulsf3)(float x, float y)
{
    return f32_value(multiply(f32_bits(x), f32_bits(y)));
}
