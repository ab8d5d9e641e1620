/* guardctl revoke, ban, unban: what takes effect at once on every broker. */
#include "ctl/commands.h"

#include "auth/certificate.h"
#include "core/clock.h"
#include "core/revocations.h"
#include "ctl/redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the commands of this file have in common. */
struct revoke {
    struct ctl_redis redis;
    const char *reason, *lifetime, *at, *match;
    bool lift;
    long long seconds; /* 0: for ever */
    enum guard_key_kind kind;
    const char *name;
    struct guard_buffer value;
};

/* Whether brokers would take the entry; the very check they make. */
static int check_entry(const struct revoke *revoke, struct guard_error *err)
{
    struct guard_revocations_builder *builder = guard_revocations_builder_new(NULL);
    if (!builder)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    int rc = guard_revocations_builder_put(builder, guard_key_revocation(revoke->kind), revoke->name,
                                           revoke->value.data, err);
    guard_revocations_builder_free(&builder);
    return rc;
}

static void add_command(const struct revoke *revoke, struct guard_home_change *change)
{
    char seconds[24];
    struct guard_buffer index = {0};
    guard_buffer_text(&index, guard_key_text(revoke->kind));
    guard_buffer_text(&index, revoke->name);
    guard_home_change_begin(change);
    guard_home_change_word(change, revoke->lift ? "DEL" : "SET");
    guard_home_change_key(change, revoke->kind, revoke->name);
    if (!revoke->lift)
        guard_home_change_word(change, revoke->value.data);
    if (!revoke->lift && revoke->seconds) {
        snprintf(seconds, sizeof seconds, "%lld", revoke->seconds);
        guard_home_change_word(change, "EX");
        guard_home_change_word(change, seconds);
    }
    guard_home_change_end(change);
    if (!index.failed)
        guard_home_change_add(change, revoke->lift ? "SREM" : "SADD", GUARD_HOME_KEY GUARD_KEY_INDEX, index.data, NULL);
    guard_buffer_free(&index);
}

static int commit(struct revoke *revoke, const char *action, const char *done)
{
    struct guard_home_change change = {0};
    struct guard_buffer detail = {0};
    struct guard_error err = {0};
    uint64_t version = 0;
    guard_buffer_printf(&detail, "%s%s", guard_key_text(revoke->kind), revoke->name);
    if (revoke->reason)
        guard_buffer_printf(&detail, ": %s", revoke->reason);
    int rc = ctl_redis_connect(&revoke->redis);
    if (rc == CTL_OK && guard_home_version(revoke->redis.home, &version, &err) != GUARD_OK)
        rc = ctl_redis_fail(&revoke->redis, &err);
    if (rc == CTL_OK) {
        add_command(revoke, &change);
        rc = ctl_redis_commit(&revoke->redis, &change, action, detail.data, version, done);
    }
    guard_home_change_free(&change);
    guard_buffer_free(&detail);
    return rc;
}

/* Words and options, to where `commit` can go on. */
static int parse(struct revoke *revoke, const struct ctl_command *command, int argc, char **argv, size_t least,
                 struct ctl_words *words)
{
    const struct ctl_option own[] = {{"reason", CTL_TEXT, &revoke->reason}, {"for", CTL_TEXT, &revoke->lifetime},
                                     {"lift", CTL_FLAG, &revoke->lift},     {"at", CTL_TEXT, &revoke->at},
                                     {"match", CTL_TEXT, &revoke->match},   {NULL, CTL_FLAG, NULL}};
    ctl_redis_init(&revoke->redis, command);
    int rc = ctl_redis_parse(&revoke->redis, argc, argv, own, ctl_words_expect(words, least, least));
    if (rc == CTL_OK && revoke->lifetime && !ctl_parse_duration(revoke->lifetime, &revoke->seconds))
        rc = ctl_usage_error(command, "--for takes a time like 30m, 8h or 7d, not '%s'", revoke->lifetime);
    if (rc == CTL_OK && revoke->at && revoke->kind != GUARD_KEY_REVOKED_BEFORE)
        rc = ctl_usage_error(command, "--at is only for `revoke client`");
    if (rc == CTL_OK && revoke->match && revoke->kind != GUARD_KEY_REVOKED_CERT)
        rc = ctl_usage_error(command, "--match is only for `revoke certificate`");
    if (rc == CTL_OK && revoke->reason && strpbrk(revoke->reason, "\r\n"))
        rc = ctl_usage_error(command, "--reason is one line");
    return rc;
}

static int finish(struct revoke *revoke, const char *action, const char *done)
{
    struct guard_error err = {0};
    if (!revoke->value.length)
        guard_buffer_text(&revoke->value, revoke->reason ? revoke->reason : "");
    if (!revoke->value.data)
        guard_buffer_append(&revoke->value, "", 0);
    int rc = revoke->lift ? GUARD_OK : check_entry(revoke, &err);
    if (rc != GUARD_OK)
        rc = ctl_redis_refuse(&revoke->redis, "%s", err.text);
    else
        rc = commit(revoke, action, done);
    guard_buffer_free(&revoke->value);
    ctl_redis_end(&revoke->redis);
    return rc;
}

static int run_token(const struct ctl_command *command, int argc, char **argv)
{
    struct revoke revoke = {.kind = GUARD_KEY_REVOKED_TOKEN};
    struct ctl_words words = {0};
    int rc = parse(&revoke, command, argc, argv, 1, &words);
    revoke.name = words.items[0];
    return rc == CTL_OK ? finish(&revoke, revoke.lift ? "revoke token --lift" : "revoke token",
                                 revoke.lift ? "the token is no longer revoked" : "the token is revoked")
                        : rc;
}

const struct ctl_command ctl_revoke_token = {
    .name = "revoke token",
    .summary = "make a token void, by its id (jti)",
    .usage = "usage: guardctl revoke token JTI [OPTION]…\n"
             "\n"
             "Refuses the token with that id from now on and ends the session that uses it.\n"
             "\n"
             "  --for TIME        how long (30m, 8h, 90d): as long as the token lives is enough; for ever by default\n"
             "  --reason TEXT     goes into the log and the audit\n"
             "  --lift            take the revocation back\n" CTL_REDIS_WRITE_HELP,
    .run = run_token,
};

static int run_client(const struct ctl_command *command, int argc, char **argv)
{
    struct revoke revoke = {.kind = GUARD_KEY_REVOKED_BEFORE};
    struct ctl_words words = {0};
    int64_t at = guard_clock_now() + 1; /* what was issued in this very second is meant as well */
    int rc = parse(&revoke, command, argc, argv, 1, &words);
    if (rc == CTL_OK && revoke.at && guard_timestamp_parse(revoke.at, strlen(revoke.at), &at) != GUARD_OK)
        rc = ctl_usage_error(command, "--at takes a time like 2026-09-01T12:00:00Z");
    if (rc != CTL_OK)
        return rc;
    revoke.name = words.items[0];
    guard_buffer_printf(&revoke.value, "%" PRId64, at);
    return finish(&revoke, revoke.lift ? "revoke client --lift" : "revoke client",
                  revoke.lift ? "credentials of the client issued earlier are valid again"
                              : "every credential of the client issued until now is void");
}

const struct ctl_command ctl_revoke_client = {
    .name = "revoke client",
    .summary = "make all credentials of a user issued so far void",
    .usage =
        "usage: guardctl revoke client USERNAME [OPTION]…\n"
        "\n"
        "Refuses tokens and certificates of USERNAME that were issued before now, and ends its sessions, those that\n"
        "logged in with a password included: they may log in again. To shut a client out altogether, use\n"
        "`guardctl client disable` or `guardctl ban user`.\n"
        "\n"
        "  --at TIME         issued before that time (RFC 3339), not now\n"
        "  --for TIME        how long this holds; for ever by default\n"
        "  --reason TEXT     goes into the log\n"
        "  --lift            take it back\n" CTL_REDIS_WRITE_HELP,
    .run = run_client,
};

static int run_key(const struct ctl_command *command, int argc, char **argv)
{
    struct revoke revoke = {.kind = GUARD_KEY_REVOKED_KEY};
    struct ctl_words words = {0};
    int rc = parse(&revoke, command, argc, argv, 1, &words);
    revoke.name = words.items[0];
    return rc == CTL_OK ? finish(&revoke, revoke.lift ? "revoke key --lift" : "revoke key",
                                 revoke.lift ? "the key is no longer revoked" : "everything the key signed is void")
                        : rc;
}

const struct ctl_command ctl_revoke_key = {
    .name = "revoke key",
    .summary = "make all tokens that a key signed void, by its id (kid)",
    .usage =
        "usage: guardctl revoke key KID [OPTION]…\n"
        "\n"
        "Refuses every token that was signed with the key of that id, whoever issued it, and ends the sessions that\n"
        "came in by one. For a key that somebody else may have. Taking a key out of the key set refuses its tokens,\n"
        "too, but lets sessions go on until their tokens end.\n"
        "\n"
        "  --for TIME        how long (90d …); for ever by default\n"
        "  --reason TEXT     goes into the log and the audit\n"
        "  --lift            take the revocation back\n" CTL_REDIS_WRITE_HELP,
    .run = run_key,
};

/* Which of a certificate's names goes on the list: option --match. */
enum certificate_name { BY_CERTIFICATE, BY_KEY, BY_SERIAL };

static bool parse_by(const char *word, enum certificate_name *by)
{
    static const char *const words[] = {[BY_CERTIFICATE] = "certificate", [BY_KEY] = "key", [BY_SERIAL] = "serial"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i], word) == 0) {
            *by = (enum certificate_name)i;
            return true;
        }
    return false;
}

/* If revoke->name is a file: what the certificate in it is called takes its place, in the caller's text. */
static int name_of_file(struct revoke *revoke, enum certificate_name by, struct guard_buffer *text)
{
    struct guard_error err = {0};
    struct auth_certificate_names *names = NULL;
    void *certificate = NULL;
    if (access(revoke->name, F_OK) != 0)
        return CTL_OK;
    int rc = auth_certificate_read(revoke->name, &certificate, &err);
    if (rc == GUARD_OK)
        rc = auth_certificate_names_read(certificate, &names);
    auth_certificate_release(certificate);
    if (rc != GUARD_OK && !err.text[0])
        guard_fail(&err, GUARD_ERR_CRYPTO, "%s: the certificate cannot be read", revoke->name);
    if (rc != GUARD_OK)
        return ctl_redis_fail(&revoke->redis, &err);
    if (by == BY_SERIAL)
        guard_buffer_printf(text, "%s/%s", names->serial, names->issuer);
    else
        guard_buffer_text(text, by == BY_KEY ? names->spki_sha256 : names->sha256);
    auth_certificate_names_free(&names);
    revoke->name = text->data ? text->data : "";
    return CTL_OK;
}

static int run_certificate(const struct ctl_command *command, int argc, char **argv)
{
    struct revoke revoke = {.kind = GUARD_KEY_REVOKED_CERT};
    struct ctl_words words = {0};
    struct guard_buffer text = {0};
    enum certificate_name by = BY_CERTIFICATE;
    int rc = parse(&revoke, command, argc, argv, 1, &words);
    if (rc == CTL_OK && revoke.match && !parse_by(revoke.match, &by))
        rc = ctl_usage_error(command, "--match takes certificate, key or serial, not '%s'", revoke.match);
    revoke.name = words.items[0];
    if (by == BY_SERIAL)
        revoke.kind = GUARD_KEY_REVOKED_SERIAL;
    if (rc == CTL_OK)
        rc = name_of_file(&revoke, by, &text);
    if (rc == CTL_OK)
        rc = finish(&revoke, revoke.lift ? "revoke certificate --lift" : "revoke certificate",
                    revoke.lift ? "the certificate is no longer revoked" : "the certificate is revoked");
    guard_buffer_free(&text);
    return rc;
}

const struct ctl_command ctl_revoke_certificate = {
    .name = "revoke certificate",
    .summary = "make a client certificate void",
    .usage =
        "usage: guardctl revoke certificate FILE.pem|NAME [OPTION]…\n"
        "\n"
        "Refuses the certificate, whatever else the client shows, and ends the sessions that were opened with it.\n"
        "\n"
        "  --match WHAT      certificate: this one (NAME: its SHA-256 fingerprint in hex); the default\n"
        "                    key: every certificate of its public key, renewed ones as well (NAME: SHA-256 of the\n"
        "                    SubjectPublicKeyInfo)\n"
        "                    serial: whatever its issuer gives that number (NAME: SERIAL/ISSUER, the number in hex, "
        "the\n"
        "                    issuer as `openssl x509 -noout -issuer -nameopt RFC2253` prints it)\n"
        "  --for TIME        how long (90d …); for ever by default\n"
        "  --reason TEXT     goes into the log and the audit\n"
        "  --lift            take the revocation back\n" CTL_REDIS_WRITE_HELP,
    .run = run_certificate,
};

static bool ban_kind(const char *word, enum guard_key_kind *kind)
{
    static const struct {
        const char *word;
        enum guard_key_kind kind;
    } kinds[] = {{"ip", GUARD_KEY_BAN_ADDRESS},
                 {"address", GUARD_KEY_BAN_ADDRESS},
                 {"client", GUARD_KEY_BAN_CLIENT},
                 {"user", GUARD_KEY_BAN_USER}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].word, word) == 0) {
            *kind = kinds[i].kind;
            return true;
        }
    return false;
}

static int run_ban(const struct ctl_command *command, int argc, char **argv)
{
    bool lift = strcmp(command->name, "unban") == 0;
    struct revoke revoke = {.kind = GUARD_KEY_BAN_USER};
    struct ctl_words words = {0};
    int rc = parse(&revoke, command, argc, argv, 2, &words);
    if (rc == CTL_OK && !ban_kind(words.items[0], &revoke.kind))
        rc = ctl_usage_error(command, "'%s' is none of ip, client, user", words.items[0]);
    if (rc != CTL_OK)
        return rc;
    revoke.name = words.items[1];
    revoke.lift = revoke.lift || lift;
    return finish(&revoke, revoke.lift ? "unban" : "ban", revoke.lift ? "the ban is lifted" : "banned");
}

const struct ctl_command ctl_ban = {
    .name = "ban",
    .summary = "shut out an address, a client id or a user",
    .usage = "usage: guardctl ban ip ADDRESS|BLOCK [OPTION]…\n"
             "       guardctl ban client CLIENT_ID [OPTION]…\n"
             "       guardctl ban user USERNAME [OPTION]…\n"
             "\n"
             "Ends the sessions it concerns and refuses new ones. BLOCK is an address block like 192.0.2.0/24.\n"
             "\n"
             "  --for TIME        how long (30m, 8h, 7d); until `guardctl unban` by default\n"
             "  --reason TEXT     goes into the log and the audit\n" CTL_REDIS_WRITE_HELP,
    .run = run_ban,
};

const struct ctl_command ctl_unban = {
    .name = "unban",
    .summary = "lift a ban",
    .usage = "usage: guardctl unban ip|client|user NAME [OPTION]…\n\nLifts what `guardctl ban` laid "
             "on.\n" CTL_REDIS_WRITE_HELP,
    .run = run_ban,
};
