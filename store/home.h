/*
 * The Redis home for the tool: reading the policy as it was written, and changing it by one MULTI with an entry in
 * guard:log. Used by one thread; waits.
 */
#ifndef GUARD_STORE_HOME_H
#define GUARD_STORE_HOME_H

#include "core/buffer.h"
#include "core/error.h"
#include "core/policy_text.h"
#include "store/keys.h"
#include "store/redis_reply.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct guard_home;

/*
 * Connects (url, username, password_file, tls_*, prefix and time-outs of config are used). GUARD_OK and *out, or
 * GUARD_ERR_INVALID (configuration), GUARD_ERR_IO (the server) with a sentence.
 */
int guard_home_open(const struct guard_store_config *config, struct guard_home **out, struct guard_error *err);
void guard_home_close(struct guard_home **home); /* *home may be NULL */

/* The server's place for people; lives as long as home. */
const char *guard_home_server(const struct guard_home *home);

/*
 * A command with words up to NULL; a word that begins with "\1" has the prefix put in its place (GUARD_HOME_KEY
 * "version"). The reply is good until the next command. NULL and err if it failed, the server's refusal included.
 */
#define GUARD_HOME_KEY "\1"
const struct guard_reply *guard_home_call(struct guard_home *home, struct guard_error *err, ...)
    __attribute__((sentinel));

/* What to read: bits. */
enum { GUARD_HOME_POLICY = 1, GUARD_HOME_CLIENTS = 2 };

/*
 * Appends the lines of roles, assignments and defaults, and of clients, as they stand, sorted by name and field. What
 * cannot be a policy line (wrong type, control characters) is an error in problems. GUARD_OK, GUARD_ERR_IO,
 * GUARD_ERR_NOMEM.
 */
int guard_home_read(struct guard_home *home, unsigned what, struct guard_policy_text *text,
                    struct guard_problems *problems, struct guard_error *err);

/* The same for one key; kind: role, client, assign or default. No lines if it is not there. */
int guard_home_read_one(struct guard_home *home, enum guard_key_kind kind, const char *name,
                        struct guard_policy_text *text, struct guard_problems *problems, struct guard_error *err);

/* The same for the client records of those names. */
int guard_home_read_clients(struct guard_home *home, const char *const *names, size_t count,
                            struct guard_policy_text *text, struct guard_problems *problems, struct guard_error *err);

/* The keys with that beginning (without prefix), "status:" for example, each once, NUL-terminated in *keys. */
int guard_home_list(struct guard_home *home, const char *beginning, struct guard_buffer *keys, size_t *count,
                    struct guard_error *err);

/* guard:version, 0 if there is none. */
int guard_home_version(struct guard_home *home, uint64_t *version, struct guard_error *err);

/* Commands to be done together. Zero-initialise; guard_home_change_free releases. */
struct guard_home_change {
    struct guard_buffer words;
    size_t count;   /* commands */
    size_t argc_at; /* where the count of the command under way stands */
    uint32_t argc;  /* its words so far */
};

/* One command, words up to NULL, GUARD_HOME_KEY as above. */
void guard_home_change_add(struct guard_home_change *change, ...) __attribute__((sentinel));
/* One command word by word: begin, word…, end. */
void guard_home_change_begin(struct guard_home_change *change);
void guard_home_change_word(struct guard_home_change *change, const char *word);
void guard_home_change_key(struct guard_home_change *change, enum guard_key_kind kind, const char *name);
void guard_home_change_end(struct guard_home_change *change);
void guard_home_change_free(struct guard_home_change *change);

/*
 * Puts role, client, assign or default in place (DEL and HSET) out of lines[0..count), or takes it away (count 0), and
 * keeps the index sets.
 */
void guard_home_change_section(struct guard_home_change *change, enum guard_key_kind kind, const char *name,
                               const struct guard_policy_line *lines, size_t count);

/* Who does what, for guard:log, and on which version it was prepared. */
struct guard_home_note {
    const char *who, *action, *detail;
    uint64_t expected; /* guard:version must still be this one */
    uint64_t at_least; /* the new version is larger than this as well */
};

/*
 * MULTI, the commands, the new version, the log entry, EXEC. If guard:version is not note->expected, or changes
 * meanwhile, nothing is done: GUARD_ERR_INVALID, and err says so. *version is the new one. GUARD_OK, GUARD_ERR_INVALID,
 * GUARD_ERR_IO, GUARD_ERR_NOMEM; after a failure, only guard_home_close may follow.
 */
int guard_home_commit(struct guard_home *home, const struct guard_home_change *change,
                      const struct guard_home_note *note, uint64_t *version, struct guard_error *err);

/* The same without MULTI, log and version: for drafts. */
int guard_home_run(struct guard_home *home, const struct guard_home_change *change, struct guard_error *err);

#endif
