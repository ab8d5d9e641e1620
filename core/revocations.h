/*
 * What is revoked and who is banned, as the store last read it. Immutable and shared by reference, like core/clients.h.
 */
#ifndef GUARD_CORE_REVOCATIONS_H
#define GUARD_CORE_REVOCATIONS_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum guard_revocation_kind {
    /* the order is that of the snapshot file: new ones go to the end */
    GUARD_REVOKED_TOKEN,  /* guard:revoked:jti:<jti>               value: free text */
    GUARD_REVOKED_CERT,   /* guard:revoked:cert:<sha256, any case> of the certificate or of its public key */
    GUARD_REVOKED_BEFORE, /* guard:revoked:before:<user name>      value: Unix seconds; what is older is void */
    GUARD_BANNED_ADDRESS, /* guard:ban:ip:<address or CIDR>        value: free text, the reason */
    GUARD_BANNED_CLIENT,  /* guard:ban:client:<client id> */
    GUARD_BANNED_USER,    /* guard:ban:user:<user name> */
    GUARD_REVOKED_KEY,    /* guard:revoked:kid:<kid>               what it signed is void */
    GUARD_REVOKED_SERIAL, /* guard:revoked:serial:<serial number in hex>/<issuer, RFC 2253> */
    GUARD_REVOCATION_KINDS
};

struct guard_revocations;

struct guard_revocations *guard_revocations_ref(struct guard_revocations *revocations);
void guard_revocations_unref(struct guard_revocations **revocations); /* last one frees; *revocations may be NULL */
size_t guard_revocations_count(const struct guard_revocations *revocations);
/* Entries of one kind. */
size_t guard_revocations_count_kind(const struct guard_revocations *revocations, enum guard_revocation_kind kind);

/*
 * The value of an entry (its reason; "" if none was written), or NULL if there is none. Good until the table is
 * released. Certificates: name is a SHA-256 in hex, either case. Serial numbers are compared as numbers, issuers as
 * text. Addresses: name is compared as an address (IPv4-mapped IPv6 equals IPv4, zone ids are ignored), and blocks
 * (CIDR) that hold it count. No allocation. NULL table: nothing is revoked.
 */
const char *guard_revocations_find(const struct guard_revocations *revocations, enum guard_revocation_kind kind,
                                   const char *name, size_t length);

/* Whether a credential of username issued at issued_at (Unix seconds; 0 = not stated: counts as old), or a password
 * given then, is void. */
bool guard_revoked_before(const struct guard_revocations *revocations, const char *username, size_t length,
                          int64_t issued_at);

/* Building, as in core/clients.h. */
struct guard_revocations_builder;
struct guard_revocations_builder *guard_revocations_builder_new(const struct guard_revocations *base);
void guard_revocations_builder_free(struct guard_revocations_builder **builder);
/*
 * GUARD_OK; GUARD_ERR_INVALID with err (may be NULL) if name or value is not what the kind needs (nothing changed);
 * GUARD_ERR_NOMEM. A value of GUARD_REVOKED_BEFORE that is no number is refused: the caller decides what to keep.
 */
int guard_revocations_builder_put(struct guard_revocations_builder *builder, enum guard_revocation_kind kind,
                                  const char *name, const char *value, struct guard_error *err);
/* GUARD_OK (also if there was none) or GUARD_ERR_NOMEM. */
int guard_revocations_builder_remove(struct guard_revocations_builder *builder, enum guard_revocation_kind kind,
                                     const char *name);
struct guard_revocations *guard_revocations_builder_finish(struct guard_revocations_builder **builder);

/*
 * Calls visit for every entry that is new or has another value (value not NULL) or is gone (value NULL), until it
 * returns false. Either may be NULL.
 */
void guard_revocations_diff(const struct guard_revocations *from, const struct guard_revocations *to,
                            bool (*visit)(void *context, enum guard_revocation_kind kind, const char *name,
                                          const char *value),
                            void *context);

/* Calls visit for every entry until it returns false. name is as it was put. */
void guard_revocations_each(const struct guard_revocations *revocations,
                            bool (*visit)(void *context, enum guard_revocation_kind kind, const char *name,
                                          const char *value),
                            void *context);

#endif
