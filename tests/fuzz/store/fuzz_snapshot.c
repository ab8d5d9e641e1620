/* A snapshot file whose checksum is right and whose content is anything: it is refused or read, and what was read can
 * be used. */
#include "core/file.h"
#include "store/snapshot.h"
#include "store/update.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DIGEST 32
#define STAMP  16

/* Touches every text of a record. */
static bool read_client(void *context, const struct guard_client_view *view)
{
    const char *cursor = NULL, *name, *value;
    size_t *length = context;
    int32_t priority;
    *length += view->password ? strlen(view->password) : 0;
    while (guard_client_next_role(view, &cursor, &name, &priority))
        *length += strlen(name);
    cursor = NULL;
    while (guard_client_next_client_id(view, &cursor, &name))
        *length += strlen(name);
    cursor = NULL;
    while (guard_client_next_attribute(view, &cursor, &name, &value))
        *length += strlen(name) + strlen(value);
    return true;
}

static void use(const struct guard_content *content)
{
    static const struct guard_content nothing = {0};
    struct guard_update update = {0};
    size_t length = 0;
    guard_clients_each(content->clients, read_client, &length);
    if (guard_update_make(&update, &nothing, content, true, "guard:") != GUARD_OK)
        abort();
    for (size_t s = 0; s < update.section_count; s++)
        for (size_t l = 0; l < update.sections[s].count; l++)
            length += strlen(update.sections[s].lines[l].field) + strlen(update.sections[s].lines[l].value);
    guard_update_free(&update);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guard_content content = {0};
    struct guard_snapshot_times times;
    char folder[] = "/tmp/guard-fuzz-XXXXXX", path[64];
    unsigned char *file = calloc(1, size + DIGEST + STAMP);
    if (!file)
        abort();
    if (size)
        memcpy(file, data, size);
    if (EVP_Digest(file, size, file + size, NULL, EVP_sha256(), NULL) != 1)
        abort();
    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/snapshot", folder);
    if (guard_file_replace(path, file, size + DIGEST + STAMP, 0600, NULL) != GUARD_OK)
        abort();
    if (guard_snapshot_read(path, "guard:", &content, &times, NULL) == GUARD_OK)
        use(&content);
    else if (content.sections || content.clients || content.revocations)
        abort();
    guard_content_free(&content);
    unlink(path);
    rmdir(folder);
    free(file);
    return 0;
}
