/* A compact JWS (RFC 7515 §7.1) taken apart, before anything in it is believed. For the units of auth/ only. */
#ifndef GUARD_AUTH_JWS_H
#define GUARD_AUTH_JWS_H

#include "auth/token.h"
#include "core/base64.h"

struct guard_json;

struct auth_jws {
    enum auth_algorithm algorithm;
    const char *kid;           /* NULL = none; belongs to header */
    const char *signing_input; /* inside the token */
    size_t signing_length;
    const char *payload; /* octets, not yet looked at */
    size_t payload_length;
    const unsigned char *signature;
    size_t signature_length;
    struct guard_json *header;
    size_t used; /* octets of decoded */
    unsigned char decoded[3 * GUARD_BASE64_DECODED(AUTH_TOKEN_MAX_SIZE / 3 + 1)];
};

/*
 * Splits, decodes and reads the header, up to and without the choice of the key: GUARD_REASON_NONE, jwt_malformed, or
 * jwt_alg_not_allowed (unknown, `none`, or not in the mask allowed). auth_jws_clear after any result.
 */
enum guard_reason auth_jws_parse(const char *token, size_t length, uint32_t allowed, struct auth_jws *jws);

/* Frees the header and wipes what was decoded. */
void auth_jws_clear(struct auth_jws *jws);

#endif
