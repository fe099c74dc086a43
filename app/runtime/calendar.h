/*
 * calendar.h - dates of the Gregorian calendar, in UTC. picolibc's time_t ends in 2038.
 */
#ifndef CALENDAR_H
#define CALENDAR_H

#include <stdint.h>
#include <time.h>

/* The date of `seconds` since 1970. */
void calendar_date(uint64_t seconds, struct tm *date);

#endif
