#include "options.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lx106.h"
#include "simcall.h"

#define ARGV_BYTES 32768

/* The emulator writes the pointers first, then the words they point to. */
static LX106_EMULATOR_ONLY union {
    char *words[ARGV_BYTES / sizeof(char *)];
    char bytes[ARGV_BYTES];
} argv;
static int argc;

void options_load(void)
{
    argc = 0;
    if (simcall(SIMCALL_ARGV_SIZE, 0, 0, 0) <= ARGV_BYTES) {
        simcall(SIMCALL_ARGV, (int)argv.bytes, 0, 0);
        argc = simcall(SIMCALL_ARGC, 0, 0, 0);
    }
}

const char *options_next(const char *key, const char *previous)
{
    size_t length = strlen(key);
    int passed = previous == NULL;

    for (int i = 1; i < argc; i++) {
        const char *word = argv.words[i];
        if (strncmp(word, key, length) != 0 || word[length] != '=') {
            continue;
        }
        if (passed) {
            return word + length + 1;
        }
        passed = word + length + 1 == previous;
    }
    return NULL;
}

const char *options_text(const char *key)
{
    return options_next(key, NULL);
}

int64_t options_number(const char *key, int64_t fallback)
{
    const char *text = options_text(key);

    return text == NULL ? fallback : strtoll(text, NULL, 10);
}
