#include "audit/country.h"

#ifdef GUARD_HAVE_MAXMINDDB

#include <arpa/inet.h>
#include <dlfcn.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LIBRARY "libmaxminddb.so.0"

struct library {
    void *handle;
    int (*open)(const char *, uint32_t, MMDB_s *);
    void (*close)(MMDB_s *);
    MMDB_lookup_result_s (*lookup)(const MMDB_s *, const struct sockaddr *, int *);
    int (*value)(MMDB_entry_s *, MMDB_entry_data_s *, const char *const *);
    const char *(*error)(int);
};

struct audit_country {
    struct library library;
    pthread_mutex_t lock; /* of the next one: peers may be made by any thread */
    MMDB_s database;
    char *path;
    struct stat seen; /* of the file that is open */
};

static bool load(struct library *library)
{
    library->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library->handle)
        return false;
    /* POSIX's way from the object pointer that dlsym gives to a function */
    *(void **)&library->open = dlsym(library->handle, "MMDB_open");
    *(void **)&library->close = dlsym(library->handle, "MMDB_close");
    *(void **)&library->lookup = dlsym(library->handle, "MMDB_lookup_sockaddr");
    *(void **)&library->value = dlsym(library->handle, "MMDB_aget_value");
    *(void **)&library->error = dlsym(library->handle, "MMDB_strerror");
    return library->open && library->close && library->lookup && library->value && library->error;
}

static int open_database(struct audit_country *country, MMDB_s *database, struct guard_error *err)
{
    struct stat now;
    if (stat(country->path, &now) != 0)
        return guard_fail_at(err, GUARD_ERR_IO, country->path, 0, 0, "the country database cannot be read");
    int code = country->library.open(country->path, MMDB_MODE_MMAP, database);
    if (code != MMDB_SUCCESS)
        return guard_fail_at(err, GUARD_ERR_SYNTAX, country->path, 0, 0, "it is no country database: %s",
                             country->library.error(code));
    country->seen = now;
    return GUARD_OK;
}

static void release(struct audit_country *country)
{
    if (country->library.handle)
        dlclose(country->library.handle);
    pthread_mutex_destroy(&country->lock);
    free(country->path);
    free(country);
}

int audit_country_open(const char *path, struct audit_country **out, struct guard_error *err)
{
    *out = NULL;
    struct audit_country *country = calloc(1, sizeof *country);
    if (!country || !(country->path = strdup(path))) {
        free(country);
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    }
    pthread_mutex_init(&country->lock, NULL);
    int rc = GUARD_OK;
    if (!load(&country->library))
        rc = guard_fail(err, GUARD_ERR_UNSUPPORTED, "a country database needs " LIBRARY " (package libmaxminddb0)");
    if (rc == GUARD_OK)
        rc = open_database(country, &country->database, err);
    if (rc != GUARD_OK)
        release(country);
    else
        *out = country;
    return rc;
}

void audit_country_close(struct audit_country **pointer)
{
    struct audit_country *country = *pointer;
    *pointer = NULL;
    if (!country)
        return;
    country->library.close(&country->database);
    release(country);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

bool audit_country_refresh(struct audit_country *country)
{
    struct stat now;
    MMDB_s fresh, old;
    if (stat(country->path, &now) != 0 || is_same_file(&now, &country->seen))
        return false;
    if (open_database(country, &fresh, NULL) != GUARD_OK)
        return false;
    pthread_mutex_lock(&country->lock);
    old = country->database;
    country->database = fresh;
    pthread_mutex_unlock(&country->lock);
    country->library.close(&old);
    return true;
}

/* An address as the database wants it. */
static bool parse(const char *text, struct sockaddr_storage *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        return true;
    }
    v6->sin6_family = AF_INET6;
    return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
}

/* The letters at one of the places where databases have them. */
static bool read_code(const struct audit_country *country, MMDB_entry_s *entry, const char *const *where, char code[3])
{
    MMDB_entry_data_s data;
    if (country->library.value(entry, &data, where) != MMDB_SUCCESS || !data.has_data ||
        data.type != MMDB_DATA_TYPE_UTF8_STRING || data.data_size != 2)
        return false;
    for (int i = 0; i < 2; i++) {
        if (data.utf8_string[i] < 'A' || data.utf8_string[i] > 'Z')
            return false;
        code[i] = data.utf8_string[i];
    }
    code[2] = '\0';
    return true;
}

static bool find(struct audit_country *country, const struct sockaddr *address, char code[3])
{
    static const char *const home[] = {"country", "iso_code", NULL};
    static const char *const registered[] = {"registered_country", "iso_code", NULL};
    int error = 0;
    MMDB_lookup_result_s found = country->library.lookup(&country->database, address, &error);
    return error == MMDB_SUCCESS && found.found_entry &&
           (read_code(country, &found.entry, home, code) || read_code(country, &found.entry, registered, code));
}

bool audit_country_find(struct audit_country *country, const char *address, char code[3])
{
    struct sockaddr_storage parsed;
    if (!parse(address, &parsed))
        return false;
    pthread_mutex_lock(&country->lock);
    bool known = find(country, (const struct sockaddr *)&parsed, code);
    pthread_mutex_unlock(&country->lock);
    return known;
}

#else

#include <stddef.h>

int audit_country_open(const char *path, struct audit_country **out, struct guard_error *err)
{
    (void)path;
    *out = NULL;
    return guard_fail(err, GUARD_ERR_UNSUPPORTED,
                      "this build knows no country databases (libmaxminddb-dev was missing)");
}

void audit_country_close(struct audit_country **country)
{
    *country = NULL;
}

bool audit_country_find(struct audit_country *country, const char *address, char code[3])
{
    (void)country;
    (void)address;
    (void)code;
    return false;
}

bool audit_country_refresh(struct audit_country *country)
{
    (void)country;
    return false;
}

#endif
