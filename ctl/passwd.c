/* guardctl passwd: makes a password hash for the policy, or tries a password against one. */
#include "ctl/commands.h"

#include "auth/password.h"
#include "core/buffer.h"
#include "core/memory.h"
#include "core/utf8.h"
#include "ctl/terminal_password.h"
#include "store/policy_file.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct passwd_options {
    struct auth_password_params params;
    const char *verify; /* the hash to try, or NULL */
    const char *user;   /* print a policy snippet for it, or NULL */
    bool from_stdin;
};

static bool parse_number(const char *text, uint32_t *out)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || value == 0 || value > UINT32_MAX)
        return false;
    *out = (uint32_t)value;
    return true;
}

static bool acceptable_user(const char *user)
{
    size_t length = strlen(user);
    for (size_t i = 0, width; i < length; i += width) {
        width = guard_utf8_sequence(user + i, length - i);
        if (!width || user[i] == ']' || guard_utf8_is_deceptive(guard_utf8_decode(user + i, width)))
            return false;
    }
    return length > 0;
}

static int parse_options(const struct ctl_command *command, int argc, char **argv, struct passwd_options *options)
{
    static const struct option names[] = {
        {"format", required_argument, NULL, 'f'}, {"iterations", required_argument, NULL, 'i'},
        {"memory", required_argument, NULL, 'm'}, {"lanes", required_argument, NULL, 'l'},
        {"verify", required_argument, NULL, 'v'}, {NULL, 0, NULL, 0}};
    int letter;
    opterr = 0;
    optind = 1;
    while ((letter = getopt_long(argc, argv, "", names, NULL)) != -1) {
        uint32_t *number = letter == 'i'   ? &options->params.iterations
                           : letter == 'm' ? &options->params.memory_kib
                           : letter == 'l' ? &options->params.lanes
                                           : NULL;
        if (number && !parse_number(optarg, number))
            return ctl_usage_error(command, "'%s' is not a positive number", optarg);
        if (letter == 'f' && !auth_password_format_parse(optarg, &options->params.format))
            return ctl_usage_error(command, "there is no format '%s'; argon2id, pbkdf2 and bcrypt are known", optarg);
        if (letter == 'v')
            options->verify = optarg;
        if (letter == '?')
            return ctl_usage_error(command, "unknown option, or one without its value: %s", argv[optind - 1]);
    }
    for (; optind < argc; optind++) {
        if (strcmp(argv[optind], "-") == 0)
            options->from_stdin = true;
        else if (options->user || options->verify)
            return ctl_usage_error(command, "too many arguments (passwords are never taken from the command line)");
        else
            options->user = argv[optind];
    }
    if (options->user && !acceptable_user(options->user))
        return ctl_usage_error(command, "a policy cannot hold this user name (']', a control character, broken UTF-8)");
    return CTL_OK;
}

static int verify(const char *stored, const struct guard_buffer *password)
{
    struct guard_error err = {0};
    switch (auth_password_verify(stored, password->data, password->length, &err)) {
    case AUTH_PASSWORD_MATCH:
        puts("the password matches");
        return CTL_OK;
    case AUTH_PASSWORD_MISMATCH:
        puts("the password does not match");
        return CTL_NO;
    case AUTH_PASSWORD_ERROR:
        break;
    }
    fprintf(stderr, "guardctl passwd: %s\n", err.text);
    return CTL_USAGE;
}

static int make(const struct passwd_options *options, const struct guard_buffer *password)
{
    struct guard_error err = {0};
    char *stored;
    if (auth_password_make(&options->params, password->data, password->length, &stored, &err) != GUARD_OK) {
        fprintf(stderr, "guardctl passwd: %s\n", err.text);
        return CTL_USAGE;
    }
    struct guard_buffer out = {0};
    if (options->user) {
        guard_buffer_text(&out, "[client ");
        guard_policy_name_write(&out, options->user, 0);
        guard_buffer_text(&out, "]\npassword = ");
    }
    guard_buffer_text(&out, stored);
    if (auth_password_outdated(stored))
        fputs("guardctl passwd: note: this is weaker than the default; leave the options out for that\n", stderr);
    bool printed = !out.failed && puts(out.data) >= 0 && fflush(stdout) == 0;
    guard_free_string(&stored);
    guard_buffer_free(&out);
    if (!printed)
        fputs("guardctl passwd: the hash could not be written\n", stderr);
    return printed ? CTL_OK : CTL_USAGE;
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
    struct passwd_options options = {0};
    struct guard_buffer password = {0};
    struct guard_error err = {0};
    int rc = parse_options(command, argc, argv, &options);
    if (rc)
        return rc;
    bool ask = !options.from_stdin && isatty(STDIN_FILENO);
    int read = ask ? ctl_password_ask(!options.verify, &password, &err) : ctl_password_from_stdin(&password, &err);
    if (read != GUARD_OK) {
        fprintf(stderr, "guardctl passwd: %s\n", err.text);
        rc = CTL_USAGE;
    } else {
        rc = options.verify ? verify(options.verify, &password) : make(&options, &password);
    }
    guard_buffer_free(&password);
    return rc;
}

const struct ctl_command ctl_passwd = {
    .name = "passwd",
    .summary = "make a password hash for the policy",
    .usage =
        "usage: guardctl passwd [--format FORMAT] [--iterations N] [--memory KIB] [--lanes N] [USER] [-]\n"
        "       guardctl passwd --verify HASH [-]\n"
        "\n"
        "Reads a password, twice and without showing it if this is a terminal, else (or with -) the first line of the\n"
        "standard input, and prints its hash. With USER: the lines of a policy file that give USER this password.\n"
        "\n"
        "  --format FORMAT   argon2id (the default where this build has it), pbkdf2 ($7$, which every Mosquitto\n"
        "                    reads too), bcrypt\n"
        "  --iterations N    argon2id: passes over the memory (2); pbkdf2: iterations (210000); bcrypt: the cost,\n"
        "                    4 to 14 (12)\n"
        "  --memory KIB      argon2id: memory (19456)\n"
        "  --lanes N         argon2id: lanes (1)\n"
        "  --verify HASH     says whether the password is that of HASH, in any format the plugin reads\n"
        "\n"
        "Exit code: 0 printed, or it matches; 1 it does not match; 2 the command line, the password or HASH cannot be\n"
        "used.\n",
    .run = run,
};
