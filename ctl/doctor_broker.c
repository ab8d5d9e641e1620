/* guardctl doctor: the broker's version and user, and its settings that do not belong to a listener. */
#include "ctl/doctor.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- version ---- */

static void read_version(struct doctor_broker *broker)
{
    unsigned major, minor, patch, update;
    if (sscanf(broker->text, "%u.%u.%u", &major, &minor, &patch) == 3)
        broker->version = DOCTOR_VERSION(major, minor, patch);
    /* Debian 12's package is 2.0.11 with the corrections of 2.0.12 to 2.0.20 that matter */
    broker->patched = sscanf(broker->text, "2.0.11-1.2+deb12u%u", &update) == 1 && update >= 2;
}

/* The first line a command prints, with prefix cut off; "" if it begins with something else. */
static void first_line(const char *command, const char *prefix, char *line, size_t size)
{
    char whole[128] = "";
    const char *rest = whole + strlen(prefix);
    FILE *pipe = popen(command, "re");
    line[0] = '\0';
    if (!pipe)
        return;
    if (fgets(whole, sizeof whole, pipe) && strncmp(whole, prefix, strlen(prefix)) == 0)
        snprintf(line, size, "%.*s", (int)strcspn(rest, "\n"), rest);
    pclose(pipe);
}

void doctor_broker_find(const char *text, struct doctor_broker *broker)
{
    char package[sizeof broker->text];
    *broker = (struct doctor_broker){0};
    if (text) {
        snprintf(broker->text, sizeof broker->text, "%s", text);
    } else {
        first_line("PATH=$PATH:/usr/sbin:/usr/local/sbin mosquitto -h 2>/dev/null", "mosquitto version ", broker->text,
                   sizeof broker->text);
        /* the package's version also tells corrections that Debian has brought back */
        first_line("dpkg-query -W -f '${Version}\\n' mosquitto 2>/dev/null", "", package, sizeof package);
        if (strncmp(package, broker->text, strlen(broker->text)) == 0)
            snprintf(broker->text, sizeof broker->text, "%s", package);
    }
    read_version(broker);
}

static void check_version(struct doctor *doctor)
{
    static const struct {
        unsigned fixed_in;
        const char *names;
    } holes[] = {
        {DOCTOR_VERSION(2, 0, 12), "CVE-2021-34434, CVE-2021-41039"},
        {DOCTOR_VERSION(2, 0, 16), "CVE-2023-0809, CVE-2023-3592, CVE-2023-28366"},
        {DOCTOR_VERSION(2, 0, 19), "CVE-2024-3935, CVE-2024-8376, CVE-2024-10525"},
    };
    struct doctor_place place = doctor->conf.listeners[DOCTOR_GLOBAL].place;
    unsigned version = doctor->broker.version;
    if (!version) {
        doctor_add(&doctor->report, DOCTOR_BROKER_UNKNOWN, place, "what depends on it was not looked at");
        return;
    }
    if (version < DOCTOR_VERSION(2, 0, 11)) {
        doctor_add(&doctor->report, DOCTOR_BROKER_TOO_OLD, place, "Mosquitto %s", doctor->broker.text);
        return;
    }
    for (size_t i = 0; i < sizeof holes / sizeof *holes && !doctor->broker.patched; i++)
        if (version < holes[i].fixed_in)
            doctor_add(&doctor->report, DOCTOR_BROKER_HOLES, place, "Mosquitto %s: %s, mended in 2.0.%u",
                       doctor->broker.text, holes[i].names, holes[i].fixed_in % 1000);
}

/* ---- the user ---- */

static void look_up(struct doctor *doctor, const struct doctor_setting *named)
{
    struct doctor_place place = named ? named->place : doctor->conf.listeners[DOCTOR_GLOBAL].place;
    const struct passwd *user = getpwnam(doctor->user);
    if (user && user->pw_uid == 0) {
        doctor_add(&doctor->report, DOCTOR_USER_ROOT, place, "an error in the broker or a plugin is an error as root");
    } else if (!user) {
        doctor_add(&doctor->report, DOCTOR_USER_UNKNOWN, place,
                   "there is no user '%s'; which files it may read was not looked at", doctor->user);
        return;
    }
    if (geteuid() == user->pw_uid) {
        doctor->as_broker = true;
    } else if (geteuid() == 0) {
        doctor->as_broker =
            initgroups(doctor->user, user->pw_gid) == 0 && setgid(user->pw_gid) == 0 && setuid(user->pw_uid) == 0;
    } else {
        doctor_add(&doctor->report, DOCTOR_NOT_AS_BROKER, place, "the broker runs as '%s'", doctor->user);
    }
}

void doctor_become_broker(struct doctor *doctor)
{
    const struct doctor_setting *named = doctor_find(&doctor->conf, DOCTOR_ANY, "user");
    doctor->user = named && named->value[0] ? named->value : "mosquitto";
    look_up(doctor, named);
}

/* ---- settings ---- */

static void check_log(struct doctor *doctor)
{
    static const char *const kinds[] = {"none", "error", "warning", "notice", "all"};
    const struct doctor_conf *conf = &doctor->conf;
    const struct doctor_setting *destination = NULL, *first = NULL;
    bool given[5] = {false};
    for (size_t i = 0; i < conf->setting_count; i++) {
        const struct doctor_setting *setting = &conf->settings[i];
        if (strcmp(setting->name, "log_dest") == 0 && strcmp(setting->value, "none") == 0)
            destination = setting;
        if (strcmp(setting->name, "log_type") != 0)
            continue;
        first = first ? first : setting;
        for (size_t k = 0; k < 5; k++)
            given[k] |= strcmp(setting->value, kinds[k]) == 0;
    }
    if (destination)
        doctor_add(&doctor->report, DOCTOR_LOG_OFF, destination->place, "the broker writes no log");
    else if (first && !given[4] && (given[0] || !given[1] || !given[3]))
        doctor_add(&doctor->report, DOCTOR_LOG_OFF, first->place, "log_type leaves out errors or notices");
}

static void check_sessions(struct doctor *doctor)
{
    const struct doctor_conf *conf = &doctor->conf;
    const struct doctor_setting *queue = doctor_find(conf, DOCTOR_ANY, "max_queued_messages"),
                                *persistence = doctor_find_true(conf, DOCTOR_ANY, "persistence");
    if (queue && strcmp(queue->value, "0") == 0)
        doctor_add(&doctor->report, DOCTOR_QUEUE_UNLIMITED, queue->place, "max_queued_messages 0 means no limit");
    if (!persistence)
        return;
    if (!doctor_find(conf, DOCTOR_ANY, "persistence_location") && !doctor_find(conf, DOCTOR_ANY, "persistence_file"))
        doctor_add(&doctor->report, DOCTOR_PERSISTENCE_PLACE, persistence->place,
                   "mosquitto.db goes to the folder the broker was started in, which under systemd is /");
    if (!doctor_find(conf, DOCTOR_ANY, "persistent_client_expiration"))
        doctor_add(&doctor->report, DOCTOR_SESSIONS_FOREVER, persistence->place,
                   "a session of an MQTT 3.1.1 client has no end of its own, nor has its queue");
    if (!doctor_find_true(conf, DOCTOR_ANY, "check_retain_source"))
        doctor_add(&doctor->report, DOCTOR_RETAINED_UNCHECKED, persistence->place,
                   "what a client retained is delivered after it was shut out, too");
    if (doctor->broker.version && doctor->broker.version <= DOCTOR_VERSION(2, 0, 11))
        doctor_add(&doctor->report, DOCTOR_PERSISTENCE_NAMES, persistence->place,
                   "after a restart this broker gives a session without user name that of the session before it");
}

/* 2.1 takes these only below a listener then. */
static void check_listener_needed(struct doctor *doctor)
{
    static const char *const names[] = {
        "allow_anonymous", "password_file", "acl_file",       "psk_file",
        "plugin",          "auth_plugin",   "auto_id_prefix", "allow_zero_length_clientid"};
    const struct doctor_conf *conf = &doctor->conf;
    for (size_t i = 0; i < conf->setting_count; i++)
        for (size_t k = 0; conf->settings[i].listener == DOCTOR_GLOBAL && k < sizeof names / sizeof *names; k++)
            if (strcmp(conf->settings[i].name, names[k]) == 0)
                doctor_add(&doctor->report, DOCTOR_LISTENER_NEEDED, conf->settings[i].place,
                           "%s: Mosquitto %s would not start", names[k], doctor->broker.text);
}

static void check_per_listener(struct doctor *doctor)
{
    const struct doctor_setting *found = doctor_find_true(&doctor->conf, DOCTOR_ANY, "per_listener_settings");
    unsigned version = doctor->broker.version;
    if (!found || !version)
        return;
    if (version >= DOCTOR_VERSION(2, 1, 0)) {
        doctor_add(&doctor->report, DOCTOR_PER_LISTENER_OLD, found->place, "a later version will not know it");
        check_listener_needed(doctor);
    } else if (version <= DOCTOR_VERSION(2, 0, 11)) {
        doctor_add(&doctor->report, DOCTOR_PER_LISTENER_TICK, found->place,
                   "this broker never calls a plugin's clock then");
    } else if (version <= DOCTOR_VERSION(2, 0, 22)) {
        doctor_add(&doctor->report, DOCTOR_PER_LISTENER_QUEUE, found->place,
                   "this broker forgets the listener of a client that is away, and refuses it everything");
    }
}

/* 2.0 ends with "Unknown configuration variable". */
static void check_newer(struct doctor *doctor)
{
    static const char *const newer[] = {"plugin_load", "plugin_use", "global_plugin", "enable_proxy_protocol",
                                        "enable_control_api"};
    const struct doctor_conf *conf = &doctor->conf;
    for (size_t i = 0; i < conf->setting_count && doctor->broker.version < DOCTOR_VERSION(2, 1, 0); i++)
        for (size_t k = 0; doctor->broker.version && k < sizeof newer / sizeof *newer; k++)
            if (strcmp(conf->settings[i].name, newer[k]) == 0)
                doctor_add(&doctor->report, DOCTOR_BROKER_SETTING, conf->settings[i].place,
                           "Mosquitto %s does not know %s, and would not start", doctor->broker.text, newer[k]);
}

static void check_rest(struct doctor *doctor)
{
    const struct doctor_conf *conf = &doctor->conf;
    const struct doctor_setting *bridge = doctor_find(conf, DOCTOR_ANY, "connection"),
                                *special = doctor_find(conf, DOCTOR_ANY, "auth_plugin_deny_special_chars");
    if (bridge)
        doctor_add(&doctor->report, DOCTOR_BRIDGE, bridge->place,
                   "bridge %s: the broker asks no plugin about what it brings or takes", bridge->value);
    if (special)
        doctor_add(&doctor->report, DOCTOR_DENY_SPECIAL, special->place, "it is for plugins of older kinds");
    for (size_t i = 0; i < conf->setting_count; i++) {
        const struct doctor_setting *setting = &conf->settings[i];
        if (doctor->broker.version >= DOCTOR_VERSION(2, 1, 0) &&
            (strcmp(setting->name, "password_file") == 0 || strcmp(setting->name, "acl_file") == 0))
            doctor_add(&doctor->report, DOCTOR_RELOAD_ENDS, setting->place, "%s is read again at SIGHUP",
                       setting->value);
    }
}

void doctor_check_broker(struct doctor *doctor)
{
    check_version(doctor);
    check_log(doctor);
    check_sessions(doctor);
    check_per_listener(doctor);
    check_newer(doctor);
    check_rest(doctor);
}
