/*
 * Every allocation made to fail in turn: compiling, editing, binding, compacting and explaining then end with a clean
 * error, and nothing that comes out grants what it should not. And what a check must not do at all: allocate, take a
 * lock, call the system.
 */
#include "support.h"

#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static long fail_at = -1; /* the allocation that fails, counted from 0; -1: none */
static unsigned long allocations, locks;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t length);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

static bool fails(void)
{
    return (long)allocations++ == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return fails() ? NULL : __real_reallocarray(old, count, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t length)
{
    return fails() ? NULL : __real_strndup(text, length);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    locks++;
    return __real_pthread_mutex_lock(mutex);
}

static const char source[] = "[role device]\n"
                             "data = allow publish devices/${username}/data\n"
                             "long = allow publish a-rather-long-level-of-a-topic/pre-${attr.site}-post/+/#\n"
                             "sites = allow subscribe s/${jwt.sites|any}/#\n"
                             "path = deny all p/${jwt.place|path} from=10.0.0.0/8,::1\n"
                             "quoted = allow publish \"plant 1/x\" qos<=1 size<=1K payload=json\n"
                             "[role other]\n"
                             "all = allow all #\n"
                             "no = deny subscribe secret/# priority=1\n"
                             "[assign]\n"
                             "x = other:2, device when cert.ou = \"x y\" and jwt.scope has gw\n"
                             "[default]\nroles = device\npublish = deny\n"
                             "[client c]\nroles = device, other:5\nattr.site = x\n";

static const char edit_source[] = "[role other]\nmore = allow publish ${cert.cn}/#\n[role new]\nx = allow publish n\n";

static const char *const claim = "[\"allow publish t/${username}\",\"deny publish u/${attr.extra}\","
                                 "{\"permission\":\"allow\",\"action\":\"all\",\"topic\":\"eq x/#\",\"qos\":[0,1]}]";

/* What one run has made. */
struct made {
    struct acl_policy *policy, *edited, *compact;
    struct acl_subject *subject;
    struct acl_context *context;
    struct acl_explanation explanation;
    int rc[6]; /* of each step; GUARD_ERR_NOMEM or GUARD_OK */
};

static struct guard_policy_text whole_text, edit_text;

static int bind(const struct acl_policy *policy, struct acl_subject **subject)
{
    static char site[] = "attr.site", berlin[] = "berlin", role[] = "other";
    char *values[] = {berlin};
    struct guard_attribute attribute = {site, values, 1};
    struct guard_role_grant grant = {role, 0};
    struct guard_identity identity = {.method = GUARD_AUTH_TOKEN, .acl_json = (char *)(uintptr_t)claim};
    struct acl_bind how = {.username = "u",
                           .client_id = "c",
                           .address = "10.0.0.1",
                           .identity = &identity,
                           .record_roles = &grant,
                           .record_role_count = 1,
                           .record_attributes = &attribute,
                           .record_attribute_count = 1};
    return acl_subject_bind(policy, &how, subject, NULL);
}

static void run(struct made *made)
{
    static const char *const roles[] = {"other", "new"};
    struct acl_edit edit = {.text = &edit_text, .roles = roles, .role_count = 2};
    struct guard_problems problems = {0};
    memset(made, 0, sizeof *made);
    made->context = acl_context_new();
    made->rc[0] = made->context ? GUARD_OK : GUARD_ERR_NOMEM;
    made->rc[1] = acl_policy_compile(&whole_text, NULL, &made->policy, &problems);
    guard_problems_free(&problems);
    if (!made->policy)
        return;
    made->rc[2] = acl_policy_edit(made->policy, &edit, NULL, &made->edited, NULL);
    made->rc[3] = acl_policy_compact(made->policy, &made->compact);
    made->rc[4] = bind(made->policy, &made->subject);
    struct acl_request request = {.action = ACL_SUBSCRIBE, .topic = "secret/x"};
    if (made->subject && made->context)
        made->rc[5] = acl_explain(made->context, made->policy, made->subject, &request, &made->explanation);
}

static void unmake(struct made *made)
{
    acl_explanation_free(&made->explanation);
    acl_subject_free(&made->subject);
    acl_policy_release(made->compact);
    acl_policy_release(made->edited);
    acl_policy_release(made->policy);
    acl_context_free(&made->context);
}

/* Whatever was made must answer as if nothing had failed. */
static void check(const struct made *made)
{
    static const struct {
        enum acl_action action;
        const char *topic;
        bool allowed;
    } questions[] = {{ACL_PUBLISH, "devices/u/data", true}, {ACL_PUBLISH, "t/u", true},
                     {ACL_PUBLISH, "u/x", false},           {ACL_PUBLISH, "$SYS/x", false},
                     {ACL_SUBSCRIBE, "secret/x", false},    {ACL_SUBSCRIBE, "#", false},
                     {ACL_RECEIVE, "anything/else", true}};
    for (size_t i = 0; made->context && made->policy && made->subject && i < sizeof questions / sizeof *questions;
         i++) {
        struct acl_request request = {.action = questions[i].action, .topic = questions[i].topic};
        struct acl_decision decision;
        enum acl_verdict verdict = acl_check(made->context, made->policy, made->subject, &request, &decision);
        assert_int_equal(verdict == ACL_ALLOW, questions[i].allowed);
    }
    assert_int_equal(made->policy != NULL, made->rc[1] == GUARD_OK);
    assert_int_equal(made->edited != NULL, made->policy && made->rc[2] == GUARD_OK);
    assert_int_equal(made->compact != NULL, made->policy && made->rc[3] == GUARD_OK);
    assert_int_equal(made->subject != NULL, made->policy && made->rc[4] == GUARD_OK);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    struct made made;
    allocations = 0;
    run(&made);
    unsigned long count = allocations;
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(made.rc[i], GUARD_OK);
    assert_true(made.explanation.count > 0);
    check(&made);
    unmake(&made);
    print_message("%lu allocations\n", count);
    assert_true(count > 100);
    unsigned clean = 0;
    for (unsigned long i = 0; i < count; i++) {
        allocations = 0;
        fail_at = (long)i;
        run(&made);
        fail_at = -1;
        for (size_t step = 0; step < 6; step++) {
            if (made.rc[step] != GUARD_OK && made.rc[step] != GUARD_ERR_NOMEM)
                fail_msg("allocation %lu, step %zu: %s", i, step, guard_code_name((enum guard_code)made.rc[step]));
            clean += made.rc[step] == GUARD_ERR_NOMEM;
        }
        check(&made);
        unmake(&made);
    }
    print_message("%u ended with an error\n", clean);
    assert_true(clean > count / 2); /* what only saves memory may fail without one */
}

/* Questions of every kind: recalled, remembered, walked, denied, invalid, capped by nothing. */
static unsigned ask_everything(const struct made *made)
{
    static const char *const topics[] = {"devices/u/data",
                                         "devices/v/data",
                                         "a-rather-long-level-of-a-topic/pre-berlin-post/x/y",
                                         "s/x",
                                         "plant 1/x",
                                         "$SYS/x",
                                         "a/+",
                                         "secret/#",
                                         "#",
                                         "$share/g/secret/#",
                                         "\xff",
                                         "",
                                         "t/u",
                                         "p/x"};
    unsigned allowed = 0;
    for (int round = 0; round < 300; round++)
        for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
            struct acl_request request = {
                .action = (enum acl_action)(round % 3), .topic = topics[i], .payload = "{}", .payload_length = 2};
            struct acl_decision decision;
            allowed += acl_check(made->context, made->policy, made->subject, &request, &decision) == ACL_ALLOW;
        }
    return allowed;
}

static void a_check_does_not_allocate_or_lock(void **state)
{
    (void)state;
    struct made made;
    run(&made);
    allocations = locks = 0;
    assert_true(ask_everything(&made) > 100);
    assert_int_equal(allocations, 0);
    assert_int_equal(locks, 0);
    unmake(&made);
}

/* In strict mode the kernel kills a process that calls anything but read, write, exit and sigreturn. */
static void a_check_does_not_call_the_system(void **state)
{
    (void)state;
    struct made made;
    int status;
    run(&made);
    pid_t child = fork();
    if (child == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
            syscall(SYS_exit, 77);
        syscall(SYS_exit, ask_everything(&made) > 100 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    unmake(&made);
}

int main(void)
{
    if (!support_policy_text(source, &whole_text) || !support_policy_text(edit_source, &edit_text))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_fails_once),
        cmocka_unit_test(a_check_does_not_allocate_or_lock),
        cmocka_unit_test(a_check_does_not_call_the_system),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    guard_policy_text_free(&whole_text);
    guard_policy_text_free(&edit_text);
    return failed;
}
