/*
 * What a check costs, at four sizes of policy and two fleets, beside two measures: (a) a linear scan over the same
 * rules with a matcher like the broker's own, and (b) the floor: hash the topic, probe a table of as many lines as the
 * policy has rules (and a quarter more), compare.
 *
 *     bench_acl                          the tables of docs/performance.md
 *     bench_acl roles                    clients with 1 to 100 roles
 *     bench_acl compile N [one]          only a compile of N rules, in roles of five or in one
 *     bench_acl instructions N KIND      N checks of a kind for callgrind: publish, publish-cold, receive, subscribe,
 *                                        nothing
 */
#include "acl/acl.h"
#include "baselines.h"
#include "core/clock.h"
#include "measure.h"
#include "policies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOW 1000

static enum acl_verdict ask(struct acl_context *context, const struct acl_policy *policy,
                            const struct question *question, enum acl_action action)
{
    struct acl_request request = {
        .action = action, .topic = question->topic, .payload = "1", .payload_length = 1, .now = NOW};
    struct acl_decision decision;
    return acl_check(context, policy, question->subject, &request, &decision);
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
    volatile size_t sink = 0;
    for (size_t i = 0; i < COLD_ASKED; i++) {
        const struct question *question = &load->questions[next_random() % load->count];
        sink += strlen(question->topic); /* the packet has just been read */
        int64_t start = guard_clock_monotonic_ns();
        ask(context, load->policy, question, ACL_PUBLISH);
        cost[i] = (double)(guard_clock_monotonic_ns() - start) - clock;
    }
    *p50 = percentile(cost, COLD_ASKED, 0.5);
    *p99 = percentile(cost, COLD_ASKED, 0.99);
    free(cost);
}

/* A row of the table; scan and floor: for that many rules, or 0. */
static void row(const char *name, struct load *load, size_t baselines)
{
    struct acl_context *context = need(acl_context_new());
    double p50, p99, floor50 = 0, floor99 = 0, warm = hot(load, context);
    cold(load, context, &p50, &p99);
    double scan = baselines ? bench_linear_scan(baselines) : 0;
    if (baselines)
        bench_cold_floor(baselines, &floor50, &floor99);
    printf("%-28s %8zu %6.0f %9.0f %9.0f %9.0f %9.0f %12.0f %8.0f %8.2f\n", name, acl_policy_rule_count(load->policy),
           warm, p50, p99, floor50, floor99, scan, load->bytes, load->seconds);
    fflush(stdout);
    acl_context_free(&context);
}

static void heading(void)
{
    printf("%-28s %8s %6s %9s %9s %9s %9s %12s %8s %8s\n", "publish, ns", "rules", "hot", "cold p50", "cold p99",
           "floor p50", "floor p99", "linear scan", "B a rule", "compiled");
}

/* Clients with few roles and many. */
static void roles(void)
{
    static const size_t held[] = {1, 5, 20, 50, 100};
    heading();
    for (int alike = 0; alike < 2; alike++)
        for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
            char name[40];
            snprintf(name, sizeof name, "%zu roles%s", held[i], alike ? ", all begin alike" : "");
            struct load load = load_of_many_roles(held[i], alike);
            row(name, &load, 0);
            free_load(&load);
        }
}

/* ---- delivery to many ---- */

static void fan_out(void)
{
    struct load load = load_of_fleet(true, 1000);
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
    add_rule(&text, role, "only", rule);
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
    struct load load = load_of_fleet(true, 1000);
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

static void compile_only(size_t rules, bool one)
{
    struct load load = one ? load_of_large_role(rules) : load_of_fleet(false, rules / 5);
    printf("%zu rules in %s: %.2f s of processor time, %.0f B a rule\n", rules, one ? "one role" : "roles of five",
           load.seconds, load.bytes);
    free_load(&load);
}

static void everything(void)
{
    static const size_t sizes[] = {10, 1000, 100000, 1000000};
    printf("floor (hash, probe, compare), hot: %.0f ns\n", bench_floor());
    heading();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct load load = load_of_large_role(sizes[i]);
        row("one role", &load, sizes[i]);
        free_load(&load);
    }
    struct load templates = load_of_fleet(true, 1000000);
    row("20 templates x 1M clients", &templates, 0);
    free_load(&templates);
    struct load own = load_of_fleet(false, 200000);
    row("200k clients x 5 rules", &own, 0);
    edits(own.policy);
    free_load(&own);
    fan_out();
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (argc == 1)
        everything();
    else if (argc == 2 && strcmp(what, "roles") == 0)
        roles();
    else if (argc >= 3 && strcmp(what, "compile") == 0)
        compile_only((size_t)atol(argv[2]), argc > 3 && strcmp(argv[3], "one") == 0);
    else if (argc == 4 && strcmp(what, "instructions") == 0)
        return instructions((size_t)atol(argv[2]), argv[3]);
    else
        return 2;
    return 0;
}
