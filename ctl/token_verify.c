/* guardctl token verify: says whether a token is good, with the code and the options of the plugin. */
#include "ctl/commands.h"

#include "auth/jwks.h"
#include "auth/thumbprint.h"
#include "core/buffer.h"
#include "core/clock.h"
#include "core/memory.h"
#include "ctl/token_check.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct verify_options {
    struct auth_issuer issuer;
    const char *audiences[CTL_TOKEN_LIST_MAX];
    const char *jwks, *key, *token;
    const char *client_id, *username, *certificate; /* of the connection, for one token */
    struct ctl_token_check check;
    bool batch;
};

enum option_letter {
    OPTION_JWKS = 256,
    OPTION_KEY,
    OPTION_ISSUER,
    OPTION_AUDIENCE,
    OPTION_ALGORITHMS,
    OPTION_IDENTITY_CLAIM,
    OPTION_ROLES_CLAIM,
    OPTION_LEEWAY,
    OPTION_NOW,
    OPTION_BIND_CLIENT_ID,
    OPTION_BIND_USERNAME,
    OPTION_REQUIRE_CERTIFICATE,
    OPTION_MAX_LIFETIME,
    OPTION_REVOKED_JTI,
    OPTION_CLIENT_ID,
    OPTION_USERNAME,
    OPTION_CERTIFICATE,
    OPTION_BATCH
};

static const struct option option_names[] = {
    {"jwks", required_argument, NULL, OPTION_JWKS},
    {"key", required_argument, NULL, OPTION_KEY},
    {"issuer", required_argument, NULL, OPTION_ISSUER},
    {"audience", required_argument, NULL, OPTION_AUDIENCE},
    {"algorithms", required_argument, NULL, OPTION_ALGORITHMS},
    {"identity-claim", required_argument, NULL, OPTION_IDENTITY_CLAIM},
    {"roles-claim", required_argument, NULL, OPTION_ROLES_CLAIM},
    {"leeway", required_argument, NULL, OPTION_LEEWAY},
    {"now", required_argument, NULL, OPTION_NOW},
    {"bind-client-id", no_argument, NULL, OPTION_BIND_CLIENT_ID},
    {"bind-username", no_argument, NULL, OPTION_BIND_USERNAME},
    {"require-certificate-binding", no_argument, NULL, OPTION_REQUIRE_CERTIFICATE},
    {"max-lifetime", required_argument, NULL, OPTION_MAX_LIFETIME},
    {"revoked-jti", required_argument, NULL, OPTION_REVOKED_JTI},
    {"client-id", required_argument, NULL, OPTION_CLIENT_ID},
    {"username", required_argument, NULL, OPTION_USERNAME},
    {"certificate", required_argument, NULL, OPTION_CERTIFICATE},
    {"batch", no_argument, NULL, OPTION_BATCH},
    {NULL, 0, NULL, 0}};

static bool parse_seconds(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *out = value;
    return text[0] >= '0' && text[0] <= '9' && !*end && errno == 0;
}

static bool append(const char **list, size_t *count, const char *text)
{
    if (*count >= CTL_TOKEN_LIST_MAX)
        return false;
    list[(*count)++] = text;
    return true;
}

/* Where the text of an option goes, or NULL if it is not one of these. */
static const char **text_of(struct verify_options *options, int letter)
{
    switch (letter) {
    case OPTION_JWKS:
        return &options->jwks;
    case OPTION_KEY:
        return &options->key;
    case OPTION_ISSUER:
        return &options->issuer.issuer;
    case OPTION_IDENTITY_CLAIM:
        return &options->issuer.identity_claim;
    case OPTION_ROLES_CLAIM:
        return &options->issuer.roles_claim;
    case OPTION_CLIENT_ID:
        return &options->client_id;
    case OPTION_USERNAME:
        return &options->username;
    case OPTION_CERTIFICATE:
        return &options->certificate;
    default:
        return NULL;
    }
}

static bool take_text_option(struct verify_options *options, int letter, const char *text)
{
    const char **to = text_of(options, letter);
    if (letter == OPTION_AUDIENCE)
        return append(options->audiences, &options->issuer.audience_count, text);
    if (letter == OPTION_REVOKED_JTI)
        return append(options->check.revoked, &options->check.revoked_count, text);
    if (to)
        *to = text;
    return to != NULL;
}

static bool take_number_option(struct verify_options *options, int letter, const char *text)
{
    int64_t *number = letter == OPTION_LEEWAY         ? &options->issuer.leeway
                      : letter == OPTION_MAX_LIFETIME ? &options->issuer.max_lifetime
                                                      : &options->check.now;
    return parse_seconds(text, number);
}

static int take_option(const struct ctl_command *command, struct verify_options *options, int letter)
{
    struct guard_error err;
    switch (letter) {
    case '?':
        return -1;
    case OPTION_ALGORITHMS:
        if (auth_algorithms_parse(optarg, &options->issuer.algorithms, &err) != GUARD_OK)
            return ctl_usage_error(command, "--algorithms: %s", err.text);
        return CTL_OK;
    case OPTION_LEEWAY:
    case OPTION_NOW:
    case OPTION_MAX_LIFETIME:
        return take_number_option(options, letter, optarg)
                   ? CTL_OK
                   : ctl_usage_error(command, "'%s' is not a number of seconds", optarg);
    case OPTION_BIND_CLIENT_ID:
        options->issuer.client_id = AUTH_BINDING_REQUIRED;
        return CTL_OK;
    case OPTION_BIND_USERNAME:
        options->issuer.username = AUTH_BINDING_REQUIRED;
        return CTL_OK;
    case OPTION_REQUIRE_CERTIFICATE:
        options->issuer.certificate = AUTH_BINDING_REQUIRED;
        return CTL_OK;
    case OPTION_BATCH:
        options->batch = true;
        return CTL_OK;
    default:
        return take_text_option(options, letter, optarg)
                   ? CTL_OK
                   : ctl_usage_error(command, "'%s': more than %d of this option", optarg, CTL_TOKEN_LIST_MAX);
    }
}

static int parse_options(const struct ctl_command *command, int argc, char **argv, struct verify_options *options)
{
    int letter, rc = CTL_OK;
    opterr = 0;
    optind = 1;
    while (rc == CTL_OK && (letter = getopt_long(argc, argv, "", option_names, NULL)) != -1)
        rc = take_option(command, options, letter);
    if (rc == -1)
        return ctl_usage_error(command, "the option '%s' is not known, or lacks its value", argv[optind - 1]);
    if (rc != CTL_OK)
        return rc;
    if (!options->jwks == !options->key)
        return ctl_usage_error(command, "one of --jwks and --key is needed");
    if (argc - optind > 1)
        return ctl_usage_error(command, "more than one token");
    options->token = optind < argc ? argv[optind] : "-";
    options->issuer.audiences = options->audiences;
    return CTL_OK;
}

static void write_log(void *context, enum guard_log_level level, const char *line)
{
    (void)context;
    if (level >= GUARD_LOG_WARNING)
        fprintf(stderr, "guardctl token verify: warning: %s\n", line);
}

static int make_verifier(struct verify_options *options)
{
    static const struct guard_log log = {write_log, NULL};
    struct guard_error err;
    char text[900];
    int rc = options->jwks ? auth_jwks_load(options->jwks, &log, &options->issuer.keys, &err)
                           : auth_jwks_load_file(options->key, &log, &options->issuer.keys, &err);
    if (rc == GUARD_OK)
        rc = auth_token_verifier_new(&options->issuer, 1, &options->check.verifier, &err);
    auth_jwks_unref(&options->issuer.keys);
    if (rc == GUARD_OK)
        return CTL_OK;
    fprintf(stderr, "guardctl token verify: the keys are refused: %s\n", guard_error_format(&err, text, sizeof text));
    return CTL_USAGE;
}

/* Everything up to the end of standard input, without one line end behind it; more than a token can have is kept. */
static bool read_token(struct guard_buffer *to)
{
    size_t got;
    do {
        char *room = guard_buffer_reserve(to, 4096);
        if (!room)
            return false;
        got = fread(room, 1, 4096, stdin);
        to->length += got;
    } while (got && to->length <= AUTH_TOKEN_MAX_SIZE);
    if (to->length && to->data[to->length - 1] == '\n')
        to->length--;
    return !ferror(stdin);
}

/* A claim may hold anything, control sequences of a terminal included: texts are printed as JSON strings. */
static void print_text(const char *label, const char *text)
{
    struct guard_buffer line = {0};
    guard_buffer_json_string(&line, text, strlen(text));
    printf("%s%s", label, line.failed ? "?" : line.data);
    guard_buffer_free(&line);
}

static void print_line(const char *label, const char *text)
{
    if (!text)
        return;
    print_text(label, text);
    putchar('\n');
}

static void print_identity(const struct guard_identity *identity)
{
    char expires[GUARD_TIMESTAMP_SIZE];
    puts("valid");
    print_line("identity    ", identity->username);
    printf("expires     %s (%" PRId64 ")\n", guard_timestamp_seconds(identity->expires_at, expires),
           identity->expires_at);
    print_line("issuer      ", identity->issuer);
    print_line("key         ", identity->key_id);
    print_line("token id    ", identity->token_id);
    for (size_t i = 0; i < identity->role_count; i++)
        print_line("role        ", identity->roles[i].role);
    for (size_t i = 0; i < identity->attribute_count; i++) {
        const struct guard_attribute *attribute = &identity->attributes[i];
        print_text("attribute   ", attribute->name);
        for (size_t v = 0; v < attribute->count; v++)
            print_text(v ? ", " : " = ", attribute->values[v]);
        putchar('\n');
    }
}

/* The token of the command line, or of standard input in *input. */
static bool get_token(const struct verify_options *options, struct guard_buffer *input, struct auth_token_request *to)
{
    to->token = options->token;
    to->length = strlen(options->token);
    if (strcmp(options->token, "-") != 0)
        return true;
    if (!read_token(input)) {
        fputs("guardctl token verify: standard input cannot be read\n", stderr);
        return false;
    }
    to->token = input->data;
    to->length = input->length;
    return true;
}

static int verify_one(const struct verify_options *options)
{
    struct guard_buffer input = {0};
    struct guard_identity *identity;
    struct guard_error err;
    uint8_t thumbprint[32];
    char text[900];
    struct auth_token_request request = {.client_id = options->client_id, .username = options->username};
    if (options->certificate) {
        if (auth_thumbprint_file(options->certificate, thumbprint, &err) != GUARD_OK) {
            fprintf(stderr, "guardctl token verify: %s\n", guard_error_format(&err, text, sizeof text));
            return CTL_USAGE;
        }
        request.certificate_sha256 = thumbprint;
    }
    if (!get_token(options, &input, &request))
        return CTL_USAGE;
    enum guard_reason reason = ctl_token_check(&options->check, &request, &identity);
    guard_buffer_free(&input);
    if (reason != GUARD_REASON_NONE) {
        printf("not valid: %s (%s)\n", guard_reason_sentence(reason), guard_reason_name(reason));
        return CTL_NO;
    }
    print_identity(identity);
    guard_identity_free(&identity);
    return CTL_OK;
}

static int run_batch(const struct verify_options *options)
{
    if (strcmp(options->token, "-") == 0)
        return ctl_token_batch(&options->check, stdin, stdout);
    FILE *in = fopen(options->token, "re");
    if (!in) {
        fprintf(stderr, "guardctl token verify: %s cannot be opened: %s\n", options->token, strerror(errno));
        return CTL_USAGE;
    }
    int rc = ctl_token_batch(&options->check, in, stdout);
    fclose(in);
    return rc;
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
    struct verify_options options = {.issuer.certificate = AUTH_BINDING_OPTIONAL, .check.now = -1};
    int rc = parse_options(command, argc, argv, &options);
    if (rc == CTL_OK)
        rc = make_verifier(&options);
    if (rc == CTL_OK)
        rc = options.batch ? run_batch(&options) : verify_one(&options);
    auth_token_verifier_unref(&options.check.verifier);
    return rc;
}

const struct ctl_command ctl_token_verify = {
    "token verify", "say whether a token is good, and for whom",
    "usage: guardctl token verify (--jwks FILE | --key FILE) [OPTION]… [TOKEN|-]\n"
    "       guardctl token verify (--jwks FILE | --key FILE) [OPTION]… --batch [FILE|-]\n"
    "\n"
    "Checks a JSON Web Token exactly as the plugin does. Without TOKEN, or with -, it is read from standard input, "
    "which\n"
    "keeps it out of the list of processes.\n"
    "\n"
    "  --jwks FILE            keys: a JWK Set, or a folder of key files\n"
    "  --key FILE             one key: PEM (public key, private key or certificate), a JWK, or an HMAC secret\n"
    "  --issuer S             iss must be S (default: any)\n"
    "  --audience S           aud must hold S; may be given several times: one of them (default: aud is not compared)\n"
    "  --algorithms LIST      allowed algorithms (default: RS256,PS256,ES256,EdDSA, and HS256 if there is a secret)\n"
    "  --identity-claim C     the claim that names the user (default: sub); dots lead into objects\n"
    "  --roles-claim C        the claim that names roles, e.g. realm_access.roles or scope\n"
    "  --leeway N             seconds that clocks may differ by, 0..3600 (default: 0; the plugin's default is 30)\n"
    "  --now N                the time to check for, in Unix seconds (default: now)\n"
    "  --max-lifetime N       exp - iat may be N seconds at most\n"
    "  --bind-client-id       the client id must be the identity \n"
    "  --bind-username        the user name must be the identity\n"
    "  --require-certificate-binding\n"
    "                         cnf.x5t#S256 must be there and fit the certificate; without this option it must fit "
    "where\n"
    "                         it is there\n"
    "  --revoked-jti J        refuse the token of that jti; may be given several times\n"
    "  --client-id C, --username U, --certificate FILE\n"
    "                         the connection that shows the token (one token; --batch lines have their own)\n"
    "  --batch                read JSON lines {\"token\", \"client_id\", \"username\", \"certificate\": \"file.pem\", "
    "\"now\": N}\n"
    "                         (all but token may be left out, others are ignored) and write one line each:\n"
    "                         {\"valid\":true,\"identity\":\"…\",\"expires\":N} or {\"valid\":false,\"reason\":\"…\"}\n"
    "\n"
    "Exit: 0 valid (--batch: every line was understood), 1 not valid, 2 wrong usage, keys that are refused, or a line\n"
    "that is no question.\n",
    run};
