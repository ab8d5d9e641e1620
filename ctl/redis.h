/* What the commands that work on the Redis home share: options, connection, who does it, output. */
#ifndef GUARD_CTL_REDIS_H
#define GUARD_CTL_REDIS_H

#include "core/buffer.h"
#include "core/policy_text.h"
#include "ctl/args.h"
#include "store/home.h"

#define CTL_REDIS_HELP                                                                                               \
    "\n"                                                                                                             \
    "Where Redis is (or by GUARD_REDIS_URL, GUARD_REDIS_USERNAME, GUARD_REDIS_PASSWORD_FILE, GUARD_REDIS_PREFIX):\n" \
    "  --redis URL               redis:// rediss:// unix:// redis+sentinel:// redis+cluster://\n"                    \
    "  --config FILE             read the redis_… options from the plugin's options file or mosquitto.conf\n"      \
    "  --redis-username NAME     --redis-password-file FILE     --redis-prefix TEXT (guard:)\n"                      \
    "  --redis-tls-ca FILE       --redis-tls-cert FILE          --redis-tls-key FILE\n"                              \
    "  --json                    print JSON\n"
#define CTL_REDIS_WRITE_HELP \
    CTL_REDIS_HELP "  --by TEXT                 who does this, for the log (your login name and host by default)\n"

struct ctl_redis {
    const struct ctl_command *command;
    struct guard_store_config config;
    const char *config_file, *by;
    bool json;
    struct ctl_option options[12]; /* the table for ctl_args_parse */
    struct guard_home *home;
    struct guard_buffer held; /* strings from the configuration file and of `who` */
    char who[256];
};

/* Fills the option table; the pointers in it live as long as redis. */
void ctl_redis_init(struct ctl_redis *redis, const struct ctl_command *command);

/*
 * Parses the command line with options of the command's own (NULL: none) and the common ones, and asks for as many
 * words as words says (ctl_words_expect). CTL_OK or CTL_USAGE.
 */
int ctl_redis_parse(struct ctl_redis *redis, int argc, char **argv, const struct ctl_option *own,
                    struct ctl_words *words);

/* Connects. CTL_OK, or CTL_USAGE after telling why not. */
int ctl_redis_connect(struct ctl_redis *redis);
void ctl_redis_end(struct ctl_redis *redis);

/* Prints "guardctl NAME: text" to stderr; with --json {"error":…} to stdout as well. Returns CTL_USAGE. */
int ctl_redis_fail(struct ctl_redis *redis, const struct guard_error *err);
/* The same for an answer "no" (nothing there, not valid): returns CTL_NO. */
int ctl_redis_refuse(struct ctl_redis *redis, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Commits with the log's note "who action detail" and tells it: `done` as a sentence, or {"ok":true,"version":N,…} with
 * --json. CTL_OK, or after telling: CTL_NO if somebody else was quicker, CTL_USAGE.
 */
int ctl_redis_commit(struct ctl_redis *redis, const struct guard_home_change *change, const char *action,
                     const char *detail, uint64_t expected, const char *done);

/* Prints every problem to stderr. */
void ctl_redis_problems(const struct guard_problems *problems);
/* Appends them as a JSON array. */
void ctl_json_problems(struct guard_buffer *out, const struct guard_problems *problems);
/* Tells that a policy is refused, with its problems: on stderr, and with --json on stdout. Returns CTL_NO. */
int ctl_redis_refuse_policy(struct ctl_redis *redis, const char *what, const struct guard_problems *problems);

/* Prints a buffer and a line end, and frees it. CTL_OK, or CTL_USAGE if it cannot be written. */
int ctl_redis_print(struct ctl_redis *redis, struct guard_buffer *out);

/*
 * Appends text for a terminal: what could play tricks there (controls, bidirectional overrides, broken UTF-8) as \u{…}.
 * NULL gives "-".
 */
void ctl_shown_text(struct guard_buffer *out, const char *text);

/* Appends a JSON string; NULL gives null. */
void ctl_json_text(struct guard_buffer *out, const char *text);

#endif
