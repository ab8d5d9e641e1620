/* guardctl audit verify: whether a trail is what was written. */
#include "ctl/commands.h"

#include "audit/verify.h"
#include "core/buffer.h"
#include "core/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYS_MAX    32
#define BROKERS_MAX 32

struct arguments {
    struct audit_key keys[KEYS_MAX];
    const char *brokers[BROKERS_MAX];
    struct audit_verify_options options;
    bool json;
    char **paths; /* owned */
    size_t path_count;
    size_t compressed; /* files of the trail that cannot be read here */
};

static int complain(const struct ctl_command *command, const struct guard_error *err)
{
    char text[900];
    fprintf(stderr, "guardctl %s: %s\n", command->name, guard_error_format(err, text, sizeof text));
    return CTL_USAGE;
}

static bool add_path(struct arguments *arguments, const char *folder, const char *name)
{
    char **grown = reallocarray(arguments->paths, arguments->path_count + 1, sizeof *grown);
    if (!grown)
        return false;
    arguments->paths = grown;
    int length = folder ? asprintf(&grown[arguments->path_count], "%s/%s", folder, name)
                        : asprintf(&grown[arguments->path_count], "%s", name);
    if (length < 0)
        return false;
    arguments->path_count++;
    return true;
}

/* A folder stands for its files, in the order of their numbers. */
static int add_folder(struct arguments *arguments, const char *folder, struct guard_error *err)
{
    struct audit_file *files = NULL;
    size_t count = 0, compressed = 0;
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = dir < 0 ? GUARD_ERR_IO : audit_files_list(dir, &files, &count, &compressed);
    if (dir >= 0)
        close(dir);
    if (rc != GUARD_OK)
        return guard_fail_at(err, (enum guard_code)rc, folder, 0, 0, "cannot be listed");
    if (!count)
        rc = guard_fail_at(err, GUARD_ERR_NOT_FOUND, folder, 0, 0, "holds no audit-….ndjson file");
    for (size_t i = 0; i < count && rc == GUARD_OK; i++)
        if (!add_path(arguments, folder, files[i].name))
            rc = guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    arguments->compressed += compressed;
    free(files);
    return rc;
}

static int add(struct arguments *arguments, const char *path, struct guard_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return guard_fail_at(err, GUARD_ERR_NOT_FOUND, path, 0, 0, "is not there");
    if (S_ISDIR(st.st_mode))
        return add_folder(arguments, path, err);
    return add_path(arguments, NULL, path) ? GUARD_OK : guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
}

static int add_key(const struct ctl_command *command, struct arguments *arguments, const char *path)
{
    struct guard_error err;
    if (arguments->options.key_count == KEYS_MAX)
        return ctl_usage_error(command, "at most %d keys can be given", KEYS_MAX);
    if (audit_key_load_public(&arguments->keys[arguments->options.key_count], path, &err) != GUARD_OK)
        return complain(command, &err);
    arguments->options.key_count++;
    return CTL_OK;
}

static int add_broker(const struct ctl_command *command, struct arguments *arguments, const char *name)
{
    if (arguments->options.broker_count == BROKERS_MAX)
        return ctl_usage_error(command, "at most %d brokers can be named", BROKERS_MAX);
    arguments->brokers[arguments->options.broker_count++] = name;
    arguments->options.brokers = arguments->brokers;
    return CTL_OK;
}

static int add_anchors(const struct ctl_command *command, struct arguments *arguments, const char *path)
{
    struct guard_error err;
    return audit_anchors_load(path, &arguments->options.anchors, &arguments->options.anchor_count, &err) == GUARD_OK
               ? CTL_OK
               : complain(command, &err);
}

static int take_option(const struct ctl_command *command, struct arguments *arguments, int letter)
{
    switch (letter) {
    case 'k':
        return add_key(command, arguments, optarg);
    case 'b':
        return add_broker(command, arguments, optarg);
    case 'a':
        return add_anchors(command, arguments, optarg);
    case 'f':
        arguments->options.require_final = true;
        return CTL_OK;
    case 'r':
        arguments->options.from_rotation = true;
        return CTL_OK;
    default:
        arguments->json = true;
        return CTL_OK;
    }
}

static int parse(const struct ctl_command *command, int argc, char **argv, struct arguments *arguments)
{
    static const struct option names[] = {{"key", required_argument, NULL, 'k'},
                                          {"broker", required_argument, NULL, 'b'},
                                          {"anchor", required_argument, NULL, 'a'},
                                          {"require-final", no_argument, NULL, 'f'},
                                          {"from-rotation", no_argument, NULL, 'r'},
                                          {"json", no_argument, NULL, 'j'},
                                          {NULL, 0, NULL, 0}};
    struct guard_error err;
    int letter, rc = CTL_OK;
    opterr = 0;
    optind = 1;
    while (rc == CTL_OK && (letter = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (letter != '?')
            rc = take_option(command, arguments, letter);
        else
            return ctl_usage_error(command, "the option '%s' is not known, or lacks its value", argv[optind - 1]);
    }
    if (rc == CTL_OK && optind == argc)
        return ctl_usage_error(command, "a folder or files are needed");
    for (; rc == CTL_OK && optind < argc; optind++)
        if (add(arguments, argv[optind], &err) != GUARD_OK)
            rc = complain(command, &err);
    return rc;
}

static void print_times(const struct audit_verify_run *run)
{
    char from[GUARD_TIMESTAMP_SIZE], to[GUARD_TIMESTAMP_SIZE];
    if (*run->broker)
        printf(", of %s", run->broker);
    if (run->from)
        printf(", %.19sZ to %.19sZ", guard_timestamp(run->from * 1000000000, from),
               guard_timestamp(run->to * 1000000000, to));
}

static void print_run(const struct audit_verify_run *run, bool keys)
{
    printf("chain %s: numbers %llu to %llu, %llu lines", run->chain, (unsigned long long)run->first_sequence,
           (unsigned long long)run->last_sequence, (unsigned long long)run->lines);
    if (run->lost)
        printf(", %llu declared lost", (unsigned long long)run->lost);
    printf(", %llu checkpoints", (unsigned long long)run->checkpoints);
    if (keys && run->sealed_to)
        printf(", sealed to %llu", (unsigned long long)run->sealed_to);
    if (keys && run->unsealed)
        printf(", %llu unsealed (numbers %llu to %llu)%s", (unsigned long long)run->unsealed,
               (unsigned long long)audit_verify_unsealed_from(run), (unsigned long long)run->last_sequence,
               run->sealed_by_next ? " (their end is sealed by the next run)" : "");
    print_times(run);
    puts(run->closed ? ", closed" : ", not closed");
}

static void print_text(const struct audit_verify_result *result, const struct arguments *arguments)
{
    for (size_t i = 0; i < result->run_count; i++)
        print_run(&result->runs[i], arguments->options.key_count > 0);
    for (size_t i = 0; i < result->warning_count; i++)
        printf("note: %s\n", result->warnings[i]);
    if (arguments->compressed)
        printf("note: %zu compressed files were not read; unpack them to verify them\n", arguments->compressed);
    if (result->valid) {
        printf("OK: %llu lines in %llu files\n", (unsigned long long)result->lines, (unsigned long long)result->files);
        return;
    }
    printf("BAD: ");
    if (*result->bad_file)
        printf("%s, line %llu: ", result->bad_file, (unsigned long long)result->bad_line);
    puts(result->reason);
}

static void json_number(struct guard_buffer *out, const char *name, uint64_t value)
{
    guard_buffer_printf(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void json_run(struct guard_buffer *out, const struct audit_verify_run *run)
{
    guard_buffer_printf(out, "{\"chain\":\"%s\"", run->chain);
    json_number(out, "first_sequence", run->first_sequence);
    json_number(out, "last_sequence", run->last_sequence);
    json_number(out, "lines", run->lines);
    json_number(out, "lost", run->lost);
    json_number(out, "checkpoints", run->checkpoints);
    json_number(out, "sealed_to", run->sealed_to);
    json_number(out, "unsealed", run->unsealed);
    if (run->unsealed)
        json_number(out, "unsealed_from", audit_verify_unsealed_from(run));
    guard_buffer_text(out, ",\"broker\":");
    guard_buffer_json_string(out, run->broker, strlen(run->broker));
    json_number(out, "from", (uint64_t)run->from);
    json_number(out, "to", (uint64_t)run->to);
    guard_buffer_printf(out, ",\"damage_declared\":%s", run->damaged ? "true" : "false");
    guard_buffer_printf(out, ",\"closed\":%s,\"sealed_by_next\":%s}", run->closed ? "true" : "false",
                        run->sealed_by_next ? "true" : "false");
}

static void print_json(const struct audit_verify_result *result, const struct arguments *arguments)
{
    struct guard_buffer out = {0};
    guard_buffer_printf(&out, "{\"valid\":%s", result->valid ? "true" : "false");
    json_number(&out, "files", result->files);
    json_number(&out, "lines", result->lines);
    json_number(&out, "bytes", result->bytes);
    json_number(&out, "compressed_files", arguments->compressed);
    if (!result->valid) {
        guard_buffer_text(&out, ",\"first_bad\":{\"file\":");
        guard_buffer_json_string(&out, result->bad_file, strlen(result->bad_file));
        json_number(&out, "line", result->bad_line);
        guard_buffer_text(&out, ",\"reason\":");
        guard_buffer_json_string(&out, result->reason, strlen(result->reason));
        guard_buffer_text(&out, "}");
    }
    guard_buffer_text(&out, ",\"runs\":[");
    for (size_t i = 0; i < result->run_count; i++) {
        guard_buffer_text(&out, i ? "," : "");
        json_run(&out, &result->runs[i]);
    }
    guard_buffer_text(&out, "],\"warnings\":[");
    for (size_t i = 0; i < result->warning_count; i++) {
        guard_buffer_text(&out, i ? "," : "");
        guard_buffer_json_string(&out, result->warnings[i], strlen(result->warnings[i]));
    }
    guard_buffer_text(&out, "]}");
    puts(out.failed ? "{\"valid\":false}" : out.data);
    guard_buffer_free(&out);
}

static int verify(const struct ctl_command *command, struct arguments *arguments)
{
    struct audit_verify_result result;
    struct guard_error err;
    arguments->options.keys = arguments->keys;
    int rc =
        audit_verify((const char *const *)arguments->paths, arguments->path_count, &arguments->options, &result, &err);
    int code = rc != GUARD_OK ? complain(command, &err) : result.valid ? CTL_OK : CTL_NO;
    if (rc == GUARD_OK) {
        if (arguments->json)
            print_json(&result, arguments);
        else
            print_text(&result, arguments);
    }
    audit_verify_free(&result);
    return code;
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
    struct arguments arguments = {.options = {.key_count = 0}};
    int rc = parse(command, argc, argv, &arguments);
    if (rc == CTL_OK)
        rc = verify(command, &arguments);
    for (size_t i = 0; i < arguments.path_count; i++)
        free(arguments.paths[i]);
    free(arguments.paths);
    free(arguments.options.anchors);
    for (size_t i = 0; i < arguments.options.key_count; i++)
        audit_key_destroy(&arguments.keys[i]);
    return rc;
}

const struct ctl_command ctl_audit_verify = {
    "audit verify", "prove that an audit trail was not changed",
    "usage: guardctl audit verify [--key PUB]… [--anchor FILE]… [--broker ID]… [--require-final] [--from-rotation]\n"
    "                             [--json] DIR|FILE…\n"
    "\n"
    "Checks the hash of every line, that every number is there or declared lost, the checkpoints and that every run\n"
    "continues the one before. A folder stands for its files in order. Exit code 0: all is well; 1: not; 2: unusable.\n"
    "\n"
    "  --key PUB         public key the checkpoints must be signed with; several after a change of keys. Without one,\n"
    "                    hashes and numbers are checked, but anybody could have computed them anew\n"
    "  --anchor FILE     checkpoints that were kept elsewhere (guardctl audit anchor, a syslog or SIEM copy; - = "
    "standard\n"
    "                    input): the trail must have each of them. Only this shows a tail or a last run that was "
    "removed\n"
    "                    together with the writer's own note, and what was rewritten with the key\n"
    "  --broker ID       whose trail it must be; several after a change of names. Without it: one broker's\n"
    "  --require-final   the last run must have been closed: nothing can be missing at its end\n"
    "  --from-rotation   the first file may begin with a rotation, as when retention removed older ones\n"
    "  --json            the result as one JSON object\n",
    run};
