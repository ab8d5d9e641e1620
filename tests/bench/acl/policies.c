#include "policies.h"

#include "core/clock.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void *need(void *memory)
{
    if (!memory) {
        fprintf(stderr, "out of memory\n");
        exit(2);
    }
    return memory;
}

static uint64_t random_state = 88172645463325252U;

uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Processor time of this process: what a compile costs, whatever else the machine does. */
static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- policies ---- */

void add_rule(struct guard_policy_text *text, const char *role, const char *name, const char *rule)
{
    struct guard_policy_line line = {
        .section = GUARD_SECTION_ROLE, .name = role, .field = name, .value = rule, .place = "bench.conf", .line = 1};
    if (guard_policy_text_add(text, &line) != GUARD_OK)
        need(NULL);
}

static struct acl_policy *compile(struct guard_policy_text *text, double *seconds)
{
    struct acl_policy *policy;
    struct guard_problems problems = {0};
    int64_t start = cpu_ns();
    if (acl_policy_compile(text, NULL, &policy, &problems) != GUARD_OK) {
        fprintf(stderr, "%s\n", problems.count ? problems.items[0].error.text : "out of memory");
        exit(2);
    }
    *seconds = (double)(cpu_ns() - start) / 1e9;
    return policy;
}

static const char *const template_rules[20] = {
    "allow publish devices/${username}/data",
    "allow publish devices/${username}/state",
    "allow publish devices/${username}/events/+",
    "allow publish devices/${username}/log/#",
    "allow publish fleet/${attr.site}/${username}/telemetry",
    "allow subscribe devices/${client_id}/commands",
    "allow subscribe devices/${client_id}/config/#",
    "allow subscribe devices/${client_id}/firmware",
    "allow subscribe fleet/${attr.site}/announcements",
    "allow subscribe broadcast/#",
    "allow subscribe time/utc",
    "allow publish alarms/${username}",
    "allow publish metrics/${attr.site}/${username}/+",
    "allow subscribe shadows/${username}/get/accepted",
    "allow publish shadows/${username}/update",
    "deny  publish devices/${username}/config",
    "deny  subscribe broadcast/internal/#",
    "allow publish jobs/${username}/+/status",
    "allow subscribe jobs/${username}/#",
    "allow publish presence/${username}",
};

static void template_role(struct guard_policy_text *text)
{
    char name[16];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "r%d", i);
        add_rule(text, "device", name, template_rules[i]);
    }
}

/* One role with that many rules on topics of their own. */
static void one_large_role(struct guard_policy_text *text, size_t rules)
{
    char name[40], rule[96];
    for (size_t i = 0; i < rules; i++) {
        snprintf(name, sizeof name, "r%zu", i);
        snprintf(rule, sizeof rule, "allow publish site%zu/line%zu/machine%zu/data", i % 100, i / 100 % 100, i);
        add_rule(text, "large", name, rule);
    }
}

static void private_roles(struct guard_policy_text *text, size_t roles)
{
    static const char *const actions[5] = {"allow publish devices", "allow publish devices", "allow subscribe devices",
                                           "allow subscribe devices", "deny publish devices"};
    static const char *const names[5] = {"data", "state", "commands", "config/#", "admin"};
    char role[40], rule[96];
    for (size_t i = 0; i < roles; i++)
        for (int k = 0; k < 5; k++) {
            snprintf(role, sizeof role, "client-%zu", i);
            snprintf(rule, sizeof rule, "%s/d%zu/%s", actions[k], i, names[k]);
            add_rule(text, role, names[k], rule);
        }
}

/* That many roles of a thousand rules each; their filters begin all alike or each in its own way. */
static void many_roles(struct guard_policy_text *text, size_t roles, bool alike)
{
    char role[40], name[40], rule[96];
    for (size_t i = 0; i < roles; i++)
        for (size_t k = 0; k < 1000; k++) {
            snprintf(role, sizeof role, "role-%zu", i);
            snprintf(name, sizeof name, "r%zu", k);
            snprintf(rule, sizeof rule, "allow publish site%s%zu/machine%zu/data", alike ? "/" : "", i, k);
            add_rule(text, role, name, rule);
        }
}

/* ---- clients ---- */

static struct acl_subject *bind_to(const struct acl_policy *policy, const char *username,
                                   struct guard_role_grant *grants, size_t count)
{
    static char name[] = "attr.site";
    char site[] = "berlin", *values[] = {site};
    struct guard_attribute attribute = {name, values, 1};
    struct acl_bind how = {.username = username,
                           .client_id = username,
                           .address = "10.0.0.1",
                           .record_roles = grants,
                           .record_role_count = count,
                           .record_attributes = &attribute,
                           .record_attribute_count = 1};
    struct acl_subject *subject;
    if (acl_subject_bind(policy, &how, &subject, NULL) != GUARD_OK)
        need(NULL);
    return subject;
}

static struct acl_subject *bind(const struct acl_policy *policy, const char *username, const char *role)
{
    struct guard_role_grant grant = {(char *)(uintptr_t)role, 0};
    return bind_to(policy, username, &grant, 1);
}

/* ---- loads ---- */

static double bytes_a_rule(const struct acl_policy *policy)
{
    return (double)acl_policy_memory(policy) / (double)acl_policy_rule_count(policy);
}

struct load load_of_large_role(size_t rules)
{
    struct guard_policy_text text = {0};
    struct load load = {.count = rules < 100000 ? rules : 100000};
    one_large_role(&text, rules);
    load.policy = compile(&text, &load.seconds);
    guard_policy_text_free(&text);
    load.bytes = bytes_a_rule(load.policy);
    load.questions = need(calloc(load.count, sizeof *load.questions));
    struct acl_subject *subject = bind(load.policy, "operator", "large");
    for (size_t i = 0; i < load.count; i++) {
        char topic[96];
        size_t rule = next_random() % rules;
        snprintf(topic, sizeof topic, "site%zu/line%zu/machine%zu/data", rule % 100, rule / 100 % 100, rule);
        load.questions[i] = (struct question){subject, need(strdup(topic))};
    }
    return load;
}

/* Clients with a role of their own, or all with the same role of templates. */
struct load load_of_fleet(bool templates, size_t clients)
{
    struct guard_policy_text text = {0};
    struct load load = {.count = clients};
    if (templates)
        template_role(&text);
    else
        private_roles(&text, clients);
    load.policy = compile(&text, &load.seconds);
    guard_policy_text_free(&text);
    load.bytes = bytes_a_rule(load.policy);
    load.questions = need(calloc(load.count, sizeof *load.questions));
    for (size_t i = 0; i < load.count; i++) {
        char name[40], role[40], topic[96];
        snprintf(name, sizeof name, "%s%zu", templates ? "dev-" : "d", templates ? 1000000 + i : i);
        snprintf(role, sizeof role, "client-%zu", i);
        snprintf(topic, sizeof topic, "devices/%s/data", name);
        load.questions[i] =
            (struct question){bind(load.policy, name, templates ? "device" : role), need(strdup(topic))};
    }
    return load;
}

#define ROLES_MAX 128

struct load load_of_many_roles(size_t held, bool alike)
{
    struct guard_policy_text text = {0};
    struct load load = {.count = 10000};
    size_t roles = 1000;
    many_roles(&text, roles, alike);
    load.policy = compile(&text, &load.seconds);
    guard_policy_text_free(&text);
    load.bytes = bytes_a_rule(load.policy);
    load.questions = need(calloc(load.count, sizeof *load.questions));
    for (size_t i = 0; i < load.count; i++) {
        struct guard_role_grant grants[ROLES_MAX];
        char names[ROLES_MAX][24], user[24], topic[96];
        size_t first = next_random() % roles;
        for (size_t k = 0; k < held; k++) {
            snprintf(names[k], sizeof names[k], "role-%zu", (first + k * 7) % roles);
            grants[k] = (struct guard_role_grant){names[k], 0};
        }
        snprintf(user, sizeof user, "u%zu", i);
        snprintf(topic, sizeof topic, "site%s%zu/machine%zu/data", alike ? "/" : "",
                 (first + next_random() % held * 7) % roles, (size_t)(next_random() % 1000));
        load.questions[i] = (struct question){bind_to(load.policy, user, grants, held), need(strdup(topic))};
    }
    return load;
}

void free_load(struct load *load)
{
    struct acl_subject *last = NULL;
    for (size_t i = 0; i < load->count; i++) {
        if (load->questions[i].subject != last) {
            last = load->questions[i].subject;
            acl_subject_free(&load->questions[i].subject);
        }
        free(load->questions[i].topic);
    }
    free(load->questions);
    acl_policy_release(load->policy);
    malloc_trim(0);
}
