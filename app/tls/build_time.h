/*
 * build_time.h - when the firmware was built (generated): no clock that is right stands before it.
 */
#ifndef BUILD_TIME_H
#define BUILD_TIME_H

#include <stdint.h>

/* Seconds since 1970-01-01 UTC: the day of the build, or SOURCE_DATE_EPOCH. */
extern const int64_t build_time;

#endif
