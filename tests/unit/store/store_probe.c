/*
 * Runs the store and prints what it tells its composition, one JSON object a line, until its standard input ends.
 *
 *   store_probe OPTION=VALUE…      options are the members of struct guard_store_config
 *   input: "resync" reads everything anew, "refuse" refuses the next update
 */
#include "core/buffer.h"
#include "core/clock.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SECTIONS_SHOWN 50

struct probe {
    atomic_bool refuse;
    struct guard_store *store;
};

static void print(struct guard_buffer *line)
{
    guard_buffer_byte(line, '\n');
    if (!line->failed)
        fwrite(line->data, 1, line->length, stdout);
    fflush(stdout);
    guard_buffer_free(line);
}

static void text(struct guard_buffer *line, const char *value)
{
    if (value)
        guard_buffer_json_string(line, value, strlen(value));
    else
        guard_buffer_text(line, "null");
}

/* A stand-in for the rule parser: a rule begins with allow or deny, an assignment holds " when ". */
static int check(void *context, const struct guard_policy_line *lines, size_t count, struct guard_problems *problems)
{
    int rc = GUARD_OK;
    (void)context;
    for (size_t i = 0; i < count; i++) {
        const struct guard_policy_line *l = &lines[i];
        bool fine = l->section == GUARD_SECTION_ROLE
                        ? strncmp(l->value, "allow ", 6) == 0 || strncmp(l->value, "deny ", 5) == 0
                    : l->section == GUARD_SECTION_ASSIGN ? strstr(l->value, " when ") != NULL
                                                         : strcmp(l->value, "bad") != 0;
        if (fine)
            continue;
        guard_problems_add(problems, GUARD_PROBLEM_ERROR, l->place, 0, 1, "field '%s': expected a rule", l->field);
        rc = GUARD_ERR_SYNTAX;
    }
    return rc;
}

static void print_sections(struct guard_buffer *line, const struct guard_store_update *update)
{
    static const char *const kinds[] = {"role", "client", "assign", "default"};
    for (size_t i = 0; i < update->section_count && i < SECTIONS_SHOWN; i++) {
        const struct guard_store_section *section = &update->sections[i];
        guard_buffer_printf(line, "%s{\"kind\":\"%s\",\"name\":", i ? "," : "", kinds[section->kind]);
        text(line, section->name);
        guard_buffer_text(line, ",\"lines\":{");
        for (size_t l = 0; l < section->count; l++) {
            guard_buffer_text(line, l ? "," : "");
            text(line, section->lines[l].field);
            guard_buffer_byte(line, ':');
            text(line, section->lines[l].value);
        }
        guard_buffer_text(line, "}}");
    }
}

static void print_client(struct guard_buffer *line, const struct guard_clients *clients, const char *name)
{
    struct guard_client_view view;
    const char *cursor = NULL, *role;
    int32_t priority;
    text(line, name);
    if (!guard_clients_find(clients, name, strlen(name), &view)) {
        guard_buffer_text(line, ":null");
        return;
    }
    guard_buffer_printf(line, ":{\"disabled\":%s,\"password\":", view.disabled ? "true" : "false");
    text(line, view.password);
    guard_buffer_text(line, ",\"roles\":{");
    for (int i = 0; guard_client_next_role(&view, &cursor, &role, &priority); i++) {
        guard_buffer_text(line, i ? "," : "");
        text(line, role);
        guard_buffer_printf(line, ":%d", priority);
    }
    guard_buffer_text(line, "}}");
}

static void print_changes(struct guard_buffer *line, const struct guard_store_update *update)
{
    guard_buffer_text(line, "],\"changed_clients\":{");
    for (size_t i = 0; i < update->changed_client_count && i < SECTIONS_SHOWN; i++) {
        guard_buffer_text(line, i ? "," : "");
        print_client(line, update->clients, update->changed_clients[i]);
    }
    guard_buffer_text(line, "},\"changed_revocations\":[");
    for (size_t i = 0; i < update->changed_revocation_count && i < SECTIONS_SHOWN; i++) {
        guard_buffer_printf(line, "%s[%d,", i ? "," : "", (int)update->changed_revocations[i].kind);
        text(line, update->changed_revocations[i].name);
        guard_buffer_byte(line, ',');
        text(line, update->changed_revocations[i].value);
        guard_buffer_byte(line, ']');
    }
    guard_buffer_text(line, "],\"jwks\":{");
    for (size_t i = 0; i < update->jwks_count; i++) {
        guard_buffer_text(line, i ? "," : "");
        text(line, update->jwks[i].issuer);
        guard_buffer_byte(line, ':');
        text(line, update->jwks[i].json);
    }
    guard_buffer_byte(line, '}');
}

static int update(void *context, const struct guard_store_update *u, struct guard_error *err)
{
    struct probe *probe = context;
    struct guard_buffer line = {0};
    bool refuse = atomic_exchange(&probe->refuse, false);
    guard_buffer_printf(
        &line,
        "{\"event\":\"update\",\"refused\":%s,\"full\":%s,\"from_snapshot\":%s,\"version\":%" PRIu64
        ",\"time_ns\":%" PRId64 ",\"noticed_ns\":%" PRId64
        ",\"clients\":%zu,\"client_bytes\":%zu,\"revocations\":%zu,\"section_count\":%zu,\"sections\":[",
        refuse ? "true" : "false", u->full ? "true" : "false", u->from_snapshot ? "true" : "false", u->version,
        guard_clock_real_ns(), u->noticed_ns, guard_clients_count(u->clients), guard_clients_memory(u->clients),
        guard_revocations_count(u->revocations), u->section_count);
    print_sections(&line, u);
    print_changes(&line, u);
    if (probe->store) {
        struct guard_policy_text policy = {0};
        if (u->section_count <= SECTIONS_SHOWN && guard_store_copy_policy(probe->store, &policy) == GUARD_OK)
            guard_buffer_printf(&line, ",\"policy_lines\":%zu", policy.count);
        guard_policy_text_free(&policy);
    }
    guard_buffer_byte(&line, '}');
    print(&line);
    return refuse ? guard_fail(err, GUARD_ERR_INVALID, "the probe was told to refuse") : GUARD_OK;
}

static void state(void *context, const struct guard_store_state *s)
{
    struct guard_buffer line = {0};
    (void)context;
    guard_buffer_printf(&line,
                        "{\"event\":\"state\",\"time_ns\":%" PRId64
                        ",\"up\":%s,\"have_policy\":%s,\"from_snapshot\":%s,\"unconfirmed\":%s,\"expired\":%s"
                        ",\"fresh_at\":%" PRId64 ",\"version\":%" PRIu64 ",\"roles\":%" PRIu64 ",\"rules\":%" PRIu64
                        ",\"clients\":%" PRIu64 ",\"revocations\":%" PRIu64 ",\"reconnects\":%" PRIu64
                        ",\"syncs\":%" PRIu64 ",\"updates\":%" PRIu64 ",\"reason\":",
                        guard_clock_real_ns(), s->up ? "true" : "false", s->have_policy ? "true" : "false",
                        s->from_snapshot ? "true" : "false", s->unconfirmed ? "true" : "false",
                        s->expired ? "true" : "false", s->fresh_at, s->version, s->roles, s->rules, s->clients,
                        s->revocations, s->reconnects, s->syncs, s->updates);
    text(&line, guard_reason_name(s->reason));
    guard_buffer_text(&line, ",\"text\":");
    text(&line, s->text);
    guard_buffer_text(&line, ",\"server\":");
    text(&line, s->server);
    guard_buffer_byte(&line, '}');
    print(&line);
}

static void problem(void *context, const struct guard_problem *p)
{
    struct guard_buffer line = {0};
    (void)context;
    guard_buffer_printf(
        &line, "{\"event\":\"problem\",\"error\":%s,\"place\":", p->severity == GUARD_PROBLEM_ERROR ? "true" : "false");
    text(&line, p->error.place);
    guard_buffer_text(&line, ",\"text\":");
    text(&line, p->error.text);
    guard_buffer_byte(&line, '}');
    print(&line);
}

static bool set_option(struct guard_store_config *config, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **to;
    } strings[] = {{"url", &config->url},
                   {"username", &config->username},
                   {"password_file", &config->password_file},
                   {"tls_ca", &config->tls_ca},
                   {"tls_cert", &config->tls_cert},
                   {"tls_key", &config->tls_key},
                   {"prefix", &config->prefix},
                   {"snapshot_file", &config->snapshot_file},
                   {"broker_id", &config->broker_id}};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        if (strcmp(name, strings[i].name) == 0)
            return *strings[i].to = value, true;
    unsigned number = (unsigned)strtoul(value, NULL, 10);
    if (strcmp(name, "connect_timeout_ms") == 0)
        config->connect_timeout_ms = number;
    else if (strcmp(name, "command_timeout_ms") == 0)
        config->command_timeout_ms = number;
    else if (strcmp(name, "max_stale_s") == 0)
        config->max_stale_s = number;
    else if (strcmp(name, "use_index") == 0)
        config->use_index = number != 0;
    else
        return false;
    return true;
}

static int usage(const char *what)
{
    fprintf(stderr, "store_probe: %s\n", what);
    return 2;
}

int main(int argc, char **argv)
{
    struct guard_store_config config = {0};
    struct probe probe = {0};
    struct guard_store_callbacks callbacks = {
        .context = &probe, .check = check, .update = update, .state = state, .problem = problem};
    struct guard_error err = {0};
    char command[64];
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals)
            return usage(argv[i]);
        *equals = '\0';
        if (!set_option(&config, argv[i], equals + 1))
            return usage(argv[i]);
    }
    if (guard_store_start(&config, &callbacks, &probe.store, &err) != GUARD_OK) {
        char buffer[900];
        fprintf(stderr, "%s\n", guard_error_format(&err, buffer, sizeof buffer));
        return 1;
    }
    while (fgets(command, sizeof command, stdin)) {
        if (strcmp(command, "resync\n") == 0)
            guard_store_resync(probe.store);
        else if (strcmp(command, "refuse\n") == 0)
            atomic_store(&probe.refuse, true);
    }
    guard_store_stop(&probe.store);
    return 0;
}
