#include "ctl/goauth.h"

#include "core/base64.h"

#include <stdlib.h>
#include <string.h>

static const char *const suffixes[GOAUTH_KINDS] = {"", ":su", ":sacls", ":racls", ":wacls", ":rwacls"};

static enum goauth_kind kind_of(const char *key, size_t *name_length)
{
    size_t length = strlen(key);
    for (int kind = GOAUTH_SUPERUSER; kind < GOAUTH_KINDS; kind++) {
        size_t width = strlen(suffixes[kind]);
        if (length > width && strcmp(key + length - width, suffixes[kind]) == 0) {
            *name_length = length - width;
            return (enum goauth_kind)kind;
        }
    }
    *name_length = length;
    return GOAUTH_PASSWORD;
}

/* What the plugin's cache leaves there: its names are base64 of "auth-…" or "acl-…", or it ends by itself. */
static bool is_cache(const struct foreign_key *key)
{
    unsigned char decoded[GUARD_BASE64_DECODED(4096)];
    size_t length = strlen(key->name);
    ssize_t count = length <= 4096 ? guard_base64_decode(key->name, length, decoded) : -1;
    return (count > 5 && memcmp(decoded, "auth-", 5) == 0) || (count > 4 && memcmp(decoded, "acl-", 4) == 0) ||
           (key->expires && key->type == FOREIGN_STRING);
}

/* Why the key belongs to no user, or NULL. */
static const char *fault_of(const struct foreign_key *key, enum goauth_kind kind, const char *name)
{
    bool set = kind >= GOAUTH_SACLS;
    if (strchr(name, ':'))
        return "a user name with ':' cannot be told from the key of another user";
    if (strcmp(name, "common") == 0 && !set)
        return "a user called common cannot be told from the rules for everybody";
    if (key->type != (set ? FOREIGN_SET : FOREIGN_STRING))
        return "the type of the key is not the one mosquitto-go-auth reads";
    if (key->expires)
        return "the key expires by itself, and a rule or user here does not";
    return strcmp(name, "common") == 0 ? NULL : foreign_name_fault(name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct goauth_user *)a)->name, ((const struct goauth_user *)b)->name);
}

static void merge(struct goauth *goauth)
{
    size_t kept = 0;
    if (goauth->user_count)
        qsort(goauth->users, goauth->user_count, sizeof *goauth->users, by_name);
    for (size_t i = 0; i < goauth->user_count; i++) {
        if (kept && by_name(&goauth->users[kept - 1], &goauth->users[i]) == 0) {
            for (int kind = 0; kind < GOAUTH_KINDS; kind++)
                if (goauth->users[i].keys[kind])
                    goauth->users[kept - 1].keys[kind] = goauth->users[i].keys[kind];
        } else {
            goauth->users[kept++] = goauth->users[i];
        }
    }
    goauth->user_count = kept;
}

static void place_key(struct goauth *goauth, const struct foreign_key *key, enum goauth_kind kind, const char *name)
{
    if (strcmp(name, "common") == 0) {
        goauth->common[kind] = key;
        return;
    }
    struct goauth_user *user = &goauth->users[goauth->user_count++];
    *user = (struct goauth_user){.name = name};
    user->keys[kind] = key;
}

bool goauth_sort(struct goauth *goauth, struct guard_translation *translation)
{
    size_t cached = 0;
    goauth->users = calloc(goauth->data.count + 1, sizeof *goauth->users);
    goauth->names = calloc(goauth->data.count + 1, sizeof *goauth->names);
    for (size_t i = 0; goauth->users && goauth->names && i < goauth->data.count; i++) {
        const struct foreign_key *key = &goauth->data.keys[i];
        size_t length;
        enum goauth_kind kind = kind_of(key->name, &length);
        char *name = strndup(key->name, length);
        if (!name)
            return false;
        goauth->names[goauth->name_count++] = name;
        if (is_cache(key)) {
            cached++;
            continue;
        }
        const char *fault = fault_of(key, kind, name);
        if (fault)
            guard_translation_note(translation, GUARD_NOTE_LEFT_OUT, key->name, 0, "%s", fault);
        else
            place_key(goauth, key, kind, name);
    }
    if (cached)
        guard_translation_note(translation, GUARD_NOTE_REMARK, "keys", 0,
                               "%zu keys of the plugin's cache, or that expire by themselves, were passed over",
                               cached);
    if (goauth->data.skipped)
        guard_translation_note(translation, GUARD_NOTE_LEFT_OUT, "keys", 0,
                               "%zu names or values hold U+0000, which MQTT does not allow", goauth->data.skipped);
    if (goauth->users)
        merge(goauth);
    return goauth->users && goauth->names;
}

void goauth_free(struct goauth *goauth)
{
    for (size_t i = 0; i < goauth->name_count; i++)
        free(goauth->names[i]);
    free(goauth->names);
    free(goauth->users);
    foreign_free(&goauth->data);
}

/* ---- the model ---- */

/* Level by level; '#' ends it and also matches nothing at all; '+' is any level, whatever it is. */
static bool matches(const char *route, const char *topic)
{
    while (route && topic) {
        size_t r = strcspn(route, "/"), t = strcspn(topic, "/");
        if (r == 1 && *route == '#')
            return true;
        if (!(r == 1 && *route == '+') && !(r == t && memcmp(route, topic, r) == 0))
            return false;
        route = route[r] ? route + r + 1 : NULL;
        topic = topic[t] ? topic + t + 1 : NULL;
    }
    return !topic && (!route || strcmp(route, "#") == 0 || strncmp(route, "#/", 2) == 0);
}

static void replace(struct guard_buffer *out, const char *text, const char *what, const char *with)
{
    for (const char *at; (at = strstr(text, what)) != NULL; text = at + strlen(what)) {
        guard_buffer_append(out, text, (size_t)(at - text));
        guard_buffer_text(out, with);
    }
    guard_buffer_text(out, text);
}

static bool common_matches(const char *rule, const struct ctl_mqtt_login *who, const char *topic)
{
    struct guard_buffer first = {0}, second = {0};
    replace(&first, rule, "%c", who->client_id);
    replace(&second, first.data ? first.data : "", "%u", who->username);
    bool yes = matches(second.data ? second.data : "", topic);
    guard_buffer_free(&first);
    guard_buffer_free(&second);
    return yes;
}

static bool any(const struct foreign_key *key, const struct ctl_mqtt_login *common_of, const struct foreign_key *common,
                const char *topic)
{
    for (size_t i = 0; key && i < key->count; i++)
        if (matches(key->values[i], topic))
            return true;
    for (size_t i = 0; common && i < common->count; i++)
        if (common_matches(common->values[i], common_of, topic))
            return true;
    return false;
}

bool goauth_allowed(void *context, const struct ctl_mqtt_login *who, enum explain_action action, const char *topic)
{
    static const struct goauth_user nobody;
    const struct goauth *goauth = context;
    struct goauth_user wanted = {.name = who->username};
    const struct goauth_user *user =
        goauth->user_count ? bsearch(&wanted, goauth->users, goauth->user_count, sizeof wanted, by_name) : NULL;
    user = user ? user : &nobody;
    const struct foreign_key *su = user->keys[GOAUTH_SUPERUSER];
    if (!goauth->no_superusers && su && su->count && strcmp(su->values[0], "true") == 0)
        return true;
    enum goauth_kind kind = action == EXPLAIN_PUBLISH   ? GOAUTH_WACLS
                            : action == EXPLAIN_RECEIVE ? GOAUTH_RACLS
                                                        : GOAUTH_SACLS;
    if (any(user->keys[kind], who, goauth->common[kind], topic))
        return true;
    return kind != GOAUTH_SACLS && any(user->keys[GOAUTH_RWACLS], who, goauth->common[GOAUTH_RWACLS], topic);
}
