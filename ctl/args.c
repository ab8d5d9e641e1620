#include "ctl/args.h"

#include "core/nearest.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 64
#define TEN_YEARS (10LL * 366 * 86400)

static const struct ctl_option *find(const struct ctl_option *const *tables, const char *name, size_t length)
{
    for (; *tables; tables++)
        for (const struct ctl_option *o = *tables; o->name; o++)
            if (strlen(o->name) == length && strncmp(o->name, name, length) == 0)
                return o;
    return NULL;
}

static int unknown(const struct ctl_command *command, const struct ctl_option *const *tables, const char *name)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (; *tables; tables++)
        for (const struct ctl_option *o = *tables; o->name && count < NAMES_MAX; o++)
            names[count++] = o->name;
    if (!count)
        return ctl_usage_error(command, "there is no option --%s", name);
    return ctl_usage_error(command, "there is no option --%s; did you mean --%s?", name,
                           guard_nearest(name, names, count));
}

static int set_value(const struct ctl_command *command, const struct ctl_option *option, const char *value)
{
    if (option->kind == CTL_TEXT) {
        *(const char **)option->target = value;
        return CTL_OK;
    }
    struct ctl_list *list = option->target;
    if (list->count == CTL_LIST_MAX)
        return ctl_usage_error(command, "--%s is given too often", option->name);
    list->items[list->count++] = value;
    return CTL_OK;
}

/* The option that argv[*index] is; *index moves onto its last word. */
static int take_option(const struct ctl_command *command, int argc, char **argv, int *index,
                       const struct ctl_option *const *tables)
{
    const char *name = argv[*index] + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const struct ctl_option *option = find(tables, name, length);
    if (!option)
        return unknown(command, tables, name);
    if (option->kind == CTL_FLAG) {
        if (equals)
            return ctl_usage_error(command, "--%s takes no value", option->name);
        *(bool *)option->target = true;
        return CTL_OK;
    }
    if (!equals && *index + 1 >= argc)
        return ctl_usage_error(command, "--%s needs a value", option->name);
    return set_value(command, option, equals ? equals + 1 : argv[++*index]);
}

int ctl_args_parse(const struct ctl_command *command, int argc, char **argv, const struct ctl_option *const *tables,
                   struct ctl_words *words)
{
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && strncmp(argv[i], "--", 2) == 0) {
            int rc = take_option(command, argc, argv, &i, tables);
            if (rc != CTL_OK)
                return rc;
        } else if (options && argv[i][0] == '-' && argv[i][1]) {
            return ctl_usage_error(command, "there is no option %s (options begin with two dashes)", argv[i]);
        } else if (words->count == CTL_LIST_MAX) {
            return ctl_usage_error(command, "too many arguments");
        } else {
            words->items[words->count++] = argv[i];
        }
    }
    return CTL_OK;
}

struct ctl_words *ctl_words_expect(struct ctl_words *words, size_t least, size_t most)
{
    words->least = least;
    words->most = most;
    return words;
}

bool ctl_parse_duration(const char *text, long long *seconds)
{
    static const struct {
        char letter;
        long long seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
    char *end;
    long long number = strtoll(text, &end, 10), unit = *end ? 0 : 1;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (end[0] == units[i].letter && !end[1])
            unit = units[i].seconds;
    if (text[0] < '0' || text[0] > '9' || !unit || number < 1 || number > TEN_YEARS / unit)
        return false;
    *seconds = number * unit;
    return true;
}
