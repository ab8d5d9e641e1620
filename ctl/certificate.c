/* guardctl certificate: tries the mappings of cert_identity on a certificate, with the code the plugin runs. */
#include "ctl/commands.h"

#include "auth/certificate.h"
#include "core/buffer.h"
#include "core/clock.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct certificate_options {
    const char *identity, *path;
    int64_t now;
};

static int parse_options(const struct ctl_command *command, int argc, char **argv, struct certificate_options *options)
{
    static const struct option names[] = {
        {"identity", required_argument, NULL, 'i'}, {"now", required_argument, NULL, 'n'}, {NULL, 0, NULL, 0}};
    int letter;
    char *end;
    opterr = 0;
    optind = 1;
    while ((letter = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (letter == 'i') {
            options->identity = optarg;
        } else if (letter == 'n') {
            options->now = strtoll(optarg, &end, 10);
            if (!*optarg || *end)
                return ctl_usage_error(command, "'%s' is not a time in Unix seconds", optarg);
        } else {
            return ctl_usage_error(command, "unknown option, or one without its value: %s", argv[optind - 1]);
        }
    }
    if (argc - optind != 1)
        return ctl_usage_error(command, "expected one PEM file");
    options->path = argv[optind];
    return CTL_OK;
}

static int bad_mappings(const struct guard_error *err)
{
    char line[1024];
    fputs("guardctl certificate: --identity: ", stderr);
    if (err->column)
        fprintf(stderr, "column %u: ", err->column);
    fprintf(stderr, "%s\n", guard_error_format(err, line, sizeof line));
    return CTL_USAGE;
}

static int bad_file(const struct guard_error *err)
{
    char line[1024];
    fprintf(stderr, "guardctl certificate: %s\n", guard_error_format(err, line, sizeof line));
    return CTL_USAGE;
}

/* Values are what a stranger put into a certificate: quoted, so that they cannot play with the terminal. */
static int print_identity(const struct guard_identity *identity)
{
    char until[GUARD_TIMESTAMP_SIZE];
    struct guard_buffer out = {0};
    guard_buffer_printf(&out, "user name   %s\nsubject     %s\nissuer      %s\nserial      %s\nvalid until %.19sZ\n",
                        identity->username, identity->subject, identity->issuer, identity->certificate_serial,
                        guard_timestamp_seconds(identity->not_after, until));
    for (size_t i = 0; i < identity->attribute_count; i++) {
        const struct guard_attribute *attribute = &identity->attributes[i];
        guard_buffer_printf(&out, "%s =%s", attribute->name, attribute->count ? "" : " (cannot be used)");
        for (size_t v = 0; v < attribute->count; v++) {
            guard_buffer_text(&out, v ? ", " : " ");
            guard_buffer_json_string(&out, attribute->values[v], strlen(attribute->values[v]));
        }
        guard_buffer_byte(&out, '\n');
    }
    bool printed = !out.failed && fputs(out.data, stdout) >= 0;
    guard_buffer_free(&out);
    return printed ? CTL_OK : CTL_USAGE;
}

static int verify(const struct auth_certificate_config *config, const void *certificate, int64_t now)
{
    struct auth_certificate_request request = {.certificate = certificate, .now = now};
    struct guard_identity *identity;
    struct guard_error why = {0};
    enum guard_reason reason = auth_certificate_verify(config, &request, &identity, &why);
    if (reason != GUARD_REASON_NONE) {
        printf("refused     %s: %s\n", guard_reason_name(reason), why.text);
        return CTL_NO;
    }
    int rc = print_identity(identity);
    guard_identity_free(&identity);
    return rc;
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
    struct certificate_options options = {.identity = "cn", .now = guard_clock_now()};
    struct auth_certificate_config *config = NULL;
    struct guard_error err = {0};
    void *certificate = NULL;
    int rc = parse_options(command, argc, argv, &options);
    if (rc)
        return rc;
    if (auth_certificate_config_parse(options.identity, &config, &err) != GUARD_OK) {
        rc = bad_mappings(&err);
    } else if (auth_certificate_read(options.path, &certificate, &err) != GUARD_OK) {
        rc = bad_file(&err);
    } else {
        rc = verify(config, certificate, options.now);
    }
    auth_certificate_release(certificate);
    auth_certificate_config_free(&config);
    return rc;
}

const struct ctl_command ctl_certificate = {
    .name = "certificate",
    .summary = "show which user a client certificate stands for",
    .usage = "usage: guardctl certificate [--identity MAPPINGS] [--now SECONDS] FILE\n"
             "\n"
             "Reads the first certificate of the PEM file and prints the user name and the attributes that the plugin "
             "would\n"
             "take from it, or why it would refuse it. Chain and deny list are not looked at.\n"
             "\n"
             "  --identity MAPPINGS  as the option cert_identity has it (cn)\n"
             "  --now SECONDS        the time to judge dates by, in Unix seconds (now)\n"
             "\n"
             "Exit code: 0 accepted, 1 refused, 2 the command line, the mappings or the file cannot be used.\n",
    .run = run,
};
