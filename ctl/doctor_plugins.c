/* guardctl doctor: which plugins there are, for which listeners, in which order; and the broker's own files beside
 * them. */
#include "ctl/doctor.h"

#include <string.h>
#include <unistd.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static size_t count_guards(const struct doctor_conf *conf)
{
    size_t count = 0;
    for (size_t i = 0; i < conf->plugin_count; i++)
        count += conf->plugins[i].guard;
    return count;
}

static void check_file(struct doctor *doctor, const struct doctor_plugin *plugin)
{
    if (plugin->path[0] != '/')
        doctor_add(&doctor->report, DOCTOR_PLUGIN_FILE, plugin->place, "'%s' is not a full path", plugin->path);
    else if (access(plugin->path, F_OK) != 0)
        doctor_add(&doctor->report, DOCTOR_PLUGIN_FILE, plugin->place, "'%s' is not there; the broker would not start",
                   plugin->path);
}

/* Whether two plugins are asked about the same clients. */
static bool meet(const struct doctor_conf *conf, const struct doctor_plugin *a, const struct doctor_plugin *b)
{
    for (size_t i = 0; i < conf->listener_count; i++)
        if (doctor_serves(conf, a, i) && doctor_serves(conf, b, i))
            return true;
    return false;
}

/* global_plugin comes before those of a listener, whatever the order of the lines. */
static bool comes_before(const struct doctor_plugin *a, const struct doctor_plugin *b)
{
    return a->global != b->global ? a->global : a < b;
}

static void check_neighbours(struct doctor *doctor, const struct doctor_plugin *guard)
{
    const struct doctor_conf *conf = &doctor->conf;
    for (size_t i = 0; i < conf->plugin_count; i++) {
        const struct doctor_plugin *other = &conf->plugins[i];
        if (other == guard || !meet(conf, guard, other))
            continue;
        const char *name = base_name(other->path);
        if (other->guard && other > guard)
            doctor_add(&doctor->report, DOCTOR_PLUGIN_TWICE, other->place,
                       "it is loaded in line %u of %s already, for the same clients", guard->place.line,
                       guard->place.file);
        else if (!other->guard && comes_before(other, guard))
            doctor_add(&doctor->report, DOCTOR_PLUGIN_ORDER, guard->place,
                       "%s (line %u of %s) answers first; whom it lets in, Mosquitto Guard never checks, and on 2.0 it "
                       "may keep reloads from it",
                       name, other->place.line, other->place.file);
    }
}

static void check_uses(struct doctor *doctor)
{
    const struct doctor_conf *conf = &doctor->conf;
    for (size_t i = 0; i < conf->setting_count; i++) {
        bool loaded = false;
        if (strcmp(conf->settings[i].name, "plugin_use") != 0)
            continue;
        for (size_t k = 0; k < conf->plugin_count; k++)
            loaded |= conf->plugins[k].name && conf->plugins[k].setting < i &&
                      strcmp(conf->plugins[k].name, conf->settings[i].value) == 0;
        if (!loaded)
            doctor_add(&doctor->report, DOCTOR_PLUGIN_UNLOADED, conf->settings[i].place,
                       "'%s' is not loaded yet; the broker would not start", conf->settings[i].value);
    }
}

void doctor_check_plugins(struct doctor *doctor)
{
    const struct doctor_conf *conf = &doctor->conf;
    for (size_t i = 0; i < conf->stray_count; i++)
        doctor_add(&doctor->report, DOCTOR_OPTION_WITHOUT_PLUGIN, conf->strays[i],
                   "no plugin line stands before it in this file; the broker would not start");
    if (count_guards(conf) == 0)
        doctor_add(&doctor->report, DOCTOR_PLUGIN_MISSING, conf->listeners[DOCTOR_GLOBAL].place,
                   "Mosquitto Guard decides nothing here");
    check_uses(doctor);
    for (size_t i = 0; i < conf->plugin_count; i++) {
        const struct doctor_plugin *plugin = &conf->plugins[i];
        check_file(doctor, plugin);
        if (!plugin->guard)
            continue;
        if (plugin->name && !plugin->used)
            doctor_add(&doctor->report, DOCTOR_PLUGIN_UNUSED, plugin->place,
                       "no listener has `plugin_use %s`: Mosquitto 2.1 ends at its start, and does not say why",
                       plugin->name);
        check_neighbours(doctor, plugin);
    }
}
