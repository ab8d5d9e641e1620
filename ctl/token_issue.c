/* guardctl token issue: makes a token, for issuers of one's own and for trying things out. */
#include "ctl/commands.h"

#include "auth/token_issue.h"
#include "core/buffer.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/siphash.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX    64
#define CLAIM_DEPTH 15

struct issue_options {
    const char *key, *algorithm, *kid, *subject, *issuer;
    const char *audiences[LIST_MAX], *claims[LIST_MAX];
    size_t audience_count, claim_count;
    int64_t lifetime, now;
};

enum option_letter {
    OPTION_KEY = 256,
    OPTION_ALGORITHM,
    OPTION_KID,
    OPTION_SUBJECT,
    OPTION_ISSUER,
    OPTION_AUDIENCE,
    OPTION_CLAIM,
    OPTION_EXPIRES_IN,
    OPTION_NOW
};

static const struct option option_names[] = {
    {"key", required_argument, NULL, OPTION_KEY},       {"algorithm", required_argument, NULL, OPTION_ALGORITHM},
    {"kid", required_argument, NULL, OPTION_KID},       {"subject", required_argument, NULL, OPTION_SUBJECT},
    {"issuer", required_argument, NULL, OPTION_ISSUER}, {"audience", required_argument, NULL, OPTION_AUDIENCE},
    {"claim", required_argument, NULL, OPTION_CLAIM},   {"expires-in", required_argument, NULL, OPTION_EXPIRES_IN},
    {"now", required_argument, NULL, OPTION_NOW},       {NULL, 0, NULL, 0}};

/* "3600", or with a unit: 90s, 15m, 12h, 30d. */
static bool parse_duration(const char *text, int64_t *seconds)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end;
    int64_t factor = 1;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || errno)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (*end == units[i].unit) {
            factor = units[i].seconds;
            end++;
            break;
        }
    return !*end && !__builtin_mul_overflow(value, factor, seconds);
}

static const char **text_of(struct issue_options *options, int letter)
{
    switch (letter) {
    case OPTION_KEY:
        return &options->key;
    case OPTION_ALGORITHM:
        return &options->algorithm;
    case OPTION_KID:
        return &options->kid;
    case OPTION_SUBJECT:
        return &options->subject;
    case OPTION_ISSUER:
        return &options->issuer;
    case OPTION_AUDIENCE:
        return options->audience_count < LIST_MAX ? &options->audiences[options->audience_count++] : NULL;
    case OPTION_CLAIM:
        return options->claim_count < LIST_MAX ? &options->claims[options->claim_count++] : NULL;
    default:
        return NULL;
    }
}

static int take_option(const struct ctl_command *command, struct issue_options *options, int letter)
{
    if (letter == OPTION_EXPIRES_IN || letter == OPTION_NOW) {
        bool good = parse_duration(optarg, letter == OPTION_NOW ? &options->now : &options->lifetime);
        return good ? CTL_OK : ctl_usage_error(command, "'%s' is not a number of seconds (or 15m, 12h, 30d)", optarg);
    }
    if (letter == OPTION_CLAIM && (!strchr(optarg, '=') || optarg[0] == '='))
        return ctl_usage_error(command, "'%s' is not of the form name=value", optarg);
    const char **to = text_of(options, letter);
    if (!to)
        return ctl_usage_error(command, "'%s': more than %d of this option", optarg, LIST_MAX);
    *to = optarg;
    return CTL_OK;
}

static int parse_options(const struct ctl_command *command, int argc, char **argv, struct issue_options *options)
{
    int letter, rc = CTL_OK;
    opterr = 0;
    optind = 1;
    while (rc == CTL_OK && (letter = getopt_long(argc, argv, "", option_names, NULL)) != -1) {
        if (letter == '?')
            return ctl_usage_error(command, "the option '%s' is not known, or lacks its value", argv[optind - 1]);
        rc = take_option(command, options, letter);
    }
    if (rc != CTL_OK)
        return rc;
    if (optind < argc)
        return ctl_usage_error(command, "'%s' is not an option", argv[optind]);
    if (!options->key || !options->subject || options->lifetime <= 0)
        return ctl_usage_error(command, "--key, --subject and --expires-in are needed");
    return CTL_OK;
}

static void put_name(struct guard_buffer *to, const char *name, size_t length)
{
    guard_buffer_byte(to, to->length == 0 ? '{' : ',');
    guard_buffer_json_string(to, name, length);
    guard_buffer_byte(to, ':');
}

static void put_text(struct guard_buffer *to, const char *name, const char *text)
{
    if (!text)
        return;
    put_name(to, name, strlen(name));
    guard_buffer_json_string(to, text, strlen(text));
}

static void put_audiences(struct guard_buffer *to, const struct issue_options *options)
{
    if (options->audience_count == 1)
        put_text(to, "aud", options->audiences[0]);
    if (options->audience_count < 2)
        return;
    put_name(to, "aud", 3);
    for (size_t i = 0; i < options->audience_count; i++) {
        guard_buffer_byte(to, i ? ',' : '[');
        guard_buffer_json_string(to, options->audiences[i], strlen(options->audiences[i]));
    }
    guard_buffer_byte(to, ']');
}

/* The value of --claim is JSON if it can be read as JSON, else text. */
static void put_claim(struct guard_buffer *to, const char *claim)
{
    const char *equals = strchr(claim, '='), *value = equals + 1;
    put_name(to, claim, (size_t)(equals - claim));
    if (guard_json_check(value, strlen(value), CLAIM_DEPTH, NULL) == GUARD_OK)
        guard_buffer_text(to, value);
    else
        guard_buffer_json_string(to, value, strlen(value));
}

/* A jti of 128 random bits, so that this token can be revoked alone. */
static void put_token_id(struct guard_buffer *to)
{
    struct guard_siphash_key random = guard_siphash_random_key();
    char text[33];
    snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64, random.k0, random.k1);
    put_text(to, "jti", text);
}

static bool has_claim(const struct issue_options *options, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < options->claim_count; i++)
        if (strncmp(options->claims[i], name, length) == 0 && options->claims[i][length] == '=')
            return true;
    return false;
}

static char *make_claims(const struct issue_options *options)
{
    struct guard_buffer claims = {0};
    put_text(&claims, "iss", options->issuer);
    put_text(&claims, "sub", options->subject);
    put_audiences(&claims, options);
    put_name(&claims, "iat", 3);
    guard_buffer_printf(&claims, "%" PRId64, options->now);
    put_name(&claims, "exp", 3);
    guard_buffer_printf(&claims, "%" PRId64, options->now + options->lifetime);
    if (!has_claim(options, "jti"))
        put_token_id(&claims);
    for (size_t i = 0; i < options->claim_count; i++)
        put_claim(&claims, options->claims[i]);
    guard_buffer_byte(&claims, '}');
    return guard_buffer_take(&claims);
}

static int issue(const struct issue_options *options, const struct auth_signing_key *key, struct guard_error *err)
{
    int algorithm = (int)auth_signing_key_preferred(key);
    if (options->algorithm)
        algorithm = auth_algorithm_parse(options->algorithm, strlen(options->algorithm));
    if (algorithm < 0)
        return guard_fail(err, GUARD_ERR_INVALID, "'%s' is not an algorithm", options->algorithm);
    char *token = NULL, *claims = make_claims(options);
    if (!claims)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    const char *kid = options->kid ? options->kid : auth_signing_key_id(key);
    int rc = auth_token_issue(key, (enum auth_algorithm)algorithm, kid, claims, &token, err);
    if (rc == GUARD_OK)
        puts(token);
    guard_free_string(&token);
    guard_free_string(&claims);
    return rc;
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
    struct issue_options options = {.now = guard_clock_now()};
    struct auth_signing_key *key = NULL;
    struct guard_error err;
    char text[900];
    int rc = parse_options(command, argc, argv, &options);
    if (rc != CTL_OK)
        return rc;
    rc = auth_signing_key_load(options.key, &key, &err);
    if (rc == GUARD_OK)
        rc = issue(&options, key, &err);
    auth_signing_key_free(&key);
    if (rc == GUARD_OK)
        return CTL_OK;
    fprintf(stderr, "guardctl token issue: %s\n", guard_error_format(&err, text, sizeof text));
    return CTL_USAGE;
}

const struct ctl_command ctl_token_issue = {
    "token issue", "make a token with a key of your own",
    "usage: guardctl token issue --key FILE --subject S --expires-in N [OPTION]…\n"
    "\n"
    "Prints a signed JSON Web Token with iat, exp and a random jti. `guardctl keys generate` makes a key.\n"
    "\n"
    "  --key FILE         private key (PEM or JWK) or HMAC secret\n"
    "  --subject S        sub: who the client is\n"
    "  --expires-in N     life in seconds, or with a unit: 15m, 12h, 30d\n"
    "  --algorithm A      default: what the key is for (ES256 with P-256, RS256 with RSA, EdDSA, HS256 …)\n"
    "  --issuer S         iss\n"
    "  --audience S       aud; several give a list\n"
    "  --claim K=V        one more claim; V is JSON if it reads as JSON (7, true, [\"a\"]), else text; repeatable\n"
    "  --kid K            the key's name in the header (default: the kid of a JWK)\n"
    "  --now N            the time of issue in Unix seconds (default: now)\n"
    "\n"
    "Exit: 0 done, 2 wrong usage or a key that cannot be used.\n",
    run};
