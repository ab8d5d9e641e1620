/* guardctl doctor: the options of each Mosquitto Guard, read by the plugin's own table. */
#include "ctl/doctor.h"

#include "ctl/policy_source.h"

#include <stdlib.h>
#include <string.h>

const char *doctor_option_name(const struct doctor_setting *setting)
{
    return setting->name + (setting->name[0] == 'p' ? strlen("plugin_opt_") : strlen("auth_opt_"));
}

static bool has_blank_end(const char *value)
{
    size_t length = strlen(value);
    return length && strchr(" \t", value[length - 1]);
}

/* What one line says by itself. True if it can be used. */
static bool check_line(struct doctor *doctor, const struct doctor_setting *setting)
{
    struct guard_option_pair pair = {doctor_option_name(setting), setting->value};
    struct guard_options alone;
    struct guard_error err;
    if (has_blank_end(setting->value)) {
        doctor_add(&doctor->report, DOCTOR_OPTION_BLANKS, setting->place, "%s: the value ends with a blank", pair.name);
        return false;
    }
    if (guard_options_load(&pair, 1, &alone, &err) == GUARD_OK) {
        guard_options_free(&alone);
        if (guard_option_reloads(pair.name))
            doctor_add(&doctor->report, DOCTOR_OPTION_NOT_RELOADED, setting->place,
                       "SIGHUP does not read %s again from here", pair.name);
        return true;
    }
    bool inside = err.place[0] != '\0'; /* in the file that `config` names */
    if (inside && err.line)
        doctor_add(&doctor->report, DOCTOR_OPTION_WRONG, setting->place, "%s:%u: %s", err.place, err.line, err.text);
    else if (err.code == GUARD_ERR_PERMISSION || err.code == GUARD_ERR_NOT_FOUND)
        return true; /* doctor_check_files says it */
    else
        doctor_add(&doctor->report, DOCTOR_OPTION_WRONG, setting->place, "%s%s%s", err.place, inside ? ": " : "",
                   err.text);
    return false;
}

static bool is_repeated(const struct guard_option_pair *pairs, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(pairs[i].name, name) == 0)
            return true;
    return false;
}

static void read_instance(struct doctor *doctor, struct doctor_instance *instance)
{
    const struct doctor_plugin *plugin = instance->plugin;
    struct guard_option_pair *pairs = calloc(plugin->option_count + 1, sizeof *pairs);
    size_t count = 0;
    for (size_t i = 0; pairs && i < plugin->option_count; i++) {
        const struct doctor_setting *setting = &doctor->conf.settings[plugin->options[i]];
        const char *name = doctor_option_name(setting);
        if (is_repeated(pairs, count, name))
            doctor_add(&doctor->report, DOCTOR_OPTION_TWICE, setting->place, "%s stands before already", name);
        else if (check_line(doctor, setting))
            pairs[count++] = (struct guard_option_pair){name, setting->value};
    }
    struct guard_error err;
    if (!pairs || guard_options_load(pairs, count, &instance->options, &err) != GUARD_OK) {
        size_t kept = 0; /* without a file that cannot be read */
        for (size_t i = 0; i < count; i++)
            if (strcmp(pairs[i].name, "config") != 0)
                pairs[kept++] = pairs[i];
        if (!pairs || guard_options_load(pairs, kept, &instance->options, &err) != GUARD_OK)
            doctor->report.failed = true;
    }
    free(pairs);
}

void doctor_check_options(struct doctor *doctor)
{
    const struct doctor_conf *conf = &doctor->conf;
    doctor->instances = calloc(conf->plugin_count + 1, sizeof *doctor->instances);
    for (size_t i = 0; doctor->instances && i < conf->plugin_count; i++) {
        if (!conf->plugins[i].guard)
            continue;
        struct doctor_instance *instance = &doctor->instances[doctor->instance_count];
        instance->plugin = &conf->plugins[i];
        read_instance(doctor, instance);
        if (doctor->report.failed)
            return;
        doctor->instance_count++;
    }
    doctor->report.failed |= !doctor->instances;
}

/* ---- what they mean together ---- */

static void check_policy(struct doctor *doctor, const struct doctor_instance *instance)
{
    const struct guard_options *o = &instance->options;
    struct ctl_policy policy;
    if (!o->policy_file[0] && !o->acl_file[0] && !o->redis_url[0])
        doctor_add(&doctor->report, DOCTOR_POLICY_MISSING, instance->plugin->place,
                   "it has no policy; the broker would not start");
    if (!o->policy_file[0])
        return;
    if (!ctl_policy_load(&policy, o->policy_file) && !policy.unreadable) {
        const struct guard_error *first = &policy.problems.items[0].error;
        for (size_t i = policy.problems.count; i-- > 0;)
            if (policy.problems.items[i].severity == GUARD_PROBLEM_ERROR)
                first = &policy.problems.items[i].error;
        doctor_add(&doctor->report, DOCTOR_POLICY_WRONG, instance->plugin->place, "%s:%u: %s", o->policy_file,
                   first->line, first->text);
    }
    ctl_policy_free(&policy);
}

static void check_audit(struct doctor *doctor, size_t number)
{
    const struct doctor_instance *instance = &doctor->instances[number];
    const struct guard_options *o = &instance->options;
    if (!o->audit_dir[0]) {
        doctor_add(&doctor->report, DOCTOR_AUDIT_OFF, instance->plugin->place, "nothing is written down");
        return;
    }
    if (!o->audit_signing_key_file[0])
        doctor_add(&doctor->report, DOCTOR_AUDIT_UNSIGNED, instance->plugin->place,
                   "who can write to %s can also write another trail", o->audit_dir);
    for (size_t i = 0; i < number; i++)
        if (strcmp(doctor->instances[i].options.audit_dir, o->audit_dir) == 0)
            doctor_add(&doctor->report, DOCTOR_AUDIT_SHARED, instance->plugin->place, "%s is that of line %u of %s too",
                       o->audit_dir, doctor->instances[i].plugin->place.line, doctor->instances[i].plugin->place.file);
}

static void check_tokens(struct doctor *doctor, const struct doctor_instance *instance)
{
    const struct guard_options *o = &instance->options;
    struct doctor_place place = instance->plugin->place;
    const char *missing = o->jwt_issuer[0] && o->jwt_audience[0] ? NULL
                          : o->jwt_issuer[0]                     ? "jwt_audience is"
                          : o->jwt_audience[0]                   ? "jwt_issuer is"
                                                                 : "jwt_issuer and jwt_audience are";
    if (o->jwt_jwks_file[0] && missing)
        doctor_add(&doctor->report, DOCTOR_TOKEN_UNBOUND, place,
                   "%s not set: tokens made for something else are good here", missing);
    if (o->jwt_in_username)
        doctor_add(&doctor->report, DOCTOR_TOKEN_LOGGED, place, "whoever reads the log can use the tokens in it");
}

static void check_loosened(struct doctor *doctor, const struct doctor_instance *instance)
{
    const struct guard_options *o = &instance->options;
    struct doctor_place place = instance->plugin->place;
    if (o->client_takeover == GUARD_TAKEOVER_ANY)
        doctor_add(&doctor->report, DOCTOR_TAKEOVER_ANY, place, "a client id belongs to nobody");
    if (o->identity_check == GUARD_IDENTITY_LOG)
        doctor_add(&doctor->report, DOCTOR_IDENTITY_LOGGED, place,
                   "a name such as `+` widens the rules that have it in a topic; it is only logged");
    if (!o->auth_throttle)
        doctor_add(&doctor->report, DOCTOR_THROTTLE_OFF, place, "nobody is ever slowed down or blocked");
    if (o->redis_url[0] && !o->snapshot_file[0])
        doctor_add(&doctor->report, DOCTOR_SNAPSHOT_MISSING, place, "the policy is nowhere but in Redis");
}

static void check_beside(struct doctor *doctor, const struct doctor_instance *instance)
{
    static const char *const files[] = {"password_file", "acl_file"};
    const struct doctor_conf *conf = &doctor->conf;
    const struct doctor_plugin *guard = instance->plugin;
    bool coexists = instance->options.mode == GUARD_MODE_COEXIST;
    for (size_t i = 0; i < conf->plugin_count; i++) {
        const struct doctor_plugin *other = &conf->plugins[i];
        if (other->guard || other < guard || !doctor_serves(conf, other, guard->listener) || coexists)
            continue;
        doctor_add(&doctor->report, DOCTOR_PLUGIN_BESIDE, other->place,
                   "in `mode strict` nobody is left for it to decide about");
    }
    for (size_t i = 0; i < sizeof files / sizeof *files && !coexists; i++) {
        const struct doctor_setting *found =
            doctor_find(conf, conf->per_listener ? guard->listener : DOCTOR_ANY, files[i]);
        if (found)
            doctor_add(&doctor->report, DOCTOR_FILES_BESIDE, found->place,
                       "%s is never asked: Mosquitto Guard answers before it, and is strict", files[i]);
    }
}

/* 2.1.0 to 2.1.2: of a list of plugins that all pass, the last one's way of passing counts, and "ignore" allows. */
static void check_chain(struct doctor *doctor, const struct doctor_instance *instance)
{
    const struct doctor_conf *conf = &doctor->conf;
    unsigned version = doctor->broker.version;
    if (instance->options.mode != GUARD_MODE_COEXIST || version < DOCTOR_VERSION(2, 1, 0) ||
        version > DOCTOR_VERSION(2, 1, 2))
        return;
    for (size_t i = 0; i < conf->plugin_count; i++) {
        const struct doctor_plugin *other = &conf->plugins[i];
        bool has_file = false;
        for (size_t k = 0; k < other->option_count; k++)
            has_file |= strcmp(conf->settings[other->options[k]].name, "plugin_opt_acl_file") == 0;
        if (strstr(other->path, "mosquitto_acl_file.so") && !has_file)
            doctor_add(&doctor->report, DOCTOR_CHAIN_OPEN, other->place,
                       "without an acl_file it ignores every question, which this broker takes for a yes");
    }
}

void doctor_check_settings(struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->instance_count; i++) {
        const struct doctor_instance *instance = &doctor->instances[i];
        check_policy(doctor, instance);
        check_audit(doctor, i);
        check_tokens(doctor, instance);
        check_loosened(doctor, instance);
        check_beside(doctor, instance);
        check_chain(doctor, instance);
    }
}
