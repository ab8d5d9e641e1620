#include "acl/binding.h"

#include "acl/memory.h"
#include "acl/parse.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

struct acl_bindings *acl_bindings_new(void)
{
    struct acl_bindings *bindings = calloc(1, sizeof *bindings);
    if (bindings)
        atomic_init(&bindings->references, 1);
    return bindings;
}

struct acl_bindings *acl_bindings_retain(struct acl_bindings *bindings)
{
    atomic_fetch_add_explicit(&bindings->references, 1, memory_order_relaxed);
    return bindings;
}

static void free_list(struct acl_role_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        free(list->items[i].role);
    free(list->items);
    *list = (struct acl_role_list){0};
}

static void free_assignment(struct acl_assignment *assignment)
{
    free_list(&assignment->roles);
    for (uint32_t i = 0; i < assignment->test_count; i++) {
        free(assignment->tests[i].name);
        free(assignment->tests[i].value);
    }
    free(assignment->tests);
}

void acl_bindings_release(struct acl_bindings *bindings)
{
    if (!bindings || atomic_fetch_sub_explicit(&bindings->references, 1, memory_order_acq_rel) != 1)
        return;
    free_list(&bindings->roles);
    for (uint32_t i = 0; i < bindings->assignment_count; i++)
        free_assignment(&bindings->assignments[i]);
    free(bindings->assignments);
    free(bindings);
}

static int out_of_memory(struct guard_error *err)
{
    return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
}

/* Reads a bare word, which ends at a blank or one of stops, or a quoted string. *out is allocated. */
static int parse_word(struct acl_scan *scan, const char *stops, const char *expected, char **out)
{
    *out = NULL;
    acl_scan_blanks(scan);
    if (*scan->at == '"') {
        size_t size = strlen(scan->at) + 1, length;
        char *text = malloc(size);
        if (!text)
            return out_of_memory(scan->err);
        int rc = acl_scan_quoted(scan, text, size, &length);
        if (rc == GUARD_OK)
            *out = text;
        else
            free(text);
        return rc;
    }
    size_t length = acl_scan_word(scan, stops);
    if (!length)
        return acl_scan_fail(scan, scan->at, "expected %s", expected);
    *out = strndup(scan->at, length);
    scan->at += length;
    return *out ? GUARD_OK : out_of_memory(scan->err);
}

static bool is_role_name(const char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name < 0x20 || *name == 0x7f || *name == ']')
            return false;
    return true;
}

/* A bare name may end in :N, the binding priority; of "a:b:5" only the last part. */
static int split_priority(struct acl_scan *scan, const char *start, char *name, int32_t *priority)
{
    long number;
    char *colon = strrchr(name, ':');
    if (!colon || colon == name)
        return GUARD_OK;
    const char *digits = colon + 1;
    size_t length = strlen(digits);
    if (strspn(digits, "+-0123456789") != length || !length)
        return GUARD_OK;
    if (!acl_word_number(digits, length, ACL_PRIORITY_LIMIT, &number) || number < -ACL_PRIORITY_LIMIT)
        return acl_scan_fail(scan, start + (digits - name), "expected a binding priority, -1000000000 to 1000000000");
    *colon = '\0';
    *priority = (int32_t)number;
    return GUARD_OK;
}

static int quoted_priority(struct acl_scan *scan, int32_t *priority)
{
    long number;
    if (*scan->at != ':')
        return GUARD_OK;
    scan->at++;
    size_t length = acl_scan_word(scan, ",");
    if (!acl_word_number(scan->at, length, ACL_PRIORITY_LIMIT, &number) || number < -ACL_PRIORITY_LIMIT)
        return acl_scan_fail(scan, scan->at, "expected a binding priority, -1000000000 to 1000000000");
    scan->at += length;
    *priority = (int32_t)number;
    return GUARD_OK;
}

/* role[:priority] {, role[:priority]}; stops at the first word that no comma leads to. */
static int parse_roles(struct acl_scan *scan, struct acl_role_list *list)
{
    for (;;) {
        struct guard_role_grant grant = {0};
        acl_scan_blanks(scan);
        const char *start = scan->at;
        bool quoted = *start == '"';
        int rc = parse_word(scan, ",", "a role, or role:priority", &grant.role);
        if (rc == GUARD_OK)
            rc = quoted ? quoted_priority(scan, &grant.priority)
                        : split_priority(scan, start, grant.role, &grant.priority);
        if (rc == GUARD_OK && (!*grant.role || !is_role_name(grant.role)))
            rc = acl_scan_fail(scan, start, "a role's name may hold no ']' and no control character");
        if (rc == GUARD_OK && !acl_grow(&list->items, &list->capacity, sizeof *list->items, (size_t)list->count + 1))
            rc = out_of_memory(scan->err);
        if (rc != GUARD_OK) {
            free(grant.role);
            return rc;
        }
        list->items[list->count++] = grant;
        acl_scan_blanks(scan);
        if (*scan->at != ',')
            return GUARD_OK;
        scan->at++;
    }
}

/* =, has, contains */
static int parse_operator(struct acl_scan *scan, enum acl_test_kind *kind)
{
    size_t length = acl_scan_word(scan, "=");
    if (*scan->at == '=') {
        *kind = ACL_TEST_EQUALS;
        length = 1;
    } else if (length == 3 && memcmp(scan->at, "has", 3) == 0) {
        *kind = ACL_TEST_HAS;
    } else if (length == 8 && memcmp(scan->at, "contains", 8) == 0) {
        *kind = ACL_TEST_CONTAINS;
    } else {
        return acl_scan_fail(scan, scan->at, "expected =, has or contains");
    }
    scan->at += length;
    return GUARD_OK;
}

static int parse_comparison(struct acl_scan *scan, struct acl_test *test)
{
    const char *start = scan->at;
    int rc = parse_word(scan, "=", "a test: anonymous, named, or a fact such as cert.ou", &test->name);
    if (rc != GUARD_OK)
        return rc;
    if (strcmp(test->name, "anonymous") == 0 || strcmp(test->name, "named") == 0) {
        test->kind = test->name[0] == 'a' ? ACL_TEST_ANONYMOUS : ACL_TEST_NAMED;
        return GUARD_OK;
    }
    if (!acl_placeholder_name_is_valid(test->name, strlen(test->name)))
        return acl_scan_fail(
            scan, start, "expected anonymous, named, username, client_id, cert.<field>, jwt.<claim> or attr.<name>");
    rc = parse_operator(scan, &test->kind);
    if (rc != GUARD_OK)
        return rc;
    return parse_word(scan, "", "a value, bare or in double quotes", &test->value);
}

static int parse_tests(struct acl_scan *scan, struct acl_assignment *assignment)
{
    for (;;) {
        if (!acl_grow(&assignment->tests, &assignment->test_capacity, sizeof *assignment->tests,
                      (size_t)assignment->test_count + 1))
            return out_of_memory(scan->err);
        struct acl_test *test = &assignment->tests[assignment->test_count++];
        *test = (struct acl_test){0};
        acl_scan_blanks(scan);
        int rc = parse_comparison(scan, test);
        if (rc != GUARD_OK)
            return rc;
        size_t length = acl_scan_word(scan, "");
        if (!length)
            return GUARD_OK;
        if (length != 3 || memcmp(scan->at, "and", 3) != 0)
            return acl_scan_fail(scan, scan->at, "expected and, or the end of the assignment");
        scan->at += length;
    }
}

int acl_assignment_parse(struct acl_bindings *bindings, const char *value, struct guard_error *err)
{
    struct acl_scan scan = {value, value, err};
    struct acl_assignment assignment = {0};
    int rc = parse_roles(&scan, &assignment.roles);
    if (rc == GUARD_OK) {
        size_t length = acl_scan_word(&scan, "");
        if (length != 4 || memcmp(scan.at, "when", 4) != 0)
            rc = acl_scan_fail(&scan, scan.at, "expected ',' or when");
        else
            scan.at += length;
    }
    if (rc == GUARD_OK)
        rc = parse_tests(&scan, &assignment);
    if (rc == GUARD_OK && !acl_grow(&bindings->assignments, &bindings->assignment_capacity,
                                    sizeof *bindings->assignments, (size_t)bindings->assignment_count + 1))
        rc = out_of_memory(err);
    if (rc != GUARD_OK) {
        free_assignment(&assignment);
        return rc;
    }
    bindings->assignments[bindings->assignment_count++] = assignment;
    return GUARD_OK;
}

static int role_list_end(struct acl_scan *scan)
{
    return *scan->at ? acl_scan_fail(scan, scan->at, "expected ',' or the end; names with blanks are quoted")
                     : GUARD_OK;
}

static int parse_mode(struct acl_scan *scan, struct acl_bindings *bindings)
{
    static const char *const names[] = {"strict", "lenient", "off"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(scan->at, names[i]) == 0) {
            bindings->mode = (enum acl_mode)i;
            return GUARD_OK;
        }
    return acl_scan_fail(scan, scan->at, "expected strict, lenient or off");
}

int acl_default_parse(struct acl_bindings *bindings, const char *field, const char *value, struct guard_error *err)
{
    static const struct {
        const char *field;
        unsigned actions;
    } rows[] = {{"publish", ACL_ACTION_BIT(ACL_PUBLISH)},
                {"receive", ACL_ACTION_BIT(ACL_RECEIVE)},
                {"subscribe-only", ACL_ACTION_BIT(ACL_SUBSCRIBE)},
                {"subscribe", ACL_ACTION_BIT(ACL_RECEIVE) | ACL_ACTION_BIT(ACL_SUBSCRIBE)}};
    struct acl_scan scan = {value, value, err};
    if (strcmp(field, "roles") == 0) {
        int rc = parse_roles(&scan, &bindings->roles);
        return rc == GUARD_OK ? role_list_end(&scan) : rc;
    }
    if (strcmp(field, "mode") == 0)
        return parse_mode(&scan, bindings);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(field, rows[i].field) != 0)
            continue;
        bool allow = strcmp(value, "allow") == 0;
        if (!allow && strcmp(value, "deny") != 0)
            return acl_scan_fail(&scan, value, "expected allow or deny");
        for (unsigned action = 0; action < ACL_ACTIONS; action++)
            if (rows[i].actions & ACL_ACTION_BIT(action))
                bindings->default_allow[action] = allow;
        return GUARD_OK;
    }
    return guard_fail(err, GUARD_ERR_SYNTAX,
                      "unknown default: expected roles, mode, publish, receive, subscribe or subscribe-only");
}

static int check_roles(const char *value, struct guard_error *err)
{
    struct acl_scan scan = {value, value, err};
    struct acl_role_list list = {0};
    int rc = parse_roles(&scan, &list);
    if (rc == GUARD_OK)
        rc = role_list_end(&scan);
    free_list(&list);
    return rc;
}

int acl_client_field_check(const char *field, const char *value, struct guard_error *err)
{
    struct acl_scan scan = {value, value, err};
    if (strcmp(field, "roles") == 0)
        return check_roles(value, err);
    if (strcmp(field, "password") == 0)
        return *value ? GUARD_OK : acl_scan_fail(&scan, value, "expected a password hash");
    if (strcmp(field, "client_id") == 0)
        return *value ? GUARD_OK : acl_scan_fail(&scan, value, "expected a client id, or several with commas");
    if (strcmp(field, "disabled") == 0)
        return strcmp(value, "yes") == 0 || strcmp(value, "no") == 0
                   ? GUARD_OK
                   : acl_scan_fail(&scan, value, "expected yes or no");
    if (strncmp(field, "attr.", 5) == 0) {
        if (acl_placeholder_name_is_valid(field, strlen(field)))
            return GUARD_OK;
        return guard_fail(err, GUARD_ERR_SYNTAX,
                          "an attribute's name is attr. and letters, digits, '_', '-', '.' or ':'");
    }
    return guard_fail(err, GUARD_ERR_SYNTAX,
                      "unknown field of a client: expected password, roles, attr.<name>, client_id or disabled");
}

/* ---- tests ---- */

static const struct guard_attribute *find_attribute(const struct acl_bind *bind, const char *name)
{
    for (size_t i = 0; i < bind->record_attribute_count; i++)
        if (strcmp(bind->record_attributes[i].name, name) == 0)
            return &bind->record_attributes[i];
    return bind->identity ? guard_identity_attribute(bind->identity, name) : NULL;
}

const char *const *acl_fact(const struct acl_bind *bind, const char *name, const char **single, size_t *count)
{
    bool username = strcmp(name, "username") == 0;
    *count = 0;
    if (username || strcmp(name, "client_id") == 0 || strcmp(name, "clientid") == 0) {
        *single = username ? bind->username : bind->client_id;
        *count = *single ? 1 : 0;
        return single;
    }
    const struct guard_attribute *attribute = find_attribute(bind, name);
    if (!attribute)
        return NULL;
    *count = attribute->count;
    return (const char *const *)attribute->values;
}

static bool has_word(const char *text, const char *word)
{
    size_t length = strlen(word);
    while (*text) {
        size_t span = strcspn(text, " ");
        if (span == length && span && memcmp(text, word, length) == 0)
            return true;
        text += span;
        text += strspn(text, " ");
    }
    return false;
}

static bool any_contains(const char *const *values, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strstr(values[i], text))
            return true;
    return false;
}

static bool test_holds(const struct acl_test *test, const struct acl_bind *bind)
{
    bool anonymous = !bind->username || (bind->identity && bind->identity->method == GUARD_AUTH_ANONYMOUS);
    if (test->kind == ACL_TEST_ANONYMOUS || test->kind == ACL_TEST_NAMED)
        return anonymous == (test->kind == ACL_TEST_ANONYMOUS);
    const char *single;
    size_t count;
    const char *const *values = acl_fact(bind, test->name, &single, &count);
    if (test->kind == ACL_TEST_EQUALS)
        return count == 1 && strcmp(values[0], test->value) == 0;
    if (test->kind == ACL_TEST_CONTAINS)
        return any_contains(values, count, test->value);
    bool words = strcmp(test->name, "jwt.scope") == 0 || strcmp(test->name, "jwt.scp") == 0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(values[i], test->value) == 0 || (words && has_word(values[i], test->value)))
            return true;
    return false;
}

bool acl_assignment_holds(const struct acl_assignment *assignment, const struct acl_bind *bind)
{
    for (uint32_t i = 0; i < assignment->test_count; i++)
        if (!test_holds(&assignment->tests[i], bind))
            return false;
    return true;
}
