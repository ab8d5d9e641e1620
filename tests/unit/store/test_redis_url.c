/* redis_url: every form, and what each refusal says. */
#include "store/redis_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct good {
    const char *text;
    enum guard_redis_mode mode;
    bool tls;
    unsigned database;
    const char *username, *service;
    const char *hosts; /* blank-separated */
};

static const struct good goods[] = {
    {"redis://localhost", GUARD_REDIS_DIRECT, false, 0, "", "", "localhost:6379"},
    {"redis://10.0.0.1:7000/3", GUARD_REDIS_DIRECT, false, 3, "", "", "10.0.0.1:7000"},
    {"redis://[::1]:7000", GUARD_REDIS_DIRECT, false, 0, "", "", "[::1]:7000"},
    {"redis://[fe80::1]/", GUARD_REDIS_DIRECT, false, 0, "", "", "[fe80::1]:6379"},
    {"rediss://broker@redis.example", GUARD_REDIS_DIRECT, true, 0, "broker", "", "redis.example:6379"},
    {"unix:///run/redis/redis.sock", GUARD_REDIS_DIRECT, false, 0, "", "", "/run/redis/redis.sock"},
    {"unix:///run/redis.sock?db=2", GUARD_REDIS_DIRECT, false, 2, "", "", "/run/redis.sock"},
    {"redis+sentinel://a,b:26380/mymaster", GUARD_REDIS_SENTINEL, false, 0, "", "mymaster", "a:26379 b:26380"},
    {"rediss+sentinel://u@a/my-master/4", GUARD_REDIS_SENTINEL, true, 4, "u", "my-master", "a:26379"},
    {"redis+cluster://a:7001,b:7002,[::1]:7003", GUARD_REDIS_CLUSTER, false, 0, "", "", "a:7001 b:7002 [::1]:7003"},
    {"rediss+cluster://a", GUARD_REDIS_CLUSTER, true, 0, "", "", "a:6379"},
};

static const struct {
    const char *text, *says;
} bads[] = {
    {"", "scheme"},
    {"localhost:6379", "scheme"},
    {"http://localhost", "scheme"},
    {"redis://", "host"},
    {"redis://:6379", "host"},
    {"redis://host:", "port"},
    {"redis://host:0", "port"},
    {"redis://host:65536", "port"},
    {"redis://host:6379x", "port"},
    {"redis://host/x", "database"},
    {"redis://host/65536", "database"},
    {"redis://a,b", "one host"},
    {"redis://user:secret@host", "redis_password_file"},
    {"redis://:secret@host", "redis_password_file"},
    {"unix://relative", "absolute path"},
    {"unix:///path?db=x", "database"},
    {"redis+sentinel://a,b", "name of the master"},
    {"redis+sentinel://a,,b/m", "host"},
    {"redis+cluster://a/0", "no databases"},
    {"redis://[::1", "host"},
    {"redis://[::1]x", "host"},
};

static void good_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
        struct guard_redis_url url;
        struct guard_error err = {0};
        char hosts[512] = "", one[300];
        if (guard_redis_url_parse(goods[i].text, &url, &err) != GUARD_OK)
            fail_msg("%s: %s", goods[i].text, err.text);
        for (size_t h = 0; h < url.host_count; h++) {
            guard_redis_endpoint_text(&url.hosts[h], one, sizeof one);
            snprintf(hosts + strlen(hosts), sizeof hosts - strlen(hosts), "%s%s", h ? " " : "", one);
        }
        assert_string_equal(hosts, goods[i].hosts);
        assert_int_equal(url.mode, goods[i].mode);
        assert_int_equal(url.tls, goods[i].tls);
        assert_int_equal(url.database, goods[i].database);
        assert_string_equal(url.username, goods[i].username);
        assert_string_equal(url.service, goods[i].service);
    }
}

static void bad_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        struct guard_redis_url url;
        struct guard_error err = {0};
        if (guard_redis_url_parse(bads[i].text, &url, &err) != GUARD_ERR_INVALID || !strstr(err.text, bads[i].says) ||
            strstr(err.text, "secret"))
            fail_msg("%s: '%s'", bads[i].text, err.text);
    }
}

/* Slots as `CLUSTER KEYSLOT` gives them. */
static void hash_tags(void **state)
{
    (void)state;
    unsigned slot = 0;
    assert_false(guard_redis_prefix_has_tag("guard:", NULL));
    assert_false(guard_redis_prefix_has_tag("{}guard:", NULL));
    assert_false(guard_redis_prefix_has_tag("{guard:", NULL));
    assert_true(guard_redis_prefix_has_tag("{123456789}:", &slot));
    assert_int_equal(slot, 0x31c3);
    assert_true(guard_redis_prefix_has_tag("x{foo}:", &slot));
    assert_int_equal(slot, 12182);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_urls), cmocka_unit_test(bad_urls),
                                       cmocka_unit_test(hash_tags)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
