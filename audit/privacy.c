#include "audit/privacy.h"

#include "core/file.h"
#include "core/memory.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MIN    16
#define KEY_MAX    4096
#define KEY_RANDOM 32

static int random_key(struct audit_privacy_key *key, struct guard_error *err)
{
    key->bytes = malloc(KEY_RANDOM);
    if (!key->bytes)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    key->length = KEY_RANDOM;
    if (RAND_bytes(key->bytes, KEY_RANDOM) == 1)
        return GUARD_OK;
    audit_privacy_wipe(key);
    return guard_fail(err, GUARD_ERR_CRYPTO, "no random bytes for the pseudonym key");
}

int audit_privacy_load(struct audit_privacy_key *key, const char *path, struct guard_error *err)
{
    *key = (struct audit_privacy_key){NULL, 0};
    if (!path)
        return random_key(key, err);
    char *content = NULL;
    int rc = guard_file_read(path, GUARD_FILE_SECRET, KEY_MAX, &content, &key->length, err);
    if (rc != GUARD_OK)
        return rc;
    key->bytes = (unsigned char *)content;
    if (key->length >= KEY_MIN)
        return GUARD_OK;
    audit_privacy_wipe(key);
    return guard_fail_at(err, GUARD_ERR_INVALID, path, 0, 0, "is too short for a key; expected %d to %d bytes", KEY_MIN,
                         KEY_MAX);
}

void audit_privacy_wipe(struct audit_privacy_key *key)
{
    guard_free_secret(&key->bytes, key->length);
    key->length = 0;
}

void audit_pseudonym(const struct audit_privacy_key *key, const char *text, size_t length,
                     char out[AUDIT_PSEUDONYM_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    unsigned got = 0;
    HMAC(EVP_sha256(), key->bytes, (int)key->length, (const unsigned char *)text, length, digest, &got);
    for (size_t i = 0; i < 8; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

bool audit_truncate_address(const char *address, char out[64])
{
    unsigned char octets[16];
    if (inet_pton(AF_INET, address, octets) == 1) {
        octets[3] = 0;
        return inet_ntop(AF_INET, octets, out, 64) != NULL;
    }
    if (inet_pton(AF_INET6, address, octets) != 1)
        return false;
    memset(octets + 6, 0, 10);
    return inet_ntop(AF_INET6, octets, out, 64) != NULL;
}
