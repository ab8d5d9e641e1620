/* audit/: strings, numbers, ring, line ends, reasons, peers and the state queue, each alone. */
#include "audit/audit.h"
#include "audit/internal.h"
#include "audit/line_end.h"
#include "audit/out.h"
#include "audit/ring.h"
#include "core/json.h"
#include "core/utf8.h"
#include "tests/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FFFD "\xef\xbf\xbd"

static const char *put(const char *text, size_t length, size_t max, unsigned *flags)
{
    static char buffer[4096];
    struct audit_out out = {buffer, buffer + sizeof buffer - 1, false};
    *flags = audit_put_string(&out, text, length, max);
    assert_false(out.overflow);
    *out.at = '\0';
    return buffer;
}

static void strings_are_made_harmless(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
        unsigned flags;
    } cases[] = {
        {"", "\"\"", 0},
        {"plain text of more than eight bytes", "\"plain text of more than eight bytes\"", 0},
        {"a\"b\\c", "\"a\\\"b\\\\c\"", 0},
        {"12345678\"", "\"12345678\\\"\"", 0},
        {"gr\xc3\xbc\xc3\x9f \xe6\x97\xa5 \xf0\x9f\x98\x80", "\"gr\xc3\xbc\xc3\x9f \xe6\x97\xa5 \xf0\x9f\x98\x80\"", 0},
        {"a\nb", "\"a" FFFD "b\"", AUDIT_PUT_SANITIZED},
        {"a\x7f", "\"a" FFFD "\"", AUDIT_PUT_SANITIZED},
        {"\xc2\x85", "\"" FFFD "\"", AUDIT_PUT_SANITIZED},
        {"\xe2\x80\xa8", "\"" FFFD "\"", AUDIT_PUT_SANITIZED},
        {"\xe2\x80\xae", "\"" FFFD "\"", AUDIT_PUT_SANITIZED},
        {"\xef\xbb\xbf", "\"" FFFD "\"", AUDIT_PUT_SANITIZED},
        {"\xef\xbf\xbe", "\"" FFFD "\"", AUDIT_PUT_SANITIZED},
        {"\xff\xfe", "\"" FFFD FFFD "\"", AUDIT_PUT_SANITIZED},
        {"\xc0\xaf", "\"" FFFD FFFD "\"", AUDIT_PUT_SANITIZED},
        {"\xed\xa0\x80", "\"" FFFD FFFD FFFD "\"", AUDIT_PUT_SANITIZED},
        {"\xe2\x82", "\"" FFFD FFFD "\"", AUDIT_PUT_SANITIZED},
        {"\xe2\x80\x8d", "\"\xe2\x80\x8d\"", 0}, /* a joiner: part of many scripts */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned flags;
        assert_string_equal(put(cases[i].text, strlen(cases[i].text), 1024, &flags), cases[i].expected);
        assert_int_equal(flags, cases[i].flags);
    }
}

static void strings_are_cut_at_a_code_point(void **state)
{
    (void)state;
    unsigned flags;
    assert_string_equal(put("abcdef", 6, 6, &flags), "\"abcdef\"");
    assert_int_equal(flags, 0);
    assert_string_equal(put("abcdef", 6, 5, &flags), "\"abcde\"");
    assert_int_equal(flags, AUDIT_PUT_TRUNCATED);
    assert_string_equal(put("ab\xe6\x97\xa5", 5, 4, &flags), "\"ab\"");
    assert_int_equal(flags, AUDIT_PUT_TRUNCATED);
    assert_string_equal(put("ab\n", 3, 4, &flags), "\"ab\"");
    assert_int_equal(flags, AUDIT_PUT_TRUNCATED);
    assert_string_equal(put("\"\"\"", 3, 2, &flags), "\"\\\"\\\"\"");
    assert_int_equal(flags, AUDIT_PUT_TRUNCATED);
    assert_string_equal(put("a\0b", 3, 9, &flags), "\"a" FFFD "b\"");
}

/* Any bytes: valid JSON, valid UTF-8, nothing that deceives, bounded. */
static void random_bytes_give_valid_json(void **state)
{
    (void)state;
    unsigned seed = 20260901;
    for (int round = 0; round < 200000; round++) {
        char text[64];
        size_t length = (size_t)rand_r(&seed) % sizeof text, max = (size_t)rand_r(&seed) % 80;
        for (size_t i = 0; i < length; i++) {
            int kind = rand_r(&seed) % 4;
            text[i] = (char)(kind == 0   ? rand_r(&seed) % 256
                             : kind == 1 ? 0x80 + rand_r(&seed) % 128
                             : kind == 2 ? "\"\\\n\xe2\x80\xef"[rand_r(&seed) % 6]
                                         : 'a' + rand_r(&seed) % 26);
        }
        unsigned flags;
        const char *out = put(text, length, max, &flags);
        size_t got = strlen(out), decoded = 0;
        struct guard_error err;
        assert_int_equal(guard_json_check(out, got, 4, &err), GUARD_OK);
        for (size_t i = 1, width; i + 1 < got; i += width, decoded += width) {
            i += out[i] == '\\';
            width = guard_utf8_sequence(out + i, got - i);
            assert_true(width > 0);
            assert_false(guard_utf8_is_deceptive(guard_utf8_decode(out + i, width)));
        }
        assert_true(decoded <= max);
    }
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},         {10, "10"},   {5120.5, "5120.5"}, {4.2, "4.2"},      {38.1256, "38.126"},
                 {-1.25, "-1.25"}, {1e300, "0"}, {0.0004, "0"},      {999.9996, "1000"}};
    char buffer[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct audit_out out = {buffer, buffer + sizeof buffer, false};
        audit_put_number(&out, cases[i].value);
        *out.at = '\0';
        assert_string_equal(buffer, cases[i].text);
    }
    static const uint64_t whole[] = {0, 9, 10, 99, 100, 12345, 999999, UINT64_MAX};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        char expected[32];
        struct audit_out out = {buffer, buffer + sizeof buffer, false};
        audit_put_unsigned(&out, whole[i]);
        *out.at = '\0';
        snprintf(expected, sizeof expected, "%llu", (unsigned long long)whole[i]);
        assert_string_equal(buffer, expected);
    }
}

static void nothing_is_written_beyond_the_end(void **state)
{
    (void)state;
    char buffer[16];
    memset(buffer, 'x', sizeof buffer);
    struct audit_out out = {buffer, buffer + 8, false};
    audit_put_string(&out, "a long text\n\"", 13, 100);
    audit_put_unsigned(&out, UINT64_MAX);
    audit_put_hex(&out, (const unsigned char *)"\1\2\3\4\5", 5);
    audit_put_time(&out, 0);
    assert_true(out.overflow);
    assert_memory_equal(buffer + 8, "xxxxxxxx", 8);
}

/* ---- ring ---- */

struct item {
    uint32_t size, check;
    uint64_t number;
};

static void ring_keeps_order_and_content(void **state)
{
    (void)state;
    struct audit_ring ring;
    unsigned seed = 7;
    uint64_t in = 0, out = 0;
    assert_true(audit_ring_init(&ring, 4096));
    for (int round = 0; round < 200000; round++) {
        size_t size = sizeof(struct item) + 8 * ((size_t)rand_r(&seed) % 40);
        struct item *item = rand_r(&seed) % 2 ? audit_ring_reserve(&ring, size, ring.size) : NULL;
        if (item) {
            *item = (struct item){(uint32_t)size, (uint32_t)(in * 2654435761U), in};
            memset(item + 1, (int)(in & 0xff), size - sizeof *item);
            audit_ring_commit(&ring);
            in++;
        }
        item = rand_r(&seed) % 2 ? audit_ring_peek(&ring) : NULL;
        if (item) {
            assert_int_equal(item->number, out);
            assert_int_equal(item->check, (uint32_t)(out * 2654435761U));
            for (size_t i = sizeof *item; i < item->size; i++)
                assert_int_equal(((unsigned char *)item)[i], out & 0xff);
            audit_ring_release(&ring, item->size);
            out++;
        }
        assert_true(audit_ring_used(&ring) <= ring.size);
    }
    assert_true(out > 10000);
    audit_ring_destroy(&ring);
}

static void ring_limit_is_kept(void **state)
{
    (void)state;
    struct audit_ring ring;
    assert_true(audit_ring_init(&ring, 4096));
    for (int i = 0; i < 30; i++) {
        struct item *item = audit_ring_reserve(&ring, 104, 3072);
        if (!item)
            break;
        item->size = 104;
        audit_ring_commit(&ring);
    }
    assert_true(audit_ring_used(&ring) <= 3072 && audit_ring_used(&ring) > 3072 - 104);
    assert_null(audit_ring_reserve(&ring, 104, 3072));
    assert_non_null(audit_ring_reserve(&ring, 104, 4096));
    audit_ring_destroy(&ring);
}

/* ---- line ends ---- */

#define HASH             "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LINE(fields, id) "{\"@timestamp\":\"2026\",\"event\":{" fields ",\"id\":\"" id "\",\"hash\":\"" HASH "\"}}"

static void line_ends(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        uint64_t sequence; /* 0 = refused */
    } cases[] = {
        {LINE("\"action\":\"audit-stop\",\"sequence\":42", "5f3c9a1be07d-42"), 42},
        {LINE("\"sequence\":42", "5f3c9a1be07d-43"), 0},
        {LINE("\"sequence\":042", "5f3c9a1be07d-042"), 0},
        {LINE("\"sequence\":42", "5F3c9a1be07d-42"), 0},
        {LINE("\"sequence\":42", "f3c9a1be07d-42"), 0},
        {LINE("\"Sequence\":42", "5f3c9a1be07d-42"), 0},
        {LINE("\"sequence\":", "5f3c9a1be07d-"), 0},
        {LINE("\"sequence\":42", "5f3c9a1be07d-42") " ", 0},
        {LINE("\"sequence\":99999999999999999", "5f3c9a1be07d-99999999999999999"), 0},
        {"", 0},
        {"{}", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct audit_line_end end;
        bool good = audit_line_end_parse(cases[i].line, strlen(cases[i].line), &end);
        assert_int_equal(good, cases[i].sequence != 0);
        if (!good)
            continue;
        assert_int_equal(end.sequence, cases[i].sequence);
        assert_string_equal(end.chain, "5f3c9a1be07d");
        assert_true(audit_line_has_action(cases[i].line, &end, "audit-stop\""));
        assert_false(audit_line_has_action(cases[i].line, &end, "audit-start\""));
    }
}

static void text_of_a_client_cannot_pass_for_an_action(void **state)
{
    (void)state;
    const char *line =
        LINE("\"topic\":\"x\\\",\\\"action\\\":\\\"audit-stop\\\"\",\"action\":\"mqtt-publish\",\"sequence\":7",
             "5f3c9a1be07d-7");
    struct audit_line_end end;
    assert_true(audit_line_end_parse(line, strlen(line), &end));
    assert_true(audit_line_has_action(line, &end, "mqtt-publish\""));
    assert_false(audit_line_has_action(line, &end, "audit-"));
}

/* ---- reasons ---- */

static void reasons_fit_their_action(void **state)
{
    (void)state;
    assert_int_equal(audit_action_reason(AUDIT_ACTION_MQTT_CONNECT, GUARD_REASON_JWT_EXPIRED),
                     GUARD_REASON_JWT_EXPIRED);
    assert_int_equal(audit_action_reason(AUDIT_ACTION_MQTT_CONNECT, GUARD_REASON_ACL_NO_MATCH),
                     GUARD_REASON_INTERNAL_ERROR);
    assert_int_equal(audit_action_reason(AUDIT_ACTION_MQTT_PUBLISH, GUARD_REASON_QUOTA_EXCEEDED),
                     GUARD_REASON_RATE_LIMITED);
    assert_int_equal(audit_action_reason(AUDIT_ACTION_MQTT_DISCONNECT, GUARD_REASON_JWT_EXPIRED), GUARD_REASON_UNKNOWN);
    assert_int_equal(audit_action_reason(AUDIT_ACTION_POLICY_RELOAD, GUARD_REASON_ACL_NO_MATCH),
                     GUARD_REASON_POLICY_READ_ERROR);
    for (int i = 0; i < AUDIT_ACTION_COUNT; i++)
        assert_int_equal(audit_action_parse(audit_action_name((enum audit_action)i)), i);
    assert_int_equal(audit_action_parse("mqtt-nonsense"), AUDIT_ACTION_COUNT);
}

/* ---- the whole, small ---- */

struct trail {
    char dir[TEMPORARY_MAX];
    struct audit *audit;
};

static int open_trail(void **state)
{
    struct trail *trail = calloc(1, sizeof *trail);
    assert_non_null(temporary_folder(trail->dir, "audit"));
    struct guard_error err;
    const struct audit_config config = {.dir = trail->dir, .broker_id = "unit", .deliver = AUDIT_DELIVER_ALL};
    assert_int_equal(audit_open(&config, &trail->audit, &err), GUARD_OK);
    *state = trail;
    return 0;
}

static int close_trail(void **state)
{
    struct trail *trail = *state;
    char command[TEMPORARY_MAX + 20];
    assert_int_equal(audit_close(&trail->audit), GUARD_OK);
    snprintf(command, sizeof command, "rm -rf '%s'", trail->dir);
    assert_int_equal(system(command), 0);
    free(trail);
    return 0;
}

static void below_audit_is_only_counted(void **state)
{
    struct trail *trail = *state;
    struct audit_metrics before, after;
    struct audit_peer *peer = audit_peer_new(trail->audit, &(struct audit_peer_info){.client_id = "c"});
    audit_metrics_read(trail->audit, &before);
    audit_push_publish(trail->audit, peer, &(struct audit_message){.topic = audit_text("$AUDIT/unit/state")});
    audit_push_deliver(trail->audit, peer, &(struct audit_message){.topic = audit_text("$AUDIT/unit/state")});
    audit_push_publish(trail->audit, peer, &(struct audit_message){.topic = audit_text("$AUDITOR/x")});
    audit_push_publish(
        trail->audit, peer,
        &(struct audit_message){.topic = audit_text("$AUDIT/unit/state"), .reason = GUARD_REASON_SYS_TOPIC_DENIED});
    audit_metrics_read(trail->audit, &after);
    assert_int_equal(after.not_written - before.not_written, 2);
    assert_int_equal(after.events[AUDIT_ACTION_MQTT_PUBLISH][0] - before.events[AUDIT_ACTION_MQTT_PUBLISH][0], 1);
    assert_int_equal(after.events[AUDIT_ACTION_MQTT_PUBLISH][1] - before.events[AUDIT_ACTION_MQTT_PUBLISH][1], 1);
    audit_peer_free(trail->audit, &peer);
    assert_null(peer);
}

static void without_a_peer_an_event_is_lost_and_counted(void **state)
{
    struct trail *trail = *state;
    struct audit_metrics m;
    audit_push_publish(trail->audit, NULL, &(struct audit_message){.topic = audit_text("a")});
    audit_push_connect(trail->audit, NULL, &(struct audit_connect){.keep_alive = -1});
    audit_metrics_read(trail->audit, &m);
    assert_int_equal(m.lost[AUDIT_LOSS_RING_FULL], 2);
}

static uint64_t published(const struct trail *trail)
{
    struct audit_metrics m;
    audit_metrics_read(trail->audit, &m);
    return m.events[AUDIT_ACTION_MQTT_PUBLISH][0];
}

/* What was only staged is no event; what was published is one; what another event has overwritten says so. */
static void a_staged_publish(void **state)
{
    struct trail *trail = *state;
    struct audit_peer *peer = audit_peer_new(trail->audit, &(struct audit_peer_info){.client_id = "c"});
    const struct audit_message one = {.time_ns = 1, .topic = audit_text("one")}, two = {.topic = audit_text("two")};
    assert_false(audit_publish_staged(trail->audit, false));
    assert_true(audit_stage_publish(trail->audit, peer, &one));
    assert_true(audit_stage_publish(trail->audit, peer, &one));
    assert_int_equal(published(trail), 0);
    assert_true(audit_publish_staged(trail->audit, true));
    assert_false(audit_publish_staged(trail->audit, false));
    assert_int_equal(published(trail), 1);
    assert_true(audit_stage_publish(trail->audit, peer, &one));
    audit_push_publish(trail->audit, peer, &two);
    assert_false(audit_publish_staged(trail->audit, false));
    assert_int_equal(published(trail), 2);
    assert_true(audit_stage_publish(trail->audit, peer, &one));
    audit_set_policy(trail->audit, "other", "2"); /* no event, but it lies in the ring, too */
    assert_false(audit_publish_staged(trail->audit, false));
    audit_peer_free(trail->audit, &peer);
}

static void what_cannot_be_staged(void **state)
{
    static char giant[5000];
    memset(giant, 'x', sizeof giant - 1);
    struct trail *trail = *state;
    struct audit_peer *peer = audit_peer_new(trail->audit, &(struct audit_peer_info){.client_id = "c"});
    const struct audit_message unusual[] = {
        {.time_ns = 1, .topic = audit_text("$CONTROL/x")},
        {.time_ns = 1, .topic = audit_text("")},
        {.time_ns = 1, .topic = audit_text(giant)},
        {.time_ns = 1, .topic = audit_text("a"), .reason = GUARD_REASON_ACL_NO_MATCH},
        {.time_ns = 1, .topic = audit_text("a"), .rule_id = audit_text(giant)},
        {.topic = audit_text("a")},
    };
    for (size_t i = 0; i < sizeof unusual / sizeof *unusual; i++)
        assert_false(audit_stage_publish(trail->audit, peer, &unusual[i]));
    assert_false(audit_publish_staged(trail->audit, false));
    assert_int_equal(published(trail), 0);
    audit_peer_free(trail->audit, &peer);
}

static void state_messages_come_to_the_broker_thread(void **state)
{
    struct trail *trail = *state;
    struct audit_state_message message;
    bool policy = false, alert = false, checkpoint = false;
    audit_push_policy_reload(trail->audit, &(struct audit_policy_reload){.ruleset = "r", .rules = 3});
    audit_push_alert(trail->audit, &(struct audit_alert){.action = AUDIT_ACTION_ALERT_BRUTE_FORCE,
                                                         .reason = GUARD_REASON_THRESHOLD,
                                                         .address = "192.0.2.1"});
    for (int i = 0; i < 300 && !(policy && alert && checkpoint); i++, usleep(10000))
        while (audit_take_state_message(trail->audit, &message)) {
            struct guard_error err;
            assert_int_equal(guard_json_check(message.payload, message.length, 16, &err), GUARD_OK);
            assert_int_equal(strlen(message.payload), message.length);
            policy =
                policy || (strcmp(message.topic, "$AUDIT/unit/state") == 0 && strstr(message.payload, "policy-reload"));
            alert =
                alert || (strcmp(message.topic, "$AUDIT/unit/alert") == 0 && strstr(message.payload, "alert-brute"));
            checkpoint = checkpoint || (message.retain && strstr(message.payload, "audit-checkpoint"));
            audit_state_message_free(&message);
        }
    assert_true(policy && alert && checkpoint);
}

static void settings_are_checked(void **state)
{
    (void)state;
    static const struct audit_config bad[] = {
        {.broker_id = "b"},
        {.dir = "/nonexistent/never"},
        {.dir = "/nonexistent/never", .broker_id = "a/b"},
        {.dir = "/nonexistent/never", .broker_id = "a+"},
        {.dir = "/nonexistent/never", .broker_id = "a\n"},
        {.dir = "/nonexistent/never", .broker_id = "b", .ring_size = 100},
        {.dir = "/nonexistent/never", .broker_id = "b", .rotate_size = 100},
        {.dir = "/nonexistent/never", .broker_id = "b", .block_ms = 5000},
        {.dir = "/nonexistent/never", .broker_id = "b", .privacy = AUDIT_PRIVACY_HMAC},
        {.dir = "/nonexistent/never", .broker_id = "b", .config_sha256 = "ABC"},
        {.dir = "/nonexistent/never", .broker_id = "b", .signing_key_file = "/nonexistent"},
        {.dir = "/nonexistent/a/b", .broker_id = "b"},
        {.dir = "/etc/passwd", .broker_id = "b"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct audit *audit = (struct audit *)1;
        struct guard_error err = {0};
        assert_true(audit_open(&bad[i], &audit, &err) < 0);
        assert_null(audit);
        assert_true(strlen(err.text) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_made_harmless),
        cmocka_unit_test(strings_are_cut_at_a_code_point),
        cmocka_unit_test(random_bytes_give_valid_json),
        cmocka_unit_test(numbers),
        cmocka_unit_test(nothing_is_written_beyond_the_end),
        cmocka_unit_test(ring_keeps_order_and_content),
        cmocka_unit_test(ring_limit_is_kept),
        cmocka_unit_test(line_ends),
        cmocka_unit_test(text_of_a_client_cannot_pass_for_an_action),
        cmocka_unit_test(reasons_fit_their_action),
        cmocka_unit_test_setup_teardown(below_audit_is_only_counted, open_trail, close_trail),
        cmocka_unit_test_setup_teardown(without_a_peer_an_event_is_lost_and_counted, open_trail, close_trail),
        cmocka_unit_test_setup_teardown(a_staged_publish, open_trail, close_trail),
        cmocka_unit_test_setup_teardown(what_cannot_be_staged, open_trail, close_trail),
        cmocka_unit_test_setup_teardown(state_messages_come_to_the_broker_thread, open_trail, close_trail),
        cmocka_unit_test(settings_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
