/* Ed25519 keys of the checkpoints: reading, making, signing, verifying. */
#include "audit/chain.h"

#include "core/file.h"
#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_MAX 16384
#define RAW_KEY_SIZE 32

/* An encrypted key must not make OpenSSL ask at the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

static EVP_PKEY *parse(const char *content, size_t length, bool private)
{
    if (length == RAW_KEY_SIZE) {
        const unsigned char *raw = (const unsigned char *)content;
        return private ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, length)
                       : EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, length);
    }
    BIO *bio = BIO_new_mem_buf(content, (int)length);
    if (!bio)
        return NULL;
    EVP_PKEY *key =
        private ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return key;
}

static bool name_key(EVP_PKEY *key, char id[AUDIT_KEY_ID_SIZE])
{
    unsigned char raw[AUDIT_PUBLIC_KEY_SIZE], digest[SHA256_DIGEST_LENGTH];
    size_t length = sizeof raw;
    if (EVP_PKEY_get_raw_public_key(key, raw, &length) != 1 || length != sizeof raw || !SHA256(raw, length, digest))
        return false;
    audit_hex(digest, 8, id);
    return true;
}

static int load(struct audit_key *key, const char *path, bool private, struct guard_error *err)
{
    char *content = NULL;
    size_t length = 0;
    memset(key, 0, sizeof *key);
    int rc =
        guard_file_read(path, private ? GUARD_FILE_SECRET : GUARD_FILE_PUBLIC, KEY_FILE_MAX, &content, &length, err);
    if (rc != GUARD_OK)
        return rc;
    key->key = parse(content, length, private);
    guard_free_secret(&content, length);
    ERR_clear_error();
    if (!key->key || EVP_PKEY_get_id(key->key) != EVP_PKEY_ED25519) {
        audit_key_destroy(key);
        return guard_fail_at(err, GUARD_ERR_INVALID, path, 0, 0,
                             "is not an Ed25519 %s key; expected PEM without passphrase, or 32 raw bytes",
                             private ? "private" : "public");
    }
    key->can_sign = private;
    key->context = EVP_MD_CTX_new();
    if (!key->context || !name_key(key->key, key->id)) {
        audit_key_destroy(key);
        return guard_fail_at(err, GUARD_ERR_CRYPTO, path, 0, 0, "the key cannot be used");
    }
    return GUARD_OK;
}

int audit_key_load_private(struct audit_key *key, const char *path, struct guard_error *err)
{
    return load(key, path, true, err);
}

int audit_key_load_public(struct audit_key *key, const char *path, struct guard_error *err)
{
    return load(key, path, false, err);
}

void audit_key_destroy(struct audit_key *key)
{
    EVP_MD_CTX_free(key->context);
    EVP_PKEY_free(key->key);
    memset(key, 0, sizeof *key);
}

bool audit_key_sign(struct audit_key *key, const char *text, size_t length,
                    unsigned char signature[AUDIT_SIGNATURE_SIZE])
{
    size_t size = AUDIT_SIGNATURE_SIZE;
    return EVP_MD_CTX_reset(key->context) == 1 && EVP_DigestSignInit(key->context, NULL, NULL, NULL, key->key) == 1 &&
           EVP_DigestSign(key->context, signature, &size, (const unsigned char *)text, length) == 1 &&
           size == AUDIT_SIGNATURE_SIZE;
}

bool audit_key_verify(struct audit_key *key, const char *text, size_t length, const unsigned char *signature,
                      size_t signature_length)
{
    bool good = EVP_MD_CTX_reset(key->context) == 1 &&
                EVP_DigestVerifyInit(key->context, NULL, NULL, NULL, key->key) == 1 &&
                EVP_DigestVerify(key->context, signature, signature_length, (const unsigned char *)text, length) == 1;
    ERR_clear_error();
    return good;
}

/* Writes a key to a new file: an existing one is somebody's evidence and is never replaced. */
static int write_new(const char *path, mode_t mode, const char *bytes, size_t length, struct guard_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return guard_fail_at(err, errno == EEXIST ? GUARD_ERR_INVALID : GUARD_ERR_IO, path, 0, 0, "%s",
                             errno == EEXIST ? "exists already; choose another name" : strerror(errno));
    bool good = fchmod(fd, mode) == 0 && write(fd, bytes, length) == (ssize_t)length && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    if (good)
        return GUARD_OK;
    unlink(path);
    return guard_fail_at(err, GUARD_ERR_IO, path, 0, 0, "cannot be written");
}

static int write_pem(EVP_PKEY *key, const char *path, bool private, struct guard_error *err)
{
    BIO *bio = BIO_new(private ? BIO_s_secmem() : BIO_s_mem());
    char *text = NULL;
    int good =
        bio ? (private ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) : PEM_write_bio_PUBKEY(bio, key))
            : 0;
    long length = good == 1 ? BIO_get_mem_data(bio, &text) : 0;
    int rc = length > 0 ? write_new(path, private ? 0600 : 0644, text, (size_t)length, err)
                        : guard_fail_at(err, GUARD_ERR_CRYPTO, path, 0, 0, "the key cannot be written as PEM");
    BIO_free(bio);
    return rc;
}

int audit_key_generate(const char *path, char id[AUDIT_KEY_ID_SIZE], struct guard_error *err)
{
    char *public_path = NULL;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!key || !name_key(key, id) || asprintf(&public_path, "%s.pub", path) < 0) {
        EVP_PKEY_free(key);
        return guard_fail(err, GUARD_ERR_CRYPTO, "no key could be made");
    }
    int rc = write_pem(key, path, true, err);
    if (rc == GUARD_OK) {
        rc = write_pem(key, public_path, false, err);
        if (rc != GUARD_OK)
            unlink(path);
    }
    free(public_path);
    EVP_PKEY_free(key);
    return rc;
}
