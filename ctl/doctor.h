/* guardctl doctor: what the pieces share. Reading in doctor_conf.c, checks in the others, each adding findings to the
 * report. */
#ifndef GUARD_CTL_DOCTOR_H
#define GUARD_CTL_DOCTOR_H

#include "core/error.h"
#include "core/options.h"
#include "ctl/doctor_kinds.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* ---- findings ---- */

enum doctor_severity { DOCTOR_ERROR, DOCTOR_WARNING, DOCTOR_NOTE };

#define DOCTOR_ID(name, id, severity, finds, advice) DOCTOR_##name,
enum doctor_id { DOCTOR_KINDS(DOCTOR_ID) DOCTOR_KIND_COUNT };
#undef DOCTOR_ID

struct doctor_kind {
    const char *id;
    enum doctor_severity severity;
    const char *finds, *advice;
};
extern const struct doctor_kind doctor_kinds[DOCTOR_KIND_COUNT];

struct doctor_place {
    const char *file; /* lives as long as the configuration */
    unsigned line;    /* 0: the file as a whole */
};

struct doctor_finding {
    const struct doctor_kind *kind;
    struct doctor_place place;
    char *why;
};

struct doctor_report {
    struct doctor_finding *items;
    size_t count;
    size_t of[DOCTOR_NOTE + 1]; /* by severity */
    bool failed;                /* out of memory: the report is not complete */
};

/* Adds a finding; what it says of this case follows as a format. */
void doctor_add(struct doctor_report *report, enum doctor_id id, struct doctor_place place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void doctor_report_free(struct doctor_report *report);

/* ---- mosquitto.conf ---- */

#define DOCTOR_GLOBAL 0 /* the listener that settings before any `listener` line belong to */

struct doctor_setting {
    const char *name, *value; /* value as the broker takes it: with the blanks at its end */
    struct doctor_place place;
    size_t listener;
};

struct doctor_listener {
    struct doctor_place place;
    unsigned port;
    const char *address; /* "" = all */
};

struct doctor_plugin {
    const char *path, *name; /* name: of plugin_load, else NULL */
    struct doctor_place place;
    size_t setting; /* its line among the settings */
    size_t listener;
    bool guard;      /* it is Mosquitto Guard */
    bool global;     /* by global_plugin */
    bool used;       /* named by a plugin_use */
    size_t *options; /* indices into settings */
    size_t option_count;
};

/* Zero-initialise; doctor_conf_free releases it. */
struct doctor_conf {
    char **texts; /* the files' contents and names, which everything points into */
    size_t text_count, file_count;
    struct doctor_setting *settings;
    size_t setting_count;
    struct doctor_listener *listeners; /* [DOCTOR_GLOBAL] is always there */
    size_t listener_count;
    struct doctor_plugin *plugins;
    size_t plugin_count;
    struct doctor_place *strays; /* plugin_opt_ lines that follow no plugin line in their file */
    size_t stray_count;
    bool per_listener;
};

/*
 * Reads the file and what its include_dir names, as the broker does: each file begins without a listener and without a
 * plugin. GUARD_OK, or an error with its place.
 */
int doctor_conf_read(const char *path, struct doctor_conf *conf, struct guard_error *err);
void doctor_conf_free(struct doctor_conf *conf);

#define DOCTOR_ANY ((size_t)-1)
/* The last setting of that name for a listener (DOCTOR_ANY: whichever), or NULL. */
const struct doctor_setting *doctor_find(const struct doctor_conf *conf, size_t listener, const char *name);
/* The same, and it is "true". */
const struct doctor_setting *doctor_find_true(const struct doctor_conf *conf, size_t listener, const char *name);
/* Whether a listener is there: [DOCTOR_GLOBAL] only if something makes it one. */
bool doctor_listens(const struct doctor_conf *conf, size_t listener);
/* Whether only this machine reaches it. */
bool doctor_is_local(const struct doctor_listener *listener);
bool doctor_has_tls(const struct doctor_conf *conf, size_t listener);
/* The name behind plugin_opt_ or auth_opt_. */
const char *doctor_option_name(const struct doctor_setting *setting);
/* Whether a plugin is asked about the clients of a listener. */
bool doctor_serves(const struct doctor_conf *conf, const struct doctor_plugin *plugin, size_t listener);

/* ---- the broker and its user ---- */

struct doctor_broker {
    unsigned version; /* 2 * 1000000 + 0 * 1000 + 11; 0 = not known */
    bool patched;     /* a package that carries later corrections */
    char text[64];    /* as it is shown */
};
#define DOCTOR_VERSION(major, minor, patch) ((major)*1000000U + (minor)*1000U + (patch))

/* From text ("2.0.11-1.2+deb12u2"), or, with NULL, from the installed broker. */
void doctor_broker_find(const char *text, struct doctor_broker *broker);

/* One Mosquitto Guard in the configuration, with its options. */
struct doctor_instance {
    const struct doctor_plugin *plugin;
    struct guard_options options; /* what could be read */
};

struct doctor {
    struct doctor_conf conf;
    struct doctor_broker broker;
    struct doctor_report report;
    struct doctor_instance *instances;
    size_t instance_count;
    const char *user; /* whom the broker runs as */
    bool as_broker;   /* this process has that user's rights */
    bool offline;     /* no connection is to be tried */
};

/* Takes the rights of the broker's user, if there is one and root runs this; says what cannot be looked at. */
void doctor_become_broker(struct doctor *doctor);

/* ---- checks, in this order ---- */
void doctor_check_plugins(struct doctor *doctor);  /* which, where, in which order */
void doctor_check_options(struct doctor *doctor);  /* fills instances */
void doctor_check_settings(struct doctor *doctor); /* what the options mean together */
void doctor_check_listeners(struct doctor *doctor);
void doctor_check_broker(struct doctor *doctor); /* its other settings, and its version */
void doctor_check_files(struct doctor *doctor);
void doctor_check_certificates(struct doctor *doctor);
void doctor_check_redis(struct doctor *doctor);

#endif
