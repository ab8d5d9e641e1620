/* guardctl doctor: what would go wrong with a mosquitto.conf, and what to do. */
#include "ctl/doctor.h"

#include "core/buffer.h"
#include "ctl/args.h"
#include "ctl/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CONF "/etc/mosquitto/mosquitto.conf"

static const char *const severities[] = {"error", "warning", "note"};

static void json_member(struct guard_buffer *out, const char *name, const char *text)
{
    guard_buffer_printf(out, "\"%s\":", name);
    guard_buffer_json_string(out, text, strlen(text));
}

static void print_json(const struct doctor *doctor, const char *path)
{
    const struct doctor_report *report = &doctor->report;
    struct guard_buffer out = {0};
    guard_buffer_byte(&out, '{');
    json_member(&out, "conf", path);
    guard_buffer_byte(&out, ',');
    json_member(&out, "broker", doctor->broker.text);
    guard_buffer_byte(&out, ',');
    json_member(&out, "user", doctor->user);
    guard_buffer_printf(&out, ",\"errors\":%zu,\"warnings\":%zu,\"notes\":%zu,\"findings\":[", report->of[DOCTOR_ERROR],
                        report->of[DOCTOR_WARNING], report->of[DOCTOR_NOTE]);
    for (size_t i = 0; i < report->count; i++) {
        const struct doctor_finding *finding = &report->items[i];
        guard_buffer_printf(&out, "%s{\"id\":\"%s\",\"severity\":\"%s\",", i ? "," : "", finding->kind->id,
                            severities[finding->kind->severity]);
        json_member(&out, "file", finding->place.file);
        guard_buffer_printf(&out, ",\"line\":%u,", finding->place.line);
        json_member(&out, "why", finding->why);
        guard_buffer_byte(&out, ',');
        json_member(&out, "do", finding->kind->advice);
        guard_buffer_byte(&out, '}');
    }
    guard_buffer_text(&out, "]}");
    puts(out.failed ? "" : out.data);
    guard_buffer_free(&out);
}

static void print_text(const struct doctor *doctor, const char *path)
{
    const struct doctor_report *report = &doctor->report;
    for (enum doctor_severity severity = DOCTOR_ERROR; severity <= DOCTOR_NOTE; severity++)
        for (size_t i = 0; i < report->count; i++) {
            const struct doctor_finding *finding = &report->items[i];
            if (finding->kind->severity != severity)
                continue;
            printf("%s", finding->place.file);
            if (finding->place.line)
                printf(":%u", finding->place.line);
            printf(": %s: %s [%s]\n    why: %s\n    do:  %s\n", severities[severity], finding->kind->finds,
                   finding->kind->id, finding->why, finding->kind->advice);
        }
    printf("%s: %zu error%s, %zu warning%s, %zu note%s (%zu file%s, Mosquitto %s, user %s)\n", path,
           report->of[DOCTOR_ERROR], report->of[DOCTOR_ERROR] == 1 ? "" : "s", report->of[DOCTOR_WARNING],
           report->of[DOCTOR_WARNING] == 1 ? "" : "s", report->of[DOCTOR_NOTE], report->of[DOCTOR_NOTE] == 1 ? "" : "s",
           doctor->conf.file_count, doctor->conf.file_count == 1 ? "" : "s",
           doctor->broker.version ? doctor->broker.text : "?", doctor->user);
}

/* All that can be found, as rows of the manual's table. */
static int print_kinds(void)
{
    for (size_t i = 0; i < DOCTOR_KIND_COUNT; i++)
        printf("| `%s` | %s | %s | %s |\n", doctor_kinds[i].id, severities[doctor_kinds[i].severity],
               doctor_kinds[i].finds, doctor_kinds[i].advice);
    return CTL_OK;
}

static void examine(struct doctor *doctor)
{
    doctor_become_broker(doctor);
    doctor_check_plugins(doctor);
    doctor_check_options(doctor);
    doctor_check_settings(doctor);
    doctor_check_listeners(doctor);
    doctor_check_broker(doctor);
    doctor_check_files(doctor);
    doctor_check_certificates(doctor);
    doctor_check_redis(doctor);
}

static int report(const struct doctor *doctor, const char *path, bool json)
{
    if (doctor->report.failed) {
        fputs("guardctl doctor: out of memory\n", stderr);
        return CTL_USAGE;
    }
    if (json)
        print_json(doctor, path);
    else
        print_text(doctor, path);
    return doctor->report.of[DOCTOR_ERROR] || doctor->report.of[DOCTOR_WARNING] ? CTL_NO : CTL_OK;
}

static int diagnose(const char *path, const char *version, bool offline, bool json)
{
    struct doctor doctor = {.offline = offline};
    struct guard_error err;
    char text[900];
    int rc = doctor_conf_read(path, &doctor.conf, &err), code;
    if (rc == GUARD_OK) {
        doctor_broker_find(version, &doctor.broker);
        examine(&doctor);
        code = report(&doctor, path, json);
    } else {
        fprintf(stderr, "guardctl doctor: %s\n", guard_error_format(&err, text, sizeof text));
        code = CTL_USAGE;
    }
    for (size_t i = 0; i < doctor.instance_count; i++)
        guard_options_free(&doctor.instances[i].options);
    free(doctor.instances);
    doctor_report_free(&doctor.report);
    doctor_conf_free(&doctor.conf);
    return code;
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
    bool json = false, offline = false, list = false;
    const char *version = NULL;
    const struct ctl_option options[] = {{"json", CTL_FLAG, &json},
                                         {"offline", CTL_FLAG, &offline},
                                         {"list", CTL_FLAG, &list},
                                         {"broker", CTL_TEXT, &version},
                                         {NULL, CTL_FLAG, NULL}};
    const struct ctl_option *const tables[] = {options, NULL};
    struct ctl_words words = {.most = 1};
    int rc = ctl_args_parse(command, argc, argv, tables, &words);
    if (rc != CTL_OK)
        return rc;
    if (words.count > 1)
        return ctl_usage_error(command, "one configuration at a time");
    return list ? print_kinds() : diagnose(words.count ? words.items[0] : DEFAULT_CONF, version, offline, json);
}

const struct ctl_command ctl_doctor = {
    .name = "doctor",
    .summary = "say what would go wrong with a mosquitto.conf, and what to do",
    .usage = "usage: guardctl doctor [--json] [--offline] [--broker VERSION] [CONF]\n"
             "       guardctl doctor --list\n"
             "\n"
             "Reads mosquitto.conf (" DEFAULT_CONF ") with what its include_dir names, and the files and\n"
             "options it leads to. Changes nothing. Run it as root: it then takes the rights of the broker's user, and "
             "sees\n"
             "what that user may read. Each finding has an id that does not change, its line, why, and what to do;\n"
             "docs/operations.md lists them.\n"
             "\n"
             "  --json             one JSON object: conf, broker, user, errors, warnings, notes, findings\n"
             "  --offline          do not connect to Redis\n"
             "  --broker VERSION   of the broker, e.g. 2.0.21; else the installed one is asked\n"
             "  --list             all that can be found, as a Markdown table\n"
             "\n"
             "exit: 0 no errors and no warnings (notes may be there), 1 errors or warnings, 2 wrong usage, or a file "
             "of the\n"
             "configuration cannot be read\n",
    .run = run,
};
