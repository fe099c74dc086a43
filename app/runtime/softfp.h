/*
 * The two IEEE 754 formats as bits, for the floating point helpers alone.
 *
 * While they compute, a significand has three bits below its last place: guard, round and
 * sticky. Sticky says that something not zero was shifted out; that is all rounding needs.
 */
#ifndef SOFTFP_H
#define SOFTFP_H

#include <stdint.h>

#define F32_SIGN UINT32_C(0x80000000)
#define F32_INFINITY UINT32_C(0x7f800000)
#define F32_QUIET UINT32_C(0x00400000)
#define F32_NAN (F32_INFINITY | F32_QUIET)
#define F32_IMPLICIT UINT32_C(0x00800000)
#define F32_BIAS 127
#define F32_MAX_EXPONENT 255

#define F64_SIGN UINT64_C(0x8000000000000000)
#define F64_INFINITY UINT64_C(0x7ff0000000000000)
#define F64_QUIET UINT64_C(0x0008000000000000)
#define F64_NAN (F64_INFINITY | F64_QUIET)
#define F64_IMPLICIT UINT64_C(0x0010000000000000)
#define F64_BIAS 1023
#define F64_MAX_EXPONENT 2047

static inline uint32_t f32_bits(float x)
{
    union {
        float value;
        uint32_t bits;
    } u = {x};

    return u.bits;
}

static inline float f32_value(uint32_t bits)
{
    union {
        uint32_t bits;
        float value;
    } u = {bits};

    return u.value;
}

static inline uint64_t f64_bits(double x)
{
    union {
        double value;
        uint64_t bits;
    } u = {x};

    return u.bits;
}

static inline double f64_value(uint64_t bits)
{
    union {
        uint64_t bits;
        double value;
    } u = {bits};

    return u.value;
}

/*
 * Round to nearest even and put together; returns the bits of the result.
 *
 * `exponent` is biased and may be out of range either way. The significand's leading one is bit
 * 26 (23 places and three more below), or less far up when `exponent` is 1: a denormal.
 */
uint32_t softfp_round32(uint32_t sign, int exponent, uint32_t significand);

#endif
