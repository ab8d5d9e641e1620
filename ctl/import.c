#include "ctl/import.h"

#include "acl/acl.h"
#include "core/file.h"
#include "ctl/policy_verify.h"
#include "ctl/push.h"
#include "store/policy_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERIFY_MAX 10000000

void ctl_import_init(struct ctl_import *import, const struct ctl_command *command)
{
    *import = (struct ctl_import){.command = command, .seed = 1};
    ctl_redis_init(&import->redis, command);
    const struct ctl_option table[] = {
        {"output", CTL_TEXT, &import->output},       {"report", CTL_TEXT, &import->report},
        {"push", CTL_FLAG, &import->push},           {"yes", CTL_FLAG, &import->yes},
        {"dry-run", CTL_FLAG, &import->dry_run},     {"prune-clients", CTL_FLAG, &import->prune_clients},
        {"verify", CTL_TEXT, &import->verify_text},  {"seed", CTL_TEXT, &import->seed_text},
        {"mosquitto", CTL_TEXT, &import->mosquitto}, {NULL, CTL_FLAG, NULL},
    };
    memcpy(import->options, table, sizeof table);
}

static bool parse_number(const char *text, unsigned long long most, unsigned long long *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno && *out <= most;
}

static int parse_numbers(struct ctl_import *import)
{
    unsigned long long number = 0;
    if (import->verify_text && (!parse_number(import->verify_text, VERIFY_MAX, &number) || !number))
        return ctl_usage_error(import->command, "--verify takes a number of decisions, 1 to %d", VERIFY_MAX);
    import->verify = (unsigned long)number;
    number = import->seed;
    if (import->seed_text && !parse_number(import->seed_text, UINT64_MAX, &number))
        return ctl_usage_error(import->command, "--seed takes a number");
    import->seed = number;
    if (import->push && import->output)
        return ctl_usage_error(import->command, "--push and -o exclude each other");
    return CTL_OK;
}

int ctl_import_parse(struct ctl_import *import, int argc, char **argv, const struct ctl_option *own)
{
    const struct ctl_option *tables[] = {own, import->options, import->redis.options, NULL};
    static char output[] = "--output";
    struct ctl_words words = {0};
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "-o") == 0)
            argv[i] = output;
    int rc = ctl_args_parse(import->command, argc, argv, tables, &words);
    if (rc == CTL_OK && words.count)
        rc = ctl_usage_error(import->command, "what is %s? Files are given by options", words.items[0]);
    return rc == CTL_OK ? parse_numbers(import) : rc;
}

/* ---- the report ---- */

static void print_note(const struct guard_note *note)
{
    struct guard_buffer out = {0};
    ctl_shown_text(&out, note->place);
    if (note->line)
        guard_buffer_printf(&out, ":%u", note->line);
    guard_buffer_printf(&out, ": %s: ", guard_note_kind_name(note->kind));
    ctl_shown_text(&out, note->text);
    fprintf(stderr, "%s\n", out.failed ? "out of memory" : out.data);
    guard_buffer_free(&out);
}

static void append_note(struct guard_buffer *out, const struct guard_note *note)
{
    guard_buffer_text(out, "{\"place\":");
    ctl_json_text(out, note->place);
    guard_buffer_printf(out, ",\"line\":%u,\"kind\":\"%s\",\"text\":", note->line, guard_note_kind_name(note->kind));
    ctl_json_text(out, note->text);
    guard_buffer_byte(out, '}');
}

static int write_report(struct ctl_import *import)
{
    struct guard_buffer out = {0};
    struct guard_error err = {0};
    for (size_t i = 0; i < import->translation.note_count; i++) {
        append_note(&out, &import->translation.notes[i]);
        guard_buffer_byte(&out, '\n');
    }
    int rc = out.failed ? guard_fail(&err, GUARD_ERR_NOMEM, "out of memory")
                        : guard_file_replace(import->report, out.data ? out.data : "", out.length, 0600, &err);
    guard_buffer_free(&out);
    return rc == GUARD_OK ? CTL_OK : ctl_redis_fail(&import->redis, &err);
}

static int report(struct ctl_import *import)
{
    for (size_t i = 0; i < import->translation.note_count; i++)
        print_note(&import->translation.notes[i]);
    return import->report ? write_report(import) : CTL_OK;
}

/* Whether the result decides anything otherwise than the source did. */
static bool differs(const struct guard_translation *translation)
{
    return translation->counts[GUARD_NOTE_STRICTER] || translation->counts[GUARD_NOTE_LEFT_OUT] ||
           translation->counts[GUARD_NOTE_WIDER];
}

/* ---- the result ---- */

struct counted {
    size_t roles, rules, clients;
};

static struct counted count(const struct guard_policy_text *text)
{
    struct counted counted = {0};
    for (size_t i = 0; i < text->count; i++) {
        const struct guard_policy_line *line = &text->lines[i], *before = i ? line - 1 : NULL;
        bool begins = !before || before->section != line->section || strcmp(before->name, line->name) != 0;
        counted.rules += line->section == GUARD_SECTION_ROLE;
        counted.roles += line->section == GUARD_SECTION_ROLE && begins;
        counted.clients += line->section == GUARD_SECTION_CLIENT && begins;
    }
    return counted;
}

static void append_head(const struct ctl_import *import, struct guard_buffer *out)
{
    struct counted counted = count(&import->translation.text);
    guard_buffer_printf(out, "# made by `guardctl %s`: %zu clients, %zu roles, %zu rules; %zu notes\n",
                        import->command->name, counted.clients, counted.roles, counted.rules,
                        import->translation.note_count);
}

static int write_policy(struct ctl_import *import)
{
    struct guard_buffer out = {0};
    struct guard_error err = {0};
    append_head(import, &out);
    int rc = guard_policy_file_write(&import->translation.text, &out, &err);
    if (rc == GUARD_OK && out.failed)
        rc = guard_fail(&err, GUARD_ERR_NOMEM, "out of memory");
    if (rc == GUARD_OK && import->output)
        rc = guard_file_replace(import->output, out.data, out.length, 0600, &err);
    else if (rc == GUARD_OK && (fwrite(out.data, 1, out.length, stdout) != out.length || fflush(stdout) != 0))
        rc = guard_fail(&err, GUARD_ERR_IO, "the policy cannot be written: %s", strerror(errno));
    guard_buffer_free(&out);
    return rc == GUARD_OK ? CTL_OK : ctl_redis_fail(&import->redis, &err);
}

static int publish(struct ctl_import *import)
{
    struct ctl_push_settings settings = {
        .yes = import->yes, .dry_run = import->dry_run, .prune_clients = import->prune_clients};
    return ctl_push_text(&import->redis, &import->translation.text, import->command->name, &settings);
}

/* What is not valid is our fault; all the same nobody should get it. */
static int compile(struct ctl_import *import, struct acl_policy **policy)
{
    struct acl_compile_options options = {.ignore_clients = true};
    struct guard_problems problems = {0};
    int rc = CTL_OK;
    if (ctl_policy_verify(&import->translation.text, &problems) != GUARD_OK ||
        acl_policy_compile(&import->translation.text, &options, policy, &problems) != GUARD_OK) {
        ctl_redis_refuse_policy(&import->redis, "what was made of it is no valid policy", &problems);
        rc = CTL_USAGE;
    }
    guard_problems_free(&problems);
    return rc;
}

static int verify_it(struct ctl_import *import, ctl_import_verify *verify, void *context)
{
    struct acl_policy *policy = NULL;
    if (import->verify && !verify)
        return ctl_usage_error(import->command, "there is no --verify for this kind");
    int rc = compile(import, &policy);
    if (rc == CTL_OK && import->verify)
        rc = verify(import, policy, context);
    acl_policy_release(policy);
    return rc;
}

int ctl_import_finish(struct ctl_import *import, int rc, ctl_import_verify *verify, void *context)
{
    bool written = false;
    int told = report(import);
    if (rc == CTL_OK)
        rc = told;
    if (rc == CTL_OK && import->translation.failed)
        rc = ctl_usage_error(import->command, "out of memory");
    if (rc == CTL_OK && import->translation.counts[GUARD_NOTE_ERROR]) {
        fprintf(stderr, "guardctl %s: nothing was written: %zu errors\n", import->command->name,
                import->translation.counts[GUARD_NOTE_ERROR]);
        rc = CTL_USAGE;
    }
    if (rc == CTL_OK)
        rc = verify_it(import, verify, context);
    if (rc == CTL_OK) {
        rc = import->push ? publish(import) : write_policy(import);
        written = rc == CTL_OK;
    }
    if (written && differs(&import->translation))
        rc = CTL_NO;
    guard_translation_free(&import->translation);
    ctl_redis_end(&import->redis);
    return rc;
}
