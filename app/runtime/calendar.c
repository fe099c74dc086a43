#include "calendar.h"

#include <stdbool.h>

#define SECONDS_A_DAY 86400
#define FIRST_DAY 4 /* 1970 began on a Thursday */

static bool is_leap(uint32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static uint32_t count_days(uint32_t year, int month)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return lengths[month] + (month == 1 && is_leap(year) ? 1u : 0u);
}

void calendar_date(uint64_t seconds, struct tm *date)
{
    uint32_t days = (uint32_t)(seconds / SECONDS_A_DAY), year = 1970, length;
    uint32_t second = (uint32_t)(seconds % SECONDS_A_DAY);
    int month = 0;

    date->tm_wday = (int)((days + FIRST_DAY) % 7);
    for (; days >= (length = is_leap(year) ? 366 : 365); year++) {
        days -= length;
    }
    date->tm_yday = (int)days;
    for (; days >= (length = count_days(year, month)); month++) {
        days -= length;
    }
    date->tm_year = (int)year - 1900;
    date->tm_mon = month;
    date->tm_mday = (int)days + 1;
    date->tm_hour = (int)(second / 3600);
    date->tm_min = (int)(second / 60 % 60);
    date->tm_sec = (int)(second % 60);
    date->tm_isdst = 0;
}
