/*
 * plugin_host PLUGIN.so ITERATIONS write|publish|read|fanout CLIENTS [name=value]…
 *
 * Loads the plugin with these options, logs CLIENTS clients in (user name u<n>, client id c<n>, password "secret"),
 * then does ITERATIONS checks inside measured(), which valgrind --tool=callgrind --toggle-collect=measured counts.
 * Prints how many were allowed.
 *   write    each client in turn publishes to devices/u<n>/data: the check alone
 *   publish  the same, with the MESSAGE event behind it where the plugin asks for that (with a trail it does)
 *   read     each client in turn is about to get a message on devices/u<n>/data (another topic each time)
 *   fanout   one publish to fleet/all, then a delivery to every client: counted per delivery
 */
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mosquitto {
    char id[24], user[24], topic[64];
};

static MOSQ_FUNC_generic_callback callbacks[64];
static void *userdatas[64];

#define EXPORT __attribute__((visibility("default")))

EXPORT int mosquitto_callback_register(mosquitto_plugin_id_t *id, int event, MOSQ_FUNC_generic_callback call,
                                       const void *event_data, void *userdata)
{
    (void)id;
    (void)event_data;
    if (event > 10)
        return MOSQ_ERR_NOT_SUPPORTED;
    callbacks[event] = call;
    userdatas[event] = userdata;
    return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_callback_unregister(mosquitto_plugin_id_t *id, int event, MOSQ_FUNC_generic_callback call,
                                         const void *event_data)
{
    (void)id;
    (void)event;
    (void)call;
    (void)event_data;
    return MOSQ_ERR_SUCCESS;
}

EXPORT void mosquitto_log_printf(int level, const char *format, ...)
{
    va_list args;
    (void)level;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

EXPORT const char *mosquitto_client_id(const struct mosquitto *client)
{
    return client ? client->id : NULL;
}

EXPORT const char *mosquitto_client_username(const struct mosquitto *client)
{
    return client ? client->user : NULL;
}

EXPORT const char *mosquitto_client_address(const struct mosquitto *client)
{
    return client ? "127.0.0.1" : NULL;
}

EXPORT bool mosquitto_client_clean_session(const struct mosquitto *client)
{
    (void)client;
    return true;
}

EXPORT int mosquitto_client_keepalive(const struct mosquitto *client)
{
    (void)client;
    return 60;
}

EXPORT void *mosquitto_client_certificate(const struct mosquitto *client)
{
    (void)client;
    return NULL;
}

EXPORT int mosquitto_client_protocol(const struct mosquitto *client)
{
    (void)client;
    return mp_mqtt;
}

EXPORT int mosquitto_client_protocol_version(const struct mosquitto *client)
{
    (void)client;
    return 4;
}

EXPORT int mosquitto_set_username(struct mosquitto *client, const char *name)
{
    snprintf(client->user, sizeof client->user, "%s", name);
    return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_kick_client_by_clientid(const char *id, bool with_will)
{
    (void)id;
    (void)with_will;
    return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_broker_publish_copy(const char *id, const char *topic, int length, const void *payload, int qos,
                                         bool retain, mosquitto_property *properties)
{
    (void)id;
    (void)topic;
    (void)length;
    (void)payload;
    (void)qos;
    (void)retain;
    (void)properties;
    return MOSQ_ERR_SUCCESS;
}

static void tell_message(struct mosquitto *client)
{
    struct mosquitto_evt_message event = {.client = client, .topic = client->topic, .payloadlen = 4};
    callbacks[MOSQ_EVT_MESSAGE](MOSQ_EVT_MESSAGE, &event, userdatas[MOSQ_EVT_MESSAGE]);
}

static int check(struct mosquitto *client, const char *topic, int access)
{
    struct mosquitto_evt_acl_check event = {
        .client = client, .topic = topic, .payload = "21.5", .payloadlen = 4, .access = access};
    return callbacks[MOSQ_EVT_ACL_CHECK](MOSQ_EVT_ACL_CHECK, &event, userdatas[MOSQ_EVT_ACL_CHECK]);
}

static bool with_message; /* "publish" */

size_t measured(struct mosquitto *clients, size_t count, size_t iterations, int access, const char *topic);

/* Only what happens below this function is counted. */
__attribute__((noinline, noclone, used, visibility("default"))) size_t
measured(struct mosquitto *clients, size_t count, size_t iterations, int access, const char *topic)
{
    size_t allowed = 0;
    for (size_t i = 0, c = 0; i < iterations; i++) {
        allowed += check(&clients[c], topic ? topic : clients[c].topic, access) == MOSQ_ERR_SUCCESS;
        if (with_message)
            tell_message(&clients[c]);
        if (++c == count)
            c = 0;
    }
    return allowed;
}

static struct mosquitto *log_in(size_t count)
{
    struct mosquitto *clients = calloc(count, sizeof *clients);
    for (size_t i = 0; clients && i < count; i++) {
        struct mosquitto_evt_basic_auth event = {.client = &clients[i]};
        snprintf(clients[i].id, sizeof clients[i].id, "c%zu", i);
        snprintf(clients[i].user, sizeof clients[i].user, "u%zu", i);
        snprintf(clients[i].topic, sizeof clients[i].topic, "devices/u%zu/data", i);
        char name[24], password[] = "secret";
        strcpy(name, clients[i].user);
        event.username = name;
        event.password = password;
        if (callbacks[MOSQ_EVT_BASIC_AUTH](MOSQ_EVT_BASIC_AUTH, &event, userdatas[MOSQ_EVT_BASIC_AUTH]) !=
            MOSQ_ERR_SUCCESS) {
            fprintf(stderr, "client %zu was refused\n", i);
            exit(1);
        }
    }
    return clients;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    size_t iterations = strtoul(argv[2], NULL, 10), count = strtoul(argv[4], NULL, 10);
    struct mosquitto_opt options[16];
    int option_count = 0;
    for (int i = 5; i < argc && option_count < 16; i++) {
        options[option_count].key = strtok(argv[i], "=");
        options[option_count++].value = strtok(NULL, "");
    }
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    int (*init)(void *, void **, struct mosquitto_opt *, int);
    int (*cleanup)(void *, struct mosquitto_opt *, int);
    *(void **)&init = dlsym(library, "mosquitto_plugin_init");
    *(void **)&cleanup = dlsym(library, "mosquitto_plugin_cleanup");
    void *userdata;
    if (init(NULL, &userdata, options, option_count) != MOSQ_ERR_SUCCESS)
        return 1;
    struct mosquitto *clients = log_in(count);
    callbacks[MOSQ_EVT_TICK](MOSQ_EVT_TICK, NULL, userdatas[MOSQ_EVT_TICK]);
    with_message = strcmp(argv[3], "publish") == 0 && callbacks[MOSQ_EVT_MESSAGE];
    int access = strcmp(argv[3], "write") == 0 || strcmp(argv[3], "publish") == 0 ? MOSQ_ACL_WRITE : MOSQ_ACL_READ;
    const char *topic = strcmp(argv[3], "fanout") == 0 ? "fleet/all" : NULL;
    if (topic)
        check(&clients[0], topic, MOSQ_ACL_WRITE);
    printf("%zu allowed\n", measured(clients, count, iterations, access, topic));
    cleanup(userdata, options, option_count);
    free(clients);
    return 0;
}
