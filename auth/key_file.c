#include "auth/key_file.h"

#include "auth/jwks.h"
#include "auth/pem.h"
#include "core/base64.h"
#include "core/file.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

static bool begins_with(const char *content, size_t length, const char *text)
{
    size_t text_length = strlen(text);
    return length >= text_length && memcmp(content, text, text_length) == 0;
}

/* A DER SEQUENCE with a long length that fills the content: a public key, a certificate, a private key. */
static bool is_der(const unsigned char *content, size_t length)
{
    if (length < 4 || content[0] != 0x30 || (content[1] & 0x80) == 0)
        return length > 2 && content[0] == 0x30 && (size_t)content[1] + 2 == length;
    size_t size = 0, count = content[1] & 0x7fU;
    if (count == 0 || count > 3 || length < 2 + count)
        return false;
    for (size_t i = 0; i < count; i++)
        size = size << 8 | content[2 + i];
    return size + 2 + count == length;
}

/* DER as base64 text: PEM without its first and last line. */
static bool is_base64_der(const char *content, size_t length)
{
    char *text = malloc(length + 1);
    unsigned char *der = malloc(GUARD_BASE64_DECODED(length));
    size_t kept = 0;
    for (size_t i = 0; text && i < length; i++)
        if (!strchr(" \t\r\n", content[i]) || !content[i])
            text[kept++] = content[i];
    ssize_t decoded = text && der ? guard_base64_decode(text, kept, der) : -1;
    bool is = !text || !der || (decoded > 0 && is_der(der, (size_t)decoded)); /* out of memory: not a secret either */
    if (der)
        guard_wipe(der, decoded > 0 ? (size_t)decoded : 0);
    guard_free_secret(&text, kept);
    free(der);
    return is;
}

/* JSON of another kind than an object; random octets that happen to begin like it are not. */
static bool is_json_text(const char *content, size_t length)
{
    if (!begins_with(content, length, "[") && !begins_with(content, length, "\""))
        return false;
    for (size_t i = 0; i < length; i++)
        if ((content[i] < 0x20 || content[i] > 0x7e) && !strchr("\t\r\n", content[i]))
            return false;
    return true;
}

/*
 * Everybody knows a public key: taken for a secret, it would let everybody sign. So content that resembles one in any
 * of its forms is no secret, whatever it is.
 */
static bool resembles_public_key(const char *content, size_t length)
{
    return begins_with(content, length, "\xef\xbb\xbf") || begins_with(content, length, "\xff\xfe") ||
           begins_with(content, length, "\xfe\xff") || is_json_text(content, length) ||
           begins_with(content, length, "ssh-") || begins_with(content, length, "ecdsa-") ||
           memmem(content, length, "kty", 3) || is_der((const unsigned char *)content, length) ||
           is_base64_der(content, length);
}

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
    if (file->format == AUTH_KEY_FILE_SECRET && resembles_public_key(file->content, file->size)) {
        auth_key_file_free(file);
        return guard_fail_at(err, GUARD_ERR_INVALID, path, 0, 0,
                             "neither PEM nor a JSON object, and too much like a public key to be taken for a secret; "
                             "expected a PEM file (openssl can convert), a JWK or a JWK Set");
    }
    file->length = file->format == AUTH_KEY_FILE_SECRET ? without_line_end(file->content, file->size) : file->size;
    return GUARD_OK;
}

void auth_key_file_free(struct auth_key_file *file)
{
    guard_free_secret(&file->content, file->size);
}
