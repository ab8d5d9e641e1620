#include "ctl/authplug.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

bool authplug_query_parse(const char *text, size_t names, struct authplug_query *query)
{
    if (strncasecmp(text, "GET ", 4) != 0 || strchr(text + 4, ' '))
        return false;
    query->held = strdup(text + 4);
    if (!query->held)
        return false;
    char *at = query->held;
    for (size_t i = 0; i <= names; i++) {
        query->parts[i] = at;
        char *next = strstr(at, "%s");
        if ((next != NULL) != (i < names))
            return false;
        if (next) {
            *next = '\0';
            at = next + 2;
        }
    }
    return true;
}

/* What a key holds that the template `before name behind` gives; NULL: another key. */
static char *name_in(const struct authplug_query *query, const char *key)
{
    size_t before = strlen(query->parts[0]), behind = strlen(query->parts[1]), length = strlen(key);
    if (length <= before + behind || strncmp(key, query->parts[0], before) != 0 ||
        strcmp(key + length - behind, query->parts[1]) != 0)
        return NULL;
    return strndup(key + before, length - before - behind);
}

static bool is_number(const struct foreign_key *key, long *value)
{
    char *end;
    if (key->type != FOREIGN_STRING || !key->count || !*key->values[0])
        return false;
    *value = strtol(key->values[0], &end, 10);
    return !*end;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t find_user(const struct authplug *plug, const char *name)
{
    char **found =
        plug->user_count ? bsearch(&name, plug->users, plug->user_count, sizeof *plug->users, by_text) : NULL;
    return found ? (size_t)(found - plug->users) : SIZE_MAX;
}

static bool add_rule(struct authplug *plug, const struct authplug_rule *rule)
{
    if (plug->rule_count == plug->rule_capacity) {
        size_t capacity = plug->rule_capacity ? 2 * plug->rule_capacity : 256;
        struct authplug_rule *rules = reallocarray(plug->rules, capacity, sizeof *rules);
        if (!rules)
            return false;
        plug->rules = rules;
        plug->rule_capacity = capacity;
    }
    plug->rules[plug->rule_count++] = *rule;
    return true;
}

/* Every user whose name fits before the separator, wherever that stands. *found: how many. False: out of memory. */
static bool split(struct authplug *plug, const struct foreign_key *key, long value, size_t *found)
{
    const struct authplug_query *q = &plug->acl;
    size_t before = strlen(q->parts[0]), behind = strlen(q->parts[2]), width = strlen(q->parts[1]);
    size_t length = strlen(key->name);
    if (length < before + width + behind || strncmp(key->name, q->parts[0], before) != 0 ||
        strcmp(key->name + length - behind, q->parts[2]) != 0)
        return true;
    const char *begin = key->name + before, *end = key->name + length - behind;
    for (const char *at = begin; (at = strstr(at, q->parts[1])) != NULL && at + width < end; at++) {
        char *name = strndup(begin, (size_t)(at - begin));
        size_t user = name ? find_user(plug, name) : SIZE_MAX;
        free(name);
        if (!name)
            return false;
        if (user == SIZE_MAX)
            continue;
        struct authplug_rule rule = {user, key, strndup(at + width, (size_t)(end - at) - width), value};
        if (!rule.topic || !add_rule(plug, &rule))
            return false;
        ++*found;
    }
    return true;
}

static bool sort_users(struct authplug *plug, struct guard_translation *translation)
{
    plug->users = calloc(plug->data.count + 1, sizeof *plug->users);
    plug->user_keys = calloc(plug->data.count + 1, sizeof *plug->user_keys);
    for (size_t i = 0; plug->users && plug->user_keys && i < plug->data.count; i++) {
        const struct foreign_key *key = &plug->data.keys[i];
        long value;
        if (is_number(key, &value))
            continue;
        char *name = key->type == FOREIGN_STRING && !key->expires ? name_in(&plug->user, key->name) : NULL;
        const char *fault = !name ? "it is neither a user nor a rule" : foreign_name_fault(name);
        if (fault) {
            guard_translation_note(translation, GUARD_NOTE_LEFT_OUT, key->name, 0, "%s", fault);
            free(name);
            continue;
        }
        plug->users[plug->user_count] = name;
        plug->user_keys[plug->user_count++] = key;
    }
    return plug->users && plug->user_keys; /* sorted as the keys are: they differ only between equal ends */
}

static int by_user(const void *a, const void *b)
{
    const struct authplug_rule *x = a, *y = b;
    return x->user != y->user ? (x->user < y->user ? -1 : 1) : strcmp(x->key->name, y->key->name);
}

static bool sort_rules(struct authplug *plug, struct guard_translation *translation)
{
    for (size_t i = 0; i < plug->data.count; i++) {
        const struct foreign_key *key = &plug->data.keys[i];
        size_t found = 0;
        long value;
        if (!is_number(key, &value) || plug->everything)
            continue;
        if (!split(plug, key, value, &found))
            return false;
        if (!found)
            guard_translation_note(translation, GUARD_NOTE_LEFT_OUT, key->name, 0,
                                   "it begins with no user of the data");
        else if (found > 1)
            guard_translation_note(translation, GUARD_NOTE_REMARK, key->name, 0,
                                   "it can be read as a rule of %zu users, and was one for each of them", found);
    }
    if (plug->rule_count)
        qsort(plug->rules, plug->rule_count, sizeof *plug->rules, by_user);
    return true;
}

bool authplug_sort(struct authplug *plug, struct guard_translation *translation)
{
    if (plug->data.skipped)
        guard_translation_note(translation, GUARD_NOTE_LEFT_OUT, "keys", 0,
                               "%zu names or values hold U+0000, which MQTT does not allow", plug->data.skipped);
    if (!sort_users(plug, translation))
        return false;
    for (size_t i = 1; i < plug->user_count; i++) /* a text behind the name can turn neighbours round */
        for (size_t k = i; k && strcmp(plug->users[k - 1], plug->users[k]) > 0; k--) {
            char *name = plug->users[k];
            const struct foreign_key *key = plug->user_keys[k];
            plug->users[k] = plug->users[k - 1];
            plug->user_keys[k] = plug->user_keys[k - 1];
            plug->users[k - 1] = name;
            plug->user_keys[k - 1] = key;
        }
    return sort_rules(plug, translation);
}

void authplug_free(struct authplug *plug)
{
    for (size_t i = 0; i < plug->user_count; i++)
        free(plug->users[i]);
    for (size_t i = 0; i < plug->rule_count; i++)
        free(plug->rules[i].topic);
    free(plug->users);
    free(plug->user_keys);
    free(plug->rules);
    free(plug->user.held);
    free(plug->acl.held);
    foreign_free(&plug->data);
}

/* ---- the model ---- */

bool authplug_superuser(const struct authplug *plug, const char *username)
{
    return plug->superusers && fnmatch(plug->superusers, username, 0) == 0;
}

/* GET of the query with both names put in; its number must be at least that of the access. */
bool authplug_allowed(void *context, const struct ctl_mqtt_login *who, enum explain_action action, const char *topic)
{
    const struct authplug *plug = context;
    long needed = action == EXPLAIN_RECEIVE ? 1 : action == EXPLAIN_PUBLISH ? 2 : 4;
    struct guard_buffer name = {0};
    if (plug->everything || authplug_superuser(plug, who->username))
        return true;
    guard_buffer_printf(&name, "%s%s%s%s%s", plug->acl.parts[0], who->username, plug->acl.parts[1], topic,
                        plug->acl.parts[2]);
    const struct foreign_key *key = name.failed ? NULL : foreign_find(&plug->data, name.data);
    bool yes = key && key->type == FOREIGN_STRING && key->count && atol(key->values[0]) >= needed;
    guard_buffer_free(&name);
    return yes;
}
