#include "auth/jws.h"

#include "core/json.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADER_MAX   4096 /* octets, decoded */
#define HEADER_DEPTH 16

struct part {
    const char *text;
    size_t length;
};

struct auth_header_memo {
    enum auth_algorithm algorithm;
    char *kid; /* behind the text; NULL = none */
    size_t length;
    char text[]; /* base64url, as it stands in the token */
};

/* Exactly three parts, none empty. */
static bool split(const char *token, size_t length, struct part parts[3])
{
    const char *end = token + length;
    for (int i = 0; i < 3; i++) {
        const char *dot = memchr(token, '.', (size_t)(end - token));
        if ((dot != NULL) != (i < 2))
            return false;
        parts[i] = (struct part){token, (size_t)((dot ? dot : end) - token)};
        if (!parts[i].length)
            return false;
        token = dot ? dot + 1 : end;
    }
    return true;
}

/* Decodes behind what was decoded before. */
static const unsigned char *decode(struct auth_jws *jws, struct part part, size_t *length)
{
    unsigned char *to = jws->decoded + jws->used;
    ssize_t decoded = guard_base64url_decode(part.text, part.length, to);
    /* a refused part has left octets behind, too: at most this many */
    jws->used += decoded < 0 ? part.length / 4 * 3 : (size_t)decoded;
    *length = decoded < 0 ? 0 : (size_t)decoded;
    return decoded < 0 ? NULL : to;
}

/* A media type (RFC 7515 §4.1.9: without regard to case, "application/" may be left out). */
static bool is_token_type(const char *type)
{
    if (strncasecmp(type, "application/", 12) == 0)
        type += 12;
    return strcasecmp(type, "JWT") == 0 || strcasecmp(type, "at+jwt") == 0; /* RFC 7519 §5.1, RFC 9068 §2.1 */
}

/* Members that would change what the token means. Those that are ignored carry keys, or say where keys are. */
static bool header_is_plain(const struct guard_json *header)
{
    const struct guard_json *b64 = guard_json_get(header, "b64"), *typ = guard_json_get(header, "typ");
    if (guard_json_get(header, "crit") || guard_json_get(header, "enc") || (b64 && !guard_json_true(b64)))
        return false;
    return !typ || (guard_json_string(typ) && is_token_type(guard_json_string(typ)));
}

static enum guard_reason read_header(struct auth_jws *jws, const char *text, size_t length, uint32_t allowed)
{
    if (length > HEADER_MAX || guard_json_parse(text, length, HEADER_DEPTH, &jws->header, NULL) != GUARD_OK)
        return GUARD_REASON_JWT_MALFORMED;
    const char *name = guard_json_string(guard_json_get(jws->header, "alg"));
    if (!name)
        return GUARD_REASON_JWT_MALFORMED;
    int algorithm = auth_algorithm_parse(name, strlen(name));
    if (algorithm < 0 || !(allowed & AUTH_ALGORITHM_BIT(algorithm)))
        return GUARD_REASON_JWT_ALG_NOT_ALLOWED;
    jws->algorithm = (enum auth_algorithm)algorithm;
    const struct guard_json *kid = guard_json_get(jws->header, "kid");
    jws->kid = guard_json_string(kid);
    return (kid && !jws->kid) || !header_is_plain(jws->header) ? GUARD_REASON_JWT_MALFORMED : GUARD_REASON_NONE;
}

/* Finds algorithm and kid of a header that was read before. */
static bool recall(const struct auth_header_memos *memos, struct part header, struct auth_jws *jws)
{
    for (size_t i = 0; memos && i < AUTH_HEADER_MEMOS; i++) {
        const struct auth_header_memo *memo = atomic_load_explicit(&memos->slots[i], memory_order_acquire);
        if (!memo)
            return false;
        if (memo->length == header.length && memcmp(memo->text, header.text, header.length) == 0) {
            jws->algorithm = memo->algorithm;
            jws->kid = memo->kid;
            return true;
        }
    }
    return false;
}

enum guard_reason auth_jws_parse(const char *token, size_t length, uint32_t allowed,
                                 const struct auth_header_memos *memos, struct auth_jws *jws)
{
    struct part parts[3];
    const unsigned char *header = NULL;
    size_t header_length = 0;
    jws->header = NULL;
    jws->used = 0;
    if (length > AUTH_TOKEN_MAX_SIZE || !split(token, length, parts))
        return GUARD_REASON_JWT_MALFORMED;
    bool known = recall(memos, parts[0], jws);
    if (!known && !(header = decode(jws, parts[0], &header_length)))
        return GUARD_REASON_JWT_MALFORMED;
    const unsigned char *payload = decode(jws, parts[1], &jws->payload_length);
    jws->signature = payload ? decode(jws, parts[2], &jws->signature_length) : NULL;
    if (!jws->signature)
        return GUARD_REASON_JWT_MALFORMED;
    jws->payload = (const char *)payload;
    jws->signing_input = token;
    jws->header_length = parts[0].length;
    jws->signing_length = parts[0].length + 1 + parts[1].length;
    return known ? GUARD_REASON_NONE : read_header(jws, (const char *)header, header_length, allowed);
}

void auth_jws_remember_header(struct auth_header_memos *memos, const struct auth_jws *jws)
{
    if (!jws->header) /* it came from there */
        return;
    size_t kid_size = jws->kid ? strlen(jws->kid) + 1 : 0;
    for (size_t i = 0; i < AUTH_HEADER_MEMOS; i++) {
        if (atomic_load_explicit(&memos->slots[i], memory_order_relaxed))
            continue;
        struct auth_header_memo *memo = malloc(sizeof *memo + jws->header_length + kid_size);
        if (!memo)
            return;
        memo->algorithm = jws->algorithm;
        memo->length = jws->header_length;
        memo->kid = jws->kid ? memcpy(memo->text + memo->length, jws->kid, kid_size) : NULL;
        memcpy(memo->text, jws->signing_input, memo->length);
        struct auth_header_memo *empty = NULL;
        if (!atomic_compare_exchange_strong(&memos->slots[i], &empty, memo))
            free(memo); /* another thread was faster; the next token tries again */
        return;
    }
}

void auth_header_memos_free(struct auth_header_memos *memos)
{
    for (size_t i = 0; i < AUTH_HEADER_MEMOS; i++)
        free(atomic_load(&memos->slots[i]));
}

void auth_jws_clear(struct auth_jws *jws)
{
    guard_json_free(&jws->header);
    guard_wipe(jws->decoded, jws->used < sizeof jws->decoded ? jws->used : sizeof jws->decoded);
}
