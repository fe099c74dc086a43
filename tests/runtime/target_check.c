/*
 * Print a hash of each operation's results, on RANDOM_PAIRS pairs of operands and, in floating
 * point, on all pairs of edges.
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

/*
 * FNV-1a over words: any one result that differs gives another hash. The shift carries high bits
 * down, or else two wrong signs would cancel.
 */
static uint32_t hash_word(uint32_t hash, uint32_t word)
{
    hash = (hash ^ word) * 16777619u;
    return hash ^ hash >> 15;
}

static uint32_t hash_result(uint32_t hash, uint64_t result)
{
    return hash_word(hash_word(hash, (uint32_t)result), (uint32_t)(result >> 32));
}

static void write_line(const char *name, uint32_t hash)
{
    char line[] = " 00000000\n";

    for (int digit = 8; digit > 0; digit--) {
        line[digit] = "0123456789abcdef"[hash & 15];
        hash >>= 4;
    }
    write_text(name);
    write_text(line);
}

static void report(const char *name, uint64_t (*operation)(uint64_t x, uint64_t y),
                   struct operands (*operands)(struct random *state),
                   uint64_t (*edge)(size_t index), size_t edges)
{
    struct random state = random_start;
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < edges; i++) {
        for (size_t j = 0; j < edges; j++) {
            hash = hash_result(hash, operation(edge(i), edge(j)));
        }
    }
    for (long i = 0; i < RANDOM_PAIRS; i++) {
        struct operands pair = operands(&state);

        hash = hash_result(hash, operation(pair.x, pair.y));
    }
    write_line(name, hash);
}

/* The integers have many more edges, and take their share of them among the random operands. */
#define EDGES_i32 i32_edge, 0
#define EDGES_u32 u32_edge, 0
#define EDGES_i64 i64_edge, 0
#define EDGES_u64 u64_edge, 0
#define EDGES_f32 f32_edge, f32_edge_count
#define EDGES_f64 f64_edge, f64_edge_count

#define REPORT1(result, name, x_type, operands, expression)                                        \
    report(#name, expect_##name, random_##operands, EDGES_##x_type);

#define REPORT2(result, name, x_type, y_type, operands, expression)                                \
    report(#name, expect_##name, random_##operands, EDGES_##x_type);

int main(void)
{
    SUPPLIED(REPORT1, REPORT2)
    FROM_LIBGCC(REPORT1, REPORT2)
    return 0;
}
