#include "build_id.h"

#include <stdint.h>

#define NOTE_WORDS 4 /* the ELF note's sizes, type and name, before the id itself */
#define DIGITS (BUILD_ID_SIZE - 1)

extern const uint32_t __build_id[];

void build_id_text(char text[BUILD_ID_SIZE])
{
    const volatile uint32_t *words = __build_id + NOTE_WORDS; /* volatile: word by word */

    for (unsigned i = 0; i < DIGITS; i++) {
        unsigned shift = 8 * (i / 2 % 4) + (i % 2 == 0 ? 4 : 0);
        unsigned digit = words[i / 8] >> shift & 15u;
        text[i] = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
    }
    text[DIGITS] = '\0';
}
