/*
 * options.h - the KEY=VALUE words that `nodemcu-tls run` gives the emulated board.
 *
 * They lie in memory that the chip does not have, so they cost the firmware nothing.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdint.h>

void options_load(void);

/* The value of the first `key=`, or NULL. */
const char *options_text(const char *key);
/* The next value of `key` after `previous` (NULL to begin), or NULL. */
const char *options_next(const char *key, const char *previous);
int64_t options_number(const char *key, int64_t fallback);

#endif
