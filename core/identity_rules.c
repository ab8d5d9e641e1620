#include "core/identity_rules.h"

#include "core/utf8.h"

/* Unicode White_Space without the controls, which are refused anywhere. */
static bool is_space(uint32_t c)
{
    return c == 0x20 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

bool guard_identity_acceptable(const char *text, size_t length)
{
    if (!length || length > GUARD_IDENTITY_MAX || text[0] == '$')
        return false;
    uint32_t c = 0;
    for (size_t i = 0, width; i < length; i += width) {
        c = (unsigned char)text[i];
        if (c > '+' && c < 0x7f && c != '/') { /* most names hold nothing else */
            width = 1;
            continue;
        }
        width = guard_utf8_sequence(text + i, length - i);
        if (!width)
            return false;
        c = guard_utf8_decode(text + i, width);
        if (c == '+' || c == '#' || c == '/' || guard_utf8_is_deceptive(c) || (i == 0 && is_space(c)))
            return false;
    }
    return !is_space(c);
}
