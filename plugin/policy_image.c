/* The compiled rules in a snapshot, and with which policy file they were compiled. */
#include "acl/acl.h"
#include "acl/image.h"
#include "plugin/policy_store_internal.h"

#include <stdlib.h>
#include <string.h>

/* Behind the compiled rules. */
struct image_end {
    char magic[16];
    char file_digest[40]; /* "" = none */
    uint64_t file_lines;
};

#define IMAGE_END "GUARDWITHFILE\1"

/* Rules know their lines, and a comment that moves them is not in the file's digest. */
static uint64_t lines_of(const struct guard_policy_text *file)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < file->count; i++)
        sum = sum * UINT64_C(1099511628211) + file->lines[i].line;
    return sum;
}

int guard_policy_image_write(const struct guard_policy_image *image, const struct guard_sink *sink)
{
    struct image_end end = {.magic = IMAGE_END, .file_lines = image->file_lines};
    memcpy(end.file_digest, image->file_digest, sizeof image->file_digest);
    int rc = acl_policy_write(image->acl, sink);
    return rc == GUARD_OK ? sink->put(sink->context, &end, sizeof end) : rc;
}

struct guard_policy_image *guard_policy_combine_image(struct guard_plugin *plugin)
{
    const struct guard_policy_store *link = plugin->policy_store;
    struct guard_policy_image *image = link->latest && link->delivered ? calloc(1, sizeof *image) : NULL;
    if (!image)
        return NULL;
    image->acl = acl_policy_retain(link->latest->acl);
    memcpy(image->file_digest, link->file_digest, sizeof image->file_digest);
    image->file_lines = lines_of(&link->file);
    return image;
}

void guard_policy_image_free(struct guard_policy_image *image)
{
    acl_policy_release(image->acl);
    free(image);
}

struct acl_policy *guard_policy_image_load(const struct guard_policy_store *link,
                                           const struct guard_store_update *update)
{
    struct image_end end;
    struct acl_policy *acl = NULL;
    if (update->image_length < sizeof end)
        return NULL;
    size_t length = update->image_length - sizeof end;
    memcpy(&end, update->image->bytes + length, sizeof end);
    if (memcmp(end.magic, (char[sizeof end.magic]){IMAGE_END}, sizeof end.magic) != 0 ||
        strncmp(end.file_digest, link->file_digest, sizeof end.file_digest) != 0 ||
        end.file_lines != lines_of(&link->file))
        return NULL;
    return acl_policy_load(update->image, length, &acl) == GUARD_OK ? acl : NULL;
}
