/* Random questions near the source's own filters, for the importers whose old semantics is a model. */
#include "ctl/foreign.h"

#include "acl/acl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USERS_MAX 500 /* asked about at a time, beside a stranger */

struct asking {
    const struct foreign_trial *trial;
    uint64_t random;
    struct ctl_mqtt_login *clients;
    size_t client_count;
    size_t *chosen; /* of trial->users, by client */
};

static size_t below(struct asking *asking, size_t limit)
{
    return (size_t)ctl_random_below(&asking->random, limit);
}

static bool take_clients(struct asking *asking)
{
    asking->client_count = asking->trial->client_count;
    asking->clients = calloc(asking->client_count + 1, sizeof *asking->clients);
    asking->chosen = calloc(asking->client_count + 1, sizeof *asking->chosen);
    if (!asking->clients || !asking->chosen)
        return false;
    memcpy(asking->clients, asking->trial->clients, asking->client_count * sizeof *asking->clients);
    return true;
}

static bool choose_clients(struct asking *asking)
{
    static const char *const ids[] = {"c1", "client-2", "dev.3"};
    if (asking->trial->clients)
        return take_clients(asking);
    size_t users = asking->trial->user_count, count = users < USERS_MAX ? users : USERS_MAX;
    asking->clients = calloc(count + 1, sizeof *asking->clients);
    asking->chosen = calloc(count + 1, sizeof *asking->chosen);
    if (!asking->clients || !asking->chosen)
        return false;
    for (size_t i = 0; i < count; i++) {
        asking->chosen[i] = users <= USERS_MAX ? i : below(asking, users);
        asking->clients[i] = (struct ctl_mqtt_login){.client_id = ids[below(asking, 3)],
                                                     .username = asking->trial->users[asking->chosen[i]]};
    }
    asking->clients[count] = (struct ctl_mqtt_login){.client_id = "c1", .username = "guardctl-stranger"};
    asking->chosen[count] = SIZE_MAX - 1;
    asking->client_count = count + 1;
    return true;
}

/* A filter of the client's own if it has one near, or anybody's. */
static const char *choose_filter(struct asking *asking, size_t client)
{
    const struct foreign_trial *trial = asking->trial;
    size_t at = below(asking, trial->filter_count);
    if (below(asking, 4)) { /* they are sorted by owner, everybody's at the end */
        size_t low = 0, high = trial->filter_count;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (trial->filters[middle].owner < asking->chosen[client])
                low = middle + 1;
            else
                high = middle;
        }
        size_t count = 0;
        while (low + count < trial->filter_count && trial->filters[low + count].owner == asking->chosen[client])
            count++;
        if (count)
            at = low + below(asking, count);
    }
    return trial->filters[at].text;
}

static void append_word(struct asking *asking, struct guard_buffer *out)
{
    static const char *const words[] = {"a", "b", "data", "x y", "", "c1", "$SYS"};
    guard_buffer_text(out, words[below(asking, 7)]);
}

static void append_level(struct asking *asking, struct guard_buffer *out, const struct ctl_mqtt_login *who,
                         const char *level, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        const char *rest = level + i;
        size_t width = strncmp(rest, "%u", 2) == 0 || strncmp(rest, "%c", 2) == 0                       ? 2
                       : strncmp(rest, "${username}", 11) == 0 || strncmp(rest, "${clientid}", 11) == 0 ? 11
                                                                                                        : 0;
        if (!width || width > length - i || !below(asking, 8))
            guard_buffer_byte(out, level[i]);
        else
            guard_buffer_text(out, strchr(width == 2 ? "u" : "", rest[1]) || rest[2] == 'u' ? who->username
                                                                                            : who->client_id);
        i += width && width <= length - i && out->length ? width - 1 : 0;
    }
}

/* A topic near the filter or, with wildcards, a filter near it. */
static void make_topic(struct asking *asking, struct guard_buffer *out, const struct ctl_mqtt_login *who,
                       const char *filter, bool wildcards)
{
    for (const char *level = filter; level;) {
        size_t length = strcspn(level, "/"), levels = 1;
        bool plus = length == 1 && *level == '+', hash = length == 1 && *level == '#';
        if (wildcards && below(asking, 8) == 0) {
            guard_buffer_text(out, below(asking, 2) ? "+" : "#");
            if (out->data[out->length - 1] == '#')
                return;
        } else if (hash && wildcards && below(asking, 2)) {
            guard_buffer_byte(out, '#');
        } else if (hash) {
            levels = below(asking, 3);
            for (size_t i = 0; i < levels; i++) {
                append_word(asking, out);
                if (i + 1 < levels)
                    guard_buffer_byte(out, '/');
            }
        } else if (plus || below(asking, 12) == 0) {
            if (plus && wildcards && below(asking, 2))
                guard_buffer_byte(out, '+');
            else
                append_word(asking, out);
        } else {
            append_level(asking, out, who, level, length);
        }
        level = level[length] ? level + length + 1 : NULL;
        if (level && !(level[0] == '#' && !level[1] && below(asking, 3) == 0))
            guard_buffer_byte(out, '/');
        else
            level = NULL;
    }
}

/* What a client may really send: of a shared subscription, a group of one level and a filter behind it. */
static bool can_be_asked(const char *topic, size_t length, bool filter)
{
    if (!filter)
        return acl_topic_is_valid(topic, length);
    if (strncmp(topic, "$share/", 7) == 0) {
        size_t group = strcspn(topic + 7, "/+#");
        if (!group || topic[7 + group] != '/' || !topic[7 + group + 1])
            return false;
    }
    return acl_filter_is_valid(topic, length);
}

static bool make_question(struct asking *asking, struct ctl_question *question)
{
    static const enum explain_action actions[] = {EXPLAIN_PUBLISH, EXPLAIN_RECEIVE, EXPLAIN_SUBSCRIBE_ONLY};
    struct guard_buffer topic = {0};
    char *text = NULL;
    question->client = below(asking, asking->client_count);
    question->action = actions[below(asking, 3)];
    bool filter = question->action == EXPLAIN_SUBSCRIBE_ONLY;
    for (int tries = 0; tries < 20 && !text; tries++) {
        guard_buffer_clear(&topic);
        make_topic(asking, &topic, &asking->clients[question->client], choose_filter(asking, question->client), filter);
        bool ours = topic.length && !(asking->trial->ask && topic.data[0] == '$');
        if (!topic.failed && ours && can_be_asked(topic.data, topic.length, filter))
            text = guard_buffer_take(&topic);
    }
    guard_buffer_free(&topic);
    question->topic = text ? text : strdup("a");
    return question->topic != NULL;
}

int foreign_verify(struct ctl_import *import, const struct acl_policy *policy, const struct foreign_trial *trial)
{
    struct asking asking = {.trial = trial, .random = import->seed};
    if (!trial->filter_count) {
        fprintf(stderr, "verify: the data has no rules to ask about: nothing was compared\n");
        return CTL_OK; /* the compiler has checked the rest */
    }
    struct ctl_verify verify = {.questions = calloc(import->verify, sizeof *verify.questions)};
    bool fine = verify.questions && choose_clients(&asking);
    while (fine && verify.count < import->verify) {
        struct ctl_question *question = &verify.questions[verify.count];
        fine = make_question(&asking, question);
        if (fine && trial->allowed)
            question->allowed =
                trial->allowed(trial->context, &asking.clients[question->client], question->action, question->topic);
        verify.count += fine;
    }
    verify.clients = asking.clients;
    verify.client_count = asking.client_count;
    struct guard_error err = {0};
    int rc = fine ? CTL_OK : ctl_usage_error(import->command, "out of memory");
    if (rc == CTL_OK && trial->ask && trial->ask(trial->context, &verify, &err) != GUARD_OK)
        rc = ctl_redis_fail(&import->redis, &err);
    if (rc == CTL_OK)
        rc = ctl_verify_compare(import, policy, &verify);
    for (size_t i = 0; i < verify.count; i++)
        free((char *)(uintptr_t)verify.questions[i].topic);
    free(verify.questions);
    free(asking.clients);
    free(asking.chosen);
    return rc;
}
