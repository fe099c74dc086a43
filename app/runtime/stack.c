#include "cpu.h"

#define STACK_PATTERN 0x5a5a5a5au

extern const uint32_t __stack_base[], __stack_top[];

size_t stack_room(void)
{
    const char *here = __builtin_frame_address(0);

    if (here < (const char *)__stack_base) { /* a large frame stepped over the guard */
        panic("the stack is exhausted");
    }
    return (size_t)(here - (const char *)__stack_base);
}

size_t stack_unused(void)
{
    const uint32_t *word = __stack_base;

    while (word < __stack_top && *word == STACK_PATTERN) {
        word++;
    }
    return (size_t)((const char *)word - (const char *)__stack_base);
}
