/*
 * fuzz_boot_image.c - the boot ROM's reader of images: what it accepts lies in the flash and goes
 * to memory of the chip.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "boot_image.h"
#include "check.h"
#include "lx106.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lies_in(uint64_t at, uint64_t length, uint64_t base, uint64_t size)
{
    return at >= base && at + length <= base + size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct boot_image image;

    if (boot_image_read(&image, data, size) != 0) {
        return 0;
    }
    CHECK(image.segment_count >= 1 && image.segment_count <= BOOT_IMAGE_MAX_SEGMENTS);
    CHECK(lies_in(image.entry, 1, LX106_IRAM_BASE, LX106_IRAM_SIZE));
    for (unsigned i = 0; i < image.segment_count; i++) {
        const struct boot_segment *segment = &image.segments[i];
        CHECK(lies_in(segment->address, segment->length, LX106_IRAM_BASE, LX106_IRAM_SIZE) ||
              lies_in(segment->address, segment->length, LX106_DRAM_BASE, LX106_DRAM_SIZE));
        CHECK(lies_in((uintptr_t)segment->data, segment->length, (uintptr_t)data, size));
    }
    return 0;
}
