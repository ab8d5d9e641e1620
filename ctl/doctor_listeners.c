/* guardctl doctor: the listeners: who reaches them, with what, and whether Mosquitto Guard is asked. */
#include "ctl/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a finding about a listener is shown. */
static struct doctor_place place_of(const struct doctor *doctor, size_t listener)
{
    return doctor->conf.listeners[listener].place;
}

static unsigned port_of(const struct doctor_conf *conf, size_t listener)
{
    const struct doctor_setting *port = doctor_find(conf, listener, "port");
    return conf->listeners[listener].port ? conf->listeners[listener].port : port ? (unsigned)atoi(port->value) : 1883;
}

static bool is_http(const struct doctor_conf *conf, size_t listener)
{
    const struct doctor_setting *protocol = doctor_find(conf, listener, "protocol");
    return protocol && strcmp(protocol->value, "http_api") == 0;
}

static bool is_guarded(const struct doctor_conf *conf, size_t listener)
{
    for (size_t i = 0; i < conf->plugin_count; i++)
        if (conf->plugins[i].guard && doctor_serves(conf, &conf->plugins[i], listener))
            return true;
    return false;
}

/* Whether some client gives something away here: all methods but the certificate alone. */
static bool takes_secrets(const struct doctor *doctor, size_t listener)
{
    for (size_t i = 0; i < doctor->instance_count; i++)
        if (doctor_serves(&doctor->conf, doctor->instances[i].plugin, listener) &&
            (strstr(doctor->instances[i].options.auth_methods, "token") ||
             strstr(doctor->instances[i].options.auth_methods, "password")))
            return true;
    return doctor->instance_count == 0;
}

static void check_tls(struct doctor *doctor, size_t listener)
{
    const struct doctor_conf *conf = &doctor->conf;
    const struct doctor_listener *where = &conf->listeners[listener];
    const struct doctor_setting *bind = doctor_find(conf, listener, "bind_address"),
                                *version = doctor_find(conf, listener, "tls_version");
    struct doctor_listener bound = *where;
    if (bind && !bound.address[0])
        bound.address = bind->value;
    if (!doctor_has_tls(conf, listener) && !doctor_is_local(&bound) && takes_secrets(doctor, listener))
        doctor_add(&doctor->report, DOCTOR_TLS_MISSING, place_of(doctor, listener),
                   "port %u is open to the network without TLS: whoever listens there reads passwords and tokens",
                   port_of(conf, listener));
    if (version && (strcmp(version->value, "tlsv1") == 0 || strcmp(version->value, "tlsv1.1") == 0))
        doctor_add(&doctor->report, DOCTOR_TLS_OLD, version->place, "%s is broken", version->value);
}

static void check_names(struct doctor *doctor, size_t listener)
{
    static const char *const names[] = {"use_identity_as_username", "use_subject_as_username"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct doctor_setting *found = doctor_find_true(&doctor->conf, listener, names[i]);
        if (found && doctor_has_tls(&doctor->conf, listener))
            doctor_add(
                &doctor->report, DOCTOR_IDENTITY_BYPASS, found->place,
                "the broker lets these clients in without asking the plugin: no revocation, no end of the session "
                "with the certificate, no binding, and on 2.0 no line in the trail");
    }
}

static void check_addresses(struct doctor *doctor, size_t listener)
{
    const struct doctor_conf *conf = &doctor->conf;
    const struct doctor_setting *protocol = doctor_find(conf, listener, "protocol"),
                                *proxy = doctor_find(conf, listener, "enable_proxy_protocol"),
                                *mount = doctor_find(conf, listener, "mount_point");
    unsigned version = doctor->broker.version;
    if (protocol && strcmp(protocol->value, "websockets") == 0 && version >= DOCTOR_VERSION(2, 0, 15) &&
        version <= DOCTOR_VERSION(2, 0, 22))
        doctor_add(&doctor->report, DOCTOR_WEBSOCKET_ADDRESS, protocol->place,
                   "this broker believes X-Forwarded-For, whoever sends it");
    if (proxy && !doctor_is_local(&conf->listeners[listener]))
        doctor_add(&doctor->report, DOCTOR_PROXY_PROTOCOL, proxy->place,
                   "who reaches port %u directly can name any address", port_of(conf, listener));
    if (mount)
        doctor_add(&doctor->report, DOCTOR_MOUNT_POINT, mount->place, "rules see '%s' in front of each topic",
                   mount->value);
}

static void check_guarded(struct doctor *doctor, size_t listener)
{
    if (doctor->instance_count && !is_guarded(&doctor->conf, listener))
        doctor_add(&doctor->report, DOCTOR_LISTENER_UNGUARDED, place_of(doctor, listener),
                   "on port %u only allow_anonymous and the broker's own files decide, and nothing is written down",
                   port_of(&doctor->conf, listener));
}

static void check_anonymous(struct doctor *doctor)
{
    const struct doctor_setting *found = doctor_find_true(&doctor->conf, DOCTOR_ANY, "allow_anonymous");
    const char *why = "the plugin decides all the same, but a broker that is started without it is open";
    for (size_t i = 0; i < doctor->instance_count; i++) {
        if (doctor->instances[i].options.mode == GUARD_MODE_COEXIST)
            why = "in `mode coexist` clients without a name get in where no other plugin refuses them; on 2.1 with any "
                  "password";
        else if (doctor->instances[i].options.acl_file[0])
            why = "with the option acl_file it counts: clients without a name get in";
    }
    if (found)
        doctor_add(&doctor->report, DOCTOR_ANONYMOUS, found->place, "%s", why);
}

static void check_certificates(struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->instance_count; i++) {
        const char *methods = doctor->instances[i].options.auth_methods;
        bool must = strcmp(methods, "certificate") == 0 || strstr(methods, "certificate+"), asked = false;
        for (size_t k = 0; k < doctor->conf.listener_count; k++)
            asked |= doctor_serves(&doctor->conf, doctor->instances[i].plugin, k) &&
                     doctor_find_true(&doctor->conf, k, "require_certificate");
        if (must && !asked)
            doctor_add(&doctor->report, DOCTOR_CERTIFICATE_NOT_ASKED, doctor->instances[i].plugin->place,
                       "auth_methods %s: the broker shows a certificate only where it had to ask for it", methods);
    }
}

static bool names_port(const char *list, unsigned port)
{
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
        if (strtoul(at, NULL, 10) == port)
            return true;
    return strcmp(list, "all") == 0;
}

static void check_tls_ports(struct doctor *doctor, const struct doctor_instance *instance)
{
    const struct guard_options *o = &instance->options;
    const struct doctor_conf *conf = &doctor->conf;
    if (!o->require_tls)
        return;
    if (!o->tls_ports[0])
        doctor_add(&doctor->report, DOCTOR_TLS_PORTS, instance->plugin->place,
                   "tls_ports names none: all passwords and tokens are refused");
    else if (doctor->broker.version && doctor->broker.version < DOCTOR_VERSION(2, 1, 0) &&
             strcmp(o->tls_ports, "all") != 0)
        doctor_add(
            &doctor->report, DOCTOR_TLS_PORTS, instance->plugin->place,
            "Mosquitto 2.0 does not tell ports: all passwords and tokens are refused (tls_ports all, below each TLS "
            "listener)");
    for (size_t i = 0; i < conf->listener_count; i++)
        if (doctor_listens(conf, i) && doctor_serves(conf, instance->plugin, i) && !doctor_has_tls(conf, i) &&
            names_port(o->tls_ports, port_of(conf, i)))
            doctor_add(&doctor->report, DOCTOR_TLS_PORTS, place_of(doctor, i), "tls_ports %s: port %u has no TLS",
                       o->tls_ports, port_of(conf, i));
}

static void check_http(struct doctor *doctor)
{
    const struct doctor_conf *conf = &doctor->conf;
    bool listens = false;
    for (size_t i = 0; i < conf->listener_count; i++) {
        listens |= doctor_listens(conf, i);
        if (is_http(conf, i))
            doctor_add(&doctor->report, DOCTOR_HTTP_API, place_of(doctor, i),
                       "port %u answers whom the policy lets `receive` /api/…", port_of(conf, i));
    }
    if (!listens && doctor->broker.version >= DOCTOR_VERSION(2, 1, 0))
        doctor_add(&doctor->report, DOCTOR_HTTP_API, place_of(doctor, DOCTOR_GLOBAL),
                   "without a listener this broker also opens 127.0.0.1:9883");
}

void doctor_check_listeners(struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->conf.listener_count; i++) {
        if (!doctor_listens(&doctor->conf, i))
            continue;
        check_tls(doctor, i);
        check_names(doctor, i);
        check_addresses(doctor, i);
        check_guarded(doctor, i);
    }
    check_anonymous(doctor);
    check_certificates(doctor);
    check_http(doctor);
    for (size_t i = 0; i < doctor->instance_count; i++)
        check_tls_ports(doctor, &doctor->instances[i]);
}
