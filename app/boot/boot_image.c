#include "boot_image.h"

#include "lx106.h"

#define MAGIC 0xe9u
#define CHECKSUM_SEED 0xefu
#define HEADER_SIZE 8u
#define SEGMENT_HEADER_SIZE 8u

static uint32_t read_u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int lies_in(uint32_t address, uint32_t length, uint32_t base, uint32_t size)
{
    return address >= base && length <= size && address - base <= size - length;
}

static int is_loadable(uint32_t address, uint32_t length)
{
    return address % 4 == 0 && (lies_in(address, length, LX106_DRAM_BASE, LX106_DRAM_SIZE) ||
                                lies_in(address, length, LX106_IRAM_BASE, LX106_IRAM_SIZE));
}

static uint8_t fold_checksum(uint8_t checksum, const uint8_t *data, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++) {
        checksum ^= data[i];
    }
    return checksum;
}

int boot_image_read(struct boot_image *image, const uint8_t *flash, size_t flash_size)
{
    if (flash_size < HEADER_SIZE || flash[0] != MAGIC) {
        return BOOT_IMAGE_ERR_MAGIC;
    }
    image->segment_count = flash[1];
    image->entry = read_u32(flash + 4);
    if (image->segment_count == 0 || image->segment_count > BOOT_IMAGE_MAX_SEGMENTS) {
        return BOOT_IMAGE_ERR_COUNT;
    }
    if (!lies_in(image->entry, 1, LX106_IRAM_BASE, LX106_IRAM_SIZE)) {
        return BOOT_IMAGE_ERR_ENTRY;
    }

    size_t offset = HEADER_SIZE;
    uint8_t checksum = CHECKSUM_SEED;
    for (unsigned i = 0; i < image->segment_count; i++) {
        struct boot_segment *segment = &image->segments[i];
        if (flash_size - offset < SEGMENT_HEADER_SIZE) {
            return BOOT_IMAGE_ERR_TRUNCATED;
        }
        segment->address = read_u32(flash + offset);
        segment->length = read_u32(flash + offset + 4);
        offset += SEGMENT_HEADER_SIZE;
        segment->data = flash + offset;
        if (segment->length > flash_size - offset) {
            return BOOT_IMAGE_ERR_TRUNCATED;
        }
        if (!is_loadable(segment->address, segment->length)) {
            return BOOT_IMAGE_ERR_ADDRESS;
        }
        checksum = fold_checksum(checksum, segment->data, segment->length);
        offset += segment->length;
    }
    offset |= 15u; /* the checksum ends its block of 16 */
    if (offset >= flash_size) {
        return BOOT_IMAGE_ERR_TRUNCATED;
    }
    return flash[offset] == checksum ? 0 : BOOT_IMAGE_ERR_CHECKSUM;
}

const char *boot_image_reason(int error)
{
    switch (error) {
    case BOOT_IMAGE_ERR_MAGIC:
        return "no image in flash (bad magic)";
    case BOOT_IMAGE_ERR_COUNT:
        return "bad segment count";
    case BOOT_IMAGE_ERR_TRUNCATED:
        return "truncated segment";
    case BOOT_IMAGE_ERR_ADDRESS:
        return "segment outside DRAM and IRAM, or not aligned";
    case BOOT_IMAGE_ERR_CHECKSUM:
        return "bad checksum";
    case BOOT_IMAGE_ERR_ENTRY:
        return "entry point outside IRAM";
    default:
        return "ok";
    }
}
