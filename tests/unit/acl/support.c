#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length && strchr(" \t\r\n", text[length - 1]))
        text[--length] = '\0';
    return text;
}

struct section {
    enum guard_policy_section kind;
    char name[256];
};

static void read_section(char *line, struct section *section)
{
    static const char *const names[] = {"role ", "client ", "assign", "default"};
    line[strcspn(line, "]")] = '\0';
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(line + 1, names[i], strlen(names[i])) == 0) {
            section->kind = (enum guard_policy_section)i;
            snprintf(section->name, sizeof section->name, "%s", i < 2 ? trim(line + 1 + strlen(names[i])) : "");
        }
}

static bool add_line(char *line, const char *start, unsigned number, const struct section *section,
                     struct guard_policy_text *text)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return true;
    *equals = '\0';
    char *value = trim(equals + 1);
    struct guard_policy_line added = {.section = section->kind,
                                      .name = section->name,
                                      .field = trim(line),
                                      .value = value,
                                      .place = "test.conf",
                                      .line = number,
                                      .column = (unsigned)(value - start) + 1};
    return guard_policy_text_add(text, &added) == GUARD_OK;
}

bool support_policy_text(const char *source, struct guard_policy_text *text)
{
    char *copy = strdup(source), *save = copy, *start;
    struct section section = {0};
    bool good = copy != NULL;
    for (unsigned number = 1; good && (start = strsep(&save, "\n")); number++) {
        char *line = trim(start);
        if (*line == '[')
            read_section(line, &section);
        else if (*line && *line != ';')
            good = add_line(line, start, number, &section, text);
    }
    free(copy);
    return good;
}

struct acl_policy *support_policy(const char *source)
{
    struct guard_policy_text text = {0};
    struct guard_problems problems = {0};
    struct acl_policy *policy = NULL;
    char line[900];
    assert_true(support_policy_text(source, &text));
    int rc = acl_policy_compile(&text, NULL, &policy, &problems);
    for (size_t i = 0; rc != GUARD_OK && i < problems.count; i++)
        print_error("%s\n", guard_error_format(&problems.items[i].error, line, sizeof line));
    assert_int_equal(rc, GUARD_OK);
    guard_problems_free(&problems);
    guard_policy_text_free(&text);
    return policy;
}

void support_unescape(char *text)
{
    char *to = text;
    for (; *text; text++) {
        unsigned octet;
        if (*text == '%' && sscanf(text + 1, "%2x", &octet) == 1) {
            *to++ = (char)octet;
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
}

#define GRANTS 64

static size_t read_roles(char *list, struct guard_role_grant *grants)
{
    size_t count = 0;
    char *name;
    while ((name = strsep(&list, ",")) && count < GRANTS) {
        char *colon = strrchr(name, ':');
        int32_t priority = 0;
        if (colon && (colon[1] == '-' || (colon[1] >= '0' && colon[1] <= '9'))) {
            priority = atoi(colon + 1);
            *colon = '\0';
        }
        support_unescape(name);
        if (*name)
            grants[count++] = (struct guard_role_grant){name, priority};
    }
    return count;
}

static void read_fact(struct guard_identity *identity, const char *name, char *values)
{
    char *value;
    guard_identity_add_attribute(identity, name, NULL);
    while ((value = strsep(&values, "|"))) {
        support_unescape(value);
        guard_identity_add_attribute(identity, name, value);
    }
}

struct client {
    struct acl_bind bind;
    struct guard_identity *identity;
    struct guard_role_grant roles[GRANTS], granted[GRANTS];
};

static void read_word(struct client *client, char *word)
{
    char *value = strchr(word, '=');
    struct acl_bind *bind = &client->bind;
    if (!value)
        return;
    *value++ = '\0';
    if (strncmp(word, "attr.", 5) == 0 || strncmp(word, "jwt.", 4) == 0 || strncmp(word, "cert.", 5) == 0) {
        read_fact(client->identity, word, value);
        return;
    }
    if (strcmp(word, "roles") == 0) {
        bind->only_roles = true;
        bind->roles = client->roles;
        bind->role_count = read_roles(value, client->roles);
        return;
    }
    if (strcmp(word, "granted") == 0) {
        bind->record_roles = client->granted;
        bind->record_role_count = read_roles(value, client->granted);
        return;
    }
    support_unescape(value);
    if (strcmp(word, "username") == 0)
        bind->username = value;
    else if (strcmp(word, "client_id") == 0)
        bind->client_id = value;
    else if (strcmp(word, "address") == 0)
        bind->address = value;
    else if (strcmp(word, "acl") == 0)
        client->identity->acl_json = strdup(value);
    else if (strcmp(word, "method") == 0)
        client->identity->method = GUARD_AUTH_ANONYMOUS;
    else
        fail_msg("unknown word of a client: %s", word);
}

struct acl_subject *support_subject(const struct acl_policy *policy, const char *words)
{
    struct client client = {.identity = guard_identity_new()};
    struct acl_subject *subject = NULL;
    char *copy = strdup(words), *save = copy, *word;
    assert_non_null(copy);
    assert_non_null(client.identity);
    client.bind.identity = client.identity;
    while ((word = strsep(&save, " ")))
        read_word(&client, word);
    acl_subject_bind(policy, &client.bind, &subject, NULL);
    guard_identity_free(&client.identity);
    free(copy);
    return subject;
}

static void read_option(struct acl_request *request, char *word)
{
    char *value = strchr(word, '=');
    if (strcmp(word, "retain") == 0) {
        request->retain = true;
        return;
    }
    if (!value)
        return;
    *value++ = '\0';
    if (strcmp(word, "qos") == 0) {
        request->qos = (uint8_t)atoi(value);
    } else if (strcmp(word, "size") == 0) {
        request->payload_length = (size_t)atol(value);
    } else if (strcmp(word, "now") == 0) {
        request->now = atol(value);
    } else if (strcmp(word, "payload") == 0) {
        support_unescape(value);
        request->payload = value;
        request->payload_length = strlen(value);
    } else {
        fail_msg("unknown word of a request: %s", word);
    }
}

struct acl_request support_request(char *words)
{
    static const char *const actions[] = {"publish", "receive", "subscribe"};
    struct acl_request request = {.now = 1000};
    char *word = strsep(&words, " ");
    unsigned action = 0;
    while (action < 3 && strcmp(word, actions[action]) != 0)
        action++;
    if (action == 3)
        fail_msg("unknown action: %s", word);
    request.action = (enum acl_action)action;
    char *topic = strsep(&words, " ");
    if (topic)
        support_unescape(topic);
    request.topic = topic ? topic : "";
    while ((word = strsep(&words, " ")))
        read_option(&request, word);
    return request;
}
