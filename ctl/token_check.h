/* What the two ways of `guardctl token verify` share: one token, or a batch of JSON lines. */
#ifndef GUARD_CTL_TOKEN_CHECK_H
#define GUARD_CTL_TOKEN_CHECK_H

#include "auth/token.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CTL_TOKEN_LIST_MAX 64

struct ctl_token_check {
    struct auth_token_verifier *verifier;
    const char *revoked[CTL_TOKEN_LIST_MAX]; /* jti */
    size_t revoked_count;
    int64_t now; /* -1 = the clock's */
};

/* auth_token_verify with the revoked jti and the time of check. request's own members for these are filled in. */
enum guard_reason ctl_token_check(const struct ctl_token_check *check, struct auth_token_request *request,
                                  struct guard_identity **out);

/* Answers every line of in on out, in order. Returns the exit code; complaints about lines go to stderr. */
int ctl_token_batch(const struct ctl_token_check *check, FILE *in, FILE *out);

#endif
