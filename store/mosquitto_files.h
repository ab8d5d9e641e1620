/*
 * Mosquitto's own password_file and acl_file, read as the broker reads them (its security_default.c in 2.0, acl_file.c
 * and password_file.c in 2.1), and turned into a policy of ours:
 *
 *   user NAME + topic …       role "user:NAME" with the binding priority 1, bound by the client record
 *   topic … before any user   role "anonymous", priority 1, for clients without a user name
 *   pattern …                 role "patterns", priority 0, for everybody; those with %u "user-patterns", for everybody
 *                             who has a user name
 *                             role "no-patterns", priority 0, denies everything to names that hold '+' or '#'
 *   read                      allow subscribe      write  allow publish     readwrite  both     deny  deny all
 *   [default]                 mode = off: the broker grants every SUBSCRIBE and filters what is delivered
 *
 * Rank decides before effect, and deny before allow at equal rank: the same order in which the broker goes through its
 * lists. docs/migration.md says where the result is stricter than the broker.
 */
#ifndef GUARD_STORE_MOSQUITTO_FILES_H
#define GUARD_STORE_MOSQUITTO_FILES_H

#include "core/error.h"
#include "store/translation.h"

#include <stdbool.h>
#include <stddef.h>

/* What differs: 2.0 replaces %u and %c anywhere in a pattern and passes over bad lines of a password file; 2.1 replaces
 * whole levels only and refuses the file. */
enum guard_mosquitto { GUARD_MOSQUITTO_2_0, GUARD_MOSQUITTO_2_1 };

#define GUARD_MOSQUITTO_FILE_MAX ((size_t)256 << 20)

/* ---- the two formats, from octets (content is changed, and holds the strings that come out) ---- */

struct guard_mosquitto_password {
    const char *name, *hash;
    unsigned line;
};

struct guard_mosquitto_passwords {
    struct guard_mosquitto_password *items; /* in the file's order; a name may stand twice only in 2.0's reading */
    size_t count, capacity;
};

enum guard_mosquitto_access {
    GUARD_MOSQUITTO_DENY = 0,
    GUARD_MOSQUITTO_READ = 1,
    GUARD_MOSQUITTO_WRITE = 2,
    GUARD_MOSQUITTO_READWRITE = 3
};

struct guard_mosquitto_rule {
    const char *user; /* NULL: of the anonymous part; patterns have none */
    bool pattern;
    enum guard_mosquitto_access access;
    const char *topic; /* a valid filter by the broker's lights; any octets but NUL and line end */
    unsigned line;
};

struct guard_mosquitto_rules {
    struct guard_mosquitto_rule *items;
    size_t count, capacity;
};

/*
 * Faults become notes of place: GUARD_NOTE_ERROR for what makes the broker refuse the file, GUARD_NOTE_LEFT_OUT for
 * what it passes over. Look at notes->failed and notes->counts[GUARD_NOTE_ERROR]. The caller frees items.
 */
void guard_mosquitto_parse_passwords(char *content, size_t length, const char *place, enum guard_mosquitto version,
                                     struct guard_mosquitto_passwords *out, struct guard_translation *notes);
void guard_mosquitto_parse_rules(char *content, size_t length, const char *place, struct guard_mosquitto_rules *out,
                                 struct guard_translation *notes);

/* ---- both files as a policy ---- */

struct guard_mosquitto_files {
    const char *password_file, *acl_file; /* NULL or "": there is none */
    enum guard_mosquitto version;
    bool anonymous; /* bind the role "anonymous"; without it the role is there, and nobody has it */
    int (*check_hash)(const char *stored, struct guard_error *err); /* auth_password_check */
};

/*
 * Appends to out. GUARD_OK: there may be notes, none of them errors. GUARD_ERR_SYNTAX: notes of kind GUARD_NOTE_ERROR
 * say what is wrong. Others (a file that cannot be read): err says why. On failure out is not to be used, but for the
 * notes.
 */
int guard_mosquitto_files_read(const struct guard_mosquitto_files *files, struct guard_translation *out,
                               struct guard_error *err);

#endif
