#include "core/serial.h"

#include "core/error.h"

#include <ctype.h>
#include <stdbool.h>

int guard_serial_canonical(const char *text, size_t length, char out[GUARD_SERIAL_SIZE])
{
    size_t count = 0, at = length && text[0] == '-';
    bool colon = true; /* none may stand at the front, at the end, or beside another */
    if (length - at >= 2 && text[at] == '0' && (text[at + 1] == 'x' || text[at + 1] == 'X'))
        at += 2;
    for (; at < length; at++) {
        if (text[at] == ':' && !colon) {
            colon = true;
            continue;
        }
        if (!isxdigit((unsigned char)text[at]) || count == GUARD_SERIAL_SIZE - 1)
            return GUARD_ERR_SYNTAX;
        colon = false;
        if (count || text[at] != '0')
            out[count++] = (char)toupper((unsigned char)text[at]);
    }
    if (colon)
        return GUARD_ERR_SYNTAX;
    if (!count)
        out[count++] = '0';
    out[count] = '\0';
    return GUARD_OK;
}
