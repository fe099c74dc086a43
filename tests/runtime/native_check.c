/*
 * Compare the helpers of app/runtime/, compiled natively under other names, with the host's own
 * arithmetic: all pairs of edges, then as many random pairs as the argument says.
 *
 * Prints a line for each operation; exits 1 when a result differs, after naming the operands.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "operands.h"
#include "operations.h"
#include "runtime.h"

#define MAX_REPORTED 3

struct operation {
    const char *name;
    uint64_t (*actual)(uint64_t x, uint64_t y);
    uint64_t (*expected)(uint64_t x, uint64_t y);
    struct operands (*random)(struct random *state);
    uint64_t (*x_edge)(size_t index), (*y_edge)(size_t index);
    size_t x_edges, y_edges;
};

#define ACTUAL1(result, name, x_type, operands, expression)                                        \
    static u64 actual_##name(u64 x, u64 y)                                                         \
    {                                                                                              \
        (void)y;                                                                                   \
        return bits_of_##result(RUNTIME_NAME(name)(x_type##_of_bits(x)));                          \
    }

#define ACTUAL2(result, name, x_type, y_type, operands, expression)                                \
    static u64 actual_##name(u64 x, u64 y)                                                         \
    {                                                                                              \
        return bits_of_##result(RUNTIME_NAME(name)(x_type##_of_bits(x), y_type##_of_bits(y)));     \
    }

SUPPLIED(EXPECT1, EXPECT2)
SUPPLIED(ACTUAL1, ACTUAL2)

#define ROW1(result, name, x_type, operands, expression)                                           \
    {#name,         actual_##name, expect_##name,       random_##operands,                         \
     x_type##_edge, x_type##_edge, x_type##_edge_count, 1},

#define ROW2(result, name, x_type, y_type, operands, expression)                                   \
    {#name,         actual_##name, expect_##name,       random_##operands,                         \
     x_type##_edge, y_type##_edge, x_type##_edge_count, y_type##_edge_count},

static const struct operation operations[] = {SUPPLIED(ROW1, ROW2)};

/* The chip traps on a zero divisor, the host ends the program: target_divide.c tries that. */
static int divides_by_zero(const struct operation *operation, uint64_t y)
{
    return y == 0 &&
           (operation->random == random_divide_32 || operation->random == random_divide_64);
}

static int check_pair(const struct operation *operation, uint64_t x, uint64_t y)
{
    uint64_t actual, expected;

    if (divides_by_zero(operation, y)) {
        return 0;
    }
    actual = operation->actual(x, y);
    expected = operation->expected(x, y);
    if (actual == expected) {
        return 0;
    }
    printf("%s: 0x%" PRIx64 ", 0x%" PRIx64 " gives 0x%" PRIx64 ", expected 0x%" PRIx64 "\n",
           operation->name, x, y, actual, expected);
    return 1;
}

static int check_operation(const struct operation *operation, long random_pairs)
{
    struct random state = random_start;
    int wrong = 0;

    for (size_t i = 0; i < operation->x_edges; i++) {
        for (size_t j = 0; j < operation->y_edges && wrong < MAX_REPORTED; j++) {
            wrong += check_pair(operation, operation->x_edge(i), operation->y_edge(j));
        }
    }
    for (long i = 0; i < random_pairs && wrong < MAX_REPORTED; i++) {
        struct operands pair = operation->random(&state);

        wrong += check_pair(operation, pair.x, pair.y);
    }
    return wrong;
}

/* Which NaN: the comparison above takes any quiet one for another. The sign is left open. */
static int check_nans(void)
{
    const uint64_t magnitude = 0x7fffffffffffffff;
    const f64 nan = f64_of_bits(0x7ff0000000abcdef), infinity = f64_of_bits(0x7ff0000000000000);
    const f64 nan_of_f32 = RUNTIME_NAME(extendsfdf2)(f32_of_bits(0x7f81e240));
    const struct {
        f64 value;
        uint64_t expected;
    } rows[] = {
        {RUNTIME_NAME(adddf3)(nan, 1), 0x7ff8000000abcdef},
        {RUNTIME_NAME(subdf3)(1, nan), 0x7ff8000000abcdef},
        {RUNTIME_NAME(muldf3)(nan, infinity), 0x7ff8000000abcdef},
        {RUNTIME_NAME(divdf3)(nan, 0), 0x7ff8000000abcdef},
        {RUNTIME_NAME(divdf3)(0, nan), 0x7ff8000000abcdef},
        {RUNTIME_NAME(subdf3)(infinity, infinity), 0x7ff8000000000000},
        {RUNTIME_NAME(muldf3)(infinity, 0), 0x7ff8000000000000},
        {RUNTIME_NAME(divdf3)(0, 0), 0x7ff8000000000000},
        {RUNTIME_NAME(divdf3)(infinity, infinity), 0x7ff8000000000000},
        {nan_of_f32, 0x7ff83c4800000000},
        {RUNTIME_NAME(extendsfdf2)(RUNTIME_NAME(truncdfsf2)(nan_of_f32)), 0x7ff83c4800000000},
        {RUNTIME_NAME(extendsfdf2)(RUNTIME_NAME(addsf3)(f32_of_bits(0x7f81e240), 1)),
         0x7ff83c4800000000},
        {RUNTIME_NAME(extendsfdf2)(RUNTIME_NAME(mulsf3)(1, f32_of_bits(0x7f81e240))),
         0x7ff83c4800000000},
    };
    int wrong = 0;

    for (size_t i = 0; i < COUNT(rows); i++) {
        union {
            f64 value;
            uint64_t bits;
        } u = {rows[i].value};

        if ((u.bits & magnitude) != rows[i].expected) {
            printf("NaN %zu: 0x%" PRIx64 ", expected 0x%" PRIx64 "\n", i, u.bits, rows[i].expected);
            wrong++;
        }
    }
    return wrong;
}

int main(int argc, char **argv)
{
    long random_pairs = argc == 2 ? atol(argv[1]) : 0;
    int wrong = check_nans();

    if (random_pairs <= 0) {
        fprintf(stderr, "usage: native_check RANDOM_PAIRS\n");
        return 2;
    }
    for (size_t i = 0; i < COUNT(operations); i++) {
        int wrong_here = check_operation(&operations[i], random_pairs);

        printf("%s %s\n", operations[i].name, wrong_here == 0 ? "exact" : "WRONG");
        wrong += wrong_here;
    }
    return wrong != 0;
}
