/* Compiled rules as octets: loaded they decide as before, edited they behave as before, and damage reads nothing else.
 */
#include "support.h"

#include "acl/image.h"
#include "acl/policy.h"
#include "core/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char source[] = "[role device]\n"
                             "data = allow publish devices/${username}/data\n"
                             "own = allow subscribe devices/${client_id}-x/#\n"
                             "site = allow publish,receive sites/${jwt.sites|any}/+/status qos<=1 retain=no\n"
                             "path = allow all tree/${jwt.path|path}/leaf\n"
                             "no = deny publish devices/+/secret priority=5\n"
                             "[role lan]\n"
                             "near = allow all ** from=10.0.0.0/8,192.168.0.0/16\n"
                             "until = allow publish late/# until=2030-01-01T00:00:00Z\n"
                             "json = allow publish json/+ payload=json size<=1K\n"
                             "[role long]\n"
                             "label = allow publish a-label-of-more-than-thirty-six-octets-which-lies-in-the-pool/x\n"
                             "exact = deny subscribe-only exact/# exact\n"
                             "mixed = deny receive exact/#\n"
                             "again = allow publish exact/# priority=-3\n"
                             "[role \xc3\xa4rger]\n"
                             "share = allow subscribe jobs/# share=yes\n"
                             "[default]\n"
                             "roles = device\n";

static const char *const subjects[] = {"username=ann client_id=c1 roles=device jwt.sites=a|b jwt.path=x/y",
                                       "username=a/b client_id=c1 roles=device,lan",
                                       "username=ann address=10.1.2.3 roles=lan,long:3",
                                       "username=ann address=8.8.8.8 roles=lan,long",
                                       "username=bob client_id=c roles=\xc3\xa4rger,long",
                                       "username=bob client_id=c",
                                       "roles=edited,extra,device"};

static const char *const requests[] = {"publish devices/ann/data",
                                       "publish devices/ann/secret",
                                       "publish devices/a/b/data",
                                       "subscribe devices/c1-x/#",
                                       "receive sites/a/1/status",
                                       "publish sites/c/1/status qos=2",
                                       "publish sites/b/1/status retain",
                                       "publish tree/x/y/leaf",
                                       "subscribe tree/#",
                                       "publish late/x now=1",
                                       "publish late/x now=9999999999",
                                       "publish json/x payload={}",
                                       "publish json/x payload={",
                                       "subscribe exact/#",
                                       "receive exact/x",
                                       "publish exact/x",
                                       "publish a-label-of-more-than-thirty-six-octets-which-lies-in-the-pool/x",
                                       "subscribe $share/g/jobs/#",
                                       "subscribe jobs/#",
                                       "publish new/topic",
                                       "publish extra/x",
                                       "subscribe #"};

static int put(void *context, const void *bytes, size_t length)
{
    struct guard_buffer *buffer = context;
    guard_buffer_append(buffer, bytes, length);
    return buffer->failed ? GUARD_ERR_NOMEM : GUARD_OK;
}

static struct guard_slab *image_of(const struct acl_policy *policy)
{
    struct guard_buffer image = {0};
    struct guard_sink sink = {put, &image};
    assert_int_equal(acl_policy_write(policy, &sink), GUARD_OK);
    struct guard_slab *slab = guard_slab_new(image.length, false);
    assert_non_null(slab);
    memcpy(slab->bytes, image.data, image.length);
    guard_buffer_free(&image);
    return slab;
}

/* [assign] and [default] of `of` into a loaded policy; releases it. */
static struct acl_policy *bound(struct acl_policy *policy, const char *of)
{
    struct guard_policy_text text = {0};
    struct acl_policy *next;
    assert_true(support_policy_text(of, &text));
    struct acl_edit edit = {.text = &text, .bindings = true};
    assert_int_equal(acl_policy_edit(policy, &edit, NULL, &next, NULL), GUARD_OK);
    acl_policy_release(policy);
    guard_policy_text_free(&text);
    return next;
}

static struct acl_policy *loaded(const struct acl_policy *policy)
{
    struct guard_slab *slab = image_of(policy);
    struct acl_policy *again;
    assert_int_equal(acl_policy_load(slab, slab->size, &again), GUARD_OK);
    guard_slab_unref(&slab); /* the policy holds it */
    return bound(again, source);
}

static struct acl_policy *edited(const struct acl_policy *policy, const char *text_source, const char *role)
{
    struct guard_policy_text text = {0};
    struct acl_policy *next;
    assert_true(support_policy_text(text_source, &text));
    struct acl_edit edit = {.text = &text, .roles = &role, .role_count = 1};
    struct acl_compile_options options = {.keep_bad_roles = true};
    assert_int_equal(acl_policy_edit(policy, &edit, &options, &next, NULL), GUARD_OK);
    guard_policy_text_free(&text);
    return next;
}

/* What a policy says to everything above, one line each. */
static void decide(const struct acl_policy *policy, struct guard_buffer *out)
{
    struct acl_context *context = acl_context_new();
    for (size_t s = 0; s < sizeof subjects / sizeof *subjects; s++) {
        struct acl_subject *subject = support_subject(policy, subjects[s]);
        assert_non_null(subject);
        for (size_t r = 0; r < sizeof requests / sizeof *requests; r++) {
            char words[128], rule[300];
            struct acl_decision decision;
            snprintf(words, sizeof words, "%s", requests[r]);
            struct acl_request request = support_request(words);
            acl_check(context, policy, subject, &request, &decision);
            guard_buffer_printf(out, "%zu %zu: %x %d %d %s\n", s, r, (unsigned)decision.verdict, (int)decision.reason,
                                (int)decision.coverage,
                                acl_rule_text(policy, subject, decision.rule, rule, sizeof rule));
        }
        acl_subject_free(&subject);
    }
    acl_context_free(&context);
}

struct listing {
    const struct acl_policy *policy;
    struct guard_buffer *out;
};

static bool list_rule(void *data, const struct acl_rule_info *info)
{
    struct listing *listing = data;
    char text[300];
    guard_buffer_printf(listing->out, "%s/%s %s:%u %s\n", info->role, info->name, info->place, info->line,
                        acl_rule_text(listing->policy, NULL, info->id, text, sizeof text));
    return true;
}

static bool list_role(void *data, const struct acl_role_info *info)
{
    struct listing *listing = data;
    guard_buffer_printf(listing->out, "%s %zu%s%s%s\n", info->name, info->rule_count, info->broken ? " broken" : "",
                        info->missing ? " missing" : "", info->by_default ? " default" : "");
    return true;
}

static void expect_same(const struct acl_policy *a, const struct acl_policy *b)
{
    struct guard_buffer of_a = {0}, of_b = {0};
    struct listing list_a = {a, &of_a}, list_b = {b, &of_b};
    acl_policy_each_rule(a, NULL, list_rule, &list_a);
    acl_policy_each_rule(b, NULL, list_rule, &list_b);
    acl_policy_each_role(a, list_role, &list_a);
    acl_policy_each_role(b, list_role, &list_b);
    decide(a, &of_a);
    decide(b, &of_b);
    assert_string_equal(of_a.data, of_b.data);
    assert_true(strstr(of_a.data, "2f15a6c9") && strstr(of_a.data, "50ea5936")); /* allows and denies are among it */
    assert_int_equal(acl_policy_rule_count(a), acl_policy_rule_count(b));
    guard_buffer_free(&of_a);
    guard_buffer_free(&of_b);
}

static void an_image_decides_as_its_policy(void **state)
{
    (void)state;
    struct acl_policy *policy = support_policy(source), *again = loaded(policy);
    assert_true(acl_policy_generation(policy) != acl_policy_generation(again));
    expect_same(policy, again);
    acl_policy_release(again);
    acl_policy_release(policy);
}

/* Several parts, a role that is gone, one that is broken; then edits of what was loaded. */
static void an_edited_policy_is_saved_and_edited_again(void **state)
{
    (void)state;
    static const char *const edits[][2] = {{"[role edited]\nx = allow publish new/topic\n", "edited"},
                                           {"[role bad]\nx = allow nothing\n", "bad"},
                                           {"", "lan"},
                                           {"[role device]\nx = allow publish devices/${attr.name}/data\n", "device"}};
    struct acl_policy *policy = support_policy(source), *next, *again;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        next = edited(policy, edits[i][0], edits[i][1]);
        acl_policy_release(policy);
        policy = next;
    }
    assert_true(policy->part_count > 1);
    again = loaded(policy);
    expect_same(policy, again);
    next = edited(policy, "[role extra]\nx = allow publish extra/${username}\ny = deny publish extra/x\n", "extra");
    acl_policy_release(policy);
    policy = next;
    next = edited(again, "[role extra]\nx = allow publish extra/${username}\ny = deny publish extra/x\n", "extra");
    acl_policy_release(again);
    expect_same(policy, next);
    assert_int_equal(acl_policy_compact(next, &again), GUARD_OK);
    acl_policy_release(next); /* and with it the last reference of what was loaded */
    expect_same(policy, again);
    acl_policy_release(again);
    acl_policy_release(policy);
}

static void an_empty_policy_is_one(void **state)
{
    (void)state;
    struct acl_policy *policy = support_policy(""), *again;
    struct guard_slab *slab = image_of(policy);
    assert_int_equal(acl_policy_load(slab, slab->size, &again), GUARD_OK);
    assert_int_equal(acl_policy_rule_count(again), 0);
    acl_policy_release(again);
    acl_policy_release(policy);
    guard_slab_unref(&slab);
}

static void another_engines_image_is_told_apart(void **state)
{
    (void)state;
    struct acl_policy *policy = support_policy(source), *again;
    struct guard_slab *slab = image_of(policy);
    for (size_t at = 8; at < 8 + 64 + 16; at += 5) {
        slab->bytes[at] ^= 1;
        assert_int_equal(acl_policy_load(slab, slab->size, &again), GUARD_ERR_UNSUPPORTED);
        slab->bytes[at] ^= 1;
    }
    slab->bytes[0] ^= 1;
    assert_int_equal(acl_policy_load(slab, slab->size, &again), GUARD_ERR_INVALID);
    assert_null(again);
    slab->bytes[0] ^= 1;
    assert_int_equal(acl_policy_load(slab, slab->size + 1, &again), GUARD_ERR_INVALID);
    acl_policy_release(policy);
    guard_slab_unref(&slab);
}

/* Under ASan: no index of a damaged image leads outside, and most damage is seen. */
static void a_damaged_image_reads_nothing_else(void **state)
{
    (void)state;
    struct acl_policy *policy = support_policy(source), *again;
    struct guard_slab *whole = image_of(policy);
    size_t refused = 0, tried = 0;
    acl_policy_release(policy);
    srand(3);
    for (size_t at = 88; at < whole->size; at += 1 + (size_t)rand() % 7, tried++) {
        struct guard_slab *slab = guard_slab_new(whole->size, false);
        memcpy(slab->bytes, whole->bytes, whole->size);
        slab->bytes[at] ^= (char)(1 << rand() % 8);
        int rc = acl_policy_load(slab, slab->size, &again);
        if (rc == GUARD_OK) {
            size_t memory = acl_policy_memory(again);
            assert_true(memory >= whole->size / 2);
        }
        refused += rc != GUARD_OK;
        acl_policy_release(again);
        guard_slab_unref(&slab);
    }
    assert_true(refused > tried / 20);
    for (size_t cut = 0; cut < whole->size; cut += 61) {
        struct guard_slab *slab = guard_slab_new(cut, false);
        memcpy(slab->bytes, whole->bytes, cut);
        assert_int_equal(acl_policy_load(slab, cut, &again), GUARD_ERR_INVALID);
        guard_slab_unref(&slab);
    }
    guard_slab_unref(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_decides_as_its_policy),
        cmocka_unit_test(an_edited_policy_is_saved_and_edited_again),
        cmocka_unit_test(an_empty_policy_is_one),
        cmocka_unit_test(another_engines_image_is_told_apart),
        cmocka_unit_test(a_damaged_image_reads_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
