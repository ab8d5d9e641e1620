/* guardctl audit tail: a readable view of the trail, also while it is written. */
#include "ctl/audit_view.h"
#include "ctl/commands.h"

#include "audit/segment.h"
#include "core/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_LINES 20
#define LINES_MAX     1000000
#define NAP_NS        200000000L
#define CHUNK         ((size_t)1 << 16)

struct tail {
    struct audit_filter filter;
    const char *folder;
    int dir;
    bool follow;
    long lines;      /* how many of the past; -1 = all */
    uint64_t number; /* of the file that is read */
    char name[AUDIT_FILE_NAME_SIZE];
    int file;
    char *pending; /* the beginning of a line */
    size_t pending_length, pending_capacity;
    char **past; /* the last lines of the past: a ring */
    long past_count, past_next;
};

/* ---- where lines go ---- */

static void keep(struct tail *tail, char *text)
{
    long slot = tail->past_next;
    free(tail->past[slot]);
    tail->past[slot] = text;
    tail->past_next = (slot + 1) % tail->lines;
    tail->past_count += tail->past_count < tail->lines;
}

static void show(struct tail *tail, const char *line, size_t length, bool past)
{
    char *text = audit_view(line, length, &tail->filter);
    if (!text)
        return;
    if (past && tail->past) {
        keep(tail, text);
        return;
    }
    if (!past || tail->lines < 0)
        puts(text);
    free(text);
}

static void print_past(struct tail *tail)
{
    for (long i = 0; i < tail->past_count; i++)
        puts(tail->past[(tail->past_next + tail->lines - tail->past_count + i) % tail->lines]);
    for (long i = 0; tail->past && i < tail->lines; i++)
        free(tail->past[i]);
    free(tail->past);
    tail->past = NULL;
}

/* ---- reading ---- */

static bool make_room(struct tail *tail)
{
    if (tail->pending_length + CHUNK <= tail->pending_capacity)
        return true;
    size_t capacity = tail->pending_capacity ? tail->pending_capacity * 2 : 2 * CHUNK;
    char *grown = realloc(tail->pending, capacity);
    if (!grown)
        return false;
    tail->pending = grown;
    tail->pending_capacity = capacity;
    return true;
}

/* Reads what there is and shows the whole lines of it. Returns the bytes read; 0 = the end for now. */
static size_t read_some(struct tail *tail, bool past)
{
    if (!make_room(tail))
        return 0;
    ssize_t got = read(tail->file, tail->pending + tail->pending_length, CHUNK);
    if (got <= 0)
        return 0;
    char *start = tail->pending, *end = tail->pending + tail->pending_length + got;
    for (char *stop; (stop = memchr(start, '\n', (size_t)(end - start))); start = stop + 1)
        show(tail, start, (size_t)(stop - start), past);
    tail->pending_length = (size_t)(end - start);
    memmove(tail->pending, start, tail->pending_length);
    return (size_t)got;
}

static bool open_file(struct tail *tail, const struct audit_file *file)
{
    int fd = openat(tail->dir, file->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    if (tail->file >= 0)
        close(tail->file);
    tail->file = fd;
    tail->number = file->number;
    tail->pending_length = 0;
    memcpy(tail->name, file->name, sizeof tail->name);
    return true;
}

/* Whether everything in the file was written before the time that is asked for. */
static bool too_old(const struct tail *tail, const struct audit_file *file)
{
    struct stat st;
    return tail->filter.since && fstatat(tail->dir, file->name, &st, 0) == 0 && st.st_mtime < tail->filter.since;
}

/* Reads the files there are. Few lines are asked for: only the last files that may hold them. */
static int read_past(struct tail *tail)
{
    struct audit_file *files = NULL;
    size_t count = 0, first = 0;
    if (audit_files_list(tail->dir, &files, &count, NULL) != GUARD_OK || (!count && !tail->follow)) {
        fprintf(stderr, "guardctl audit tail: %s holds no audit-….ndjson file\n", tail->folder);
        free(files);
        return CTL_USAGE;
    }
    while (first < count && too_old(tail, &files[first]))
        first++;
    if (tail->lines >= 0 && !tail->filter.since && !tail->filter.client && !tail->filter.user && !tail->filter.denied)
        first = count > 2 ? count - 2 : 0; /* two files hold more than the few lines */
    for (size_t i = first; i < count; i++)
        if (open_file(tail, &files[i]))
            while (read_some(tail, true))
                ;
    free(files);
    print_past(tail);
    return CTL_OK;
}

/* The file after the one that is read, if there is one. */
static bool next_file(struct tail *tail)
{
    struct audit_file *files = NULL;
    size_t count = 0;
    bool moved = false;
    if (audit_files_list(tail->dir, &files, &count, NULL) != GUARD_OK)
        return false;
    for (size_t i = 0; i < count && !moved; i++)
        if (files[i].number > tail->number || tail->file < 0) {
            while (tail->file >= 0 && read_some(tail, false))
                ; /* what came between the last look and the rotation */
            moved = open_file(tail, &files[i]);
        }
    free(files);
    return moved;
}

static void follow(struct tail *tail)
{
    const struct timespec nap = {0, NAP_NS};
    for (;;) {
        while (tail->file >= 0 && read_some(tail, false))
            ;
        if (fflush(stdout) != 0 || ferror(stdout))
            return; /* whoever read us has gone */
        if (!next_file(tail))
            nanosleep(&nap, NULL);
    }
}

/* ---- the command line ---- */

/* A point in time (RFC 3339), or how long ago: 90s, 10m, 2h, 1d. */
static bool parse_since(const char *text, int64_t *since)
{
    char *end;
    if (guard_timestamp_parse(text, strlen(text), since) == GUARD_OK)
        return true;
    errno = 0;
    long long amount = strtoll(text, &end, 10);
    static const char units[] = "smhd";
    static const int64_t seconds[] = {1, 60, 3600, 86400};
    const char *unit = *end && !end[1] ? strchr(units, *end) : NULL;
    if (errno || end == text || amount < 0 || amount > 36500 || !unit)
        return false;
    *since = guard_clock_now() - amount * seconds[unit - units];
    return true;
}

static bool parse_lines(const char *text, long *lines)
{
    char *end;
    errno = 0;
    *lines = strtol(text, &end, 10);
    return !errno && end != text && !*end && *lines >= 0 && *lines <= LINES_MAX;
}

static int parse(const struct ctl_command *command, int argc, char **argv, struct tail *tail)
{
    static const struct option names[] = {{"follow", no_argument, NULL, 'f'},
                                          {"lines", required_argument, NULL, 'n'},
                                          {"since", required_argument, NULL, 's'},
                                          {"denied", no_argument, NULL, 'd'},
                                          {"client", required_argument, NULL, 'c'},
                                          {"user", required_argument, NULL, 'u'},
                                          {"checkpoints", no_argument, NULL, 'k'},
                                          {"raw", no_argument, NULL, 'r'},
                                          {NULL, 0, NULL, 0}};
    bool lines_given = false;
    opterr = 0;
    optind = 1;
    for (int letter; (letter = getopt_long(argc, argv, "fn:", names, NULL)) != -1;) {
        if (letter == '?')
            return ctl_usage_error(command, "the option '%s' is not known, or lacks its value", argv[optind - 1]);
        if (letter == 's' && !parse_since(optarg, &tail->filter.since))
            return ctl_usage_error(command, "--since: a time such as 2026-09-01T12:00:00Z, or 90s, 10m, 2h, 1d");
        if (letter == 'n' && !parse_lines(optarg, &tail->lines))
            return ctl_usage_error(command, "--lines: a number up to %d", LINES_MAX);
        lines_given |= letter == 'n';
        tail->follow |= letter == 'f';
        tail->filter.denied |= letter == 'd';
        tail->filter.checkpoints |= letter == 'k';
        tail->filter.raw |= letter == 'r';
        if (letter == 'c' || letter == 'u')
            *(letter == 'c' ? &tail->filter.client : &tail->filter.user) = optarg;
    }
    if (optind + 1 != argc)
        return ctl_usage_error(command, "one folder is needed");
    tail->folder = argv[optind];
    if (tail->filter.since && !lines_given)
        tail->lines = -1;
    return CTL_OK;
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
    struct tail tail = {.dir = -1, .file = -1, .lines = DEFAULT_LINES};
    tail.filter.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    int rc = parse(command, argc, argv, &tail);
    if (rc != CTL_OK)
        return rc;
    tail.dir = open(tail.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tail.dir < 0) {
        fprintf(stderr, "guardctl %s: %s is not a folder that can be read\n", command->name, tail.folder);
        return CTL_USAGE;
    }
    if (tail.lines > 0)
        tail.past = calloc((size_t)tail.lines, sizeof *tail.past);
    rc = read_past(&tail);
    if (rc == CTL_OK && tail.follow)
        follow(&tail);
    if (tail.file >= 0)
        close(tail.file);
    close(tail.dir);
    free(tail.pending);
    return rc;
}

const struct ctl_command ctl_audit_tail = {
    "audit tail", "show an audit trail in a readable form",
    "usage: guardctl audit tail [-f] [-n N] [--since T] [--denied] [--client ID] [--user NAME] [--checkpoints] [--raw] "
    "DIR\n"
    "\n"
    "Shows the last events, one a line, from the trail in DIR; with colour on a terminal.\n"
    "\n"
    "  -f, --follow     go on as new events are written, also into the next file\n"
    "  -n, --lines N    how many events of the past (20; all with --since)\n"
    "  --since T        from that time: 2026-09-01T12:00:00Z, or 90s, 10m, 2h, 1d ago\n"
    "  --denied         only what was refused or failed, and alerts\n"
    "  --client ID      only that client id\n"
    "  --user NAME      only that user name\n"
    "  --checkpoints    the signed checkpoints too\n"
    "  --raw            the JSON lines themselves\n",
    run};
