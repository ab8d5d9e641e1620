/* guardctl doctor: whether the broker's user may read what it must, and others may not; and whether Redis answers. */
#include "ctl/doctor.h"

#include "core/file.h"
#include "store/home.h"
#include "store/redis_url.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum need { PUBLIC, SECRET };

/* Looked at with the rights of the broker's user. guarded: the plugin refuses what others may write. */
static void check_file(struct doctor *doctor, struct doctor_place place, const char *path, enum need need, bool guarded)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        bool hidden = errno == EACCES;
        if (!hidden || doctor->as_broker)
            doctor_add(&doctor->report, hidden ? DOCTOR_FILE_UNREADABLE : DOCTOR_FILE_MISSING, place, "%s: %s", path,
                       hidden ? "a folder above it is closed to the broker's user" : strerror(errno));
        return;
    }
    if (doctor->as_broker && access(path, R_OK) != 0)
        doctor_add(&doctor->report, DOCTOR_FILE_UNREADABLE, place, "%s: user '%s' may not read it (mode %04o)", path,
                   doctor->user, (unsigned)st.st_mode & 07777);
    if (S_ISDIR(st.st_mode))
        return;
    if (need == SECRET && st.st_mode & S_IROTH)
        doctor_add(&doctor->report, DOCTOR_SECRET_OPEN, place, "%s: mode %04o", path, (unsigned)st.st_mode & 07777);
    if (st.st_mode & S_IWOTH || (guarded && doctor->as_broker && st.st_uid != 0 && st.st_uid != geteuid()))
        doctor_add(&doctor->report, DOCTOR_FILE_UNSAFE, place, "%s: owner %u, mode %04o%s", path, (unsigned)st.st_uid,
                   (unsigned)st.st_mode & 07777, guarded ? "; the plugin refuses it" : "");
}

/* ---- files that options name ---- */

static const struct {
    const char *name;
    size_t offset;
    enum need need;
} option_files[] = {
#define FILE_OPTION(name, need)                           \
    {                                                     \
#name, offsetof(struct guard_options, name), need \
    }
    FILE_OPTION(config, PUBLIC),
    FILE_OPTION(policy_file, PUBLIC),
    FILE_OPTION(acl_file, PUBLIC),
    FILE_OPTION(password_file, PUBLIC),
    FILE_OPTION(jwt_jwks_file, PUBLIC),
    FILE_OPTION(jwt_issuers_file, PUBLIC),
    FILE_OPTION(audit_signing_key_file, SECRET),
    FILE_OPTION(audit_privacy_key_file, SECRET),
    FILE_OPTION(audit_syslog_ca, PUBLIC),
    FILE_OPTION(audit_syslog_cert, PUBLIC),
    FILE_OPTION(audit_syslog_key, SECRET),
    FILE_OPTION(audit_detect_country_file, PUBLIC),
    FILE_OPTION(redis_password_file, SECRET),
    FILE_OPTION(redis_tls_ca, PUBLIC),
    FILE_OPTION(redis_tls_cert, PUBLIC),
    FILE_OPTION(redis_tls_key, SECRET),
#undef FILE_OPTION
};

/* The line that names the file, or the plugin's if it stands in the options file. */
static struct doctor_place place_of(const struct doctor *doctor, const struct doctor_instance *instance,
                                    const char *name)
{
    const struct doctor_plugin *plugin = instance->plugin;
    for (size_t i = 0; i < plugin->option_count; i++) {
        const struct doctor_setting *setting = &doctor->conf.settings[plugin->options[i]];
        if (strcmp(doctor_option_name(setting), name) == 0)
            return setting->place;
    }
    return plugin->place;
}

static void check_option_files(struct doctor *doctor, const struct doctor_instance *instance)
{
    for (size_t i = 0; i < sizeof option_files / sizeof *option_files; i++) {
        const char *path = *(char *const *)((const char *)&instance->options + option_files[i].offset);
        if (path[0])
            check_file(doctor, place_of(doctor, instance, option_files[i].name), path, option_files[i].need, true);
    }
}

/* The options file when it could not be read: then it is in no instance's options. */
static void check_unread_config(struct doctor *doctor, const struct doctor_instance *instance)
{
    const struct doctor_plugin *plugin = instance->plugin;
    for (size_t i = 0; i < plugin->option_count && !instance->options.config[0]; i++) {
        const struct doctor_setting *setting = &doctor->conf.settings[plugin->options[i]];
        if (strcmp(doctor_option_name(setting), "config") == 0)
            check_file(doctor, setting->place, setting->value, PUBLIC, true);
    }
}

/* Whether the broker's user may make files in the folder that path stands in. */
static bool may_make(const char *path)
{
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash)
        *slash = '\0';
    return access(slash ? slash == parent ? "/" : parent : ".", W_OK | X_OK) == 0;
}

static void check_audit_folder(struct doctor *doctor, const struct doctor_instance *instance)
{
    const char *path = instance->options.audit_dir;
    struct doctor_place place = place_of(doctor, instance, "audit_dir");
    struct stat st;
    if (!path[0])
        return;
    if (stat(path, &st) == 0) {
        if (!S_ISDIR(st.st_mode) || (doctor->as_broker && access(path, W_OK | X_OK) != 0))
            doctor_add(&doctor->report, DOCTOR_AUDIT_FOLDER, place, "%s: user '%s' may not write there (mode %04o)",
                       path, doctor->user, (unsigned)st.st_mode & 07777);
        else if (st.st_mode & S_IRWXO)
            doctor_add(&doctor->report, DOCTOR_AUDIT_OPEN, place, "%s: mode %04o", path, (unsigned)st.st_mode & 07777);
    } else if (doctor->as_broker && !may_make(path)) { /* else the plugin makes it */
        doctor_add(&doctor->report, DOCTOR_AUDIT_FOLDER, place, "%s is not there, and user '%s' may not make it", path,
                   doctor->user);
    }
}

/* Files that the plugin makes and replaces while it runs. */
static void check_made_files(struct doctor *doctor, const struct doctor_instance *instance)
{
    const struct {
        const char *name, *path;
    } made[] = {{"metrics_file", instance->options.metrics_file}, {"snapshot_file", instance->options.snapshot_file}};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        if (made[i].path[0] && doctor->as_broker && !may_make(made[i].path))
            doctor_add(&doctor->report, DOCTOR_FOLDER_CLOSED, place_of(doctor, instance, made[i].name),
                       "%s: user '%s' may not make files in its folder", made[i].path, doctor->user);
}

/* ---- files of the broker itself ---- */

static void check_broker_files(struct doctor *doctor)
{
    static const struct {
        const char *name;
        enum need need;
    } files[] = {{"certfile", PUBLIC}, {"keyfile", SECRET},     {"cafile", PUBLIC},        {"crlfile", PUBLIC},
                 {"psk_file", SECRET}, {"dhparamfile", PUBLIC}, {"password_file", PUBLIC}, {"acl_file", PUBLIC}};
    const struct doctor_conf *conf = &doctor->conf;
    for (size_t i = 0; i < conf->setting_count; i++)
        for (size_t k = 0; k < sizeof files / sizeof *files; k++)
            if (strcmp(conf->settings[i].name, files[k].name) == 0)
                check_file(doctor, conf->settings[i].place, conf->settings[i].value, files[k].need, false);
}

void doctor_check_files(struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->instance_count; i++) {
        check_option_files(doctor, &doctor->instances[i]);
        check_unread_config(doctor, &doctor->instances[i]);
        check_audit_folder(doctor, &doctor->instances[i]);
        check_made_files(doctor, &doctor->instances[i]);
    }
    check_broker_files(doctor);
}

/* ---- Redis ---- */

static bool is_this_machine(const char *host)
{
    return host[0] == '/' || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

static void check_redis(struct doctor *doctor, const struct doctor_instance *instance)
{
    const struct guard_options *o = &instance->options;
    struct doctor_place place = place_of(doctor, instance, "redis_url");
    struct guard_redis_url url;
    struct guard_error err;
    struct guard_home *home = NULL;
    if (guard_redis_url_parse(o->redis_url, &url, &err) != GUARD_OK) {
        doctor_add(&doctor->report, DOCTOR_OPTION_WRONG, place, "redis_url: %s", err.text);
        return;
    }
    for (size_t i = 0; i < url.host_count && !url.tls; i++)
        if (!is_this_machine(url.hosts[i].host)) {
            doctor_add(&doctor->report, DOCTOR_REDIS_PLAIN, place,
                       "whoever sits between can read the policy, and change it on the way");
            break;
        }
    struct guard_store_config config = {
        .url = o->redis_url,
        .username = o->redis_username,
        .password_file = o->redis_password_file,
        .tls_ca = o->redis_tls_ca,
        .tls_cert = o->redis_tls_cert,
        .tls_key = o->redis_tls_key,
        .prefix = o->redis_prefix,
        .connect_timeout_ms = (unsigned)o->redis_connect_timeout,
        .command_timeout_ms = (unsigned)o->redis_command_timeout,
    };
    if (!doctor->offline && guard_home_open(&config, &home, &err) != GUARD_OK)
        doctor_add(&doctor->report, DOCTOR_REDIS_UNREACHABLE, place, "%s", err.text);
    guard_home_close(&home);
}

void doctor_check_redis(struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->instance_count; i++)
        if (doctor->instances[i].options.redis_url[0])
            check_redis(doctor, &doctor->instances[i]);
}
