/*
 * A request to metrics_listen. Its answer may not depend on how it comes in pieces, and only one that begins with
 * "GET /metrics" is served.
 */
#include "plugin/metrics_request.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *octets = malloc(size + 1); /* of exactly that size, so that a sanitizer sees a look behind it */
    int last = 0;
    if (!octets)
        abort();
    memcpy(octets, data, size);
    for (size_t length = 0; length <= size && length < GUARD_REQUEST_MAX && !last; length++)
        last = guard_metrics_request(octets, length);
    int whole = guard_metrics_request(octets, size);
    if (last && whole != last && size < GUARD_REQUEST_MAX)
        abort();
    if (whole == 200 && (size < 12 || memcmp(octets, "GET /metrics", 12) != 0))
        abort();
    free(octets);
    return 0;
}
