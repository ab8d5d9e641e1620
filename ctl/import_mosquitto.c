/* guardctl import mosquitto-files: password_file and acl_file become a policy. */
#include "ctl/commands.h"

#include "auth/password.h"
#include "ctl/import_mosquitto.h"

#include <string.h>

static int parse_broker(const struct ctl_command *command, const char *text, enum guard_mosquitto *version)
{
    if (strcmp(text, "2.0") == 0)
        *version = GUARD_MOSQUITTO_2_0;
    else if (strcmp(text, "2.1") == 0)
        *version = GUARD_MOSQUITTO_2_1;
    else
        return ctl_usage_error(command, "--broker takes 2.0 or 2.1");
    return CTL_OK;
}

static bool has_role(const struct guard_policy_text *text, const char *name, unsigned *line)
{
    for (size_t i = 0; i < text->count; i++)
        if (text->lines[i].section == GUARD_SECTION_ROLE && strcmp(text->lines[i].name, name) == 0) {
            *line = text->lines[i].line;
            return true;
        }
    return false;
}

/* Who may come without a name was the broker's allow_anonymous; in a policy it is an assignment. */
static void note_anonymous(struct ctl_import *import, const struct guard_mosquitto_files *files)
{
    unsigned line = 0;
    if (files->anonymous || !has_role(&import->translation.text, "anonymous", &line))
        return;
    guard_translation_note(&import->translation, GUARD_NOTE_STRICTER, files->acl_file, line,
                           "clients without a user name are refused: give --anonymous if mosquitto.conf says "
                           "allow_anonymous true");
    guard_translation_stricter(&import->translation, NULL, "");
}

static int read_files(struct ctl_import *import, const struct guard_mosquitto_files *files)
{
    struct guard_error err = {0};
    if (!files->password_file && !files->acl_file)
        return ctl_usage_error(import->command, "which files? --password-file FILE, --acl-file FILE, or both");
    int rc = guard_mosquitto_files_read(files, &import->translation, &err);
    if (rc == GUARD_OK)
        note_anonymous(import, files);
    return rc == GUARD_OK || rc == GUARD_ERR_SYNTAX ? CTL_OK : ctl_redis_fail(&import->redis, &err);
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
    struct ctl_import import;
    struct guard_mosquitto_files files = {.check_hash = auth_password_check};
    const char *broker = "2.0";
    const struct ctl_option own[] = {{"password-file", CTL_TEXT, &files.password_file},
                                     {"acl-file", CTL_TEXT, &files.acl_file},
                                     {"broker", CTL_TEXT, &broker},
                                     {"anonymous", CTL_FLAG, &files.anonymous},
                                     {NULL, CTL_FLAG, NULL}};
    ctl_import_init(&import, command);
    int rc = ctl_import_parse(&import, argc, argv, own);
    if (rc == CTL_OK)
        rc = parse_broker(command, broker, &files.version);
    if (rc == CTL_OK)
        rc = read_files(&import, &files);
    return ctl_import_finish(&import, rc, ctl_import_mosquitto_verify, &files);
}

const struct ctl_command ctl_import_mosquitto = {
    .name = "import mosquitto-files",
    .summary = "make a policy of Mosquitto's password_file and acl_file",
    .usage =
        "usage: guardctl import mosquitto-files [--password-file FILE] [--acl-file FILE] [OPTION]…\n"
        "\n"
        "  --password-file FILE  as mosquitto_passwd writes it; the hashes are carried over\n"
        "  --acl-file FILE       user, topic and pattern lines\n"
        "  --broker 2.0|2.1      whose reading of the two files holds (2.0): 2.1 replaces %u and %c only where "
        "they are\n"
        "                        a whole level, and refuses a password file with a bad line\n"
        "  --anonymous           mosquitto.conf says allow_anonymous true: the anonymous part of the acl_file "
        "stays in use\n"
        "\n"
        "--verify starts the broker itself (--mosquitto, or the one on PATH) on a free loopback port, in a temporary\n"
        "folder, with a copy of the acl_file, and asks it N random publishes and deliveries.\n" CTL_IMPORT_HELP,
    .run = run,
};
