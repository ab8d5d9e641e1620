/* guardctl push, rollback, diff: the policy as a whole. */
#include "ctl/commands.h"

#include "ctl/policy_verify.h"
#include "ctl/publish.h"
#include "ctl/push.h"
#include "store/policy_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEEP      10
#define KEEP_MAX  1000
#define SHOWN_MAX (64 * 1024) /* bytes of a diff on a terminal, unless asked for all */

struct push {
    struct ctl_redis redis;
    bool yes, dry_run, prune_clients, with_clients, all, no_lint;
    const char *keep_text, *comment;
    size_t keep;
    struct guard_policy_text before, after;
    struct guard_problems problems;
    struct ctl_diff diff;
    uint64_t version;
};

static void push_free(struct push *push)
{
    ctl_diff_free(&push->diff);
    guard_problems_free(&push->problems);
    guard_policy_text_free(&push->before);
    guard_policy_text_free(&push->after);
    ctl_redis_end(&push->redis);
}

/* The records of the clients the file names. */
static int read_named_clients(struct push *push, struct guard_error *err)
{
    const char **names = reallocarray(NULL, push->after.count + 1, sizeof *names);
    size_t count = 0;
    if (!names)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < push->after.count; i++) {
        const struct guard_policy_line *line = &push->after.lines[i];
        if (line->section == GUARD_SECTION_CLIENT && (!count || strcmp(names[count - 1], line->name) != 0))
            names[count++] = line->name;
    }
    int rc = count ? guard_home_read_clients(push->redis.home, names, count, &push->before, NULL, err) : GUARD_OK;
    free(names);
    return rc;
}

/* Reads what is in Redis and compares. CTL_OK or told. */
static int compare(struct push *push)
{
    struct guard_error err = {0};
    unsigned what = GUARD_HOME_POLICY | (push->prune_clients ? GUARD_HOME_CLIENTS : 0);
    int rc = guard_home_version(push->redis.home, &push->version, &err);
    if (rc == GUARD_OK)
        rc = guard_home_read(push->redis.home, what, &push->before, NULL, &err);
    if (rc == GUARD_OK && !push->prune_clients)
        rc = read_named_clients(push, &err);
    if (rc == GUARD_OK && ctl_diff_make(&push->before, &push->after, !push->prune_clients, &push->diff) != GUARD_OK)
        rc = guard_fail(&err, GUARD_ERR_NOMEM, "out of memory");
    return rc == GUARD_OK ? CTL_OK : ctl_redis_fail(&push->redis, &err);
}

static void show_diff(struct push *push)
{
    struct guard_buffer out = {0};
    if (push->redis.json)
        return;
    ctl_diff_print(&push->diff, isatty(STDOUT_FILENO), &out);
    if (out.length > SHOWN_MAX && !push->all) {
        out.length = SHOWN_MAX;
        while (out.length && out.data[out.length - 1] != '\n')
            out.length--;
        out.data[out.length] = '\0';
        guard_buffer_text(&out, "… (--all shows everything)\n");
    }
    ctl_diff_summary(&push->diff, &out);
    ctl_redis_print(&push->redis, &out);
}

static bool agreed(const struct push *push)
{
    char answer[16] = "";
    if (push->yes || push->redis.json || !isatty(STDIN_FILENO))
        return true;
    fputs("Publish this? [y/N] ", stderr);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* What became of it, with --json the diff and warnings as well. */
static int tell_result(struct push *push, bool published, uint64_t version)
{
    struct guard_buffer out = {0};
    if (push->redis.json) {
        guard_buffer_printf(&out, "{\"ok\":true,\"published\":%s,\"version\":%" PRIu64 ",\"changes\":",
                            published ? "true" : "false", version);
        ctl_diff_json(&push->diff, &out);
        guard_buffer_text(&out, ",\"problems\":");
        ctl_json_problems(&out, &push->problems);
        guard_buffer_byte(&out, '}');
    } else if (published) {
        guard_buffer_printf(&out, "published as version %" PRIu64, version);
    } else {
        guard_buffer_printf(&out, "nothing was published; version %" PRIu64 " stays", version);
    }
    return ctl_redis_print(&push->redis, &out);
}

static int publish(struct push *push, const char *action, const char *what)
{
    struct guard_buffer detail = {0};
    struct guard_error err = {0};
    uint64_t version = 0;
    if (!push->diff.count || push->dry_run || !agreed(push))
        return tell_result(push, false, push->version);
    guard_buffer_printf(&detail, "%s: ", what);
    ctl_diff_summary(&push->diff, &detail);
    if (push->comment)
        guard_buffer_printf(&detail, ": %s", push->comment);
    struct ctl_publish run = {.action = action,
                              .detail = detail.failed ? "" : detail.data,
                              .expected = push->version,
                              .keep = push->keep,
                              .before = &push->before,
                              .after = &push->after,
                              .diff = &push->diff};
    int rc = ctl_publish_run(&push->redis, &run, &version, &err);
    guard_buffer_free(&detail);
    if (rc == GUARD_ERR_INVALID)
        return ctl_redis_refuse(&push->redis, "%s", err.text);
    return rc == GUARD_OK ? tell_result(push, true, version) : ctl_redis_fail(&push->redis, &err);
}

static int parse_keep(struct push *push)
{
    push->keep = KEEP;
    if (!push->keep_text)
        return CTL_OK;
    char *end;
    unsigned long keep = strtoul(push->keep_text, &end, 10);
    if (push->keep_text[0] < '0' || push->keep_text[0] > '9' || *end || keep < 1 || keep > KEEP_MAX)
        return ctl_usage_error(push->redis.command, "--keep takes a number from 1 to %d", KEEP_MAX);
    push->keep = keep;
    return CTL_OK;
}

/* Reads FILE and refuses what may not be published. */
static int read_file(struct push *push, const char *path)
{
    struct guard_error err = {0};
    int rc = guard_policy_file_read(path, &push->after, &push->problems, &err);
    if (rc != GUARD_OK && rc != GUARD_ERR_SYNTAX)
        return ctl_redis_fail(&push->redis, &err);
    if (rc != GUARD_OK || ctl_policy_verify(&push->after, &push->problems) != GUARD_OK)
        return ctl_redis_refuse_policy(&push->redis, "the policy has errors", &push->problems);
    ctl_redis_problems(&push->problems);
    return CTL_OK;
}

int ctl_push_text(struct ctl_redis *redis, struct guard_policy_text *text, const char *what,
                  const struct ctl_push_settings *settings)
{
    struct push push = {.redis = *redis,
                        .yes = settings->yes,
                        .dry_run = settings->dry_run,
                        .prune_clients = settings->prune_clients,
                        .keep = KEEP,
                        .after = *text};
    int rc = ctl_redis_connect(&push.redis);
    if (rc == CTL_OK)
        rc = compare(&push);
    if (rc == CTL_OK) {
        show_diff(&push);
        rc = publish(&push, "import", what);
    }
    *redis = push.redis; /* the caller's, to be ended */
    *text = push.after;  /* sorted */
    push.redis = (struct ctl_redis){0};
    push.after = (struct guard_policy_text){0};
    push_free(&push);
    return rc;
}

/* What the author of the policy hardly meant, as `guardctl lint` tells it; it stops nothing. */
static void show_findings(const struct push *push, const char *path)
{
    char name[] = "lint", ignore[] = "--ignore=warning", ends[] = "--", *file = strdup(path);
    char *argv[] = {name, ignore, ends, file, NULL};
    if (file && !push->redis.json && !push->no_lint)
        ctl_lint.run(&ctl_lint, 4, argv);
    free(file);
}

static int run_push(const struct ctl_command *command, int argc, char **argv)
{
    struct push push = {0};
    struct ctl_words words = {0};
    const struct ctl_option own[] = {{"yes", CTL_FLAG, &push.yes},
                                     {"dry-run", CTL_FLAG, &push.dry_run},
                                     {"all", CTL_FLAG, &push.all},
                                     {"no-lint", CTL_FLAG, &push.no_lint},
                                     {"prune-clients", CTL_FLAG, &push.prune_clients},
                                     {"keep", CTL_TEXT, &push.keep_text},
                                     {"comment", CTL_TEXT, &push.comment},
                                     {NULL, CTL_FLAG, NULL}};
    ctl_redis_init(&push.redis, command);
    int rc = ctl_redis_parse(&push.redis, argc, argv, own, ctl_words_expect(&words, 1, 1));
    if (rc == CTL_OK)
        rc = parse_keep(&push);
    if (rc == CTL_OK)
        rc = read_file(&push, words.items[0]);
    if (rc == CTL_OK)
        rc = ctl_redis_connect(&push.redis);
    if (rc == CTL_OK)
        rc = compare(&push);
    if (rc == CTL_OK) {
        show_findings(&push, words.items[0]);
        show_diff(&push);
        rc = publish(&push, "push", words.items[0]);
    }
    push_free(&push);
    return rc;
}

const struct ctl_command ctl_push = {
    .name = "push",
    .summary = "publish a policy file to Redis, as one change",
    .usage = "usage: guardctl push [OPTION]… FILE\n"
             "\n"
             "Checks FILE as `guardctl check` does, tells what `guardctl lint` finds, shows what would change, and "
             "publishes\n"
             "it: roles, [assign] and [default] are replaced as a whole; the clients FILE names are added or replaced, "
             "others stay.\n"
             "\n"
             "  --dry-run         only check and show\n"
             "  --yes             do not ask (it is only asked on a terminal)\n"
             "  --all             show all of a long difference\n"
             "  --no-lint         do not look for what is allowed but hardly meant\n"
             "  --prune-clients   remove clients that FILE does not name\n"
             "  --keep N          published versions kept for `guardctl rollback` (10)\n"
             "  --comment TEXT    goes into the log\n" CTL_REDIS_WRITE_HELP
             "\nExit code: 0 published, or there was nothing to do; 1 refused; 2 it cannot be done.\n",
    .run = run_push,
};

static int run_diff(const struct ctl_command *command, int argc, char **argv)
{
    struct push push = {.all = true};
    struct ctl_words words = {0};
    const struct ctl_option own[] = {{"prune-clients", CTL_FLAG, &push.prune_clients}, {NULL, CTL_FLAG, NULL}};
    ctl_redis_init(&push.redis, command);
    int rc = ctl_redis_parse(&push.redis, argc, argv, own, ctl_words_expect(&words, 1, 1));
    if (rc == CTL_OK)
        rc = read_file(&push, words.items[0]);
    if (rc == CTL_OK)
        rc = ctl_redis_connect(&push.redis);
    if (rc == CTL_OK)
        rc = compare(&push);
    if (rc == CTL_OK) {
        show_diff(&push);
        rc = push.redis.json ? tell_result(&push, false, push.version) : CTL_OK;
        if (rc == CTL_OK && push.diff.count)
            rc = CTL_NO;
    }
    push_free(&push);
    return rc;
}

const struct ctl_command ctl_diff = {
    .name = "diff",
    .summary = "show how a policy file differs from what Redis holds",
    .usage = "usage: guardctl diff [OPTION]… FILE\n"
             "\n"
             "Shows what `guardctl push FILE` would add (+), change (~) and remove (-).\n"
             "\n"
             "  --prune-clients   clients that FILE does not name count as removed\n" CTL_REDIS_HELP
             "\nExit code: 0 no difference; 1 there are differences; 2 it cannot be told.\n",
    .run = run_diff,
};

/* Without the clients: they are data, and go back only if asked for. */
static void drop_clients(struct guard_policy_text *text)
{
    size_t kept = 0;
    for (size_t i = 0; i < text->count; i++)
        if (text->lines[i].section != GUARD_SECTION_CLIENT)
            text->lines[kept++] = text->lines[i];
    text->count = kept;
}

/* The version to go back to: the one named, or the last one before the current. */
static int choose_version(struct push *push, const char *named, uint64_t *version, struct guard_error *err)
{
    uint64_t *versions = NULL;
    size_t count = 0;
    char *end = NULL;
    *version = named ? strtoull(named, &end, 10) : 0;
    if (named && (*named < '0' || *named > '9' || *end))
        return guard_fail(err, GUARD_ERR_INVALID, "'%s' is not a version", named);
    if (named)
        return GUARD_OK;
    int rc = ctl_history_versions(&push->redis, &versions, &count, err);
    for (size_t i = count; i-- > 0 && !*version;)
        if (versions[i] < push->version)
            *version = versions[i];
    free(versions);
    if (rc == GUARD_OK && !*version)
        return guard_fail(err, GUARD_ERR_NOT_FOUND, "no earlier version is kept");
    return rc;
}

static int load_version(struct push *push, const char *named, uint64_t *version)
{
    struct guard_error err = {0};
    char place[64], *text = NULL;
    int rc = guard_home_version(push->redis.home, &push->version, &err);
    if (rc == GUARD_OK)
        rc = choose_version(push, named, version, &err);
    if (rc == GUARD_OK)
        text = ctl_history_text(&push->redis, *version, &err);
    if (!text)
        return err.code == GUARD_ERR_NOT_FOUND || err.code == GUARD_ERR_INVALID
                   ? ctl_redis_refuse(&push->redis, "%s", err.text)
                   : ctl_redis_fail(&push->redis, &err);
    snprintf(place, sizeof place, "version %" PRIu64, *version);
    rc = guard_policy_file_parse(place, text, strlen(text), &push->after, &push->problems);
    free(text);
    if (!push->with_clients)
        drop_clients(&push->after);
    if (rc != GUARD_OK || ctl_policy_verify(&push->after, &push->problems) != GUARD_OK)
        return ctl_redis_refuse_policy(&push->redis, "that version has errors today", &push->problems);
    return CTL_OK;
}

static int run_rollback(const struct ctl_command *command, int argc, char **argv)
{
    struct push push = {0};
    struct ctl_words words = {0};
    uint64_t version = 0;
    char what[64];
    const struct ctl_option own[] = {{"yes", CTL_FLAG, &push.yes},
                                     {"dry-run", CTL_FLAG, &push.dry_run},
                                     {"all", CTL_FLAG, &push.all},
                                     {"with-clients", CTL_FLAG, &push.with_clients},
                                     {"keep", CTL_TEXT, &push.keep_text},
                                     {"comment", CTL_TEXT, &push.comment},
                                     {NULL, CTL_FLAG, NULL}};
    ctl_redis_init(&push.redis, command);
    int rc = ctl_redis_parse(&push.redis, argc, argv, own, ctl_words_expect(&words, 0, 1));
    if (rc == CTL_OK)
        rc = parse_keep(&push);
    if (rc == CTL_OK)
        rc = ctl_redis_connect(&push.redis);
    if (rc == CTL_OK)
        rc = load_version(&push, words.count ? words.items[0] : NULL, &version);
    if (rc == CTL_OK)
        rc = compare(&push);
    if (rc == CTL_OK) {
        snprintf(what, sizeof what, "version %" PRIu64, version);
        show_diff(&push);
        rc = publish(&push, "rollback", what);
    }
    push_free(&push);
    return rc;
}

const struct ctl_command ctl_rollback = {
    .name = "rollback",
    .summary = "publish an earlier version of the policy again",
    .usage =
        "usage: guardctl rollback [OPTION]… [VERSION]\n"
        "\n"
        "Publishes the roles, [assign] and [default] of VERSION (the last published one before the current, if none\n"
        "is named) as a new version. `guardctl history` lists what is kept.\n"
        "\n"
        "  --with-clients    also the clients that were in the pushed file\n"
        "  --dry-run  --yes  --all  --keep N  --comment TEXT    as for push\n" CTL_REDIS_WRITE_HELP
        "\nExit code: 0 published, or there was nothing to do; 1 refused; 2 it cannot be done.\n",
    .run = run_rollback,
};
