/*
 * Random operands that reach every path: the same sequence natively and on the chip.
 *
 * Most pairs are related (near in exponent, nearly cancelling, few significant bits, a result at
 * the border of the denormals or of infinity), because independent random bits almost never meet
 * a tie, a cancellation or an underflow. Made by shifts, sums and 16-bit products alone, not by
 * the arithmetic under test.
 */
#ifndef OPERANDS_H
#define OPERANDS_H

#include "edges.h"

struct operands {
    uint64_t x, y;
};

/* Marsaglia's xorshift with 128 bits of state. */
struct random {
    uint32_t a, b, c, d;
};

static const struct random random_start = {0x6c078965, 0x9908b0df, 0x9d2c5680, 0xefc60000};

static inline uint32_t random_32(struct random *state)
{
    uint32_t t = state->a ^ state->a << 11;

    state->a = state->b;
    state->b = state->c;
    state->c = state->d;
    state->d ^= state->d >> 19 ^ t ^ t >> 8;
    return state->d;
}

static inline uint64_t random_64(struct random *state)
{
    uint64_t high = random_32(state);

    return high << 32 | random_32(state);
}

/* From zero to `count` - 1; at most 2^16 of them. */
static inline uint32_t pick(struct random *state, size_t count)
{
    return (random_32(state) >> 16) * (uint32_t)count >> 16;
}

/* At most `bits` bits, either side of zero. */
static inline uint64_t near_zero(struct random *state, int bits)
{
    uint64_t value = random_32(state) >> (32 - bits);

    return random_32(state) & 1 ? value : 0 - value;
}

static inline uint64_t any_integer(struct random *state, int bits)
{
    uint64_t value = random_64(state) >> (64 - bits);

    switch (pick(state, 4)) {
    case 0:
        return i64_edge(pick(state, (size_t)bits << 3));
    case 1:
        return value >> pick(state, (size_t)bits);
    default:
        return value;
    }
}

/* Two statements, here and below: C leaves open in which order an initializer calls. */
static inline struct operands any_integers(struct random *state, int bits)
{
    struct operands pair;

    pair.x = any_integer(state, bits);
    pair.y = any_integer(state, bits);
    return pair;
}

static inline struct operands random_any_32(struct random *state)
{
    return any_integers(state, 32);
}

static inline struct operands random_any_64(struct random *state)
{
    return any_integers(state, 64);
}

/* One dividend in four is a multiple of the divisor or one off it. No divisor is zero. */
static inline struct operands divide_integers(struct random *state, int bits)
{
    struct operands pair = any_integers(state, bits);
    size_t positions = (size_t)bits;

    if (pair.y << (64 - bits) == 0) {
        pair.y = 1;
    }
    if (pick(state, 4) == 0) {
        pair.x = pair.y << pick(state, positions);
        pair.x += pair.y << pick(state, positions);
        pair.x += pick(state, 3);
        pair.x -= 1;
    }
    return pair;
}

static inline struct operands random_divide_32(struct random *state)
{
    return divide_integers(state, 32);
}

static inline struct operands random_divide_64(struct random *state)
{
    return divide_integers(state, 64);
}

struct format {
    int bits, places;
    uint32_t max_exponent;
    size_t edges;
    uint64_t (*edge)(size_t index);
};

static const struct format f32_format = {32, 23, 255, f32_edge_count, f32_edge};
static const struct format f64_format = {64, 52, 2047, f64_edge_count, f64_edge};

/* A few bits at the top or at the end, a run of zeros or ones below random bits: ties, carries. */
static inline uint64_t any_fraction(struct random *state, const struct format *format)
{
    uint64_t fraction = random_64(state);

    switch (pick(state, 5)) {
    case 0:
        return (fraction & 15) << (format->places - 4);
    case 1:
        return near_zero(state, 4);
    case 2:
        return fraction << pick(state, (size_t)format->places);
    case 3:
        return (fraction << pick(state, (size_t)format->places)) - 1;
    default:
        return fraction;
    }
}

static inline uint64_t make_float(struct random *state, const struct format *format,
                                  uint32_t exponent)
{
    uint64_t sign = (uint64_t)(random_32(state) & 1) << (format->bits - 1);
    uint64_t fraction = any_fraction(state, format) & (((uint64_t)1 << format->places) - 1);

    return sign | (uint64_t)(exponent & format->max_exponent) << format->places | fraction;
}

static inline uint32_t exponent_bits(uint64_t x, const struct format *format)
{
    return (uint32_t)(x >> format->places) & format->max_exponent;
}

/* One in eight is an edge, one in eight about the largest denormal. */
static inline uint64_t any_float(struct random *state, const struct format *format)
{
    switch (pick(state, 8)) {
    case 0:
        return format->edge(pick(state, format->edges));
    case 1:
        return make_float(state, format, pick(state, 3));
    default:
        return make_float(state, format, random_32(state));
    }
}

static inline struct operands any_floats(struct random *state, const struct format *format)
{
    struct operands pair;

    pair.x = any_float(state, format);
    pair.y = any_float(state, format);
    return pair;
}

/* For sums: half of the same exponent or nearly, a quarter a few last places from minus x. */
static inline struct operands add_floats(struct random *state, const struct format *format)
{
    struct operands pair = any_floats(state, format);
    uint32_t exponent = exponent_bits(pair.x, format);

    switch (pick(state, 4)) {
    case 0:
        pair.y = pair.x + near_zero(state, 1 + (int)pick(state, 20));
        pair.y ^= (uint64_t)1 << (format->bits - 1);
        break;
    case 1:
        pair.y = make_float(state, format, exponent + (uint32_t)near_zero(state, 2));
        break;
    case 2:
        pair.y = make_float(state, format, exponent + (uint32_t)near_zero(state, 6));
        break;
    default:
        break;
    }
    return pair;
}

/* For products and quotients: half with a result at either end of the range. */
static inline struct operands border_floats(struct random *state, const struct format *format,
                                            int is_quotient)
{
    struct operands pair = any_floats(state, format);
    uint32_t exponent = exponent_bits(pair.x, format);
    uint32_t bias = format->max_exponent >> 1;
    uint32_t result = (uint32_t)near_zero(state, 1 + (int)pick(state, 6));
    uint32_t other;

    if (pick(state, 4) == 0) {
        result += format->max_exponent;
    }
    other = is_quotient ? exponent + bias - result : result + bias - exponent;
    if (other <= format->max_exponent && pick(state, 2) == 0) {
        pair.y = make_float(state, format, other);
    }
    return pair;
}

/* For conversions: a third where integers are, a third where floats are. */
static inline struct operands convert_floats(struct random *state, const struct format *format)
{
    struct operands pair = {any_float(state, format), 0};
    uint32_t bias = format->max_exponent >> 1;

    switch (pick(state, 3)) {
    case 0:
        pair.x = make_float(state, format, bias - 2 + pick(state, 72));
        break;
    case 1:
        pair.x = make_float(state, format, bias - 152 + pick(state, 284));
        break;
    default:
        break;
    }
    return pair;
}

#define FLOATING_OPERANDS(type)                                                                    \
    static inline struct operands random_add_##type(struct random *state)                          \
    {                                                                                              \
        return add_floats(state, &type##_format);                                                  \
    }                                                                                              \
    static inline struct operands random_multiply_##type(struct random *state)                     \
    {                                                                                              \
        return border_floats(state, &type##_format, 0);                                            \
    }                                                                                              \
    static inline struct operands random_divide_##type(struct random *state)                       \
    {                                                                                              \
        return border_floats(state, &type##_format, 1);                                            \
    }                                                                                              \
    static inline struct operands random_convert_##type(struct random *state)                      \
    {                                                                                              \
        return convert_floats(state, &type##_format);                                              \
    }

FLOATING_OPERANDS(f32)
FLOATING_OPERANDS(f64)

#endif
