/* Operands at the borders, by number, each as its bits. */
#ifndef EDGES_H
#define EDGES_H

#include <stddef.h>
#include <stdint.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Several to a line. */
/* clang-format off */
static const uint32_t f32_edges[] = {
    /* zero and denormals */
    0x00000000, 0x00000001, 0x00000002, 0x00000003, 0x00400000, 0x007ffffe, 0x007fffff,
    /* the smallest normal numbers, and square roots of the border */
    0x00800000, 0x00800001, 0x00ffffff, 0x01000000, 0x1fffffff, 0x20000000, 0x33800000, 0x34000000,
    /* about a half, one, one and a half */
    0x3effffff, 0x3f000000, 0x3f000001, 0x3f7fffff, 0x3f800000, 0x3f800001, 0x3fc00000, 0x3fc00001,
    /* integers at the limits of 24, 31, 32 and 64 bits */
    0x40000000, 0x40400000, 0x4b000000, 0x4b7fffff, 0x4b800000, 0x4b800001, 0x4effffff, 0x4f000000,
    0x4f000001, 0x4f7fffff, 0x4f800000, 0x5effffff, 0x5f000000, 0x5f7fffff, 0x5f800000,
    /* huge, infinite, not a number */
    0x7e800000, 0x7effffff, 0x7f000000, 0x7f7ffffe, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fbfffff,
    0x7fc00000, 0x7fffffff,
};

static const uint64_t f64_edges[] = {
    /* zero and denormals */
    0x0000000000000000, 0x0000000000000001, 0x0000000000000002, 0x0000000000000003,
    0x00000000ffffffff, 0x0000000100000000, 0x0008000000000000, 0x000ffffffffffffe,
    0x000fffffffffffff,
    /* the smallest normal numbers, and square roots of the border */
    0x0010000000000000, 0x0010000000000001, 0x001fffffffffffff, 0x0020000000000000,
    0x1fffffffffffffff, 0x2000000000000000, 0x3ca0000000000000, 0x3cb0000000000000,
    /* floats: half of the smallest, the smallest, the border of the denormals, about the largest */
    0x3690000000000000, 0x3690000000000001, 0x36a0000000000000, 0x380fffffc0000000,
    0x380fffffe0000000, 0x3810000000000000, 0x47efffffe0000000, 0x47efffffefffffff,
    0x47effffff0000000, 0x47f0000000000000,
    /* about a half, one, ties at the last place of a float */
    0x3fdfffffffffffff, 0x3fe0000000000000, 0x3fe0000000000001, 0x3fefffffffffffff,
    0x3ff0000000000000, 0x3ff0000000000001, 0x3ff000000fffffff, 0x3ff0000010000000,
    0x3ff0000010000001, 0x3ff0000030000000, 0x3ff8000000000000, 0x4000000000000000,
    0x4008000000000000,
    /* integers at the limits of 31, 32, 53, 63 and 64 bits */
    0x41dfffffffc00000, 0x41dfffffffffffff, 0x41e0000000000000, 0x41e0000000100000,
    0x41e0000000200000, 0x41efffffffe00000, 0x41efffffffffffff, 0x41f0000000000000,
    0x4330000000000000, 0x433fffffffffffff, 0x4340000000000000, 0x43dfffffffffffff,
    0x43e0000000000000, 0x43efffffffffffff, 0x43f0000000000000,
    /* huge, infinite, not a number */
    0x7fd0000000000000, 0x7fdfffffffffffff, 0x7fe0000000000000, 0x7feffffffffffffe,
    0x7fefffffffffffff, 0x7ff0000000000000, 0x7ff0000000000001, 0x7ff7ffffffffffff,
    0x7ff8000000000000, 0x7fffffffffffffff,
};
/* clang-format on */

enum {
    f32_edge_count = 2 * COUNT(f32_edges),
    f64_edge_count = 2 * COUNT(f64_edges),
    i32_edge_count = 8 * 32,
    u32_edge_count = i32_edge_count,
    i64_edge_count = 8 * 64,
    u64_edge_count = i64_edge_count,
};

/* Floating point: the list with either sign. */
static inline uint64_t f32_edge(size_t index)
{
    return f32_edges[index >> 1] ^ (uint32_t)(index & 1) << 31;
}

static inline uint64_t f64_edge(size_t index)
{
    return f64_edges[index >> 1] ^ (uint64_t)(index & 1) << 63;
}

/* Integers: from 2^n - 1 to 2^n + 2, and the negatives. */
static inline uint64_t i64_edge(size_t index)
{
    uint64_t value = ((uint64_t)1 << (index >> 3)) + (index >> 1 & 3) - 1;

    return index & 1 ? 0 - value : value;
}

static inline uint64_t i32_edge(size_t index)
{
    return (uint32_t)i64_edge(index);
}

#define u32_edge i32_edge
#define u64_edge i64_edge

#endif
