/* One rule of the policy language, parsed but not yet in a trie. */
#ifndef GUARD_ACL_PARSE_H
#define GUARD_ACL_PARSE_H

#include "acl/model.h"

#define ACL_NETS        64  /* prefixes in one from= */
#define ACL_NAME_LENGTH 128 /* of a placeholder's name */

struct acl_parsed_level {
    enum acl_node_kind kind;
    uint32_t text, length;      /* in the rule's text: the literal, or prefix and suffix of a placeholder */
    uint32_t prefix;            /* octets of the prefix */
    char name[ACL_NAME_LENGTH]; /* of the placeholder, clientid written client_id */
};

/* About 100 KB: one is allocated and used again for every rule. */
struct acl_parsed {
    bool allow, everything /* ** */, exact, open /* ends in '#' */;
    bool typed, wild;
    uint8_t actions; /* ACL_ACTION_BIT */
    int32_t priority;
    unsigned level_count; /* without a last '#' */
    struct acl_parsed_level levels[ACL_FILTER_LEVELS];
    struct acl_condition condition; /* kinds == 0: none */
    struct acl_net nets[ACL_NETS];
    uint32_t text_used;
    char text[ACL_TEXT_MAX + 1 + 8]; /* labels, unescaped, one behind the other */
};

/* Parses NUL-terminated text. GUARD_OK, or GUARD_ERR_SYNTAX with err's column and text. */
int acl_rule_parse(const char *text, struct acl_parsed *out, struct guard_error *err);

/*
 * Parses a filter template of length octets into out's levels. *at is the offset of a fault.
 * Returns NULL, or what is wrong (a static string).
 */
const char *acl_template_parse(const char *filter, size_t length, struct acl_parsed *out, size_t *at);

/* Whether text is a placeholder's name: username, client_id, clientid, cert.X, jwt.X, attr.X. */
bool acl_placeholder_name_is_valid(const char *text, size_t length);

#endif
