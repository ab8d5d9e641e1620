/* The three entry points of the broker's plugin API, version 5, and the registration of events. */
#include "plugin/access.h"
#include "plugin/basic_auth.h"
#include "plugin/broker.h"
#include "plugin/lifecycle.h"
#include "plugin/plugin.h"
#include "plugin/publish.h"

#include <stdlib.h>
#include <string.h>

#define EXPORT     __attribute__((visibility("default")))
#define PLUGIN_API 5

EXPORT int mosquitto_plugin_version(int supported_version_count, const int *supported_versions);
EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata, struct mosquitto_opt *options,
                                 int option_count);
EXPORT int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count);

static void write_log(void *context, enum guard_log_level level, const char *line)
{
    static const int levels[] = {MOSQ_LOG_DEBUG, MOSQ_LOG_INFO, MOSQ_LOG_NOTICE, MOSQ_LOG_WARNING, MOSQ_LOG_ERR};
    (void)context;
    mosquitto_log_printf(levels[level], "guard: %s", line);
}

struct callback {
    int event;
    int (*call)(int event, void *event_data, void *userdata);
};

static const struct callback always[] = {
    {MOSQ_EVT_RELOAD, guard_on_reload},           {MOSQ_EVT_BASIC_AUTH, guard_on_basic_auth},
    {MOSQ_EVT_EXT_AUTH_START, guard_on_ext_auth}, {MOSQ_EVT_TICK, guard_on_tick},
    {MOSQ_EVT_DISCONNECT, guard_on_disconnect},
};

static int add(struct guard_plugin *plugin, int event, int (*call)(int event, void *event_data, void *userdata))
{
    return mosquitto_callback_register(plugin->identifier, event, call, NULL, plugin);
}

static const struct callback *access_callback(void)
{
    static const struct callback of_2_0 = {MOSQ_EVT_ACL_CHECK, guard_on_acl_check};
    static const struct callback of_2_1 = {MOSQ_EVT_ACL_CHECK, guard_on_acl_check_from_any_thread};
    return guard_broker_is_2_1() ? &of_2_1 : &of_2_0;
}

/* Events that only newer brokers have are found by asking for them. */
static int register_events(struct guard_plugin *plugin, struct guard_error *err)
{
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (add(plugin, always[i].event, always[i].call) != MOSQ_ERR_SUCCESS)
            return guard_fail(err, GUARD_ERR_UNSUPPORTED, "the broker refused the registration of event %d",
                              always[i].event);
    if (add(plugin, MOSQ_EVT_ACL_CHECK, access_callback()->call) != MOSQ_ERR_SUCCESS)
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "the broker refused the registration of ACL_CHECK");
    if (plugin->audit_publishes && add(plugin, MOSQ_EVT_MESSAGE, guard_on_message) != MOSQ_ERR_SUCCESS)
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "the broker refused the registration of MESSAGE");
    plugin->connect_event = add(plugin, GUARD_MOSQ_EVT_CONNECT, guard_on_connect) == MOSQ_ERR_SUCCESS;
    add(plugin, GUARD_MOSQ_EVT_CLIENT_OFFLINE, guard_on_disconnect);
    return GUARD_OK;
}

/* 2.0 leaves registered callbacks in place until long after the code is unmapped. */
static void unregister_events(struct guard_plugin *plugin)
{
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        mosquitto_callback_unregister(plugin->identifier, always[i].event, always[i].call, NULL);
    mosquitto_callback_unregister(plugin->identifier, MOSQ_EVT_ACL_CHECK, access_callback()->call, NULL);
    if (plugin->audit_publishes)
        mosquitto_callback_unregister(plugin->identifier, MOSQ_EVT_MESSAGE, guard_on_message, NULL);
    if (plugin->connect_event) {
        mosquitto_callback_unregister(plugin->identifier, GUARD_MOSQ_EVT_CONNECT, guard_on_connect, NULL);
        mosquitto_callback_unregister(plugin->identifier, GUARD_MOSQ_EVT_CLIENT_OFFLINE, guard_on_disconnect, NULL);
    }
}

static struct guard_plugin *new_plugin(mosquitto_plugin_id_t *identifier, const struct mosquitto_opt *options,
                                       int count)
{
    struct guard_plugin *plugin = calloc(1, sizeof *plugin);
    struct guard_option_pair *pairs = calloc((size_t)count + 1, sizeof *pairs);
    if (!plugin || !pairs) {
        free(plugin);
        free(pairs);
        return NULL;
    }
    for (int i = 0; i < count; i++)
        pairs[i] = (struct guard_option_pair){options[i].key, options[i].value}; /* the broker's, until its end */
    plugin->pairs = pairs;
    plugin->pair_count = (size_t)count;
    plugin->identifier = identifier;
    plugin->log = (struct guard_log){write_log, NULL};
    return plugin;
}

static void free_plugin(struct guard_plugin *plugin)
{
    free(plugin->pairs);
    free(plugin);
}

int mosquitto_plugin_version(int supported_version_count, const int *supported_versions)
{
    for (int i = 0; i < supported_version_count; i++)
        if (supported_versions[i] == PLUGIN_API)
            return PLUGIN_API;
    return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata, struct mosquitto_opt *options,
                          int option_count)
{
    struct guard_error err = {0};
    struct guard_plugin *plugin = new_plugin(identifier, options, option_count);
    *userdata = NULL; /* 2.1 calls cleanup with what is left here after a failure */
    if (!plugin)
        return MOSQ_ERR_NOMEM;
    int rc = guard_options_load(plugin->pairs, plugin->pair_count, &plugin->options, &err);
    if (rc == GUARD_OK)
        rc = guard_plugin_compose(plugin, &err);
    if (rc == GUARD_OK && (rc = register_events(plugin, &err)) != GUARD_OK) {
        unregister_events(plugin);
        guard_plugin_dispose(plugin);
    }
    if (rc != GUARD_OK) {
        char text[800];
        guard_log(&plugin->log, GUARD_LOG_ERROR, "%s", guard_error_format(&err, text, sizeof text));
        free_plugin(plugin);
        return MOSQ_ERR_UNKNOWN;
    }
    if (mosquitto_plugin_set_info)
        mosquitto_plugin_set_info(identifier, "mosquitto-guard", GUARD_VERSION);
    guard_log(&plugin->log, GUARD_LOG_NOTICE, "Mosquitto Guard " GUARD_VERSION " is on duty");
    *userdata = plugin;
    return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count)
{
    struct guard_plugin *plugin = userdata;
    (void)options;
    (void)option_count;
    if (!plugin)
        return MOSQ_ERR_SUCCESS;
    unregister_events(plugin);
    guard_plugin_dispose(plugin);
    free_plugin(plugin);
    return MOSQ_ERR_SUCCESS;
}
