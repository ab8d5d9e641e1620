/* guardctl explain: may this client do that, and which rule says so? */
#include "ctl/explain.h"

#include "core/clock.h"
#include "ctl/commands.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arguments {
    const char *policy;
    struct explain_query query;
    int64_t now;
    bool json, batch;
};

enum {
    OPT_POLICY = 'p',
    OPT_CLIENT_ID = 'c',
    OPT_USERNAME = 'u',
    OPT_ROLE = 'r',
    OPT_ATTRIBUTE = 'a',
    OPT_ACL_CLAIM = 'l',
    OPT_ADDRESS = 'i',
    OPT_QOS = 'q',
    OPT_RETAIN = 'R',
    OPT_SIZE = 's',
    OPT_PAYLOAD = 'P',
    OPT_NOW = 'n',
    OPT_JSON = 'j',
    OPT_BATCH = 'b'
};

static const struct option options[] = {
    {"policy", required_argument, NULL, OPT_POLICY},
    {"client-id", required_argument, NULL, OPT_CLIENT_ID},
    {"username", required_argument, NULL, OPT_USERNAME},
    {"role", required_argument, NULL, OPT_ROLE},
    {"attribute", required_argument, NULL, OPT_ATTRIBUTE},
    {"acl-claim", required_argument, NULL, OPT_ACL_CLAIM},
    {"address", required_argument, NULL, OPT_ADDRESS},
    {"qos", required_argument, NULL, OPT_QOS},
    {"retain", no_argument, NULL, OPT_RETAIN},
    {"size", required_argument, NULL, OPT_SIZE},
    {"payload", required_argument, NULL, OPT_PAYLOAD},
    {"now", required_argument, NULL, OPT_NOW},
    {"json", no_argument, NULL, OPT_JSON},
    {"batch", no_argument, NULL, OPT_BATCH},
    {0},
};

static bool parse_number(const char *text, unsigned long maximum, unsigned long *out)
{
    char *end;
    errno = 0;
    *out = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno && *out <= maximum;
}

/* NAME=VALUE; the text is cut at the sign. */
static bool take_attribute(struct explain_query *query, char *text)
{
    char *sign = strchr(text, '=');
    if (!sign || sign == text)
        return false;
    *sign = '\0';
    return explain_query_add_attribute(query, text, sign + 1);
}

/* Unix seconds or RFC 3339. */
static bool take_now(const char *text, int64_t *now)
{
    unsigned long seconds;
    if (guard_timestamp_parse(text, strlen(text), now) == GUARD_OK)
        return true;
    if (!parse_number(text, INT64_MAX, &seconds))
        return false;
    *now = (int64_t)seconds;
    return true;
}

/* Options that describe the request; false if the value is no good. */
static bool take_request_option(struct arguments *arguments, int option, char *value)
{
    struct explain_query *query = &arguments->query;
    unsigned long number;
    switch (option) {
    case OPT_QOS:
        if (!parse_number(value, 2, &number))
            return false;
        query->qos = (uint8_t)number;
        return true;
    case OPT_SIZE:
        if (!parse_number(value, UINT32_MAX, &number))
            return false;
        query->size = (uint32_t)number;
        query->size_given = true;
        return true;
    case OPT_PAYLOAD:
        query->payload = value;
        query->payload_length = strlen(value);
        return true;
    case OPT_NOW:
        return take_now(value, &arguments->now);
    case OPT_RETAIN:
        query->retain = true;
        return true;
    default:
        return false;
    }
}

static bool take_option(struct arguments *arguments, int option, char *value)
{
    struct explain_query *query = &arguments->query;
    switch (option) {
    case OPT_POLICY:
        arguments->policy = value;
        return true;
    case OPT_CLIENT_ID:
        query->client_id = value;
        return true;
    case OPT_USERNAME:
        query->username = *value ? value : NULL;
        return true;
    case OPT_ROLE:
        return *value && explain_query_add_role(query, value);
    case OPT_ATTRIBUTE:
        return take_attribute(query, value);
    case OPT_ACL_CLAIM:
        query->acl_claim = value;
        return true;
    case OPT_ADDRESS:
        query->address = value;
        return true;
    case OPT_JSON:
        arguments->json = true;
        return true;
    case OPT_BATCH:
        arguments->batch = true;
        return true;
    default:
        return take_request_option(arguments, option, value);
    }
}

static int parse_arguments(const struct ctl_command *command, int argc, char **argv, struct arguments *arguments)
{
    int option, index = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (option == '?')
            return ctl_usage_error(command, "unknown option, or one without its value: %s", argv[optind - 1]);
        if (!take_option(arguments, option, optarg))
            return ctl_usage_error(command, "--%s cannot be '%s'", options[index].name, optarg);
    }
    if (!arguments->policy)
        return ctl_usage_error(command, "--policy FILE is missing");
    if (arguments->batch)
        return optind == argc ? CTL_OK : ctl_usage_error(command, "--batch reads its questions from stdin");
    if (argc - optind != 2)
        return ctl_usage_error(command, "expected ACTION TOPIC");
    if (!explain_action_parse(argv[optind], &arguments->query.action))
        return ctl_usage_error(command, "'%s' is none of publish, receive, subscribe, subscribe-only", argv[optind]);
    arguments->query.topic = argv[optind + 1];
    arguments->query.topic_length = strlen(argv[optind + 1]);
    return CTL_OK;
}

static int answer(const struct ctl_policy *source, const struct arguments *arguments)
{
    struct explain_run run = {
        .source = source,
        .context = acl_context_new(),
        .subjects = explain_subjects_new(source),
        .now = arguments->now,
    };
    int code = CTL_USAGE;
    if (!run.context || !run.subjects)
        fprintf(stderr, "guardctl explain: out of memory\n");
    else if (arguments->batch)
        code = explain_batch(&run);
    else
        code = explain_report(&run, &arguments->query, arguments->json);
    explain_subjects_free(&run.subjects);
    acl_context_free(&run.context);
    return code;
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
    struct arguments arguments = {.now = guard_clock_now()};
    struct ctl_policy source;
    int code = parse_arguments(command, argc, argv, &arguments);
    if (code == CTL_OK) {
        if (ctl_policy_load(&source, arguments.policy)) {
            code = answer(&source, &arguments);
        } else {
            ctl_policy_print_problems(&source, stderr);
            code = CTL_USAGE;
        }
        ctl_policy_free(&source);
    }
    explain_query_free(&arguments.query);
    return code;
}

const struct ctl_command ctl_explain = {
    .name = "explain",
    .summary = "may this client do that, and which rule says so?",
    .usage =
        "usage: guardctl explain --policy FILE [OPTION]… ACTION TOPIC\n"
        "       guardctl explain --policy FILE --batch < questions > answers\n"
        "\n"
        "ACTION is publish, receive, subscribe or subscribe-only; TOPIC a topic or, for the last two, a filter. Prints "
        "the\n"
        "verdict, the rule that decides with its place in the file, the rules that lose and why, and for a denial the\n"
        "nearest rule and why it does not match. The answer comes from the code that decides in the broker.\n"
        "\n"
        "the client:\n"
        "  --username U, --client-id C, --address A   without --username the client is anonymous\n"
        "  --role R[:P]…          these roles (with binding priority P) instead of those the policy binds\n"
        "  --attribute NAME=VALUE…   e.g. jwt.site=berlin; a name without a dot means attr.NAME; may be repeated\n"
        "  --acl-claim JSON       the acl claim of its token, rules of its own (--role leaves it out, too)\n"
        "the request:\n"
        "  --qos 0|1|2, --retain, --size N, --payload TEXT\n"
        "  --now WHEN             for until=: Unix seconds or RFC 3339 (default: now)\n"
        "the answer:\n"
        "  --json                 one JSON object\n"
        "  --batch                one question a line on stdin, one answer a line on stdout, in order:\n"
        "      "
        "{\"username\",\"client_id\",\"roles\":[\"r\",\"r:5\"],\"attributes\":{\"jwt.sites\":[\"a\",\"b\"]},"
        "\n"
        "       \"acl_claim\":\"[…]\",\"address\",\"action\",\"topic\",\"qos\",\"retain\",\"size\",\"payload\"}   only "
        "action and topic are needed\n"
        "      {\"verdict\":\"allow|deny\",\"by\":[\"role/rule\"],\"reason\":…,\"coverage\":\"full|partial|none\"}\n"
        "      coverage only for subscriptions; a line that is not understood gives {\"error\":\"line N: …\"}\n"
        "\n"
        "exit: 0 allow (or all lines answered), 1 deny, 2 wrong usage, a bad policy, or a line not understood\n",
    .run = run,
};
