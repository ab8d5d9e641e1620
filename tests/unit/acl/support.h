/* What the tests of the rule engine share: policies from text, subjects and requests from words. */
#ifndef TESTS_ACL_SUPPORT_H
#define TESTS_ACL_SUPPORT_H

#include "acl/acl.h"

#include <stdbool.h>
#include <stddef.h>

/* Reads "[role x]" and "name = value" lines into text (zeroed before). False when out of memory. */
bool support_policy_text(const char *source, struct guard_policy_text *text);

/* Compiles a source that must be good; fails the test with the problems otherwise. */
struct acl_policy *support_policy(const char *source);

/*
 * A subject from words: username=… client_id=… address=… roles=a,b:5 (replacing), attr.x=…, jwt.x=…, cert.x=… (values
 * parted by '|'; "jwt.x=" is a fact with one empty value), acl=JSON, method=anonymous, granted=a,b (roles of the
 * credential).
 * "%20" stands for a blank. NULL when binding fails.
 */
struct acl_subject *support_subject(const struct acl_policy *policy, const char *words);

/* A request from words: action topic [qos=N] [retain] [size=N] [payload=TEXT] [now=N]. topic and payload point into
 * words, which is cut. */
struct acl_request support_request(char *words);

/* Replaces %XX by its octet, in place. */
void support_unescape(char *text);

#endif
