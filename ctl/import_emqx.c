/* guardctl import emqx-redis: what EMQX keeps in Redis becomes a policy. */
#include "ctl/commands.h"

#include "auth/password.h"
#include "core/memory.h"
#include "core/quoted.h"
#include "ctl/emqx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUPERUSER "superuser"

struct run {
    struct ctl_import import;
    struct emqx emqx;
    struct auth_password_emqx scheme;
    bool superusers;
};

static void note(struct run *run, enum guard_note_kind kind, const char *place, const char *text, const char *more)
{
    guard_translation_note(&run->import.translation, kind, place, 0, "%.200s: %s", text, more);
}

/* About the rule of a field; its filter may have `eq ` before it. */
static void note_rule(struct run *run, enum guard_note_kind kind, const struct foreign_key *key, const char *field,
                      const char *text)
{
    note(run, kind, key->name, field, text);
    guard_translation_stricter(&run->import.translation, strncmp(field, "eq ", 3) == 0 ? field + 3 : field, NULL);
}

static void tell_stricter(struct run *run, const struct foreign_key *key, const char *field,
                          const struct emqx_rule *rule)
{
    size_t length = strlen(rule->filter);
    if (rule->subscribe && !rule->exact && length && rule->filter[length - 1] == '+')
        note_rule(run, GUARD_NOTE_STRICTER, key, field,
                  "with '#' in place of the last '+' EMQX granted a SUBSCRIBE, too");
    if (strstr(rule->filter, "${cert_") && !run->emqx.v4)
        note_rule(run, GUARD_NOTE_STRICTER, key, field,
                  "with a placeholder of the certificate, whoever shows none is refused at CONNECT (identity_check)");
    if (rule->subscribe && rule->exact && strpbrk(rule->filter, "+#"))
        note_rule(run, GUARD_NOTE_STRICTER, key, field,
                  "the SUBSCRIBE is granted; what it delivers must be allowed by other rules");
}

static void add_rule(struct run *run, const char *role, const struct foreign_key *key, size_t i)
{
    static const char *const effects[2][2] = {{"", "allow subscribe"}, {"allow publish", "allow publish,subscribe"}};
    const char *field = key->values[i];
    struct emqx_rule rule = emqx_rule_parse(&run->emqx, field, key->values[i + 1]);
    struct guard_buffer topic = {0};
    char conditions[40];
    if (!rule.why)
        rule.why = foreign_template(&topic, rule.filter,
                                    rule.exact     ? FOREIGN_LITERAL
                                    : run->emqx.v4 ? FOREIGN_PERCENT
                                                   : FOREIGN_DOLLAR);
    snprintf(conditions, sizeof conditions, "%s%s%s",
             rule.qos[2]   ? ""
             : rule.qos[1] ? " qos<=1"
                           : " qos<=0",
             rule.not_retain ? " retain=no" : "", rule.exact ? " exact" : "");
    if (rule.why) {
        note_rule(run, GUARD_NOTE_LEFT_OUT, key, field, rule.why);
    } else {
        tell_stricter(run, key, field, &rule);
        foreign_rule_add(&run->import.translation, &(struct foreign_rule){.role = role,
                                                                          .label = "rule",
                                                                          .number = i / 2 + 1,
                                                                          .text = effects[rule.publish][rule.subscribe],
                                                                          .topic = topic.data ? topic.data : "",
                                                                          .conditions = conditions,
                                                                          .place = key->name});
    }
    guard_buffer_free(&topic);
}

static void add_password(struct run *run, const char *user, const struct foreign_key *record)
{
    struct guard_error err = {0};
    char *stored = NULL;
    const char *hash = foreign_field(record, "password_hash");
    if (!hash)
        note(run, GUARD_NOTE_LEFT_OUT, record->name, "password_hash", "there is none: this user cannot log in");
    else if (auth_password_from_emqx(&run->scheme, hash, foreign_field(record, "salt"), &stored, &err) == GUARD_OK)
        foreign_client_add(&run->import.translation, record->name, user, "password", stored);
    else
        note(run, GUARD_NOTE_LEFT_OUT, record->name, "the password must be set anew", err.text);
    guard_free_string(&stored);
}

static void add_user(struct run *run, const char *user)
{
    struct guard_translation *translation = &run->import.translation;
    const struct foreign_key *record = emqx_record(&run->emqx, user), *rules = emqx_rules(&run->emqx, user);
    struct guard_buffer role = {0}, roles = {0};
    size_t before = translation->text.count;
    guard_buffer_text(&role, "user:");
    guard_buffer_text(&role, user);
    for (size_t i = 0; rules && i + 1 < rules->count && !role.failed; i += 2)
        add_rule(run, role.data, rules, i);
    if (translation->text.count > before)
        guard_quoted_write(&roles, role.data, ",:");
    if (emqx_superuser(&run->emqx, user)) {
        guard_buffer_text(&roles, roles.length ? ", " SUPERUSER : SUPERUSER);
        run->superusers = true;
    }
    if (record)
        add_password(run, user, record);
    if (roles.length && !roles.failed)
        foreign_client_add(translation, record ? record->name : rules->name, user, "roles", roles.data);
    translation->failed = translation->failed || role.failed || roles.failed;
    guard_buffer_free(&role);
    guard_buffer_free(&roles);
}

static void translate(struct run *run)
{
    for (size_t i = 0; i < run->emqx.user_count; i++)
        add_user(run, run->emqx.users[i]);
    if (run->superusers)
        foreign_rule_add(&run->import.translation, &(struct foreign_rule){.role = SUPERUSER,
                                                                          .label = "everything",
                                                                          .number = 1,
                                                                          .text = "allow all",
                                                                          .topic = "**",
                                                                          .conditions = "",
                                                                          .place = SUPERUSER});
    note(run, GUARD_NOTE_REMARK, "no_match", "where no rule applies the answer is no",
         "in EMQX it was what `authorization.no_match` said, `allow` unless it was set");
}

static int read_source(struct run *run, const struct foreign_source *source)
{
    struct guard_error err = {0};
    struct guard_buffer users = {0}, acls = {0};
    guard_buffer_printf(&users, "%s*", run->emqx.users_prefix);
    guard_buffer_printf(&acls, "%s*", run->emqx.acls_prefix);
    const char *const patterns[] = {users.data, acls.data, NULL};
    int rc = users.failed || acls.failed ? guard_fail(&err, GUARD_ERR_NOMEM, "out of memory")
                                         : foreign_read(source, patterns, &run->emqx.data, &err);
    guard_buffer_free(&users);
    guard_buffer_free(&acls);
    if (rc != GUARD_OK)
        return ctl_redis_fail(&run->import.redis, &err);
    if (!emqx_sort(&run->emqx, &run->import.translation))
        return ctl_usage_error(run->import.command, "out of memory");
    translate(run);
    return CTL_OK;
}

static int verify(struct ctl_import *import, const struct acl_policy *policy, void *context)
{
    struct emqx *emqx = context;
    size_t count = 0, capacity = 1;
    for (size_t i = 0; i < emqx->data.count; i++)
        capacity += emqx->data.keys[i].count;
    struct foreign_filter *filters = calloc(capacity, sizeof *filters);
    if (!filters)
        return ctl_usage_error(import->command, "out of memory");
    for (size_t i = 0; i < emqx->user_count; i++) {
        const struct foreign_key *rules = emqx_rules(emqx, emqx->users[i]);
        for (size_t k = 0; rules && k + 1 < rules->count; k += 2) {
            const char *field = rules->values[k];
            filters[count++] = (struct foreign_filter){strncmp(field, "eq ", 3) == 0 ? field + 3 : field, i};
        }
    }
    int rc = foreign_verify(import, policy,
                            &(struct foreign_trial){.users = (const char *const *)emqx->users,
                                                    .user_count = emqx->user_count,
                                                    .filters = filters,
                                                    .filter_count = count,
                                                    .allowed = emqx_allowed,
                                                    .context = emqx});
    free(filters);
    return rc;
}

static int parse_scheme(struct run *run, const char *iterations)
{
    static const char *const algorithms[] = {"plain", "md5", "sha", "sha256", "sha512", "bcrypt", "pbkdf2"};
    const char *algorithm = run->scheme.algorithm;
    bool known = false;
    char *end = NULL;
    for (size_t i = 0; algorithm && i < sizeof algorithms / sizeof *algorithms; i++)
        known |= strcmp(algorithms[i], algorithm) == 0;
    if (!known)
        return ctl_usage_error(run->import.command,
                               "--algorithm is needed: the name in EMQX's password_hash_algorithm, one of plain, md5, "
                               "sha, sha256, sha512, bcrypt, pbkdf2");
    unsigned long number = iterations ? strtoul(iterations, &end, 10) : 0;
    if ((iterations && (*end || !number || number > AUTH_PASSWORD_MAX_ITERATIONS)) ||
        (!iterations && strcmp(algorithm, "pbkdf2") == 0))
        return ctl_usage_error(run->import.command, "pbkdf2 needs --iterations, 1 to %u", AUTH_PASSWORD_MAX_ITERATIONS);
    run->scheme.iterations = (uint32_t)number;
    return CTL_OK;
}

static int run_command(const struct ctl_command *command, int argc, char **argv)
{
    struct run run = {.emqx = {.users_prefix = "mqtt_user:", .acls_prefix = "mqtt_acl:"}};
    struct foreign_source source = {0};
    const char *iterations = NULL;
    const struct ctl_option own[] = {FOREIGN_OPTIONS(&source),
                                     {"algorithm", CTL_TEXT, &run.scheme.algorithm},
                                     {"salt-position", CTL_TEXT, &run.scheme.salt_position},
                                     {"mac", CTL_TEXT, &run.scheme.mac},
                                     {"iterations", CTL_TEXT, &iterations},
                                     {"users", CTL_TEXT, &run.emqx.users_prefix},
                                     {"acls", CTL_TEXT, &run.emqx.acls_prefix},
                                     {"v4", CTL_FLAG, &run.emqx.v4},
                                     {NULL, CTL_FLAG, NULL}};
    ctl_import_init(&run.import, command);
    int rc = ctl_import_parse(&run.import, argc, argv, own);
    if (rc == CTL_OK)
        rc = parse_scheme(&run, iterations);
    if (rc == CTL_OK)
        rc = read_source(&run, &source);
    rc = ctl_import_finish(&run.import, rc, verify, &run.emqx);
    emqx_free(&run.emqx);
    return rc;
}

const struct ctl_command ctl_import_emqx = {
    .name = "import emqx-redis",
    .summary = "make a policy of what EMQX keeps in Redis",
    .usage = "usage: guardctl import emqx-redis --from URL --algorithm NAME [OPTION]…\n"
             "\n" FOREIGN_HELP
             "  --algorithm NAME      EMQX's password_hash_algorithm: plain, md5, sha, sha256, sha512, bcrypt, pbkdf2\n"
             "  --salt-position TEXT  of the simple digests: prefix (unless told), suffix, disable\n"
             "  --mac NAME            of pbkdf2: sha, sha256 (unless told), sha512\n"
             "  --iterations N        of pbkdf2\n"
             "  --users PREFIX        of the keys that hold users (mqtt_user:)\n"
             "  --acls PREFIX         of the keys that hold rules (mqtt_acl:)\n"
             "  --v4                  compatibility_mode = v4: the values 1, 2, 3, the placeholders %u and "
             "%c\n" CTL_IMPORT_HELP,
    .run = run_command,
};
