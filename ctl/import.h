/*
 * What every `guardctl import KIND` does the same way: read, report line by line, write a policy file (-o) or publish
 * to Redis (--push), and --verify. An importer is one file with a command row ("import KIND"): it parses its own
 * options by ctl_import_parse, fills import->translation, and hands over to ctl_import_finish.
 *
 *     struct ctl_import import;
 *     struct ctl_option own[] = {{"acl-file", CTL_TEXT, &path}, {NULL, CTL_FLAG, NULL}};
 *     ctl_import_init(&import, command);
 *     int rc = ctl_import_parse(&import, argc, argv, own);
 *     if (rc == CTL_OK)
 *         rc = read_it(&import, path);                  // CTL_OK, or CTL_USAGE after telling
 *     rc = ctl_import_finish(&import, rc, verify, own_data);
 */
#ifndef GUARD_CTL_IMPORT_H
#define GUARD_CTL_IMPORT_H

#include "ctl/command.h"
#include "ctl/redis.h"
#include "store/translation.h"

#include <stdint.h>

struct acl_policy;

#define CTL_IMPORT_OPTIONS 24

struct ctl_import {
    const struct ctl_command *command;
    struct guard_translation translation;
    struct ctl_redis redis;              /* where --push goes; --json is here too */
    const char *output, *report;         /* -o, --report */
    const char *verify_text, *seed_text; /* --verify N, --seed N */
    const char *mosquitto;               /* --mosquitto PATH, NULL: the one on PATH */
    unsigned long verify;                /* decisions to replay; 0 = none */
    uint64_t seed;
    bool push, prune_clients, yes, dry_run;
    struct ctl_option options[CTL_IMPORT_OPTIONS];
};

#define CTL_IMPORT_HELP                                                                                               \
    "\n"                                                                                                              \
    "What becomes of it:\n"                                                                                           \
    "  -o, --output FILE    write a policy file (mode 0600); without it and --push: to standard output\n"             \
    "  --push               publish to Redis as `guardctl push` does, with its --yes, --dry-run, --prune-clients\n"   \
    "  --report FILE        also write the report there, one JSON object a line\n"                                    \
    "  --verify N           replay N random decisions against the old semantics; nothing is written if one differs\n" \
    "  --seed N             of the random decisions; the same seed asks the same questions\n"                         \
    "  --mosquitto PATH     the broker that --verify asks, where it needs one\n" CTL_REDIS_WRITE_HELP                 \
    "\nThe report goes to standard error: FILE:LINE: stricter | left out | wider | remark: what and why.\n"           \
    "exit: 0 everything was carried over exactly; 1 done, and the report names what differs (or --verify found a\n"   \
    "difference: then nothing was written); 2 it cannot be done\n"

void ctl_import_init(struct ctl_import *import, const struct ctl_command *command);

/* Parses the command line with the importer's own options (ended by a NULL name). CTL_OK, or CTL_USAGE after telling.
 */
int ctl_import_parse(struct ctl_import *import, int argc, char **argv, const struct ctl_option *own);

/*
 * Compares the compiled policy with the old semantics, import->verify decisions by import->seed. CTL_OK: no difference;
 * CTL_NO: differences were told; CTL_USAGE: it could not be done, which was told.
 */
typedef int ctl_import_verify(struct ctl_import *import, const struct acl_policy *policy, void *context);

/*
 * Reports, verifies, writes or publishes; frees everything and returns the exit code. rc: of what came before: with
 * anything but CTL_OK it only reports and frees. verify NULL: this kind knows no --verify.
 */
int ctl_import_finish(struct ctl_import *import, int rc, ctl_import_verify *verify, void *context);

#endif
