/* [assign] and [default]: which roles a client has, and what holds where no rule applies. Also the grammar of [client].
 */
#ifndef GUARD_ACL_BINDING_H
#define GUARD_ACL_BINDING_H

#include "acl/model.h"
#include "acl/scan.h"

enum acl_test_kind { ACL_TEST_ANONYMOUS, ACL_TEST_NAMED, ACL_TEST_EQUALS, ACL_TEST_HAS, ACL_TEST_CONTAINS };

struct acl_test {
    enum acl_test_kind kind;
    char *name, *value; /* NULL for ANONYMOUS and NAMED */
};

struct acl_role_list {
    struct guard_role_grant *items;
    uint32_t count, capacity;
};

struct acl_assignment {
    struct acl_role_list roles;
    struct acl_test *tests; /* all must hold */
    uint32_t test_count, test_capacity;
};

struct acl_bindings {
    atomic_uint references;
    struct acl_role_list roles; /* of everybody */
    struct acl_assignment *assignments;
    uint32_t assignment_count, assignment_capacity;
    enum acl_mode mode;
    bool default_allow[ACL_ACTIONS];
};

/* Empty bindings (strict, deny), or NULL when out of memory. */
struct acl_bindings *acl_bindings_new(void);
struct acl_bindings *acl_bindings_retain(struct acl_bindings *bindings);
void acl_bindings_release(struct acl_bindings *bindings);

/* Parse one value each. GUARD_OK, GUARD_ERR_SYNTAX with err's column and text, or GUARD_ERR_NOMEM. */
int acl_assignment_parse(struct acl_bindings *bindings, const char *value, struct guard_error *err);
int acl_default_parse(struct acl_bindings *bindings, const char *field, const char *value, struct guard_error *err);
/* A fault of the field itself has column 0. */
int acl_client_field_check(const char *field, const char *value, struct guard_error *err);

/* Whether all tests of an assignment hold for a client. */
bool acl_assignment_holds(const struct acl_assignment *assignment, const struct acl_bind *bind);

/* The values of a fact (username, client_id, attr.X, cert.X, jwt.X); a single value is put into *single. *count 0:
 * none. */
const char *const *acl_fact(const struct acl_bind *bind, const char *name, const char **single, size_t *count);

#endif
