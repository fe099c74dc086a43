#include "runtime.h"

#include "softfp.h"

static uint32_t magnitude(int32_t value)
{
    return value < 0 ? 0 - (uint32_t)value : (uint32_t)value;
}

static float to_float32(uint32_t sign, uint32_t value)
{
    int shift;

    if (value == 0) {
        return 0;
    }
    shift = __builtin_clz(value);
    value <<= shift;
    value = value >> 5 | ((value & 31) != 0);
    return f32_value(softfp_round32(sign, F32_BIAS + 31 - shift, value));
}

float RUNTIME_NAME(floatsisf)(int32_t value)
{
    return to_float32((uint32_t)value & F32_SIGN, magnitude(value));
}

float RUNTIME_NAME(floatunsisf)(uint32_t value)
{
    return to_float32(0, value);
}

/* Always exact. The leading one adds itself to the exponent, which is therefore one less. */
static double to_float64(uint32_t sign, uint32_t value)
{
    uint32_t high;
    int shift;

    if (value == 0) {
        return 0;
    }
    shift = __builtin_clz(value);
    value <<= shift;
    high = sign | (((uint32_t)(F64_BIAS + 30 - shift) << 20) + (value >> 11));
    return f64_value((uint64_t)high << 32 | value << 21);
}

double RUNTIME_NAME(floatsidf)(int32_t value)
{
    return to_float64((uint32_t)value & F32_SIGN, magnitude(value));
}

double RUNTIME_NAME(floatunsidf)(uint32_t value)
{
    return to_float64(0, value);
}

/*
 * Truncate to `width` bits without sign, then negate when `negative`.
 *
 * The value is significand / 2^31 × 2^exponent with the significand's bit 31 set: an exponent of
 * `width` or more does not fit, and neither does an infinity or a NaN, whose exponent is larger.
 */
static uint32_t to_integer(int exponent, uint32_t significand, int negative, int width)
{
    uint32_t value;

    if (exponent < 0) {
        return 0;
    }
    if (exponent >= width) {
        return negative ? UINT32_C(0x80000000) : UINT32_MAX >> (32 - width);
    }
    value = significand >> (31 - exponent);
    return negative ? 0 - value : value;
}

uint32_t RUNTIME_NAME(fixunssfsi)(float x)
{
    uint32_t bits = f32_bits(x);
    int exponent = (int)(bits >> 23 & F32_MAX_EXPONENT) - F32_BIAS;
    int negative = bits > F32_SIGN && bits <= (F32_SIGN | F32_INFINITY);

    return to_integer(exponent, F32_SIGN | bits << 8, negative, 32);
}

static uint32_t from_float64(uint64_t bits, int width)
{
    uint32_t high = (uint32_t)(bits >> 32);
    uint32_t significand = UINT32_C(0x80000000) | high << 11 | (uint32_t)bits >> 21;
    int exponent = (int)(high >> 20 & F64_MAX_EXPONENT) - F64_BIAS;
    int negative = bits > F64_SIGN && bits <= (F64_SIGN | F64_INFINITY);

    return to_integer(exponent, significand, negative, width);
}

int32_t RUNTIME_NAME(fixdfsi)(double x)
{
    return (int32_t)from_float64(f64_bits(x), 31);
}

uint32_t RUNTIME_NAME(fixunsdfsi)(double x)
{
    return from_float64(f64_bits(x), 32);
}

double RUNTIME_NAME(extendsfdf2)(float x)
{
    uint32_t bits = f32_bits(x);
    uint32_t sign = bits & F32_SIGN;
    uint32_t high;

    bits ^= sign;
    if (bits >= F32_INFINITY) {
        /* An infinity, or a NaN that keeps the top of its payload. */
        high = (uint32_t)(F64_INFINITY >> 32) | (bits & (F32_IMPLICIT - 1)) >> 3;
        if (bits > F32_INFINITY) {
            high |= (uint32_t)(F64_QUIET >> 32);
        }
    } else if (bits >= F32_IMPLICIT) {
        high = (bits >> 3) + ((uint32_t)(F64_BIAS - F32_BIAS) << 20);
    } else if (bits != 0) {
        int shift = __builtin_clz(bits) - 8;

        /* Bit 23 is the leading one now and adds itself to the exponent. */
        bits <<= shift;
        high = (bits >> 3) + ((uint32_t)(F64_BIAS - F32_BIAS - shift) << 20);
    } else {
        high = 0;
    }
    return f64_value((uint64_t)(sign | high) << 32 | bits << 29);
}

float RUNTIME_NAME(truncdfsf2)(double x)
{
    uint64_t bits = f64_bits(x);
    uint32_t high = (uint32_t)(bits >> 32), low = (uint32_t)bits;
    uint32_t sign = high & F32_SIGN;
    int exponent = (int)(high >> 20 & F64_MAX_EXPONENT);
    uint32_t significand;

    if ((bits & ~F64_SIGN) > F64_INFINITY) {
        return f32_value(sign | F32_NAN | (high << 3 & (F32_QUIET - 1)) | low >> 29);
    }
    /* 27 of the 53 bits, the others gathered in the last. A denormal double has no leading one, but
     * is as far below every float either way; zero rounds to zero. */
    significand = (high & 0x000fffff) | 0x00100000;
    significand = significand << 6 | low >> 26 | (low << 6 != 0);
    return f32_value(softfp_round32(sign, exponent - F64_BIAS + F32_BIAS, significand));
}
