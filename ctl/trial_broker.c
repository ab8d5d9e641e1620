#include "ctl/trial_broker.h"

#include "core/buffer.h"
#include "core/file.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_TRIES   500 /* of 10 ms */
#define PORT_TRIES    5
#define EXIT_NO_START 127

/* ---- the program ---- */

static bool find_program(struct ctl_trial_broker *broker, const char *named)
{
    char path[PATH_MAX];
    const char *variable = getenv("PATH");
    if (named) {
        snprintf(broker->path, sizeof broker->path, "%s", named);
        return access(named, X_OK) == 0;
    }
    snprintf(path, sizeof path, "%s:/usr/sbin:/usr/local/sbin", variable ? variable : "/usr/bin");
    for (char *rest = path, *folder; (folder = strsep(&rest, ":")) != NULL;) {
        int length = snprintf(broker->path, sizeof broker->path, "%s/mosquitto", folder);
        if (*folder && length < (int)sizeof broker->path && access(broker->path, X_OK) == 0)
            return true;
    }
    return false;
}

static void become(const struct ctl_trial_broker *broker, const char *option, const char *argument, int output)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(nothing, 0);
    dup2(output >= 0 ? output : nothing, 1);
    dup2(output >= 0 ? output : nothing, 2);
    execl(broker->path, "mosquitto", option, argument, (char *)NULL);
    _exit(EXIT_NO_START);
}

/* The first line of `mosquitto -h`: "mosquitto version 2.0.11" */
static int ask_version(struct ctl_trial_broker *broker, struct guard_error *err)
{
    char text[256] = "";
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return guard_fail(err, GUARD_ERR_IO, "no pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        become(broker, "-h", NULL, ends[1]);
    close(ends[1]);
    for (size_t got = 0; pid > 0 && got < sizeof text - 1;) {
        ssize_t n = read(ends[0], text + got, sizeof text - 1 - got);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    close(ends[0]);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    const char *version = strstr(text, "mosquitto version ");
    if (!version || sscanf(version, "mosquitto version %u.%u", &broker->major, &broker->minor) != 2)
        return guard_fail(err, GUARD_ERR_UNSUPPORTED, "%s does not say which Mosquitto it is", broker->path);
    return GUARD_OK;
}

int ctl_trial_broker_find(struct ctl_trial_broker *broker, const char *named, struct guard_error *err)
{
    *broker = (struct ctl_trial_broker){0};
    if (!find_program(broker, named))
        return guard_fail(err, GUARD_ERR_NOT_FOUND, "%s: there is no such program; --mosquitto PATH says where it is",
                          named ? named : "mosquitto");
    return ask_version(broker, err);
}

/* ---- the folder ---- */

int ctl_trial_broker_folder(struct ctl_trial_broker *broker, struct guard_error *err)
{
    const char *base = getenv("TMPDIR");
    snprintf(broker->folder, sizeof broker->folder, "%s/guardctl-XXXXXX", base && *base ? base : "/tmp");
    if (mkdtemp(broker->folder))
        return GUARD_OK;
    broker->folder[0] = '\0';
    return guard_fail(err, GUARD_ERR_IO, "no temporary folder: %s", strerror(errno));
}

void ctl_trial_broker_file(const struct ctl_trial_broker *broker, const char *name, char *path)
{
    if (snprintf(path, PATH_MAX, "%s/%s", broker->folder, name) >= PATH_MAX)
        path[0] = '\0';
}

static void remove_folder(const char *folder)
{
    DIR *open = opendir(folder);
    const struct dirent *entry;
    while (open && (entry = readdir(open)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(open), entry->d_name, 0);
    if (open)
        closedir(open);
    rmdir(folder);
}

/* ---- the process ---- */

/* A port that nobody listened on a moment ago; 0 if there is none. */
static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && bind(fd, (const struct sockaddr *)&address, length) == 0 &&
                getsockname(fd, (struct sockaddr *)&address, &length) == 0;
    if (fd >= 0)
        close(fd);
    return good ? ntohs(address.sin_port) : 0;
}

static int write_configuration(const struct ctl_trial_broker *broker, const char *configuration, char *path,
                               struct guard_error *err)
{
    struct guard_buffer text = {0};
    ctl_trial_broker_file(broker, "mosquitto.conf", path);
    guard_buffer_printf(&text, "%slog_dest stderr\nlog_type error\npersistence false\nset_tcp_nodelay true\n%s",
                        geteuid() == 0 ? "user root\n" : "", configuration);
    guard_buffer_printf(&text, "listener %u 127.0.0.1\n", broker->port);
    int rc = text.failed ? guard_fail(err, GUARD_ERR_NOMEM, "out of memory")
                         : guard_file_replace(path, text.data, text.length, 0600, err);
    guard_buffer_free(&text);
    return rc;
}

static bool listens(unsigned port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return good;
}

/* What it said before it ended, on one line. */
static int told_why(struct ctl_trial_broker *broker, const char *log, struct guard_error *err)
{
    char *text = NULL;
    size_t length = 0;
    broker->pid = 0;
    if (guard_file_read(log, GUARD_FILE_PUBLIC, 1 << 20, &text, &length, NULL) != GUARD_OK)
        text = NULL;
    for (char *at = text; at && *at; at++)
        if (*at == '\n')
            *at = ' ';
    guard_fail(err, GUARD_ERR_INVALID, "the broker did not start: %.300s", text ? text : "");
    free(text);
    return GUARD_ERR_INVALID;
}

static int wait_until_up(struct ctl_trial_broker *broker, const char *log, struct guard_error *err)
{
    const struct timespec nap = {.tv_nsec = 10000000};
    for (int i = 0; i < START_TRIES; i++) {
        if (waitpid(broker->pid, NULL, WNOHANG) == broker->pid)
            return told_why(broker, log, err);
        if (listens(broker->port))
            return GUARD_OK;
        nanosleep(&nap, NULL);
    }
    return guard_fail(err, GUARD_ERR_IO, "the broker does not listen");
}

static int start_once(struct ctl_trial_broker *broker, const char *configuration, struct guard_error *err)
{
    char path[PATH_MAX], log[PATH_MAX];
    broker->port = free_port();
    ctl_trial_broker_file(broker, "log", log);
    int rc = write_configuration(broker, configuration, path, err);
    if (rc != GUARD_OK)
        return rc;
    int output = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    broker->pid = fork();
    if (broker->pid == 0)
        become(broker, "-c", path, output);
    if (output >= 0)
        close(output);
    if (broker->pid < 0) {
        broker->pid = 0;
        return guard_fail(err, GUARD_ERR_IO, "no process: %s", strerror(errno));
    }
    return wait_until_up(broker, log, err);
}

int ctl_trial_broker_start(struct ctl_trial_broker *broker, const char *configuration, struct guard_error *err)
{
    int rc = GUARD_ERR_IO;
    for (int i = 0; i < PORT_TRIES; i++) {
        rc = start_once(broker, configuration, err);
        if (rc == GUARD_OK || !strstr(err->text, "in use"))
            return rc;
    }
    return rc;
}

void ctl_trial_broker_end(struct ctl_trial_broker *broker)
{
    if (broker->pid > 0) {
        kill(broker->pid, SIGKILL); /* it has nothing to save */
        waitpid(broker->pid, NULL, 0);
    }
    broker->pid = 0;
    if (broker->folder[0])
        remove_folder(broker->folder);
    broker->folder[0] = '\0';
}
