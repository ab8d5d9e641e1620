/*
 * Client records by user name: password hash, roles, attributes, bound client ids, disabled. Immutable once built and
 * shared by reference; an edit makes a new table that shares every part but the edited one (4,096 parts), so that one
 * changed record among a million costs some 60 KB and microseconds. Built off the broker thread; any thread may look
 * up.
 *
 * Fields of a record (docs/policy.md, "Homes"):
 *   password   a stored hash (docs/identity.md, "Passwords"); absent: the client cannot log in by password
 *   roles      device, "floor 2":5          names, each with an optional binding priority (-2147483648..2147483647)
 *   client_id  sensor-7, "sensor 7b"        the client ids it may use; absent: any
 *   disabled   yes | no                     also true, false, 1, 0
 *   attr.NAME  any text                     ${attr.NAME} in rules
 */
#ifndef GUARD_CORE_CLIENTS_H
#define GUARD_CORE_CLIENTS_H

#include "core/error.h"
#include "core/policy_text.h"
#include "core/slab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUARD_CLIENT_NAME_MAX   65535u     /* bytes of a user name (MQTT 5.0 §1.5.4) */
#define GUARD_CLIENT_RECORD_MAX (1u << 20) /* bytes of one packed record */

struct guard_clients; /* a table; read-only */

/* A record found. All pointers are good until the table the view came from is released. */
struct guard_client_view {
    const char *username; /* NUL-terminated */
    size_t username_length;
    const char *password; /* the stored hash, NUL-terminated; NULL if the record has none */
    bool disabled;
    unsigned role_count, client_id_count, attribute_count;
    const char *packed[4]; /* where the lists begin and the last one ends; use the functions below */
};

/* Takes another reference; returns clients. */
struct guard_clients *guard_clients_ref(struct guard_clients *clients);
/*
 * Gives one back and sets *clients to NULL; the last one wipes and frees (up to hundreds of MB: let a thread do it that
 * may take its time). *clients may be NULL.
 */
void guard_clients_unref(struct guard_clients **clients);

/* Looks a user name up, octet by octet; no allocation, no lock. clients may be NULL (nothing is found). */
bool guard_clients_find(const struct guard_clients *clients, const char *username, size_t length,
                        struct guard_client_view *view);

/* Whether there is a record of that name, which may be NULL. */
bool guard_clients_knows(const struct guard_clients *clients, const char *name);

size_t guard_clients_count(const struct guard_clients *clients);  /* records; NULL -> 0 */
size_t guard_clients_memory(const struct guard_clients *clients); /* bytes, shared parts included; NULL -> 0 */

/* Calls visit for every record in no particular order until it returns false. */
void guard_clients_each(const struct guard_clients *clients,
                        bool (*visit)(void *context, const struct guard_client_view *view), void *context);

/*
 * Calls visit with the name of every client whose record differs, is new or is gone, until it returns false. Cheap if
 * the tables were built from one another. Either may be NULL.
 */
void guard_clients_diff(const struct guard_clients *from, const struct guard_clients *to,
                        bool (*visit)(void *context, const char *username, bool present), void *context);

/*
 * The lists of a record, from first to last as written: start with *cursor = NULL; false at the end. Texts are
 * NUL-terminated.
 */
bool guard_client_next_role(const struct guard_client_view *view, const char **cursor, const char **role,
                            int32_t *priority);
bool guard_client_next_client_id(const struct guard_client_view *view, const char **cursor, const char **client_id);
/* name is without the "attr." */
bool guard_client_next_attribute(const struct guard_client_view *view, const char **cursor, const char **name,
                                 const char **value);

/* The record in its packed form, *length octets that mean something to this version only. Lives as long as the view. */
const char *guard_client_packed(const struct guard_client_view *view, size_t *length);

/* Whether the record lets its owner use that client id: one of its list, or any if it has none. */
bool guard_client_allows_id(const struct guard_client_view *view, const char *client_id, size_t length);

/* The record's value of attribute name (without "attr."), or NULL. */
const char *guard_client_attribute(const struct guard_client_view *view, const char *name);

/* The table's image (core/slab.h), and an image as a table, every record of it checked: as guard_shard_map_write and
 * guard_shard_map_load. */
int guard_clients_write(const struct guard_clients *clients, const struct guard_sink *sink);
int guard_clients_load(struct guard_slab *slab, size_t length, struct guard_clients **out);

/*
 * Building. One thread at a time uses a builder; it starts empty (base NULL) or as a copy of base that shares its
 * parts. NULL: out of memory.
 */
struct guard_clients_builder;
struct guard_clients_builder *guard_clients_builder_new(const struct guard_clients *base);
/* As a copy of base of which only what is put again stays (core/shard_map.h): for reading everything anew. */
struct guard_clients_builder *guard_clients_builder_refresh(const struct guard_clients *base);
void guard_clients_builder_free(struct guard_clients_builder **builder); /* *builder may be NULL */

/*
 * Puts the record of lines[0..count) (one client's lines; name = its user name, section and order do not matter) in
 * place of any of that name. count 0 is no record: GUARD_ERR_INVALID. Every fault is added to problems (may be NULL)
 * with the place of its line: an unknown field with the nearest known one, a doubled field, a bad role list … Then
 * GUARD_ERR_INVALID, and the builder is as before. GUARD_ERR_NOMEM likewise.
 */
int guard_clients_builder_put(struct guard_clients_builder *builder, const struct guard_policy_line *lines,
                              size_t count, struct guard_problems *problems);

/* Puts a record with nothing but `disabled`: stands in for one that cannot be read, so that it opens nothing. */
int guard_clients_builder_put_disabled(struct guard_clients_builder *builder, const char *username);

/*
 * Puts a record as guard_client_packed gave it (a snapshot). GUARD_OK, GUARD_ERR_INVALID if it is not one,
 * GUARD_ERR_NOMEM.
 */
int guard_clients_builder_put_packed(struct guard_clients_builder *builder, const char *username,
                                     size_t username_length, const char *packed, size_t length);

/* Takes the record out; false if there was none. Out of memory it stays and *failed is set. */
bool guard_clients_builder_remove(struct guard_clients_builder *builder, const char *username, bool *failed);

/*
 * Puts all [client …] lines of text, wherever in it they stand. GUARD_OK, GUARD_ERR_INVALID if any record was faulty
 * (each fault in problems, the good records are put), GUARD_ERR_NOMEM.
 */
int guard_clients_builder_put_text(struct guard_clients_builder *builder, const struct guard_policy_text *text,
                                   struct guard_problems *problems);

/* The table as built so far; the builder is freed and *builder set to NULL. NULL: out of memory. */
struct guard_clients *guard_clients_builder_finish(struct guard_clients_builder **builder);

/*
 * Appends the record's lines (fields and values as an admin would write them, place "" and line 0) to text.
 * GUARD_OK or GUARD_ERR_NOMEM.
 */
int guard_client_to_text(const struct guard_client_view *view, const char *place, struct guard_policy_text *text);

/*
 * Parses one list of names as `roles` and `client_id` hold them: separated by commas, outer white space ignored, quoted
 * names with JSON's escapes; with_priority: each may be followed by ":" and an integer. item is called for each (name
 * is NUL-terminated and only good during the call). GUARD_OK; GUARD_ERR_SYNTAX with err's column counted from text;
 * GUARD_ERR_NOMEM; or what item returned, if not GUARD_OK.
 */
int guard_client_list_parse(const char *text, bool with_priority,
                            int (*item)(void *context, const char *name, int32_t priority), void *context,
                            struct guard_error *err);

#endif
