/*
 * Who a client is, as an authentication method found it: made in auth/, completed with the client record by the
 * composition, read by acl/ (to bind rules) and by audit/. Plain data, owned by whoever holds the pointer.
 */
#ifndef GUARD_CORE_IDENTITY_H
#define GUARD_CORE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum guard_auth_method {
    GUARD_AUTH_NONE = 0,
    GUARD_AUTH_CERTIFICATE,
    GUARD_AUTH_TOKEN,
    GUARD_AUTH_PASSWORD,
    GUARD_AUTH_PSK,
    GUARD_AUTH_ENHANCED,
    GUARD_AUTH_ANONYMOUS
};

/*
 * One named fact with one or more values. Names carry their source: "cert.cn", "cert.ou", "cert.san.dns",
 * "jwt.<claim>", "attr.<name>". Values are NUL-terminated UTF-8 of any content: what may stand in a topic level is
 * for acl/ to judge. values == NULL and count == 0: the fact is there, but has no usable value.
 */
struct guard_attribute {
    char *name;
    char **values;
    size_t count;
};

/* A role by name with the binding priority (policy, "Decision"). */
struct guard_role_grant {
    char *role;
    int32_t priority;
};

struct guard_identity {
    enum guard_auth_method method;
    char *username; /* the MQTT user name of the session; NULL only for anonymous clients */

    struct guard_role_grant *roles; /* named by the credential itself (a token's roles claim) */
    size_t role_count;
    struct guard_attribute *attributes;
    size_t attribute_count;
    char *acl_json; /* a token's own `acl` claim as JSON text, strictly valid; NULL if none */

    int64_t not_after; /* Unix seconds; the session ends then (leeway included); 0 = never */

    /* for revocation and audit; each NULL or 0 where it does not apply */
    char *subject;         /* sub of the token, subject (RFC 2253) of the certificate */
    char *issuer;          /* iss of the token, issuer (RFC 2253) of the certificate */
    char *token_id;        /* jti */
    char *key_id;          /* kid */
    int64_t issued_at;     /* iat, Unix seconds; 0 = not stated */
    int64_t expires_at;    /* exp or notAfter as stated, without leeway */
    uint8_t token_hash[8]; /* first bytes of SHA-256 of the token */
    bool has_token_hash;
    char certificate_sha256[65]; /* upper-case hex; "" if there was no certificate */
    char certificate_serial[41]; /* upper-case hex without leading zeros or sign; "" if none */

    size_t room, used; /* of the arena: identity.c's own */
    _Alignas(void *) char arena[];
};

/* A zeroed identity, or NULL. */
struct guard_identity *guard_identity_new(void);

/* The same with room octets for what the functions below add; what does not fit is allocated on its own. */
struct guard_identity *guard_identity_new_with_room(size_t room);

/*
 * A copy of text for one of the identity's own members, to be freed with the identity only (it may lie in its room).
 * NULL when out of memory.
 */
char *guard_identity_copy(struct guard_identity *identity, const char *text);

/* Frees *identity and all it owns (strings are wiped first) and sets it to NULL. *identity may be NULL. */
void guard_identity_free(struct guard_identity **identity);

/* Appends a role, or raises the priority of one already there. GUARD_OK or GUARD_ERR_NOMEM (nothing changed). */
int guard_identity_add_role(struct guard_identity *identity, const char *role, int32_t priority);

/*
 * Appends one value to the attribute, which is created if need be; value NULL only creates it.
 * GUARD_OK or GUARD_ERR_NOMEM (nothing changed).
 */
int guard_identity_add_attribute(struct guard_identity *identity, const char *name, const char *value);

/* The same for several values at once, which is cheaper; count 0 only creates it. name may not lie in the attribute. */
int guard_identity_add_attribute_list(struct guard_identity *identity, const char *name, const char *const *values,
                                      size_t count);

/* The same for a name that the identity is known not to have yet: nothing is looked for. */
int guard_identity_new_attribute(struct guard_identity *identity, const char *name, const char *const *values,
                                 size_t count);

/* The attribute of that name, or NULL. Valid until the identity changes. */
const struct guard_attribute *guard_identity_attribute(const struct guard_identity *identity, const char *name);

/* "certificate", "token", "password", "psk", "enhanced", "anonymous" or "none"; never NULL. */
const char *guard_auth_method_name(enum guard_auth_method method);

#endif
