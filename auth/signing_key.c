#include "auth/signing_key.h"

#include "auth/jwk.h"
#include "auth/key_file.h"
#include "auth/pem.h"
#include "core/json.h"
#include "core/memory.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define JSON_DEPTH 16

static int keep_secret(struct auth_signing_key *key, struct auth_octets secret, struct guard_error *err)
{
    key->secret = malloc(secret.length);
    if (!key->secret)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    memcpy(key->secret, secret.data, secret.length);
    key->secret_length = secret.length;
    return GUARD_OK;
}

static int from_pem(const struct auth_key_file *file, struct auth_signing_key *key, struct guard_error *err)
{
    bool is_private;
    int rc = auth_pem_read(file->content, file->length, true, &key->private_, &is_private, err);
    return rc == GUARD_OK ? auth_key_new_pem(file->content, file->length, &key->key, NULL, err) : rc;
}

static int from_jwk(const struct guard_json *jwk, struct auth_signing_key *key, struct guard_error *err)
{
    int rc = auth_jwk_to_key(jwk, &key->key, err);
    if (rc != GUARD_OK)
        return rc;
    if (auth_key_kind(key->key) == AUTH_KEY_SECRET) {
        struct auth_octets secret = {0};
        unsigned char *octets;
        rc = auth_jwk_octets(jwk, "k", &octets, &secret.length, err);
        secret.data = octets;
        if (rc == GUARD_OK)
            rc = keep_secret(key, secret, err);
        guard_free_secret(&octets, secret.length);
        return rc;
    }
    key->private_ = auth_jwk_private(jwk, key->key, err);
    return key->private_ ? GUARD_OK : GUARD_ERR_INVALID;
}

static int from_json(const struct auth_key_file *file, struct auth_signing_key *key, struct guard_error *err)
{
    struct guard_json *document;
    int rc = guard_json_parse(file->content, file->length, JSON_DEPTH, &document, err);
    if (rc == GUARD_OK)
        rc = guard_json_get(document, "keys")
                 ? guard_fail(err, GUARD_ERR_INVALID, "a set of keys; to sign, a file with one private key is needed")
                 : from_jwk(document, key, err);
    guard_json_free(&document);
    return rc;
}

int auth_signing_key_load(const char *path, struct auth_signing_key **out, struct guard_error *err)
{
    struct auth_key_file file;
    struct guard_error why;
    *out = NULL;
    int rc = auth_key_file_read(path, &file, err);
    if (rc != GUARD_OK)
        return rc;
    struct auth_signing_key *key = calloc(1, sizeof *key);
    if (!key) {
        rc = guard_fail(&why, GUARD_ERR_NOMEM, "out of memory");
    } else if (file.format == AUTH_KEY_FILE_PEM) {
        rc = from_pem(&file, key, &why);
    } else if (file.format == AUTH_KEY_FILE_JSON) {
        rc = from_json(&file, key, &why);
    } else {
        struct auth_octets secret = {(const unsigned char *)file.content, file.length};
        rc = auth_key_new_secret(secret, &key->key, &why);
        if (rc == GUARD_OK)
            rc = keep_secret(key, secret, &why);
    }
    auth_key_file_free(&file);
    ERR_clear_error();
    if (rc == GUARD_OK) {
        *out = key;
        return GUARD_OK;
    }
    auth_signing_key_free(&key);
    return guard_fail_at(err, why.code, path, 0, 0, "%s", why.text);
}

void auth_signing_key_free(struct auth_signing_key **key)
{
    if (!*key)
        return;
    auth_key_free(&(*key)->key);
    EVP_PKEY_free((*key)->private_);
    guard_free_secret(&(*key)->secret, (*key)->secret_length);
    free(*key);
    *key = NULL;
}

const char *auth_signing_key_id(const struct auth_signing_key *key)
{
    return auth_key_id(key->key);
}

uint32_t auth_signing_key_algorithms(const struct auth_signing_key *key)
{
    return auth_key_algorithms(key->key);
}

enum auth_algorithm auth_signing_key_preferred(const struct auth_signing_key *key)
{
    unsigned i = 0;
    while (!(auth_key_algorithms(key->key) >> i & 1)) /* the enum lists the shorter hash of a family first */
        i++;
    return (enum auth_algorithm)i;
}
