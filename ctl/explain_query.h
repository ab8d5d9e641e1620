/* One question to `guardctl explain`: who asks for what. From the command line, or from a line of --batch. */
#ifndef GUARD_CTL_EXPLAIN_QUERY_H
#define GUARD_CTL_EXPLAIN_QUERY_H

#include "ctl/json_line.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum explain_action { EXPLAIN_PUBLISH, EXPLAIN_RECEIVE, EXPLAIN_SUBSCRIBE, EXPLAIN_SUBSCRIBE_ONLY };

struct explain_role {
    const char *name;
    int32_t priority;
};

/* One value of an attribute; an attribute with several values has several of these, one without any has value NULL. */
struct explain_attribute {
    const char *name;
    bool dotted; /* whether name has a source of its own ("jwt.site"); otherwise "attr." is meant in front of it */
    const char *value;
};

/* All texts are borrowed from the line or the command line. The arrays are the query's own and are used again. */
struct explain_query {
    const char *username, *client_id,
        *address; /* NULL = not given; an empty username counts as none (MQTT has no other) */
    struct explain_role *roles;
    size_t role_count, role_capacity;
    bool roles_given; /* they replace everything the policy would bind, even when there are none */
    struct explain_attribute *attributes;
    size_t attribute_count, attribute_capacity;
    const char *acl_claim; /* JSON: what the client's token has as `acl`; NULL = none */
    enum explain_action action;
    const char *topic;
    size_t topic_length;
    const char *payload; /* NULL = not known */
    size_t payload_length;
    uint8_t qos;
    bool retain;
    uint32_t size;
    bool size_given;
};

/* Forgets the values and keeps the arrays. */
void explain_query_clear(struct explain_query *query);
void explain_query_free(struct explain_query *query);

/*
 * Reads one JSON object (in place: line is overwritten, and the query borrows from it). False: *error says what was
 * expected; it lives as long as line or the program.
 */
bool explain_query_read(struct explain_query *query, char *line, const char **error);

/* "publish" … in any case; false if it is none of the four. */
bool explain_action_parse(const char *text, enum explain_action *action);
const char *explain_action_name(enum explain_action action);

/* "device", "device:5" or, for a name that ends so itself, "user:5:0". The text is cut in place. False: out of memory.
 */
bool explain_query_add_role(struct explain_query *query, char *text);

/* value NULL: the attribute is there and has no value. False: out of memory. */
bool explain_query_add_attribute(struct explain_query *query, const char *name, const char *value);

#endif
