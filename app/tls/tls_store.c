#include "tls_store.h"

#include <string.h>

#include "board.h"
#include "lx106.h"
#include "tls_error.h"

#define SETS 2
#define COPIES 2           /* sectors of a set */
#define MAGIC 0x534c544eu  /* the bytes "NTLS" */
#define COMMIT 0x454e4f44u /* the bytes "DONE" */
#define VERSION 1
#define ERASED 0xff
#define CHUNK 128 /* bytes that go between flash and stack at once */

/*
 * What a sector begins with; the records follow. Numbers are little-endian, as they are on the
 * chip and on every machine that builds this. The commit word is written last and alone: a sector
 * whose erase or write did not end has another one, or records that its CRC does not fit.
 */
struct header {
    uint32_t magic;
    uint8_t version, set;
    uint16_t reserved;
    uint32_t sequence; /* of two valid sectors, the later one counts (RFC 1982) */
    uint32_t length;   /* of the records */
    uint32_t crc;      /* of what stands above, and of the records */
    uint32_t reserved_too[2];
    uint32_t commit;
};

#define BEFORE_CRC offsetof(struct header, crc)
#define BEFORE_COMMIT offsetof(struct header, commit)

_Static_assert(sizeof(struct header) == LX106_FLASH_SECTOR - TLS_STORE_MAX, "header size");
_Static_assert(SETS *COPIES == LX106_CREDENTIALS_SECTORS, "sectors");

static uint16_t readers[SETS][COPIES];

static uint32_t sector_offset(enum tls_store_set set, int copy)
{
    uint32_t below_end = LX106_SDK_SECTORS + LX106_CREDENTIALS_SECTORS - set * COPIES - copy;

    return board_flash_size() - below_end * LX106_FLASH_SECTOR;
}

/* CRC-32 as IEEE 802.3 has it, of `data` behind what `crc` is of; 0 to begin. */
static uint32_t add_to_crc(uint32_t crc, const uint8_t *data, size_t length)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };

    crc = ~crc;
    for (size_t i = 0; i < length; i++) {
        crc = table[(crc ^ data[i]) & 15] ^ crc >> 4;
        crc = table[(crc ^ data[i] >> 4) & 15] ^ crc >> 4;
    }
    return ~crc;
}

static uint32_t compute_crc(const struct header *header, const uint8_t *records)
{
    uint32_t crc = add_to_crc(0, (const uint8_t *)header, BEFORE_CRC);

    return add_to_crc(crc, records, header->length);
}

/* The header of a sector that is valid, or NULL. */
static const struct header *read_sector(enum tls_store_set set, int copy)
{
    const uint8_t *sector = board_flash_map(sector_offset(set, copy), LX106_FLASH_SECTOR);
    const struct header *header = (const void *)sector;

    if (sector == NULL || header->magic != MAGIC || header->version != VERSION ||
        header->set != set || header->commit != COMMIT || header->length > TLS_STORE_MAX) {
        return NULL;
    }
    const uint8_t *records = sector + sizeof *header;
    if (header->crc != compute_crc(header, records) ||
        !tls_records_are_whole(records, header->length)) {
        return NULL;
    }
    return header;
}

/* The valid sector that counts, and which of the two it is; or NULL. */
static const struct header *find_current(enum tls_store_set set, int *copy)
{
    const struct header *first = read_sector(set, 0), *second = read_sector(set, 1);
    bool second_counts =
        second != NULL && (first == NULL || (int32_t)(second->sequence - first->sequence) > 0);

    *copy = second_counts;
    return second_counts ? second : first;
}

int tls_store_open(enum tls_store_set set, struct tls_store_view *view)
{
    int copy;
    const struct header *header = find_current(set, &copy);

    memset(view, 0, sizeof *view);
    if (header == NULL || header->length == 0) {
        return TLS_ERR_NOT_STORED;
    }
    view->records = (const unsigned char *)(header + 1);
    view->length = header->length;
    view->sector = 1 + (int)set * COPIES + copy; /* 0: closed */
    readers[set][copy]++;
    return 0;
}

void tls_store_close(struct tls_store_view *view)
{
    if (view->sector != 0) {
        readers[(view->sector - 1) / COPIES][(view->sector - 1) % COPIES]--;
    }
    memset(view, 0, sizeof *view);
}

static bool are_erased(const uint32_t *words, size_t count)
{
    while (count > 0 && words[count - 1] == UINT32_MAX) {
        count--;
    }
    return count == 0;
}

/* A key does not stay on the stack; the compiler does not see that nobody reads this. */
static void wipe(volatile uint32_t *chunk)
{
    for (size_t i = 0; i < CHUNK / 4; i++) {
        chunk[i] = 0;
    }
}

/* Whether flash holds these bytes; NULL: is erased. */
static bool flash_holds(uint32_t offset, const uint8_t *expected, size_t length)
{
    uint32_t chunk[CHUNK / 4];

    for (size_t done = 0; done < length; done += CHUNK) {
        size_t part = length - done < CHUNK ? length - done : CHUNK;
        bool same = board_flash_read(offset + done, chunk, (part + 3) & ~3u) == 0 &&
                    (expected == NULL ? are_erased(chunk, part / 4)
                                      : memcmp(chunk, expected + done, part) == 0);
        wipe(chunk);
        if (!same) {
            return false;
        }
    }
    return true;
}

/* Write bytes that may lie anywhere and end in mid-word: the chip takes whole words only. */
static bool put(uint32_t offset, const uint8_t *data, size_t length)
{
    uint32_t chunk[CHUNK / 4];

    for (size_t done = 0; done < length; done += CHUNK) {
        size_t part = length - done < CHUNK ? length - done : CHUNK;
        memset(chunk, ERASED, sizeof chunk);
        memcpy(chunk, data + done, part);
        int error = board_flash_write(offset + done, chunk, (part + 3) & ~3u);
        wipe(chunk);
        if (error != 0) {
            return false;
        }
    }
    return true;
}

/* Commit a sector that is complete; one for which that fails is made invalid, if that works. */
static int commit(uint32_t at)
{
    uint32_t word = COMMIT; /* not in flash, which cannot be read while it is written */

    if (board_flash_write(at, &word, sizeof word) == 0 &&
        flash_holds(at, (const uint8_t *)&word, sizeof word)) {
        return 0;
    }
    word = 0;
    board_flash_write(at, &word, sizeof word);
    return TLS_ERR_STORE_FLASH;
}

static int replace_sector(uint32_t offset, const struct header *header, const uint8_t *records)
{
    const uint8_t *first = (const uint8_t *)header;
    uint32_t records_at = offset + sizeof *header;

    if (board_flash_erase(offset / LX106_FLASH_SECTOR) != 0 ||
        !flash_holds(offset, NULL, LX106_FLASH_SECTOR) ||
        !put(records_at, records, header->length) || !put(offset, first, BEFORE_COMMIT) ||
        !flash_holds(records_at, records, header->length) ||
        !flash_holds(offset, first, BEFORE_COMMIT)) {
        return TLS_ERR_STORE_FLASH;
    }
    return commit(offset + BEFORE_COMMIT);
}

static bool is_stored(const struct header *current, const void *records, size_t length)
{
    if (length == 0) {
        return current == NULL || current->length == 0;
    }
    return current != NULL && current->length == length &&
           memcmp(current + 1, records, length) == 0;
}

int tls_store_write(enum tls_store_set set, const void *records, size_t length)
{
    int copy;

    if (length > TLS_STORE_MAX) {
        return TLS_ERR_TOO_LARGE;
    }
    if (!tls_records_are_whole(records, length)) {
        return TLS_ERR_INTERNAL;
    }
    const struct header *current = find_current(set, &copy);
    if (is_stored(current, records, length)) {
        return 0;
    }
    copy = current == NULL ? 0 : 1 - copy;
    if (readers[set][copy] != 0) {
        return TLS_ERR_STORE_BUSY;
    }
    struct header header;
    memset(&header, ERASED, sizeof header);
    header.magic = MAGIC;
    header.version = VERSION;
    header.set = (uint8_t)set;
    header.sequence = current == NULL ? 1 : current->sequence + 1;
    header.length = length;
    header.crc = compute_crc(&header, records);
    return replace_sector(sector_offset(set, copy), &header, records);
}
