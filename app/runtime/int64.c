#include "runtime.h"

/*
 * 32 × 32 → 64 bits out of 16-bit halves: the lx106 multiplies 16 × 16 → 32 (MUL16U) and keeps
 * the low word of 32 × 32 (MULL), but has no instruction for the high word. No sum below can
 * carry out of 32 bits: (2^16 - 1)^2 + (2^16 - 1) < 2^32. Inline because multi-precision
 * arithmetic spends its time here.
 */
static inline __attribute__((always_inline)) uint64_t multiply(uint32_t x, uint32_t y)
{
    uint16_t x_low = (uint16_t)x, x_high = (uint16_t)(x >> 16);
    uint16_t y_low = (uint16_t)y, y_high = (uint16_t)(y >> 16);
    uint32_t middle = (uint32_t)x_high * y_low + ((uint32_t)x_low * y_low >> 16);
    uint32_t carry = (uint32_t)x_low * y_high + (middle & 0xffff);
    uint32_t high = (uint32_t)x_high * y_high + (middle >> 16) + (carry >> 16);

    return (uint64_t)high << 32 | x * y;
}

uint64_t RUNTIME_NAME(umulsidi3)(uint32_t x, uint32_t y)
{
    return multiply(x, y);
}

int64_t RUNTIME_NAME(muldi3)(int64_t x, int64_t y)
{
    uint32_t x_low = (uint32_t)x, x_high = (uint32_t)((uint64_t)x >> 32);
    uint32_t y_low = (uint32_t)y, y_high = (uint32_t)((uint64_t)y >> 32);
    uint64_t product = multiply(x_low, y_low);
    uint32_t cross = x_low * y_high + x_high * y_low;

    return (int64_t)(product + ((uint64_t)cross << 32));
}

/* A divisor of one word: the quotient's high word first, then one bit a step of its low word. */
static uint64_t divide_by_word(uint64_t dividend, uint32_t divisor, uint64_t *remainder)
{
    uint32_t high = (uint32_t)(dividend >> 32);
    uint32_t low = (uint32_t)dividend;
    uint32_t quotient_high = 0;

    if (high >= divisor) {
        quotient_high = RUNTIME_NAME(udivsi3)(high, divisor);
        high -= quotient_high * divisor;
    }
    if (high == 0) {
        uint32_t quotient = RUNTIME_NAME(udivsi3)(low, divisor);

        high = low - quotient * divisor;
        low = quotient;
    } else {
        for (int step = 32; step > 0; step--) {
            uint32_t carry = high >> 31;

            high = high << 1 | low >> 31;
            low <<= 1;
            if (carry != 0 || high >= divisor) {
                high -= divisor;
                low += 1;
            }
        }
    }
    *remainder = high;
    return (uint64_t)quotient_high << 32 | low;
}

static uint64_t divide(uint64_t dividend, uint64_t divisor, uint64_t *remainder)
{
    uint32_t divisor_high = (uint32_t)(divisor >> 32);
    uint32_t quotient = 0;
    int steps;

    if (divisor_high == 0) {
        return divide_by_word(dividend, (uint32_t)divisor, remainder);
    }
    if (dividend >= divisor) {
        steps = __builtin_clz(divisor_high) - __builtin_clz((uint32_t)(dividend >> 32));
        divisor <<= steps;
        do {
            quotient <<= 1;
            if (dividend >= divisor) {
                dividend -= divisor;
                quotient += 1;
            }
            divisor >>= 1;
        } while (--steps >= 0);
    }
    *remainder = dividend;
    return quotient;
}

uint64_t RUNTIME_NAME(udivdi3)(uint64_t dividend, uint64_t divisor)
{
    uint64_t remainder;

    return divide(dividend, divisor, &remainder);
}

uint64_t RUNTIME_NAME(umoddi3)(uint64_t dividend, uint64_t divisor)
{
    uint64_t remainder;

    divide(dividend, divisor, &remainder);
    return remainder;
}

int64_t RUNTIME_NAME(divdi3)(int64_t dividend, int64_t divisor)
{
    uint64_t x = dividend < 0 ? 0 - (uint64_t)dividend : (uint64_t)dividend;
    uint64_t y = divisor < 0 ? 0 - (uint64_t)divisor : (uint64_t)divisor;
    uint64_t remainder;
    uint64_t quotient = divide(x, y, &remainder);

    return (int64_t)((dividend ^ divisor) < 0 ? 0 - quotient : quotient);
}
