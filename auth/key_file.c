#include "auth/key_file.h"

#include "auth/jwks.h"
#include "auth/pem.h"
#include "core/file.h"
#include "core/memory.h"

#include <string.h>

static enum auth_key_file_format format_of(const char *content, size_t length)
{
    if (auth_pem_is(content, length))
        return AUTH_KEY_FILE_PEM;
    size_t i = 0;
    while (i < length && content[i] && strchr(" \t\r\n", content[i]))
        i++;
    return i < length && content[i] == '{' ? AUTH_KEY_FILE_JSON : AUTH_KEY_FILE_SECRET;
}

/* An editor or echo puts a line end behind a secret that is text; in random octets 0x0A is an octet like others. */
static size_t without_line_end(const char *content, size_t length)
{
    size_t text = length;
    if (text && content[text - 1] == '\n')
        text--;
    if (text < length && text && content[text - 1] == '\r')
        text--;
    for (size_t i = 0; i < text; i++)
        if (content[i] < 0x20 || content[i] > 0x7e)
            return length;
    return text;
}

int auth_key_file_read(const char *path, struct auth_key_file *file, struct guard_error *err)
{
    *file = (struct auth_key_file){0};
    int rc = guard_file_read(path, GUARD_FILE_SECRET, AUTH_JWKS_MAX_SIZE, &file->content, &file->size, err);
    if (rc == GUARD_ERR_PERMISSION) { /* right for public keys; the caller finds out whether there is a secret */
        file->readable_by_others = true;
        rc = guard_file_read(path, GUARD_FILE_PUBLIC, AUTH_JWKS_MAX_SIZE, &file->content, &file->size, err);
    }
    if (rc != GUARD_OK)
        return rc;
    file->format = format_of(file->content, file->size);
    file->length = file->format == AUTH_KEY_FILE_SECRET ? without_line_end(file->content, file->size) : file->size;
    return GUARD_OK;
}

void auth_key_file_free(struct auth_key_file *file)
{
    guard_free_secret(&file->content, file->size);
}
