/* guardctl audit anchor: the last checkpoint of a trail, to be kept where the broker's administrators cannot write. */
#include "ctl/commands.h"

#include "audit/verify.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Its last checkpoint stands in the last file, or at the end of the one before. */
#define FILES_READ 2

struct request {
    struct audit_key key; /* key.key NULL = none was given */
    const char *folder;
};

static int parse(const struct ctl_command *command, int argc, char **argv, struct request *request)
{
    static const struct option names[] = {{"key", required_argument, NULL, 'k'}, {NULL, 0, NULL, 0}};
    struct guard_error err;
    int letter;
    opterr = 0;
    optind = 1;
    while ((letter = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (letter != 'k')
            return ctl_usage_error(command, "the option '%s' is not known, or lacks its value", argv[optind - 1]);
        audit_key_destroy(&request->key);
        if (audit_key_load_public(&request->key, optarg, &err) != GUARD_OK)
            return ctl_usage_error(command, "%s", err.text);
    }
    if (optind + 1 != argc)
        return ctl_usage_error(command, "one folder is needed");
    request->folder = argv[optind];
    return CTL_OK;
}

/* The last files of the folder, as paths that the caller frees. Returns how many; 0: there is none. */
static size_t last_files(const char *folder, char *paths[FILES_READ])
{
    struct audit_file *files = NULL;
    size_t count = 0, taken = 0;
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0 && audit_files_list(dir, &files, &count, NULL) == GUARD_OK)
        for (size_t i = count > FILES_READ ? count - FILES_READ : 0; i < count; i++)
            taken += asprintf(&paths[taken], "%s/%s", folder, files[i].name) >= 0;
    if (dir >= 0)
        close(dir);
    free(files);
    return taken;
}

static int print_last(const struct ctl_command *command, struct request *request, char *const *paths, size_t count)
{
    struct audit_verify_options options = {
        .keys = &request->key, .key_count = request->key.key != NULL, .from_rotation = true};
    struct audit_verify_result result;
    struct guard_error err;
    int code = CTL_OK;
    if (audit_verify((const char *const *)paths, count, &options, &result, &err) != GUARD_OK)
        code = ctl_usage_error(command, "%s", err.text);
    else if (!result.valid)
        fprintf(stderr, "guardctl %s: %s, line %llu: %s\n", command->name, result.bad_file,
                (unsigned long long)result.bad_line, result.reason);
    else if (!result.last_checkpoint)
        fprintf(stderr, "guardctl %s: there is no checkpoint\n", command->name);
    else
        puts(result.last_checkpoint);
    if (code == CTL_OK && (!result.valid || !result.last_checkpoint))
        code = CTL_NO;
    audit_verify_free(&result);
    return code;
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
    struct request request = {.folder = NULL};
    char *paths[FILES_READ] = {NULL};
    int rc = parse(command, argc, argv, &request);
    if (rc == CTL_OK) {
        size_t count = last_files(request.folder, paths);
        rc = count ? print_last(command, &request, paths, count)
                   : ctl_usage_error(command, "%s: holds no audit-….ndjson file", request.folder);
    }
    for (size_t i = 0; i < FILES_READ; i++)
        free(paths[i]);
    audit_key_destroy(&request.key);
    return rc;
}

const struct ctl_command ctl_audit_anchor = {
    "audit anchor", "the last checkpoint of a trail, to be kept elsewhere",
    "usage: guardctl audit anchor [--key PUB] DIR\n"
    "\n"
    "Verifies the last two files of the trail and prints its last checkpoint, one line. Kept on another machine it "
    "shows\n"
    "later, with guardctl audit verify --anchor FILE, that everything up to it is still there and the same. Several "
    "lines\n"
    "in one file are several anchors: append to it. Exit code 0: printed; 1: the files do not verify; 2: unusable.\n"
    "\n"
    "  --key PUB   public key the checkpoints must be signed with\n",
    run};
