/* The command line. */
#include "mqload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] =
    "mqload - load generator for MQTT brokers (MQTT 3.1.1 and 5 over TCP)\n"
    "\n"
    "usage: mqload connect|pub|stall|storm-sub [options]\n"
    "\n"
    "broker\n"
    "  -h, --host HOST            default 127.0.0.1\n"
    "  -p, --port PORT            default 1883\n"
    "  -V, --version 4|5          MQTT 3.1.1 (default) or MQTT 5\n"
    "      --pid PID              broker's process: report its CPU time and memory\n"
    "\n"
    "identity (templates: %d index, %u username, %c client id, %n message number)\n"
    "      --clientid TPL         default dev-%d\n"
    "      --username TPL         default: none\n"
    "      --password TPL|@FILE   template, or the first line of a file\n"
    "      --credentials FILE     lines 'clientid TAB username TAB password', used in\n"
    "                             turn instead of the templates\n"
    "      --sub-clientid, --sub-username, --sub-password, --sub-credentials\n"
    "                             for subscribers; default client id sub-%d, the rest as\n"
    "                             for publishers\n"
    "      --first N              index of the first client, default 0\n"
    "\n"
    "connect: connections are opened, and closed at once after CONNACK\n"
    "  -n, --count N              connections in total, default 1000\n"
    "  -c, --concurrency C        of these at most C unanswered, default 50 (mosquitto\n"
    "                             listens with a backlog of 100; above it, SYNs are lost\n"
    "                             and come again a second later)\n"
    "  -r, --rate R               open R a second (open loop), default: as fast as it goes\n"
    "      --hold S               keep all connections, and S seconds more after the last\n"
    "\n"
    "pub: publish, optionally also subscribe\n"
    "  -P, --publishers P         default 1\n"
    "  -m, --messages M           from each publisher, default 10000\n"
    "  -S, --subscribers S        default 0\n"
    "  -F, --fanout F             subscribers each message should reach, default S\n"
    "  -t, --topic TPL            default devices/%u/data\n"
    "  -f, --filter TPL           default devices/%u/#\n"
    "      --topics K             %n counts 0 ... K-1 over and over, default 1\n"
    "  -q, --qos 0|1              default 0;   --sub-qos: default as --qos\n"
    "  -w, --window W             unacknowledged messages per publisher (QoS 1), or\n"
    "                             undelivered ones (QoS 0 with subscribers), default 20\n"
    "  -s, --size BYTES           payload, default 64, at least 16\n"
    "      --shuffle 0|1          publishers take turns in random order, not in that of their\n"
    "                             connections (and of the broker's memory), default 0\n"
    "  -r, --rate R               R messages a second from all publishers (open loop)\n"
    "      --seconds T            with --rate: set M so that the run takes T seconds\n"
    "\n"
    "stall: one publisher, QoS 1, at a fixed rate; reports gaps between PUBACKs\n"
    "  (mosquitto: set_tcp_nodelay true, or Nagle's algorithm is what is measured)\n"
    "      --seconds T            default 10;   -r R: default 1000;   -S 1: also receive\n"
    "      --threshold MS         what counts as a stall, default 10; the first 20\n"
    "                             stalls are listed on standard error\n"
    "\n"
    "storm-sub: each of P clients (-P) sends M (-m) SUBSCRIBEs of one filter (-f),\n"
    "  at most W (-w) unacknowledged; -q is the QoS asked for, %n the number\n"
    "\n"
    "output and limits\n"
    "      --json                 one JSON object instead of a table\n"
    "      --before CMD           shell command after the set-up, before the measured part\n"
    "      --after CMD            shell command after it, connections still open\n"
    "      --timeout S            give up after S seconds in all, default 120\n"
    "      --idle S               end when nothing moved for S seconds, default 3 (stall: 10)\n"
    "\n"
    "Times in the output are microseconds where a name ends in _us.  Exit status:\n"
    "0 complete, 1 messages or connections are missing, 2 wrong use or no connection.\n";

const char *const mode_names[] = {"connect", "pub", "stall", "storm-sub"};

struct options options = {
    .host = "127.0.0.1",
    .port = "1883",
    .topic = "devices/%u/data",
    .filter = "devices/%u/#",
    .pub.cid = "dev-%d",
    .sub.cid = "sub-%d",
    .version = 4,
    .sub_qos = -1,
    .window = 20,
    .publishers = 1,
    .fanout = -1,
    .concurrency = 50,
    .count = 1000,
    .messages = 10000,
    .topics = 1,
    .size = 64,
    .timeout = 120,
    .threshold = 10,
};

#define T(n, l, v)                         \
    {                                      \
        .name = n, .letter = l, .text = &v \
    }
#define I(n, l, v, lo, hi)                                             \
    {                                                                  \
        .name = n, .letter = l, .integer = &v, .least = lo, .most = hi \
    }
#define R(n, l, v, lo, hi)                                          \
    {                                                               \
        .name = n, .letter = l, .real = &v, .least = lo, .most = hi \
    }
static const struct opt {
    const char *name;
    char letter;
    const char **text; /* where the value goes: one of the three */
    long *integer;
    double *real, least, most;
} opts[] = {
    T("host", 'h', options.host),
    T("port", 'p', options.port),
    I("version", 'V', options.version, 4, 5),
    I("pid", 0, options.pid, 1, 1e9),
    T("clientid", 0, options.pub.cid),
    T("username", 0, options.pub.user),
    T("password", 0, options.pub.pass),
    T("credentials", 0, options.pub.file),
    T("sub-clientid", 0, options.sub.cid),
    T("sub-username", 0, options.sub.user),
    T("sub-password", 0, options.sub.pass),
    T("sub-credentials", 0, options.sub.file),
    I("first", 0, options.first, 0, 1e9),
    I("count", 'n', options.count, 1, 1e7),
    I("concurrency", 'c', options.concurrency, 1, 1e6),
    R("rate", 'r', options.rate, 0, 1e7),
    R("hold", 0, options.hold, 0, 3000),
    I("publishers", 'P', options.publishers, 1, 1e6),
    I("messages", 'm', options.messages, 0, 1e9),
    I("subscribers", 'S', options.subscribers, 0, 1e6),
    I("fanout", 'F', options.fanout, 0, 1e6),
    T("topic", 't', options.topic),
    T("filter", 'f', options.filter),
    I("topics", 0, options.topics, 1, 1e9),
    I("qos", 'q', options.qos, 0, 1),
    I("sub-qos", 0, options.sub_qos, 0, 1),
    I("window", 'w', options.window, 1, 32000),
    I("size", 's', options.size, 16, 200000),
    I("shuffle", 0, options.shuffle, 0, 1),
    R("seconds", 0, options.seconds, .001, 3000),
    R("threshold", 0, options.threshold, 0, 1e6),
    {.name = "json"},
    T("before", 0, options.before),
    T("after", 0, options.after),
    R("timeout", 0, options.timeout, 1, 3000),
    R("idle", 0, options.idle, .1, 3000),
};

static void load_identity(struct ident *id)
{
    const char *path = id->file ? id->file : id->pass && *id->pass == '@' ? id->pass + 1 : NULL;
    FILE *f = path ? fopen(path, "r") : NULL;
    char *line = NULL;
    size_t cap = 0;

    if (path && !f)
        die("%s: %s", path, strerror(errno));
    while (f && getline(&line, &cap, f) > 0) {
        char *rest = line, *cid, *user;

        line[strcspn(line, "\r\n")] = 0;
        if (!id->file) {
            id->pass = copy_text(line);
            break;
        }
        cid = strsep(&rest, "\t");
        user = strsep(&rest, "\t");
        id->list = xrealloc(id->list, (id->n + 1) * sizeof *id->list);
        id->list[id->n++] = (struct cred){copy_text(cid), copy_text(user), copy_text(rest)};
    }
    free(line);
    if (f)
        fclose(f);
    if (id->file && !id->n)
        die("%s: no credentials in it", path);
}

void parse_args(int argc, char **argv)
{
    bool help = argc > 1 && !strcmp(argv[argc - 1], "--help");

    while (argc > 1 && options.mode <= STORM_SUB && strcmp(argv[1], mode_names[options.mode]))
        options.mode++;
    if (help || argc < 2 || options.mode > STORM_SUB) {
        fputs(usage_text, help ? stdout : stderr);
        exit(help ? 0 : 2);
    }
    for (int i = 2; i < argc; i++) {
        const struct opt *p = opts, *last = opts + sizeof opts / sizeof *opts;
        char *end, letter = argv[i][0] == '-' && argv[i][1] && !argv[i][2] ? argv[i][1] : 0;
        double v;

        while (p < last && (letter ? p->letter != letter : strncmp(argv[i], "--", 2) || strcmp(argv[i] + 2, p->name)))
            p++;
        if (p == last)
            die("what is '%s'? (see --help)", argv[i]);
        if (!p->text && !p->integer && !p->real) {
            options.json = 1;
            continue;
        }
        if (++i == argc)
            die("%s needs a value", argv[i - 1]);
        if (p->text) {
            *p->text = argv[i];
            continue;
        }
        v = strtod(argv[i], &end);
        if (end == argv[i] || *end || !(v >= p->least && v <= p->most))
            die("--%s: '%s' is not from %g to %g", p->name, argv[i], p->least, p->most);
        if (p->real)
            *p->real = v;
        else
            *p->integer = (long)v;
    }
    if (options.mode == STALL) {
        options.qos = 1;
        options.publishers = 1;
        options.window = 32000;
        options.rate = options.rate > 0 ? options.rate : 1000;
        options.seconds = options.seconds > 0 ? options.seconds : 10;
    }
    if (options.mode == STORM_SUB || options.mode == CONNECT)
        options.subscribers = 0;
    if (options.mode == STORM_SUB && options.topics == 1)
        options.topics = 1000000000;
    if (options.rate > 0 && options.seconds > 0)
        options.messages = (long)(options.rate * options.seconds / (double)options.publishers);
    if (options.idle <= 0)
        options.idle = options.mode == STALL ? 10 : 3;
    if (options.sub_qos < 0)
        options.sub_qos = options.qos;
    if (options.fanout < 0 || !options.subscribers)
        options.fanout = options.subscribers;
    load_identity(&options.pub);
    load_identity(&options.sub);
    if (!options.sub.user && !options.sub.n) { /* the publishers' names, with client ids of their own */
        options.sub.user = options.pub.user;
        options.sub.list = options.pub.list;
        options.sub.n = options.pub.n;
    }
    if (!options.sub.pass)
        options.sub.pass = options.pub.pass;
}
