/*
 * The hash chain and the signed checkpoints (docs/audit.md, "Integrity").
 *
 *   h_0 = SHA-256("mosquitto-audit-v1\n" || chain)      chain = 12 hex digits, random for each run
 *   h_n = SHA-256(h_n-1 || line up to ,"hash":")        32 raw bytes of h_n-1, no line end
 *
 * A checkpoint signs, each followed by a line feed: mosquitto-audit-v1, chain, number, last sequence, head, previous
 * checkpoint, time. previous checkpoint = SHA-256 of the previous signed text and its signature, zeros for the first.
 */
#ifndef GUARD_AUDIT_CHAIN_H
#define GUARD_AUDIT_CHAIN_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUDIT_HASH_SIZE       32
#define AUDIT_CHAIN_LENGTH    12
#define AUDIT_KEY_ID_SIZE     17
#define AUDIT_SIGNATURE_SIZE  64
#define AUDIT_PUBLIC_KEY_SIZE 32
/* ,"hash":"<64 hex>"}} : how every line ends */
#define AUDIT_TAIL_LENGTH 76

/* OpenSSL's, behind their own names: no header of it is needed here. */
struct evp_md_ctx_st;
struct evp_md_st;
struct evp_pkey_st;

struct audit_chain {
    struct evp_md_ctx_st *context;
    struct evp_md_st *sha256;
    unsigned char head[AUDIT_HASH_SIZE];
};

/* Begins with h_0 of that chain. GUARD_OK, GUARD_ERR_NOMEM or GUARD_ERR_CRYPTO. */
int audit_chain_init(struct audit_chain *chain, const char id[AUDIT_CHAIN_LENGTH + 1]);
void audit_chain_destroy(struct audit_chain *chain);

/* Sets head to h_0 of another run. */
bool audit_chain_restart(struct audit_chain *chain, const char id[AUDIT_CHAIN_LENGTH + 1]);

/* head = SHA-256(head || body). False when OpenSSL fails; head is then unchanged. */
bool audit_chain_step(struct audit_chain *chain, const char *body, size_t length);

/* SHA-256 of some bytes with the same context. */
bool audit_chain_digest(struct audit_chain *chain, const void *bytes, size_t length,
                        unsigned char out[AUDIT_HASH_SIZE]);

struct audit_checkpoint {
    const char *chain;
    uint64_t number;
    uint64_t last_sequence;
    const char *head;     /* 64 hex */
    const char *previous; /* 64 hex */
    const char *time;     /* as in the record */
};

#define AUDIT_CHECKPOINT_TEXT_SIZE 320

/* Writes the text that is signed and returns its length. */
size_t audit_checkpoint_text(const struct audit_checkpoint *checkpoint, char out[AUDIT_CHECKPOINT_TEXT_SIZE]);

/* A key to sign with, or only to verify with. */
struct audit_key {
    struct evp_pkey_st *key;
    struct evp_md_ctx_st *context;
    char id[AUDIT_KEY_ID_SIZE]; /* first 8 bytes of SHA-256 of the raw public key, hex */
    bool can_sign;
};

/* Reads an Ed25519 private key (PEM, or 32 raw bytes), mode 0640 or less. *key needs no initialisation. */
int audit_key_load_private(struct audit_key *key, const char *path, struct guard_error *err);
/* Reads a public key (PEM, or 32 raw bytes). */
int audit_key_load_public(struct audit_key *key, const char *path, struct guard_error *err);
void audit_key_destroy(struct audit_key *key);

bool audit_key_sign(struct audit_key *key, const char *text, size_t length,
                    unsigned char signature[AUDIT_SIGNATURE_SIZE]);
bool audit_key_verify(struct audit_key *key, const char *text, size_t length, const unsigned char *signature,
                      size_t signature_length);

/*
 * Makes a new key pair: the private key as PEM to path (mode 0600, which must not exist), the public one to path.pub
 * (mode 0644), and the id.
 */
int audit_key_generate(const char *path, char id[AUDIT_KEY_ID_SIZE], struct guard_error *err);

/* 64 hex digits and a NUL. */
void audit_hex(const unsigned char *octets, size_t count, char *out);
/* Lower-case hex to count octets; false if it is anything else. */
bool audit_unhex(const char *hex, size_t count, unsigned char *out);

#endif
