/*
 * What a check costs, at four sizes of policy and two fleets, beside two measures: (a) a linear scan over the same
 * rules with a matcher like the broker's own, and (b) the floor: hash the topic, probe a table, compare.
 *
 *     bench_acl                    the tables of docs/performance.md
 *     bench_acl compile N          only a compile of N rules, in roles of five
 *     bench_acl instructions N KIND   N checks of a kind for callgrind: publish, publish-cold, receive, subscribe,
 * nothing
 */
#include "acl/acl.h"
#include "baselines.h"
#include "core/clock.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOW 1000

static void *need(void *memory)
{
    if (!memory) {
        fprintf(stderr, "out of memory\n");
        exit(2);
    }
    return memory;
}

static uint64_t random_state = 88172645463325252U;

static uint64_t next_random(void)
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

static void add(struct guard_policy_text *text, const char *role, const char *name, const char *rule)
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
        add(text, "device", name, template_rules[i]);
    }
}

/* One role with that many rules on topics of their own. */
static void one_large_role(struct guard_policy_text *text, size_t rules)
{
    char name[40], rule[96];
    for (size_t i = 0; i < rules; i++) {
        snprintf(name, sizeof name, "r%zu", i);
        snprintf(rule, sizeof rule, "allow publish site%zu/line%zu/machine%zu/data", i % 100, i / 100 % 100, i);
        add(text, "large", name, rule);
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
            add(text, role, names[k], rule);
        }
}

/* ---- clients ---- */

static struct acl_subject *bind(const struct acl_policy *policy, const char *username, const char *role)
{
    static char name[] = "attr.site";
    char site[] = "berlin", *values[] = {site};
    struct guard_attribute attribute = {name, values, 1};
    struct guard_role_grant grant = {(char *)(uintptr_t)role, 0};
    struct acl_bind how = {.username = username,
                           .client_id = username,
                           .address = "10.0.0.1",
                           .record_roles = &grant,
                           .record_role_count = 1,
                           .record_attributes = &attribute,
                           .record_attribute_count = 1};
    struct acl_subject *subject;
    if (acl_subject_bind(policy, &how, &subject, NULL) != GUARD_OK)
        need(NULL);
    return subject;
}

/* A question with its right answer. */
struct question {
    struct acl_subject *subject;
    char *topic;
};

struct load {
    struct acl_policy *policy;
    struct question *questions;
    size_t count;
};

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(double *values, size_t count, double p)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return values[(size_t)((double)(count - 1) * p)];
}

static enum acl_verdict ask(struct acl_context *context, const struct acl_policy *policy,
                            const struct question *question, enum acl_action action)
{
    struct acl_request request = {
        .action = action, .topic = question->topic, .payload = "1", .payload_length = 1, .now = NOW};
    struct acl_decision decision;
    return acl_check(context, policy, question->subject, &request, &decision);
}

/* The clock's own cost, to be taken off single measurements. */
static double clock_cost(void)
{
    double cost[1001];
    for (int i = 0; i < 1001; i++) {
        int64_t start = guard_clock_monotonic_ns();
        cost[i] = (double)(guard_clock_monotonic_ns() - start);
    }
    return percentile(cost, 1001, 0.5);
}

#define HOT_ROUNDS 400000
#define COLD_ASKED 20000

/* A few clients asked in turn, so that everything is in the cache, but no topic is the one before. */
static double hot(const struct load *load, struct acl_context *context)
{
    double best[5];
    size_t few = load->count < 8 ? load->count : 8;
    for (int round = 0; round < 5; round++) {
        int64_t start = guard_clock_monotonic_ns();
        unsigned allowed = 0;
        for (size_t i = 0; i < HOT_ROUNDS; i++)
            allowed += ask(context, load->policy, &load->questions[i % few], ACL_PUBLISH) == ACL_ALLOW;
        best[round] = (double)(guard_clock_monotonic_ns() - start) / HOT_ROUNDS;
        if (allowed != HOT_ROUNDS)
            fprintf(stderr, "a publish was refused: %u of %u\n", HOT_ROUNDS - allowed, HOT_ROUNDS);
    }
    return percentile(best, 5, 0.5);
}

/* Every question to another client, at random among all: what it needs is in no cache when there are many. */
static void cold(const struct load *load, struct acl_context *context, double *p50, double *p99)
{
    double *cost = need(calloc(COLD_ASKED, sizeof *cost)), clock = clock_cost();
    volatile unsigned sink = 0;
    for (size_t i = 0; i < COLD_ASKED; i++) {
        const struct question *question = &load->questions[next_random() % load->count];
        sink += (unsigned char)question->topic[0]; /* the packet has just been read */
        int64_t start = guard_clock_monotonic_ns();
        ask(context, load->policy, question, ACL_PUBLISH);
        cost[i] = (double)(guard_clock_monotonic_ns() - start) - clock;
    }
    *p50 = percentile(cost, COLD_ASKED, 0.5);
    *p99 = percentile(cost, COLD_ASKED, 0.99);
    free(cost);
}

/* ---- loads ---- */

static struct load load_of_large_role(size_t rules, double *seconds, double *bytes)
{
    struct guard_policy_text text = {0};
    struct load load = {.count = rules < 100000 ? rules : 100000};
    one_large_role(&text, rules);
    load.policy = compile(&text, seconds);
    guard_policy_text_free(&text);
    *bytes = (double)acl_policy_memory(load.policy) / (double)acl_policy_rule_count(load.policy);
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
static struct load load_of_fleet(bool templates, size_t clients, double *seconds, double *bytes)
{
    struct guard_policy_text text = {0};
    struct load load = {.count = clients};
    if (templates)
        template_role(&text);
    else
        private_roles(&text, clients);
    load.policy = compile(&text, seconds);
    guard_policy_text_free(&text);
    *bytes = (double)acl_policy_memory(load.policy) / (double)acl_policy_rule_count(load.policy);
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

static void free_load(struct load *load)
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

static void row(const char *name, struct load *load, double seconds, double bytes, double scan)
{
    struct acl_context *context = need(acl_context_new());
    double p50, p99, warm = hot(load, context);
    cold(load, context, &p50, &p99);
    char scanned[32] = "-";
    if (scan > 0)
        snprintf(scanned, sizeof scanned, "%.0f", scan);
    printf("%-28s %9zu %8.0f %9.0f %9.0f %12s %8.0f %8.2f\n", name, acl_policy_rule_count(load->policy), warm, p50, p99,
           scanned, bytes, seconds);
    fflush(stdout);
    acl_context_free(&context);
}

/* ---- delivery to many ---- */

static void fan_out(void)
{
    double seconds, bytes;
    struct load load = load_of_fleet(true, 1000, &seconds, &bytes);
    struct acl_context *context = need(acl_context_new());
    static const char *const topics[] = {"broadcast/news/today", "devices/dev-1000007/commands"};
    for (size_t t = 0; t < 2; t++) {
        struct acl_request request = {
            .action = ACL_RECEIVE, .topic = topics[t], .payload = "1", .payload_length = 1, .now = NOW};
        struct acl_decision decision;
        unsigned allowed = 0;
        int64_t start = guard_clock_monotonic_ns();
        for (size_t i = 0; i < HOT_ROUNDS; i++)
            allowed +=
                acl_check(context, load.policy, load.questions[i % 100].subject, &request, &decision) == ACL_ALLOW;
        double cost = (double)(guard_clock_monotonic_ns() - start) / HOT_ROUNDS;
        printf("each further receiver of %-30s %5.1f ns (%u of %u allowed)\n", topics[t], cost, allowed, HOT_ROUNDS);
    }
    acl_context_free(&context);
    free_load(&load);
}

/* ---- edits ---- */

static void edit_one(const struct acl_policy *base, int round, double *ready, double *swap)
{
    struct guard_policy_text text = {0};
    char role[40], rule[64];
    snprintf(role, sizeof role, "client-%d", round * 7);
    snprintf(rule, sizeof rule, "allow publish edited/%d", round);
    add(&text, role, "only", rule);
    const char *roles[] = {role};
    struct acl_edit edit = {.text = &text, .roles = roles, .role_count = 1};
    struct acl_policy *next;
    int64_t start = guard_clock_monotonic_ns();
    if (acl_policy_edit(base, &edit, NULL, &next, NULL) != GUARD_OK)
        need(NULL);
    *ready = (double)(guard_clock_monotonic_ns() - start) / 1e6;
    start = guard_clock_monotonic_ns();
    struct acl_policy *pinned = acl_policy_retain(next); /* all the broker thread does */
    *swap = (double)(guard_clock_monotonic_ns() - start) / 1e3;
    acl_policy_release(pinned);
    acl_policy_release(next);
    guard_policy_text_free(&text);
}

static void edits(const struct acl_policy *base)
{
    double ready[21], swap[21];
    for (int i = 0; i < 21; i++)
        edit_one(base, i, &ready[i], &swap[i]);
    printf("one edited role among %zu rules: ready in %.2f ms (worst %.2f), swapped in %.2f us\n",
           acl_policy_rule_count(base), percentile(ready, 21, 0.5), percentile(ready, 21, 1),
           percentile(swap, 21, 0.5));
    struct acl_policy *compact;
    int64_t start = guard_clock_monotonic_ns();
    if (acl_policy_compact(base, &compact) != GUARD_OK)
        need(NULL);
    printf("compaction of the same: %.2f s\n", (double)(guard_clock_monotonic_ns() - start) / 1e9);
    acl_policy_release(compact);
}

/* ---- instructions ---- */

static int instructions(size_t count, const char *kind)
{
    double seconds, bytes;
    struct load load = load_of_fleet(true, 1000, &seconds, &bytes);
    struct acl_context *context = need(acl_context_new());
    struct acl_request request = {.action = ACL_PUBLISH, .payload = "1", .payload_length = 1, .now = NOW};
    struct acl_decision decision;
    unsigned allowed = 0;
    bool nothing = strcmp(kind, "nothing") == 0;
    size_t clients = strcmp(kind, "publish") == 0 ? 2 : 100;
    if (strcmp(kind, "receive") == 0) {
        request.action = ACL_RECEIVE;
        request.topic = "broadcast/news/today";
    } else if (strcmp(kind, "subscribe") == 0) {
        request.action = ACL_SUBSCRIBE;
        request.topic = "broadcast/news/#";
    }
    for (size_t i = 0, client = 0; i < count; i++, client = client + 1 == clients ? 0 : client + 1) {
        const struct question *question = &load.questions[client];
        if (request.action == ACL_PUBLISH)
            request.topic = question->topic;
        if (!nothing)
            allowed += acl_check(context, load.policy, question->subject, &request, &decision) == ACL_ALLOW;
    }
    printf("%s: %u of %zu allowed\n", kind, allowed, count);
    acl_context_free(&context);
    free_load(&load);
    return 0;
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {10, 1000, 100000, 1000000};
    double seconds, bytes;
    if (argc == 3 && strcmp(argv[1], "compile") == 0) {
        struct load load = load_of_fleet(false, (size_t)atol(argv[2]) / 5, &seconds, &bytes);
        printf("%s rules: %.2f s, %.0f B a rule\n", argv[2], seconds, bytes);
        free_load(&load);
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "instructions") == 0)
        return instructions((size_t)atol(argv[2]), argv[3]);
    printf("floor (hash, probe, compare), hot: %.0f ns\n", bench_floor());
    printf("%-28s %9s %8s %9s %9s %12s %8s %8s\n", "publish, ns", "rules", "hot", "cold p50", "cold p99", "linear scan",
           "B a rule", "compiled");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct load load = load_of_large_role(sizes[i], &seconds, &bytes);
        row("one role", &load, seconds, bytes, bench_linear_scan(sizes[i]));
        free_load(&load);
    }
    struct load templates = load_of_fleet(true, 1000000, &seconds, &bytes);
    row("20 templates x 1M clients", &templates, seconds, bytes, 0);
    free_load(&templates);
    struct load own = load_of_fleet(false, 200000, &seconds, &bytes);
    row("200k clients x 5 rules", &own, seconds, bytes, 0);
    edits(own.policy);
    free_load(&own);
    fan_out();
    return 0;
}
