/* The string function of the trail: whatever comes in, valid JSON without deceiving code points and within its bound.
 */
#include "audit/out.h"
#include "core/json.h"
#include "core/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 4096

static void expect(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char line[4 * INPUT_MAX + 16];
    if (size < 2 || size > INPUT_MAX)
        return 0;
    size_t max = (size_t)data[0] << 8 | data[1];
    struct audit_out out = {line, line + sizeof line, false};
    audit_put_string(&out, (const char *)data + 2, size - 2, max);
    size_t length = (size_t)(out.at - line), decoded = 0;
    expect(!out.overflow && guard_json_check(line, length, 1, NULL) == GUARD_OK);
    for (size_t i = 1, width; i + 1 < length; i += width, decoded += width) {
        i += line[i] == '\\';
        width = guard_utf8_sequence(line + i, length - i);
        expect(width > 0 && !guard_utf8_is_deceptive(guard_utf8_decode(line + i, width)));
    }
    expect(decoded <= max);
    return 0;
}
