/* The events that driver.c sends: usual ones, and every kind at its worst. */
#include "tests/audit/driver.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const hostile_texts[] = {"line\nbreak\r\nSep  1 12:00:00 forged",
                                            "esc\x1b[2Jape",
                                            "quote\"},{\"event\":{\"action\":\"audit-stop\"",
                                            "back\\slash\\",
                                            "bidi\xe2\x80\xaetxt.exe",
                                            "\xe2\x80\xa8line-separator",
                                            "bom\xef\xbb\xbf",
                                            "\xff\xfe\x80invalid",
                                            "half\xe2\x82",
                                            "\xed\xa0\x80surrogate",
                                            "\xef\xbf\xbenon-character",
                                            "\xc2\x85next-line",
                                            "tab\tnul",
                                            "\x7f",
                                            "\xf4\x90\x80\x80too-high",
                                            "\xc0\xafoverlong",
                                            ""};
#define HOSTILE (sizeof hostile_texts / sizeof *hostile_texts)

struct audit_peer *driver_new_peer(struct audit *audit, unsigned i, bool hostile)
{
    char user[64], client[64], address[64];
    snprintf(user, sizeof user, "dev-%u", i);
    snprintf(client, sizeof client, "client-%u", i);
    snprintf(address, sizeof address, i % 3 ? "203.0.113.%u" : "2001:db8::%u", i);
    struct audit_peer_info info = {.address = address,
                                   .username = user,
                                   .client_id = client,
                                   .listener_port = 8883,
                                   .transport = AUDIT_TRANSPORT_TCP,
                                   .websocket = i % 4 == 0,
                                   .protocol_version = 3 + i % 3};
    if (hostile) {
        info.username = hostile_texts[i % HOSTILE];
        info.client_id = hostile_texts[(i + 5) % HOSTILE];
        info.address = i % 2 ? address : hostile_texts[(i + 9) % HOSTILE];
    }
    return audit_peer_new(audit, &info);
}

void driver_connect_peer(struct audit *audit, struct audit_peer *peer, unsigned i, enum guard_reason reason)
{
    struct guard_identity *identity = guard_identity_new();
    identity->method = i % 2 ? GUARD_AUTH_TOKEN : GUARD_AUTH_CERTIFICATE;
    identity->username = strdup("dev");
    identity->subject = strdup("subject");
    identity->issuer = strdup("https://issuer.example");
    identity->token_id = strdup("token-id-1");
    identity->key_id = strdup("key-1");
    identity->expires_at = 1800000000;
    identity->has_token_hash = i % 2;
    guard_identity_add_role(identity, "device", 5);
    guard_identity_add_role(identity, "sensor", 1);
    if (!(i % 2)) {
        memset(identity->certificate_sha256, 'A', 64);
        strcpy(identity->certificate_serial, "55FBB9C7");
    }
    audit_push_connect(audit, peer,
                       &(struct audit_connect){.reason = reason,
                                               .method = identity->method,
                                               .identity = identity,
                                               .domain = i % 2 ? "tenant-a" : NULL,
                                               .duration_ns = 184223,
                                               .keep_alive = 60,
                                               .clean_start = i & 1,
                                               .tls = (signed char)(i % 3) - 1,
                                               .cached = i % 5 == 0});
    guard_identity_free(&identity);
}

void driver_disconnect_peer(struct audit *audit, struct audit_peer *peer, enum guard_reason reason)
{
    audit_push_disconnect(audit, peer,
                          &(struct audit_disconnect){.reason = reason,
                                                     .initiator = AUDIT_BY_CLIENT,
                                                     .duration_ns = 86400123456,
                                                     .messages_in = 7,
                                                     .messages_denied = 1});
}

/* One event of the stream: mostly publishes, now and then something else. */
void driver_push_one(struct audit *audit, struct audit_peer *peer, uint64_t n, bool hostile)
{
    char topic[128];
    int length = snprintf(topic, sizeof topic, "tenant-a/dev/%llu/up", (unsigned long long)n);
    struct audit_message message = {.topic = {topic, (size_t)length},
                                    .rule_id = audit_text("device/r17"),
                                    .payload_bytes = (uint32_t)n % 4096,
                                    .qos = (uint8_t)(n % 3),
                                    .retain = n % 7 == 0};
    if (hostile)
        message.topic = audit_text(hostile_texts[n % HOSTILE]);
    if (n % 50 == 3)
        message.reason = GUARD_REASON_ACL_NO_MATCH;
    if (n % 100 == 7)
        audit_push_subscribe(audit, peer, &(struct audit_subscription){.filter = message.topic, .qos = 1});
    else if (n % 100 == 57)
        audit_push_unsubscribe(audit, peer, &(struct audit_subscription){.filter = message.topic});
    else if (n % 100 == 77)
        audit_push_deliver(audit, peer,
                           &(struct audit_message){.topic = message.topic, .reason = GUARD_REASON_ACL_DENY_RULE});
    else
        audit_push_publish(audit, peer, &message);
}

void driver_push_policy(struct audit *audit, enum guard_reason reason, enum audit_policy_trigger trigger)
{
    audit_push_policy_reload(audit, &(struct audit_policy_reload){
                                        .reason = reason,
                                        .ruleset = "tenant-a",
                                        .version = "43",
                                        .previous_version = "42",
                                        .sha256 = "e5df1ab196a29af0b7794628309260ed94cbfbca589b17acb9888f65a998d677",
                                        .rules = 214,
                                        .source = AUDIT_POLICY_REDIS,
                                        .trigger = trigger,
                                        .error_text = reason ? "line 12: unknown verb 'publsh'\n\"quoted\"" : NULL,
                                        .duration_ns = 2110045});
}

static void push_alert(struct audit *audit, enum audit_action action)
{
    audit_push_alert(audit, &(struct audit_alert){.action = action,
                                                  .reason = GUARD_REASON_THRESHOLD,
                                                  .address = "198.51.100.23",
                                                  .country = "NL",
                                                  .username = "dev-42",
                                                  .client_id = "client-42",
                                                  .connection = 28,
                                                  .key = (enum audit_alert_key)(action % 5),
                                                  .response = (enum audit_alert_response)(action % 3),
                                                  .observed = 5120.5,
                                                  .baseline = 4.2,
                                                  .score = 38.125,
                                                  .threshold = -1,
                                                  .known = -1,
                                                  .window_s = 60,
                                                  .block_s = 600,
                                                  .distinct_users = 7,
                                                  .distinct_ips = -1,
                                                  .start_ns = 1788266050000000000,
                                                  .end_ns = 1788266096800000000});
}

/* Every action with every reason there is, also those that the schema does not list for it. */
void driver_push_every_kind(struct audit *audit, struct audit_peer *peer)
{
    for (unsigned r = 0; r < GUARD_REASON_COUNT; r++) {
        enum guard_reason reason = (enum guard_reason)r;
        struct audit_message message = {.topic = audit_text("a/b"),
                                        .rule_id = audit_text("r03"),
                                        .rule_name = audit_text("no-root-wildcard"),
                                        .qos = 3,
                                        .will = r % 2,
                                        .reason = reason};
        driver_connect_peer(audit, peer, r, reason);
        driver_disconnect_peer(audit, peer, reason);
        audit_push_publish(audit, peer, &message);
        audit_push_deliver(audit, peer, &message);
        audit_push_subscribe(audit, peer, &(struct audit_subscription){.filter = message.topic, .reason = reason});
        audit_push_unsubscribe(audit, peer, &(struct audit_subscription){.filter = message.topic, .reason = reason});
        driver_push_policy(audit, reason, (enum audit_policy_trigger)(r % 5));
        audit_push_store_down(audit, &(struct audit_store_down){.reason = reason,
                                                                .name = "redis-main",
                                                                .address = "10.0.0.5:6379",
                                                                .fail_mode = (enum audit_fail_mode)(r % 3),
                                                                .cache_entries = 8123,
                                                                .error_code = "ETIMEDOUT"});
    }
    audit_push_store_up(audit, &(struct audit_store_up){.outage_ms = 41873, .denied_while_down = 12});
    for (int action = AUDIT_ACTION_ALERT_BRUTE_FORCE; action < AUDIT_ACTION_COUNT; action++)
        push_alert(audit, (enum audit_action)action);
}

/* A topic of 65,000 bytes, a client id of 2,000, roles without end: everything must stay within one line of 16 KiB. */
void driver_push_giants(struct audit *audit)
{
    char *text = malloc(65001);
    memset(text, '"', 65000);
    text[65000] = '\0';
    struct guard_identity *identity = guard_identity_new();
    identity->method = GUARD_AUTH_TOKEN;
    identity->subject = strdup(text);
    identity->issuer = strdup(text);
    identity->token_id = strdup(text);
    identity->key_id = strdup(text);
    const char *roles[64];
    for (size_t i = 0; i < 64; i++)
        roles[i] = text;
    struct audit_peer_info info = {.address = text, .username = text, .client_id = text};
    struct audit_peer *peer = audit_peer_new(audit, &info);
    audit_push_connect(audit, peer,
                       &(struct audit_connect){.method = GUARD_AUTH_TOKEN,
                                               .identity = identity,
                                               .domain = text,
                                               .roles = roles,
                                               .role_count = 64,
                                               .keep_alive = -1,
                                               .clean_start = -1,
                                               .tls = -1});
    identity->method = GUARD_AUTH_CERTIFICATE;
    audit_push_connect(audit, peer,
                       &(struct audit_connect){.method = GUARD_AUTH_CERTIFICATE,
                                               .identity = identity,
                                               .roles = roles,
                                               .role_count = 64,
                                               .keep_alive = 70000,
                                               .clean_start = -1,
                                               .tls = -1});
    struct audit_message message = {.topic = {text, 65000},
                                    .rule_id = {text, 65000},
                                    .rule_name = {text, 65000},
                                    .reason = GUARD_REASON_TOPIC_TOO_LONG};
    audit_push_publish(audit, peer, &message);
    memset(text, 0xe2, 65000);
    audit_push_publish(audit, peer, &message);
    audit_push_subscribe(audit, peer, &(struct audit_subscription){.filter = {text, 1030}});
    audit_push_alert(audit, &(struct audit_alert){.action = AUDIT_ACTION_ALERT_FLAPPING,
                                                  .rule_id = text,
                                                  .rule_name = text,
                                                  .address = text,
                                                  .country = text,
                                                  .username = text,
                                                  .client_id = text});
    driver_push_policy(audit, GUARD_REASON_NONE, AUDIT_TRIGGER_STARTUP);
    audit_peer_free(audit, &peer);
    guard_identity_free(&identity);
    free(text);
}

void driver_push_secrets(struct audit *audit)
{
    /* a password typed into the user name field: audit_failed_user decides what may be seen of it */
    struct audit_peer *peer = audit_peer_new(
        audit, &(struct audit_peer_info){.address = "192.0.2.1", .username = "PLANTED-SECRET", .client_id = "c"});
    audit_push_connect(audit, peer,
                       &(struct audit_connect){.reason = GUARD_REASON_UNKNOWN_USER,
                                               .method = GUARD_AUTH_PASSWORD,
                                               .keep_alive = 60,
                                               .clean_start = 1,
                                               .tls = 0});
    audit_peer_free(audit, &peer);
}
