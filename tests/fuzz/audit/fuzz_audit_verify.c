/* What reads trails that somebody may have changed: the verifier on a file of any bytes, OCSF on a line of any bytes.
 */
#include "audit/ocsf.h"
#include "audit/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void map_first_line(const uint8_t *data, size_t size)
{
    static char line[4 * AUDIT_LINE_MAX];
    const uint8_t *stop = memchr(data, '\n', size);
    size_t length = stop ? (size_t)(stop - data) : size;
    struct audit_out out = {line, line + sizeof line, false};
    if (length > AUDIT_TAIL_LENGTH)
        audit_ocsf_map((const char *)data, length - AUDIT_TAIL_LENGTH, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct guard_error err;
    struct audit_verify_result result;
    const struct audit_verify_options options = {.from_rotation = true};
    int fd = memfd_create("trail", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const char *paths[] = {path};
    if (audit_verify(paths, 1, &options, &result, &err) != GUARD_OK)
        abort();
    if (result.valid && !result.lines)
        abort(); /* nothing is not a valid trail */
    audit_verify_free(&result);
    close(fd);
    if (size)
        map_first_line(data, size);
    return 0;
}
