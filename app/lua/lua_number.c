/*
 * lua_number.c - numbers as Lua prints them: "%.14g".
 */
#include "lua_config.h"

#include <stdint.h>
#include <stdio.h>

int lua_format_number(char *to, double number)
{
    int32_t whole = number >= INT32_MIN && number <= INT32_MAX ? (int32_t)number : 0;

    if (whole == 0 || number != whole) { /* 0 too: it may be -0 */
        return snprintf(to, LUAI_MAXNUMBER2STR, LUA_NUMBER_FMT, number);
    }
    char digits[10];
    int count = 0, length = 0;
    uint32_t rest = whole < 0 ? -(uint32_t)whole : (uint32_t)whole;
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (whole < 0) {
        to[length++] = '-';
    }
    while (count > 0) {
        to[length++] = digits[--count];
    }
    to[length] = '\0';
    return length;
}
