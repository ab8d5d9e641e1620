/* guardctl doctor: reads mosquitto.conf. */
#include "ctl/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONF_LIMIT   ((size_t)4 << 20)
#define CONF_DEPTH   10
#define GUARD_OBJECT "mosquitto_guard.so"

/* Where the reading of one file stands: an included one begins anew, as in the broker. */
struct reading {
    struct doctor_conf *conf;
    const char *file;
    unsigned line, depth;
    size_t listener;
    size_t plugin; /* index + 1; 0 = none yet */
    struct guard_error *err;
};

static int include(struct reading *outer, const char *folder);

/* Room for one more of *items; the new one is zeroed. */
static void *grow(void *items, size_t *count, size_t size)
{
    void **array = items;
    char *bigger = reallocarray(*array, *count + 1, size);
    if (!bigger)
        return NULL;
    *array = bigger;
    char *added = bigger + *count * size;
    memset(added, 0, size);
    ++*count;
    return added;
}

static struct doctor_place here(const struct reading *at)
{
    return (struct doctor_place){at->file, at->line};
}

static int no_memory(struct guard_error *err)
{
    return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
}

/* Keeps a text until the end; NULL if there is no memory (text is then freed). */
static char *keep(struct doctor_conf *conf, char *text)
{
    char **slot = text ? grow(&conf->texts, &conf->text_count, sizeof *conf->texts) : NULL;
    if (!slot)
        free(text);
    else
        *slot = text;
    return slot ? text : NULL;
}

static int take_listener(struct reading *at, const char *value)
{
    struct doctor_listener *listener = grow(&at->conf->listeners, &at->conf->listener_count, sizeof *listener);
    if (!listener)
        return no_memory(at->err);
    const char *address = value + strcspn(value, " \t");
    listener->place = here(at);
    listener->port = (unsigned)strtoul(value, NULL, 10);
    listener->address = address + strspn(address, " \t");
    at->listener = at->conf->listener_count - 1;
    return GUARD_OK;
}

static bool is_guard(const char *path)
{
    const char *found = strstr(path, GUARD_OBJECT);
    return found && (found == path || found[-1] == '/');
}

static int take_plugin(struct reading *at, const char *name, char *value)
{
    struct doctor_plugin *plugin = grow(&at->conf->plugins, &at->conf->plugin_count, sizeof *plugin);
    if (!plugin)
        return no_memory(at->err);
    *plugin = (struct doctor_plugin){.path = value, .place = here(at), .listener = at->listener};
    plugin->setting = at->conf->setting_count - 1;
    plugin->global = strcmp(name, "global_plugin") == 0;
    if (strcmp(name, "plugin_load") == 0) {
        char *path = value + strcspn(value, " \t");
        plugin->name = value;
        if (*path)
            *path++ = '\0';
        plugin->path = path + strspn(path, " \t");
    }
    plugin->guard = is_guard(plugin->path);
    at->plugin = at->conf->plugin_count;
    return GUARD_OK;
}

/* `plugin_use NAME`: the plugin serves this listener; options that follow are its own. */
static void take_use(struct reading *at, const char *value)
{
    for (size_t i = 0; i < at->conf->plugin_count; i++) {
        struct doctor_plugin *plugin = &at->conf->plugins[i];
        if (plugin->name && strcmp(plugin->name, value) == 0) {
            plugin->used = true;
            at->plugin = i + 1;
        }
    }
}

static int take_option(struct reading *at, size_t setting)
{
    if (!at->plugin) {
        struct doctor_place *stray = grow(&at->conf->strays, &at->conf->stray_count, sizeof *stray);
        if (!stray)
            return no_memory(at->err);
        *stray = here(at);
        return GUARD_OK;
    }
    struct doctor_plugin *plugin = &at->conf->plugins[at->plugin - 1];
    size_t *option = grow(&plugin->options, &plugin->option_count, sizeof *option);
    if (!option)
        return no_memory(at->err);
    *option = setting;
    return GUARD_OK;
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(name, *names) != 0)
        names++;
    return *names != NULL;
}

/* The broker cuts blanks off the end of its own values, and leaves them to those of a plugin. */
static void cut_blanks(char *value)
{
    size_t length = strlen(value);
    while (length && strchr(" \t", value[length - 1]))
        value[--length] = '\0';
}

static bool is_option(const char *name)
{
    return strncmp(name, "plugin_opt_", 11) == 0 || strncmp(name, "auth_opt_", 9) == 0;
}

static int take(struct reading *at, const char *name, char *value)
{
    static const char *const plugins[] = {"plugin", "auth_plugin", "global_plugin", "plugin_load", NULL};
    if (!is_option(name))
        cut_blanks(value);
    if (strcmp(name, "include_dir") == 0)
        return include(at, value);
    if (strcmp(name, "listener") == 0) {
        int rc = take_listener(at, value);
        if (rc != GUARD_OK)
            return rc;
    }
    struct doctor_setting *setting = grow(&at->conf->settings, &at->conf->setting_count, sizeof *setting);
    if (!setting)
        return no_memory(at->err);
    *setting = (struct doctor_setting){name, value, here(at), at->listener};
    if (strcmp(name, "per_listener_settings") == 0)
        at->conf->per_listener = strcmp(value, "true") == 0;
    if (strcmp(name, "plugin_use") == 0)
        take_use(at, value);
    if (is_one_of(name, plugins))
        return take_plugin(at, name, value);
    if (is_option(name))
        return take_option(at, at->conf->setting_count - 1);
    return GUARD_OK;
}

static int take_line(struct reading *at, char *line)
{
    size_t length = strlen(line);
    while (length && line[length - 1] == '\r')
        line[--length] = '\0';
    line += strspn(line, " ");
    if (!*line || *line == '#')
        return GUARD_OK;
    char *value = line + strcspn(line, " ");
    if (*value)
        *value++ = '\0';
    value += strspn(value, " ");
    return take(at, line, value);
}

/* The whole file, whoever owns it: the broker does not look at that either. NULL and err. */
static char *whole_file(const char *path, struct guard_error *err)
{
    FILE *file = fopen(path, "re");
    char *content = file ? malloc(CONF_LIMIT + 1) : NULL;
    size_t length = content ? fread(content, 1, CONF_LIMIT + 1, file) : 0;
    if (!file || !content || ferror(file))
        guard_fail_at(err, GUARD_ERR_IO, path, 0, 0, "cannot be read: %s", strerror(errno));
    else if (length > CONF_LIMIT)
        guard_fail_at(err, GUARD_ERR_LIMIT, path, 0, 0, "is larger than %zu bytes", CONF_LIMIT);
    bool good = content && !ferror(file) && length <= CONF_LIMIT;
    if (file)
        fclose(file);
    if (good) {
        content[length] = '\0';
        return content;
    }
    free(content);
    return NULL;
}

static int read_file(struct reading *at, const char *path)
{
    char *content = whole_file(path, at->err);
    if (!content)
        return at->err->code;
    char *copy = strdup(path);
    if (!keep(at->conf, content) || !keep(at->conf, copy))
        return no_memory(at->err);
    int rc = GUARD_OK;
    at->file = copy;
    at->conf->file_count++;
    for (char *line = content, *next; line && rc == GUARD_OK; line = next) {
        char *end = strchr(line, '\n');
        next = end ? end + 1 : NULL;
        if (end)
            *end = '\0';
        at->line++;
        rc = take_line(at, line);
    }
    return rc;
}

static int is_conf(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static int by_octets(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int include(struct reading *outer, const char *folder)
{
    struct dirent **names = NULL;
    int count = scandir(folder, &names, is_conf, by_octets), rc = GUARD_OK;
    if (count < 0)
        return guard_fail_at(outer->err, GUARD_ERR_NOT_FOUND, outer->file, outer->line, 0,
                             "include_dir %s cannot be read", folder);
    if (outer->depth >= CONF_DEPTH)
        rc = guard_fail_at(outer->err, GUARD_ERR_LIMIT, outer->file, outer->line, 0, "includes go too deep");
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        struct reading inner = {.conf = outer->conf, .depth = outer->depth + 1, .err = outer->err};
        if (rc == GUARD_OK && snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name) < (int)sizeof path)
            rc = read_file(&inner, path);
        free(names[i]);
    }
    free(names);
    return rc;
}

int doctor_conf_read(const char *path, struct doctor_conf *conf, struct guard_error *err)
{
    struct reading at = {.conf = conf, .err = err};
    struct doctor_listener *global = grow(&conf->listeners, &conf->listener_count, sizeof *global);
    if (!global)
        return no_memory(err);
    global->address = "";
    int rc = read_file(&at, path);
    if (rc == GUARD_OK)
        conf->listeners[DOCTOR_GLOBAL].place = (struct doctor_place){at.file, 0};
    return rc;
}

void doctor_conf_free(struct doctor_conf *conf)
{
    for (size_t i = 0; i < conf->plugin_count; i++)
        free(conf->plugins[i].options);
    for (size_t i = 0; i < conf->text_count; i++)
        free(conf->texts[i]);
    free(conf->texts);
    free(conf->settings);
    free(conf->listeners);
    free(conf->plugins);
    free(conf->strays);
    *conf = (struct doctor_conf){0};
}

/* ---- questions about it ---- */

const struct doctor_setting *doctor_find(const struct doctor_conf *conf, size_t listener, const char *name)
{
    for (size_t i = conf->setting_count; i-- > 0;)
        if ((listener == DOCTOR_ANY || conf->settings[i].listener == listener) &&
            strcmp(conf->settings[i].name, name) == 0)
            return &conf->settings[i];
    return NULL;
}

const struct doctor_setting *doctor_find_true(const struct doctor_conf *conf, size_t listener, const char *name)
{
    const struct doctor_setting *found = doctor_find(conf, listener, name);
    return found && strcmp(found->value, "true") == 0 ? found : NULL;
}

bool doctor_listens(const struct doctor_conf *conf, size_t listener)
{
    return listener != DOCTOR_GLOBAL || doctor_find(conf, listener, "port") ||
           doctor_find(conf, listener, "bind_address") || doctor_find(conf, listener, "certfile");
}

bool doctor_is_local(const struct doctor_listener *listener)
{
    return strncmp(listener->address, "127.", 4) == 0 || strcmp(listener->address, "::1") == 0 ||
           strcmp(listener->address, "localhost") == 0 || listener->address[0] == '/';
}

bool doctor_has_tls(const struct doctor_conf *conf, size_t listener)
{
    return doctor_find(conf, listener, "certfile") || doctor_find(conf, listener, "psk_hint");
}

bool doctor_serves(const struct doctor_conf *conf, const struct doctor_plugin *plugin, size_t listener)
{
    if (plugin->global || (!conf->per_listener && !plugin->name))
        return true;
    if (!plugin->name)
        return plugin->listener == listener;
    for (size_t i = 0; i < conf->setting_count; i++)
        if (conf->settings[i].listener == listener && strcmp(conf->settings[i].name, "plugin_use") == 0 &&
            strcmp(conf->settings[i].value, plugin->name) == 0)
            return true;
    return false;
}
