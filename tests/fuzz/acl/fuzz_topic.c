/*
 * Topics and filters of any content against one policy: first octet the client, second the action, the rest the topic.
 * What a long-lived context answers must be what a new one answers; and a filter that is covered must let its topics
 * through, one that is not must not.
 */
#include "acl/acl.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const rules[] = {"allow all a/${username}/#",
                                    "allow subscribe b/+",
                                    "allow subscribe b/+/c",
                                    "deny subscribe b/secret/#",
                                    "allow publish x/${client_id}",
                                    "allow subscribe b/secret/ok priority=1",
                                    "allow subscribe l/a-long-level-of-a-topic/+/#",
                                    "allow subscribe l/a-long-level-of-a-topic",
                                    "deny all ${attr.missing}/deny",
                                    "allow subscribe s/${jwt.sites|any}/#",
                                    "allow publish p/${jwt.path|path}/end",
                                    "allow subscribe $SYS/#",
                                    "deny subscribe $SYS/secret"};

#define CLIENTS 4

static struct acl_policy *policy;
static struct acl_subject *subjects[CLIENTS];
static struct acl_context *context;

static void expect(bool condition)
{
    if (!condition)
        abort();
}

static void bind_client(unsigned i)
{
    static const char *const names[CLIENTS] = {"u", "a-long-user-name", NULL, "$SYS"};
    static char sites[] = "jwt.sites", path[] = "jwt.path", one[] = "s1", two[] = "s2", levels[] = "d/e";
    char *two_sites[] = {one, two}, *one_path[] = {levels};
    struct guard_attribute attributes[] = {{sites, two_sites, 2}, {path, one_path, 1}};
    struct guard_identity identity = {.attributes = attributes, .attribute_count = i % 2 ? 0 : 2};
    struct acl_bind how = {.username = names[i], .client_id = i % 2 ? "u" : "c", .identity = &identity};
    expect(acl_subject_bind(policy, &how, &subjects[i], NULL) == GUARD_OK);
}

static void prepare(void)
{
    struct guard_policy_text text = {0};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        char name[16];
        snprintf(name, sizeof name, "r%zu", i);
        struct guard_policy_line line = {
            .section = GUARD_SECTION_ROLE, .name = "r", .field = name, .value = rules[i], .place = "fuzz"};
        expect(guard_policy_text_add(&text, &line) == GUARD_OK);
    }
    struct guard_policy_line defaults = {
        .section = GUARD_SECTION_DEFAULT, .name = "", .field = "roles", .value = "r", .place = "fuzz"};
    expect(guard_policy_text_add(&text, &defaults) == GUARD_OK);
    expect(acl_policy_compile(&text, NULL, &policy, NULL) == GUARD_OK);
    guard_policy_text_free(&text);
    for (unsigned i = 0; i < CLIENTS; i++)
        bind_client(i);
    context = acl_context_new();
    expect(context != NULL);
}

/* A topic of the filter: each + is that word, a last # two levels or none. */
static char *topic_of(const char *filter, const char *word, bool deep)
{
    char *topic = malloc(strlen(filter) * (strlen(word) + 1) + 8), *to = topic;
    expect(topic != NULL);
    for (; *filter; filter++) {
        if (*filter == '+')
            to = stpcpy(to, word);
        else if (*filter == '#')
            to = stpcpy(to, deep ? "y/z" : "");
        else
            *to++ = *filter;
    }
    *to = '\0';
    return topic;
}

static void check_topics(const struct acl_subject *subject, const char *filter, enum acl_coverage coverage)
{
    static const char *const words[] = {"x", "secret", ""};
    if (strncmp(filter, "$share/", 7) == 0)
        filter = strchr(filter + 7, '/') + 1;
    for (unsigned i = 0; i < 6; i++) {
        char *topic = topic_of(filter, words[i / 2], i % 2);
        struct acl_request request = {.action = ACL_RECEIVE, .topic = topic};
        struct acl_decision decision;
        bool allowed = acl_check(context, policy, subject, &request, &decision) == ACL_ALLOW;
        if (decision.reason != GUARD_REASON_TOPIC_INVALID && !(*topic == '$' && *filter != '$')) {
            expect(allowed || coverage != ACL_COVERAGE_FULL);
            expect(!allowed || coverage != ACL_COVERAGE_NONE);
        }
        free(topic);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!policy)
        prepare();
    if (size < 2)
        return 0;
    const struct acl_subject *subject = subjects[data[0] % CLIENTS];
    char *topic = malloc(size - 1);
    expect(topic != NULL);
    memcpy(topic, data + 2, size - 2);
    topic[size - 2] = '\0';
    struct acl_request request = {
        .action = (enum acl_action)(data[1] % 3), .topic = topic, .topic_length = data[1] & 64 ? size - 2 : 0};
    struct acl_context *fresh = acl_context_new();
    struct acl_decision a, b;
    expect(fresh != NULL);
    acl_check(context, policy, subject, &request, &a);
    acl_check(fresh, policy, subject, &request, &b);
    expect(a.verdict == b.verdict && a.reason == b.reason && a.coverage == b.coverage && a.flags == b.flags);
    expect((a.verdict == ACL_ALLOW) == (a.reason == GUARD_REASON_NONE));
    if (request.action == ACL_SUBSCRIBE && a.coverage != ACL_COVERAGE_NOT_ASKED)
        check_topics(subject, topic, a.coverage);
    acl_context_free(&fresh);
    free(topic);
    return 0;
}
