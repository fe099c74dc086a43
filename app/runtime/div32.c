#include "runtime.h"

/* An illegal instruction, where __builtin_trap would be a breakpoint for a debugger. */
static inline void trap_zero_divisor(void)
{
#ifdef __XTENSA__
    __asm__ volatile("ill");
    __builtin_unreachable();
#else
    __builtin_trap();
#endif
}

/*
 * Shift and subtract. NSAU aligns the divisor with the dividend first, so the loop runs once for
 * each bit the quotient can have, not 32 times.
 */
uint32_t RUNTIME_NAME(udivsi3)(uint32_t dividend, uint32_t divisor)
{
    uint32_t quotient = 0;
    int steps;

    if (divisor == 0) {
        trap_zero_divisor();
    }
    if (dividend < divisor) {
        return 0;
    }
    steps = __builtin_clz(divisor) - __builtin_clz(dividend);
    divisor <<= steps;
    do {
        quotient <<= 1;
        if (dividend >= divisor) {
            dividend -= divisor;
            quotient += 1;
        }
        divisor >>= 1;
    } while (--steps >= 0);
    return quotient;
}

uint32_t RUNTIME_NAME(umodsi3)(uint32_t dividend, uint32_t divisor)
{
    int steps;

    if (divisor == 0) {
        trap_zero_divisor();
    }
    if (dividend < divisor) {
        return dividend;
    }
    steps = __builtin_clz(divisor) - __builtin_clz(dividend);
    divisor <<= steps;
    do {
        if (dividend >= divisor) {
            dividend -= divisor;
        }
        divisor >>= 1;
    } while (--steps >= 0);
    return dividend;
}

int32_t RUNTIME_NAME(divsi3)(int32_t dividend, int32_t divisor)
{
    uint32_t x = dividend < 0 ? 0 - (uint32_t)dividend : (uint32_t)dividend;
    uint32_t y = divisor < 0 ? 0 - (uint32_t)divisor : (uint32_t)divisor;
    uint32_t quotient = RUNTIME_NAME(udivsi3)(x, y);

    return (int32_t)((dividend ^ divisor) < 0 ? 0 - quotient : quotient);
}
