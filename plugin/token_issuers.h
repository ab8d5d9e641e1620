/*
 * The issuers whose tokens are accepted: one by the options jwt_…, or several by the file that jwt_issuers_file names
 * (docs/authentication.md, "Several issuers"):
 *
 *   [issuer https://login.example.com/realms/plant]        ; exactly the token's `iss`
 *   keys        = /etc/mosquitto/guard/plant.jwks          ; a file, a folder, or `redis` (guard:jwks:<issuer>)
 *   audience    = mqtt, mqtt-test
 *   roles_claim = realm_access.roles
 *
 * What stands before the first section holds for every issuer that does not say otherwise. A line that begins with `#`
 * or `;` is a comment, and so is what follows a `;` behind white space.
 */
#ifndef GUARD_PLUGIN_TOKEN_ISSUERS_H
#define GUARD_PLUGIN_TOKEN_ISSUERS_H

#include "auth/token.h"
#include "core/error.h"

#include <stddef.h>

struct guard_options;

#define GUARD_AUDIENCES_MAX 32

struct guard_issuer {
    struct auth_issuer config; /* without keys; issuer NULL = any */
    const char *keys;          /* file or folder; NULL = Redis */
    const char *audiences[GUARD_AUDIENCES_MAX];
    unsigned given; /* while it is read: which fields stood in its section */
};

/* Not to be copied: parts of it point into it. */
struct guard_issuers {
    struct guard_issuer items[AUTH_ISSUERS_MAX];
    size_t count;
    char *content; /* the file, which the strings lie in; NULL: they are the options' */
};

/*
 * Reads the file. *out is freed by guard_issuers_free; NULL on failure, err has the line. The file must be nobody's to
 * write but root's or this user's. Keys are not looked at.
 */
int guard_issuers_read(const char *path, struct guard_issuers **out, struct guard_error *err);

/* The same for a file's content: length octets and a NUL behind them, taken over (malloc). path is for errors. */
int guard_issuers_parse(char *content, size_t length, const char *path, struct guard_issuers **out,
                        struct guard_error *err);

/*
 * The issuer of the options jwt_…: none if they name neither keys nor an issuer whose keys could be in Redis. options
 * must live as long as *out.
 */
int guard_issuers_of_options(const struct guard_options *options, struct guard_issuers **out, struct guard_error *err);

/* *issuers may be NULL. */
void guard_issuers_free(struct guard_issuers **issuers);

#endif
