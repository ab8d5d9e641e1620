/*
 * The keys of another product's Redis, read as a whole: what the importers of go-auth, auth-plug and EMQX work on. Only
 * reads (SCAN, TYPE, PTTL, GET, SMEMBERS, HGETALL), a thousand commands at a time.
 */
#ifndef GUARD_CTL_FOREIGN_REDIS_H
#define GUARD_CTL_FOREIGN_REDIS_H

#include "core/error.h"
#include "ctl/args.h"

#include <stdbool.h>
#include <stddef.h>

enum foreign_type { FOREIGN_STRING, FOREIGN_SET, FOREIGN_HASH, FOREIGN_OTHER };

struct foreign_key {
    char *name; /* NUL-terminated; keys whose name holds U+0000 are not read (foreign_data.skipped) */
    enum foreign_type type;
    bool expires;
    char **values; /* string: one; set: its members, sorted; hash: field, value, …, sorted by field */
    size_t count;
};

/* Zero-initialise; foreign_free releases (values are wiped: there are password hashes among them). */
struct foreign_data {
    struct foreign_key *keys; /* sorted by name */
    size_t count, capacity;
    size_t skipped; /* names, or values, that hold U+0000 */
};

/* Where the data is: --from and its companions. */
struct foreign_source {
    struct ctl_list urls; /* more than one: the masters of a cluster */
    const char *username, *password_file, *tls_ca, *tls_cert, *tls_key;
};

#define FOREIGN_OPTIONS(source)                                                                                   \
    {"from", CTL_LIST, &(source)->urls}, {"from-username", CTL_TEXT, &(source)->username},                        \
        {"from-password-file", CTL_TEXT, &(source)->password_file}, {"from-tls-ca", CTL_TEXT, &(source)->tls_ca}, \
        {"from-tls-cert", CTL_TEXT, &(source)->tls_cert},                                                         \
    {                                                                                                             \
        "from-tls-key", CTL_TEXT, &(source)->tls_key                                                              \
    }

#define FOREIGN_HELP                                                                                                       \
    "  --from URL            the Redis to read: redis://host:6379/2, rediss://…, unix://…?db=2; of a cluster, every\n" \
    "                        master's, one --from each. It is only read.\n"                                                \
    "  --from-username NAME  --from-password-file FILE\n"                                                                  \
    "  --from-tls-ca FILE    --from-tls-cert FILE    --from-tls-key FILE\n"

/*
 * Reads every key that matches one of the patterns (as SCAN MATCH; NULL at the end). GUARD_OK, or GUARD_ERR_INVALID (an
 * address), GUARD_ERR_IO, GUARD_ERR_NOMEM with a sentence in err; data is to be freed in every case.
 */
int foreign_read(const struct foreign_source *source, const char *const *patterns, struct foreign_data *data,
                 struct guard_error *err);
void foreign_free(struct foreign_data *data);

/* The key of that name, or NULL. */
const struct foreign_key *foreign_find(const struct foreign_data *data, const char *name);
/* The value of a hash's field, or NULL. key may be NULL. */
const char *foreign_field(const struct foreign_key *key, const char *field);

#endif
