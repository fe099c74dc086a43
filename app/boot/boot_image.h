/*
 * boot_image.h - reads the ESP8266 boot image (version 1) as the mask ROM does.
 *
 * Layout: 8-byte header (magic 0xe9, segment count, flash mode, flash size and frequency, entry),
 * then per segment its address, its length and its data; then padding so that the checksum, the
 * XOR of all segment bytes seeded with 0xef, is the last byte of a 16-byte block.
 *
 * Nothing here copies, allocates or trusts a length: it runs natively under a fuzzer too.
 */
#ifndef BOOT_IMAGE_H
#define BOOT_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define BOOT_IMAGE_MAX_SEGMENTS 16

enum boot_image_err {
    BOOT_IMAGE_ERR_MAGIC = -1,     /* the flash does not start with an image */
    BOOT_IMAGE_ERR_COUNT = -2,     /* no segments, or more than the ROM takes */
    BOOT_IMAGE_ERR_TRUNCATED = -3, /* a segment or the checksum lies beyond the flash */
    BOOT_IMAGE_ERR_ADDRESS = -4,   /* a segment is not word-aligned in DRAM or IRAM */
    BOOT_IMAGE_ERR_CHECKSUM = -5,
    BOOT_IMAGE_ERR_ENTRY = -6, /* the entry point is outside IRAM */
};

struct boot_segment {
    uint32_t address;
    uint32_t length;
    const uint8_t *data; /* inside the flash given to boot_image_read() */
};

struct boot_image {
    uint32_t entry;
    unsigned segment_count;
    struct boot_segment segments[BOOT_IMAGE_MAX_SEGMENTS];
};

/* Read and check the image at the start of `flash`. Returns 0 or enum boot_image_err. */
int boot_image_read(struct boot_image *image, const uint8_t *flash, size_t flash_size);

/* What an error means, for the console. */
const char *boot_image_reason(int error);

#endif
