#include "audit/recover.h"

#include "audit/line_end.h"
#include "audit/out.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Enough for two lines of the greatest length and a torn batch of the writer. */
#define WINDOW ((size_t)512 * 1024)

/* The end of one file. */
struct window {
    char *bytes;
    size_t length;
    bool whole; /* it begins at the start of the file */
};

static bool read_window(int fd, struct window *window)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    size_t size = (size_t)st.st_size;
    window->length = size < WINDOW ? size : WINDOW;
    window->whole = window->length == size;
    size_t got = 0;
    while (got < window->length) {
        ssize_t n = pread(fd, window->bytes + got, window->length - got, (off_t)(size - window->length + got));
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

/* Start of the line that ends before end (where its line end stands), or NULL if it begins before the window. */
static const char *line_start(const struct window *window, const char *end)
{
    const char *before = end > window->bytes ? memrchr(window->bytes, '\n', (size_t)(end - window->bytes)) : NULL;
    if (before)
        return before + 1;
    return window->whole ? window->bytes : NULL;
}

/* A line is good when it ends like one and continues the hash of the line before it, if that one is at hand. */
static bool is_good(const struct window *window, const char *line, const char *end, struct audit_line_end *found)
{
    struct audit_line_end previous;
    struct audit_chain chain;
    if (!audit_line_end_parse(line, (size_t)(end - line), found))
        return false;
    if (line == window->bytes)
        return true;
    const char *before = line_start(window, line - 1);
    if (!before || !audit_line_end_parse(before, (size_t)(line - 1 - before), &previous))
        return true; /* nothing to hold it against; the verifier will */
    if (audit_chain_init(&chain, previous.chain) != GUARD_OK)
        return true;
    memcpy(chain.head, previous.hash, sizeof chain.head);
    bool good = audit_chain_step(&chain, line, found->body) && memcmp(chain.head, found->hash, sizeof chain.head) == 0;
    audit_chain_destroy(&chain);
    return good;
}

/* Whether the trail was closed: audit-stop, then a checkpoint as the very last line. */
static bool is_closed(const struct window *window, const char *line, const struct audit_line_end *last)
{
    struct audit_line_end stop;
    if (line == window->bytes || !audit_line_has_action(line, last, "audit-checkpoint\""))
        return false;
    const char *before = line_start(window, line - 1);
    return before && audit_line_end_parse(before, (size_t)(line - 1 - before), &stop) &&
           audit_line_has_action(before, &stop, "audit-stop\"");
}

/* Finds the last good line; false: there is none, and all of the file is torn. */
static bool find_good_line(const struct window *window, struct audit_remains *remains)
{
    const char *limit = window->bytes + window->length, *end = limit;
    uint64_t torn = window->length;
    while (end > window->bytes) {
        end = memrchr(window->bytes, '\n', (size_t)(end - window->bytes));
        const char *line = end ? line_start(window, end) : NULL;
        struct audit_line_end found;
        if (!line)
            break;
        if (is_good(window, line, end, &found)) {
            torn = (uint64_t)(limit - (end + 1));
            memcpy(remains->chain, found.chain, sizeof remains->chain);
            remains->sequence = found.sequence;
            audit_hex(found.hash, sizeof found.hash, remains->head);
            remains->clean = remains->clean && !torn && is_closed(window, line, &found);
            remains->found = true;
            break;
        }
    }
    bool terminated = torn && limit[-1] == '\n';
    if (torn) {
        remains->torn_bytes += torn - terminated;
        remains->clean = false;
    }
    return remains->found;
}

/* A torn line gets its line end, so that whatever reads the file does not glue the next one to it. */
static void terminate(int dir, const char *name)
{
    int fd = openat(dir, name, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "\n", 1) == 1)
        fdatasync(fd);
    close(fd);
}

static int look_at(int dir, const char *name, struct window *window, struct audit_remains *remains)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool read = fd >= 0 && read_window(fd, window);
    if (fd >= 0)
        close(fd);
    if (!read)
        return GUARD_ERR_IO;
    if (!window->length) {
        remains->clean = false; /* made, and then the process ended before its first line */
        return GUARD_OK;
    }
    uint64_t torn = remains->torn_bytes;
    find_good_line(window, remains);
    if (remains->torn_bytes > torn && !*remains->file)
        memcpy(remains->file, name, sizeof remains->file);
    if (window->bytes[window->length - 1] != '\n')
        terminate(dir, name);
    return GUARD_OK;
}

int audit_recover(const struct audit_segments *segments, struct audit_remains *remains)
{
    struct audit_file *files = NULL;
    size_t count = 0;
    struct window window = {malloc(WINDOW), 0, false};
    memset(remains, 0, sizeof *remains);
    remains->clean = true;
    int rc = window.bytes ? audit_files_list(segments->dir, &files, &count, NULL) : GUARD_ERR_NOMEM;
    while (rc == GUARD_OK && count && !remains->found)
        rc = look_at(segments->dir, files[--count].name, &window, remains);
    free(files);
    free(window.bytes);
    return rc;
}
