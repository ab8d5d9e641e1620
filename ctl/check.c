/* guardctl check: every error of a policy file, with its place. */
#include "core/buffer.h"
#include "ctl/commands.h"
#include "ctl/policy_source.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static void append_problem(struct guard_buffer *out, const struct guard_problem *problem)
{
    const struct guard_error *error = &problem->error;
    guard_buffer_printf(out, "{\"severity\":\"%s\",\"line\":%u,\"column\":%u,\"text\":",
                        problem->severity == GUARD_PROBLEM_ERROR ? "error" : "warning", error->line, error->column);
    guard_buffer_json_string(out, error->text, strlen(error->text));
    guard_buffer_byte(out, '}');
}

static void append_file(struct guard_buffer *out, const char *path, const struct ctl_policy *source, bool good)
{
    guard_buffer_text(out, "{\"file\":");
    guard_buffer_json_string(out, path, strlen(path));
    guard_buffer_printf(out, ",\"ok\":%s", good ? "true" : "false");
    if (good) {
        struct ctl_policy_size size = ctl_policy_size(source);
        guard_buffer_printf(out, ",\"roles\":%zu,\"rules\":%zu,\"clients\":%zu", size.roles, size.rules, size.clients);
    }
    guard_buffer_printf(out, ",\"errors\":%zu,\"warnings\":%zu,\"problems\":[", source->problems.errors,
                        source->problems.warnings);
    for (size_t i = 0; i < source->problems.count; i++) {
        if (i)
            guard_buffer_byte(out, ',');
        append_problem(out, &source->problems.items[i]);
    }
    guard_buffer_text(out, "]}");
}

static void print_file(const char *path, const struct ctl_policy *source, bool good)
{
    ctl_policy_print_problems(source, stderr);
    if (!good)
        return;
    struct ctl_policy_size size = ctl_policy_size(source);
    printf("%s: ok, %zu role%s, %zu rule%s", path, size.roles, size.roles == 1 ? "" : "s", size.rules,
           size.rules == 1 ? "" : "s");
    if (size.clients)
        printf(", %zu client%s", size.clients, size.clients == 1 ? "" : "s");
    puts("");
}

/* Checks one file; the exit code it asks for. */
static int check_file(const char *path, struct guard_buffer *json)
{
    struct ctl_policy source;
    bool good = ctl_policy_load(&source, path);
    int code = good ? CTL_OK : source.unreadable ? CTL_USAGE : CTL_NO;
    if (json)
        append_file(json, path, &source, good);
    else
        print_file(path, &source, good);
    ctl_policy_free(&source);
    return code;
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
    struct guard_buffer json = {0};
    bool as_json = false;
    int code = CTL_OK, c;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c != 'j')
            return ctl_usage_error(command, "unknown option %s", argv[optind - 1]);
        as_json = true;
    }
    if (optind == argc)
        return ctl_usage_error(command, "which file?");
    guard_buffer_byte(&json, '[');
    for (int i = optind; i < argc; i++) {
        int one = check_file(argv[i], as_json ? &json : NULL);
        code = one > code ? one : code;
        if (as_json && i + 1 < argc)
            guard_buffer_byte(&json, ',');
    }
    guard_buffer_byte(&json, ']');
    if (as_json)
        puts(json.failed ? "" : json.data);
    guard_buffer_free(&json);
    return code;
}

const struct ctl_command ctl_check = {
    .name = "check",
    .summary = "validate policy files: every error with its line and column",
    .usage = "usage: guardctl check [--json] FILE…\n"
             "\n"
             "Reads each policy file as the broker would and prints every error and warning as FILE:LINE:COLUMN: text\n"
             "on stderr, and `FILE: ok, N roles, M rules` on stdout for a file without errors.\n"
             "\n"
             "  --json   one JSON array on stdout instead: file, ok, roles, rules, clients, problems\n"
             "\n"
             "exit: 0 no errors (warnings are allowed), 1 errors, 2 wrong usage or a file that cannot be read\n",
    .run = run,
};
