/* Evaluate DIVISION, an expression of `seven` and `zero`, on the emulated chip. */
#include <stdint.h>

int main(void)
{
    volatile int64_t seven = 7, zero = 0;
    volatile int64_t result = (int64_t)(DIVISION);

    (void)result;
    return 0;
}
