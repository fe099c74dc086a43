/*
 * boot_image_check.c - what boot_image_read() says of each flash given on standard input.
 *
 * Input: a length (32 bits, little-endian) and so many bytes, again and again. Output: a line with
 * the result for each. A flash lies in a block of exactly its size, so that the address sanitizer
 * sees every byte read beyond it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "boot_image.h"

/* Whether a segment that was accepted lies in the flash. */
static int lies_in_flash(const struct boot_segment *segment, const uint8_t *flash, size_t size)
{
    return segment->data >= flash && segment->data <= flash + size &&
           segment->length <= (size_t)(flash + size - segment->data);
}

int main(void)
{
    uint32_t size;

    while (fread(&size, sizeof size, 1, stdin) == 1) {
        struct boot_image image;
        uint8_t *flash = malloc(size);
        if (flash == NULL || fread(flash, 1, size, stdin) != size) {
            return 1;
        }
        int result = boot_image_read(&image, flash, size);
        for (unsigned i = 0; result == 0 && i < image.segment_count; i++) {
            if (!lies_in_flash(&image.segments[i], flash, size)) {
                return 1;
            }
        }
        printf("%d\n", result);
        free(flash);
    }
    return 0;
}
