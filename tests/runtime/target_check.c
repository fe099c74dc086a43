/*
 * Print a hash of each operation's results on RANDOM_PAIRS pairs of operands.
 *
 * Natively this is the host's arithmetic; on the emulated chip it is whatever the compiler calls
 * for the same expressions. Equal lines mean equal results, bit for bit.
 */
#include <string.h>

#include "operands.h"
#include "operations.h"
#include "target.h"

SUPPLIED(EXPECT1, EXPECT2)
FROM_LIBGCC(EXPECT1, EXPECT2)

static void write_text(const char *text)
{
    target_write(text, strlen(text));
}

/* FNV-1a over words: any one result that differs gives another hash. */
static uint32_t hash_word(uint32_t hash, uint32_t word)
{
    return (hash ^ word) * 16777619u;
}

static void report(const char *name, uint64_t (*operation)(uint64_t x, uint64_t y),
                   struct operands (*operands)(struct random *state))
{
    struct random state = random_start;
    uint32_t hash = 2166136261u;
    char line[] = " 00000000\n";

    for (long i = 0; i < RANDOM_PAIRS; i++) {
        struct operands pair = operands(&state);
        uint64_t result = operation(pair.x, pair.y);

        hash = hash_word(hash, (uint32_t)result);
        hash = hash_word(hash, (uint32_t)(result >> 32));
    }
    for (int digit = 8; digit > 0; digit--) {
        line[digit] = "0123456789abcdef"[hash & 15];
        hash >>= 4;
    }
    write_text(name);
    write_text(line);
}

#define REPORT1(result, name, x_type, operands, expression)                                        \
    report(#name, expect_##name, random_##operands);

#define REPORT2(result, name, x_type, y_type, operands, expression)                                \
    report(#name, expect_##name, random_##operands);

int main(void)
{
    SUPPLIED(REPORT1, REPORT2)
    FROM_LIBGCC(REPORT1, REPORT2)
    return 0;
}
