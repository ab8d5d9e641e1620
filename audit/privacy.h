/* Pseudonyms (docs/audit.md, "Privacy"): HMAC-SHA-256 under a key that never enters the trail. */
#ifndef GUARD_AUDIT_PRIVACY_H
#define GUARD_AUDIT_PRIVACY_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

#define AUDIT_PSEUDONYM_SIZE 17 /* 16 hex digits and the NUL */

struct audit_privacy_key {
    unsigned char *bytes;
    size_t length;
};

/* Reads 16..4096 secret bytes; path NULL: makes 32 random ones, good for this run only. */
int audit_privacy_load(struct audit_privacy_key *key, const char *path, struct guard_error *err);
void audit_privacy_wipe(struct audit_privacy_key *key);

/* The same text always gives the same 16 hex digits under the same key. All zeros when OpenSSL fails. */
void audit_pseudonym(const struct audit_privacy_key *key, const char *text, size_t length,
                     char out[AUDIT_PSEUDONYM_SIZE]);

/* Cuts an IP address to /24 or /48 and writes it to out. False: not an IP address. */
bool audit_truncate_address(const char *address, char out[64]);

#endif
