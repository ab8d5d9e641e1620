#include "auth/claims.h"

#include <math.h>
#include <string.h>

#define EXP_MAX         253402300799.0     /* 9999-12-31T23:59:59Z */
#define EXACT_LIMIT     9007199254740992.0 /* 2^53 */
#define PATH_MAX_LENGTH 256

const struct guard_json *auth_claim_find(const struct guard_json *claims, const char *path)
{
    const struct guard_json *found = guard_json_get(claims, path);
    size_t length = strlen(path);
    if (found || length >= PATH_MAX_LENGTH || !memchr(path, '.', length))
        return found;
    char prefix[PATH_MAX_LENGTH];
    memcpy(prefix, path, length + 1);
    for (char *dot = strrchr(prefix, '.'); dot && !found; dot = strrchr(prefix, '.')) {
        *dot = '\0';
        const struct guard_json *outer = guard_json_get(claims, prefix);
        if (guard_json_is(outer, GUARD_JSON_OBJECT))
            found = auth_claim_find(outer, path + (dot - prefix) + 1);
    }
    return found;
}

/* False if the claim is there, but no text. *text is NULL if it is not there. */
static bool optional_text(const struct guard_json *claims, const char *name, const char **text)
{
    const struct guard_json *claim = guard_json_get(claims, name);
    *text = guard_json_string(claim);
    return !claim || *text;
}

/* The same for numbers; *there tells whether it is. */
static bool optional_number(const struct guard_json *claims, const char *name, double *number, bool *there)
{
    const struct guard_json *claim = guard_json_get(claims, name);
    *there = claim && guard_json_number(claim, number);
    return !claim || *there;
}

enum guard_reason auth_claims_issuer(const struct guard_json *claims, const struct auth_issuer *issuer,
                                     struct auth_claims *out)
{
    if (!optional_text(claims, "iss", &out->issuer) || (issuer->issuer && !out->issuer))
        return GUARD_REASON_JWT_MISSING_CLAIM;
    return !issuer->issuer || strcmp(issuer->issuer, out->issuer) == 0 ? GUARD_REASON_NONE
                                                                       : GUARD_REASON_JWT_WRONG_ISSUER;
}

/* 1: text is one of ours; 0: it is not; -1: no text. */
static int is_ours(const struct auth_issuer *issuer, const struct guard_json *audience)
{
    const char *text = guard_json_string(audience);
    if (!text)
        return -1;
    for (size_t i = 0; i < issuer->audience_count; i++)
        if (strcmp(issuer->audiences[i], text) == 0)
            return 1;
    return 0;
}

/* RFC 7519 §4.1.3. Every element is looked at: one of another type spoils the claim wherever it stands. */
static enum guard_reason check_audience(const struct guard_json *claims, const struct auth_issuer *issuer)
{
    const struct guard_json *aud = guard_json_get(claims, "aud");
    int ours = 0;
    if (!aud)
        return issuer->audience_count ? GUARD_REASON_JWT_MISSING_CLAIM : GUARD_REASON_NONE;
    if (!guard_json_is(aud, GUARD_JSON_ARRAY)) {
        ours = is_ours(issuer, aud);
    } else {
        const struct guard_json *element = guard_json_first(aud);
        if (!element)
            return GUARD_REASON_JWT_MISSING_CLAIM;
        for (; element && ours >= 0; element = guard_json_next(element)) {
            int one = is_ours(issuer, element);
            ours = one < 0 ? -1 : ours | one;
        }
    }
    if (ours < 0)
        return GUARD_REASON_JWT_MISSING_CLAIM;
    return ours || !issuer->audience_count ? GUARD_REASON_NONE : GUARD_REASON_JWT_WRONG_AUDIENCE;
}

static enum guard_reason check_times(const struct guard_json *claims, const struct auth_issuer *issuer, int64_t now,
                                     struct auth_claims *out)
{
    double exp = 0, nbf = 0, iat = 0, latest = (double)now + (double)issuer->leeway;
    bool has_exp, has_nbf;
    if (!optional_number(claims, "exp", &exp, &has_exp) || !has_exp || exp > EXP_MAX ||
        !optional_number(claims, "nbf", &nbf, &has_nbf) || !optional_number(claims, "iat", &iat, &out->has_issued_at))
        return GUARD_REASON_JWT_MISSING_CLAIM;
    if (exp <= 0 || now >= (int64_t)exp + issuer->leeway)
        return GUARD_REASON_JWT_EXPIRED;
    out->expires_at = (int64_t)exp;
    if ((has_nbf && ceil(nbf) > latest) || (out->has_issued_at && ceil(iat) > latest))
        return GUARD_REASON_JWT_NOT_YET_VALID;
    if (out->has_issued_at)
        out->issued_at = (int64_t)floor(fmax(iat, -EXACT_LIMIT));
    if (issuer->max_lifetime && (!out->has_issued_at || exp - iat > (double)issuer->max_lifetime))
        return GUARD_REASON_JWT_MISSING_CLAIM; /* the claim that would show a life short enough */
    return GUARD_REASON_NONE;
}

enum guard_reason auth_claims_check(const struct guard_json *claims, const struct auth_issuer *issuer, int64_t now,
                                    struct auth_claims *out)
{
    enum guard_reason reason = check_times(claims, issuer, now, out);
    if (reason == GUARD_REASON_NONE)
        reason = check_audience(claims, issuer);
    if (reason != GUARD_REASON_NONE)
        return reason;
    bool texts = optional_text(claims, "sub", &out->subject) && optional_text(claims, "jti", &out->token_id);
    return texts ? GUARD_REASON_NONE : GUARD_REASON_JWT_MISSING_CLAIM;
}
