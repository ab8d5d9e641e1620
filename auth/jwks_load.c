#include "auth/jwks.h"

#include "auth/jwks_private.h"
#include "auth/key_file.h"
#include "core/file.h"
#include "core/memory.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* PEM or a secret: one key. */
static int add_single(struct auth_jwks *keys, const char *kid, const struct auth_key_file *file,
                      struct auth_jwks_source *source, struct guard_error *err)
{
    struct auth_key *key;
    struct guard_error why;
    struct auth_octets octets = {(const unsigned char *)file->content, file->length};
    int rc;
    if (file->format == AUTH_KEY_FILE_PEM) {
        rc = auth_key_new_pem(file->content, file->length, &key, &source->holds_secret, &why);
    } else {
        source->holds_secret = true;
        rc = auth_key_new_secret(octets, &key, &why);
    }
    if (rc == GUARD_OK && kid && auth_key_set_id(key, kid) != GUARD_OK) {
        auth_key_free(&key);
        rc = guard_fail(&why, GUARD_ERR_NOMEM, "out of memory");
    }
    if (rc == GUARD_OK)
        rc = auth_jwks_add(keys, &key, source, &why);
    return rc == GUARD_OK ? rc : guard_fail_at(err, why.code, source->place, 0, 0, "%s", why.text);
}

/* secrets: whether content that is neither PEM nor JSON is an HMAC secret. */
static int add_file(struct auth_jwks *keys, const char *path, const char *kid, bool secrets,
                    const struct guard_log *log, struct guard_error *err)
{
    struct auth_jwks_source source = {.place = path, .log = log};
    struct auth_key_file file;
    int rc = auth_key_file_read(path, &file, err);
    if (rc != GUARD_OK)
        return rc;
    if (file.format == AUTH_KEY_FILE_SECRET && !secrets)
        rc = guard_fail_at(err, GUARD_ERR_INVALID, path, 0, 0,
                           "neither PEM nor JSON; an HMAC secret has to be in a file named *.secret or *.key");
    else if (file.format == AUTH_KEY_FILE_JSON)
        rc = auth_jwks_add_json(keys, file.content, file.length, &source, err);
    else
        rc = add_single(keys, kid, &file, &source, err);
    if (rc == GUARD_OK && source.holds_secret && file.readable_by_others)
        guard_log(log, GUARD_LOG_WARNING,
                  "%s holds a secret or a private key that every user of this machine may read; chmod 640 it", path);
    auth_key_file_free(&file);
    return rc;
}

static int load_file(const char *path, bool secrets, const struct guard_log *log, struct auth_jwks **out,
                     struct guard_error *err)
{
    *out = NULL;
    struct auth_jwks *keys = auth_jwks_new();
    if (!keys)
        return guard_fail_at(err, GUARD_ERR_NOMEM, path, 0, 0, "out of memory");
    int rc = add_file(keys, path, NULL, secrets, log, err);
    if (rc == GUARD_OK)
        rc = auth_jwks_finish(keys, path, err);
    if (rc != GUARD_OK)
        auth_jwks_unref(&keys);
    *out = keys;
    return rc;
}

int auth_jwks_load_file(const char *path, const struct guard_log *log, struct auth_jwks **out, struct guard_error *err)
{
    return load_file(path, true, log, out, err);
}

/* The length of name without its ending, or 0 if it is no key file. */
static size_t stem(const char *name)
{
    static const char *const endings[] = {".pem", ".jwk", ".json", ".jwks", ".key", ".secret"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings && name[0] != '.'; i++) {
        size_t ending = strlen(endings[i]);
        if (length > ending && strcmp(name + length - ending, endings[i]) == 0)
            return length - ending;
    }
    return 0;
}

/* The endings that say "this is a secret" where a secret is not asked for by name. */
static bool may_be_secret(const char *name)
{
    size_t length = strlen(name);
    return (length > 7 && strcmp(name + length - 7, ".secret") == 0) ||
           (length > 4 && strcmp(name + length - 4, ".key") == 0);
}

bool auth_jwks_is_key_file(const char *name)
{
    return stem(name) != 0;
}

static int is_key_file(const struct dirent *entry)
{
    return auth_jwks_is_key_file(entry->d_name);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_entry(struct auth_jwks *keys, const char *folder, const char *name, const struct guard_log *log,
                     struct guard_error *err)
{
    char *path = NULL, *kid = strndup(name, stem(name));
    int rc;
    if (!kid || asprintf(&path, "%s/%s", folder, name) < 0)
        rc = guard_fail_at(err, GUARD_ERR_NOMEM, folder, 0, 0, "out of memory");
    else
        rc = add_file(keys, path, kid, may_be_secret(name), log, err);
    free(kid);
    free(path);
    return rc;
}

int auth_jwks_load_directory(const char *path, const struct guard_log *log, struct auth_jwks **out,
                             struct guard_error *err)
{
    struct dirent **entries = NULL;
    *out = NULL;
    int count = scandir(path, &entries, is_key_file, by_name);
    if (count < 0)
        return guard_fail_at(err, errno == ENOENT ? GUARD_ERR_NOT_FOUND : GUARD_ERR_IO, path, 0, 0,
                             "the folder cannot be read");
    struct auth_jwks *keys = auth_jwks_new();
    int rc = keys ? GUARD_OK : guard_fail_at(err, GUARD_ERR_NOMEM, path, 0, 0, "out of memory");
    for (int i = 0; i < count; i++) {
        if (rc == GUARD_OK)
            rc = add_entry(keys, path, entries[i]->d_name, log, err);
        free(entries[i]);
    }
    free(entries);
    if (rc == GUARD_OK)
        rc = auth_jwks_finish(keys, path, err);
    if (rc != GUARD_OK)
        auth_jwks_unref(&keys);
    *out = keys;
    return rc;
}

int auth_jwks_load(const char *path, const struct guard_log *log, struct auth_jwks **out, struct guard_error *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return auth_jwks_load_directory(path, log, out, err);
    return load_file(path, may_be_secret(path), log, out, err);
}
