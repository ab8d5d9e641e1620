/* A compact JWS (RFC 7515 §7.1) taken apart, before anything in it is believed. For the units of auth/ only. */
#ifndef GUARD_AUTH_JWS_H
#define GUARD_AUTH_JWS_H

#include "auth/token.h"
#include "core/base64.h"

#include <stdatomic.h>

struct guard_json;

/*
 * Headers that have stood on good tokens, so that the next token with the very same octets (an issuer writes one header
 * a key) need not have its header read again. Only ever filled after a good signature. Zero-initialise.
 */
#define AUTH_HEADER_MEMOS 8
struct auth_header_memo;
struct auth_header_memos {
    _Atomic(struct auth_header_memo *) slots[AUTH_HEADER_MEMOS];
};

struct auth_jws {
    enum auth_algorithm algorithm;
    const char *kid;                      /* NULL = none; belongs to header, or to the memo */
    const char *signing_input;            /* inside the token */
    size_t signing_length, header_length; /* of the text: "header.payload", and "header" of it */
    const char *payload;                  /* octets, not yet looked at */
    size_t payload_length;
    const unsigned char *signature;
    size_t signature_length;
    struct guard_json *header; /* NULL: taken from a memo */
    size_t used;               /* octets of decoded */
    unsigned char decoded[3 * GUARD_BASE64_DECODED(AUTH_TOKEN_MAX_SIZE / 3 + 1)];
};

/*
 * Splits, decodes and reads the header, up to and without the choice of the key: GUARD_REASON_NONE, jwt_malformed, or
 * jwt_alg_not_allowed (unknown, `none`, or not in the mask allowed). auth_jws_clear after any result. memos (may be
 * NULL) belong to one mask.
 */
enum guard_reason auth_jws_parse(const char *token, size_t length, uint32_t allowed,
                                 const struct auth_header_memos *memos, struct auth_jws *jws);

/* Keeps the header of a token whose signature is good, while there is room. Threads may do so together. */
void auth_jws_remember_header(struct auth_header_memos *memos, const struct auth_jws *jws);
void auth_header_memos_free(struct auth_header_memos *memos);

/* Frees the header and wipes what was decoded. */
void auth_jws_clear(struct auth_jws *jws);

#endif
