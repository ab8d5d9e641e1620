/* guardctl: finds the command by its name (one or two words) and runs it. */
#include "ctl/command.h"
#include "ctl/commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* In the order `guardctl help` shows them. */
static const struct ctl_command *const commands[] = {
    &ctl_check,
    &ctl_explain,
    &ctl_lint,
    &ctl_doctor,
    &ctl_passwd,
    &ctl_certificate,
    &ctl_token_verify,
    &ctl_token_issue,
    &ctl_keys_generate,
    &ctl_keys_jwks,
    &ctl_audit_tail,
    &ctl_audit_verify,
    &ctl_audit_keygen,
    &ctl_audit_anchor,
    &ctl_push,
    &ctl_diff,
    &ctl_rollback,
    &ctl_pull,
    &ctl_history,
    &ctl_log,
    &ctl_confirm,
    &ctl_client_add,
    &ctl_client_show,
    &ctl_client_disable,
    &ctl_client_enable,
    &ctl_client_remove,
    &ctl_client_passwd,
    &ctl_role_list,
    &ctl_role_show,
    &ctl_role_set,
    &ctl_role_unset,
    &ctl_role_remove,
    &ctl_revoke_token,
    &ctl_revoke_client,
    &ctl_revoke_key,
    &ctl_revoke_certificate,
    &ctl_ban,
    &ctl_unban,
    &ctl_status,
    &ctl_import_mosquitto,
    &ctl_import_goauth,
    &ctl_import_authplug,
    &ctl_import_emqx,
    &ctl_import_dynsec,
    NULL,
};

static int help(FILE *to)
{
    fputs("guardctl: the tool of Mosquitto Guard\n\nusage: guardctl COMMAND [OPTION]… (guardctl COMMAND --help tells "
          "more)\n\n",
          to);
    /* at least two blanks between name and summary: the completion and the manual page look for them */
    int width = 0;
    for (const struct ctl_command *const *c = commands; *c; c++)
        width = (int)strlen((*c)->name) > width ? (int)strlen((*c)->name) : width;
    for (const struct ctl_command *const *c = commands; *c; c++)
        fprintf(to, "  %-*s  %s\n", width, (*c)->name, (*c)->summary);
    fprintf(to, "\n  %-*s  print the version\n", width, "version");
    return to == stdout ? CTL_OK : CTL_USAGE;
}

int ctl_usage_error(const struct ctl_command *command, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "guardctl %s: ", command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nguardctl %s --help shows how it is used\n", command->name);
    return CTL_USAGE;
}

/* How many words of argv the command's name takes, or 0 if it is another command. */
static int words_matched(const char *name, int argc, char **argv)
{
    size_t first = strcspn(name, " ");
    if (argc < 1 || strlen(argv[0]) != first || strncmp(name, argv[0], first) != 0)
        return 0;
    if (!name[first])
        return 1;
    return argc > 1 && strcmp(name + first + 1, argv[1]) == 0 ? 2 : 0;
}

static int wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return help(stderr);
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help(stdout);
    if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
        puts("guardctl " GUARD_VERSION);
        return CTL_OK;
    }
    for (const struct ctl_command *const *c = commands; *c; c++) {
        int words = words_matched((*c)->name, argc - 1, argv + 1);
        if (!words)
            continue;
        if (wants_help(argc - words, argv + words)) {
            fputs((*c)->usage, stdout);
            return CTL_OK;
        }
        return (*c)->run(*c, argc - words, argv + words);
    }
    fprintf(stderr, "guardctl: there is no command '%s'\n\n", argv[1]);
    return help(stderr);
}
