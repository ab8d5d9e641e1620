#include "core/clients.h"

#include "core/buffer.h"
#include "core/client_record.h"
#include "core/shard_map.h"

#include <stdlib.h>
#include <string.h>

/* A table is a map from user name to packed record; the type only keeps the two apart. */
static struct guard_shard_map *as_map(const struct guard_clients *clients)
{
    return (struct guard_shard_map *)(uintptr_t)clients;
}

struct guard_clients_builder {
    struct guard_shard_builder *map;
    struct guard_buffer record; /* kept between puts, so that a million of them need no million allocations */
    struct guard_client_scratch scratch;
};

struct guard_clients *guard_clients_ref(struct guard_clients *clients)
{
    guard_shard_map_ref(as_map(clients));
    return clients;
}

void guard_clients_unref(struct guard_clients **clients)
{
    struct guard_shard_map *map = as_map(*clients);
    *clients = NULL;
    guard_shard_map_unref(&map);
}

static void view_of(const struct guard_shard_entry *entry, struct guard_client_view *view)
{
    view->username = entry->key;
    view->username_length = entry->key_length;
    guard_client_record_view(entry->value, entry->value_length, view);
}

bool guard_clients_find(const struct guard_clients *clients, const char *username, size_t length,
                        struct guard_client_view *view)
{
    struct guard_shard_entry entry;
    if (!guard_shard_map_find(as_map(clients), username, length, &entry))
        return false;
    view_of(&entry, view);
    return true;
}

bool guard_clients_knows(const struct guard_clients *clients, const char *name)
{
    struct guard_client_view record;
    return name && guard_clients_find(clients, name, strlen(name), &record);
}

size_t guard_clients_count(const struct guard_clients *clients)
{
    return guard_shard_map_count(as_map(clients));
}

size_t guard_clients_memory(const struct guard_clients *clients)
{
    return guard_shard_map_memory(as_map(clients));
}

struct each {
    bool (*visit)(void *context, const struct guard_client_view *view);
    void *context;
};

static bool visit_entry(void *context, const struct guard_shard_entry *entry)
{
    struct each *each = context;
    struct guard_client_view view;
    view_of(entry, &view);
    return each->visit(each->context, &view);
}

void guard_clients_each(const struct guard_clients *clients,
                        bool (*visit)(void *context, const struct guard_client_view *view), void *context)
{
    struct each each = {visit, context};
    guard_shard_map_each(as_map(clients), visit_entry, &each);
}

struct diff {
    bool (*visit)(void *context, const char *username, bool present);
    void *context;
};

static bool visit_difference(void *context, const struct guard_shard_entry *before,
                             const struct guard_shard_entry *after)
{
    struct diff *diff = context;
    return diff->visit(diff->context, after ? after->key : before->key, after != NULL);
}

void guard_clients_diff(const struct guard_clients *from, const struct guard_clients *to,
                        bool (*visit)(void *context, const char *username, bool present), void *context)
{
    struct diff diff = {visit, context};
    guard_shard_map_diff(as_map(from), as_map(to), visit_difference, &diff);
}

bool guard_client_next_role(const struct guard_client_view *view, const char **cursor, const char **role,
                            int32_t *priority)
{
    const char *at = *cursor ? *cursor : view->packed[0];
    if (at == view->packed[1])
        return false;
    memcpy(priority, at, sizeof *priority);
    *role = at + sizeof *priority;
    *cursor = *role + strlen(*role) + 1;
    return true;
}

bool guard_client_next_client_id(const struct guard_client_view *view, const char **cursor, const char **client_id)
{
    const char *at = *cursor ? *cursor : view->packed[1];
    if (at == view->packed[2])
        return false;
    *client_id = at;
    *cursor = at + strlen(at) + 1;
    return true;
}

bool guard_client_next_attribute(const struct guard_client_view *view, const char **cursor, const char **name,
                                 const char **value)
{
    const char *at = *cursor ? *cursor : view->packed[2];
    if (at == view->packed[3])
        return false;
    *name = at;
    *value = at + strlen(at) + 1;
    *cursor = *value + strlen(*value) + 1;
    return true;
}

bool guard_client_allows_id(const struct guard_client_view *view, const char *client_id, size_t length)
{
    const char *cursor = NULL, *bound;
    if (!view->client_id_count)
        return true;
    while (guard_client_next_client_id(view, &cursor, &bound))
        if (strlen(bound) == length && memcmp(bound, client_id, length) == 0)
            return true;
    return false;
}

const char *guard_client_attribute(const struct guard_client_view *view, const char *name)
{
    const char *cursor = NULL, *found, *value;
    while (guard_client_next_attribute(view, &cursor, &found, &value))
        if (strcmp(found, name) == 0)
            return value;
    return NULL;
}

static struct guard_clients_builder *builder_of(struct guard_shard_builder *map)
{
    struct guard_clients_builder *builder = map ? calloc(1, sizeof *builder) : NULL;
    if (builder)
        builder->map = map;
    else
        guard_shard_builder_free(&map);
    return builder;
}

struct guard_clients_builder *guard_clients_builder_new(const struct guard_clients *base)
{
    return builder_of(guard_shard_builder_new(as_map(base)));
}

struct guard_clients_builder *guard_clients_builder_refresh(const struct guard_clients *base)
{
    return builder_of(guard_shard_builder_refresh(as_map(base)));
}

void guard_clients_builder_free(struct guard_clients_builder **builder)
{
    if (!*builder)
        return;
    guard_shard_builder_free(&(*builder)->map);
    guard_buffer_free(&(*builder)->record);
    for (size_t i = 0; i < sizeof(*builder)->scratch.lists / sizeof(*builder)->scratch.lists[0]; i++)
        guard_buffer_free(&(*builder)->scratch.lists[i]);
    free(*builder);
    *builder = NULL;
}

static int put_record(struct guard_clients_builder *builder, const char *username)
{
    if (builder->record.failed)
        return GUARD_ERR_NOMEM;
    return guard_shard_builder_put(builder->map, username, strlen(username), builder->record.data,
                                   builder->record.length);
}

static int put_lines(struct guard_clients_builder *builder, const struct guard_client_lines *lines,
                     struct guard_problems *problems)
{
    if (!lines->count)
        return GUARD_ERR_INVALID;
    const struct guard_policy_line *first = &lines->lines[lines->order ? lines->order[0] : 0];
    size_t length = strlen(first->name);
    if (!length || length > GUARD_CLIENT_NAME_MAX) {
        guard_problems_add(problems, GUARD_PROBLEM_ERROR, first->place, first->line, 0,
                           "the user name of a client record has %zu bytes; expected 1 to %u", length,
                           GUARD_CLIENT_NAME_MAX);
        return GUARD_ERR_INVALID;
    }
    int rc = guard_client_record_pack(lines, &builder->scratch, &builder->record, problems);
    return rc == GUARD_OK ? put_record(builder, first->name) : rc;
}

int guard_clients_builder_put(struct guard_clients_builder *builder, const struct guard_policy_line *lines,
                              size_t count, struct guard_problems *problems)
{
    return put_lines(builder, &(struct guard_client_lines){.lines = lines, .count = count}, problems);
}

int guard_clients_builder_put_disabled(struct guard_clients_builder *builder, const char *username)
{
    guard_client_record_pack_disabled(&builder->record);
    return put_record(builder, username);
}

static bool is_record(const struct guard_shard_entry *entry)
{
    return entry->key_length && entry->key_length <= GUARD_CLIENT_NAME_MAX &&
           !memchr(entry->key, 0, entry->key_length) && guard_client_record_valid(entry->value, entry->value_length);
}

int guard_clients_builder_put_packed(struct guard_clients_builder *builder, const char *username,
                                     size_t username_length, const char *packed, size_t length)
{
    if (username_length > GUARD_CLIENT_NAME_MAX || length > GUARD_CLIENT_RECORD_MAX ||
        !is_record(&(struct guard_shard_entry){username, packed, (uint32_t)username_length, (uint32_t)length}))
        return GUARD_ERR_INVALID;
    return guard_shard_builder_put(builder->map, username, username_length, packed, length);
}

int guard_clients_write(const struct guard_clients *clients, const struct guard_sink *sink)
{
    return guard_shard_map_write(as_map(clients), sink);
}

int guard_clients_load(struct guard_slab *slab, size_t length, struct guard_clients **out)
{
    struct guard_shard_map *map;
    int rc = guard_shard_map_load(slab, length, is_record, &map);
    *out = (struct guard_clients *)map;
    return rc;
}

bool guard_clients_builder_remove(struct guard_clients_builder *builder, const char *username, bool *failed)
{
    int rc = guard_shard_builder_remove(builder->map, username, strlen(username));
    if (rc == GUARD_ERR_NOMEM)
        *failed = true;
    return rc == GUARD_OK;
}

/* The client lines of a text, chained by name: a section may be continued further down. */
struct chains {
    size_t *table, mask; /* line index + 1 of a name's first line */
    size_t *next, *last; /* per line: the next of the same name (+ 1); of a first line: the last one (+ 1) */
    struct guard_siphash_key key;
};

static int chains_init(struct chains *chains, size_t count)
{
    size_t slots = 16;
    while (slots < count * 2)
        slots *= 2;
    *chains = (struct chains){.mask = slots - 1, .key = guard_siphash_random_key()};
    chains->table = calloc(slots, sizeof *chains->table);
    chains->next = calloc(count + 1, sizeof *chains->next);
    chains->last = calloc(count + 1, sizeof *chains->last);
    return chains->table && chains->next && chains->last ? GUARD_OK : GUARD_ERR_NOMEM;
}

static void chains_free(struct chains *chains)
{
    free(chains->table);
    free(chains->next);
    free(chains->last);
}

/* Hangs line i to the lines of its name; true if it is the first of them. */
static bool chains_add(struct chains *chains, const struct guard_policy_line *lines, size_t i)
{
    const char *name = lines[i].name;
    size_t slot = guard_siphash(&chains->key, name, strlen(name)) & chains->mask;
    while (chains->table[slot] && strcmp(lines[chains->table[slot] - 1].name, name) != 0)
        slot = (slot + 1) & chains->mask;
    size_t first = chains->table[slot];
    if (first) {
        chains->next[chains->last[first - 1] - 1] = i + 1;
        chains->last[first - 1] = i + 1;
        return false;
    }
    chains->table[slot] = i + 1;
    chains->last[i] = i + 1;
    return true;
}

/* The chain that begins at line first, into order. */
static size_t chain_order(const struct chains *chains, size_t first, size_t *order)
{
    size_t count = 0;
    for (size_t i = first + 1; i; i = chains->next[i - 1])
        order[count++] = i - 1;
    return count;
}

int guard_clients_builder_put_text(struct guard_clients_builder *builder, const struct guard_policy_text *text,
                                   struct guard_problems *problems)
{
    struct chains chains;
    size_t *firsts = malloc((text->count + 1) * sizeof *firsts), *order = malloc((text->count + 1) * sizeof *order);
    size_t clients = 0;
    bool faulty = false;
    int rc = chains_init(&chains, text->count);
    if (!firsts || !order)
        rc = GUARD_ERR_NOMEM;
    for (size_t i = 0; rc == GUARD_OK && i < text->count; i++)
        if (text->lines[i].section == GUARD_SECTION_CLIENT && chains_add(&chains, text->lines, i))
            firsts[clients++] = i;
    for (size_t c = 0; rc == GUARD_OK && c < clients; c++) {
        struct guard_client_lines lines = {.lines = text->lines, .order = order};
        lines.count = chain_order(&chains, firsts[c], order);
        rc = put_lines(builder, &lines, problems);
        if (rc == GUARD_ERR_INVALID) {
            faulty = true;
            rc = GUARD_OK;
        }
    }
    chains_free(&chains);
    free(firsts);
    free(order);
    return rc == GUARD_OK && faulty ? GUARD_ERR_INVALID : rc;
}

struct guard_clients *guard_clients_builder_finish(struct guard_clients_builder **builder)
{
    struct guard_shard_map *map = guard_shard_builder_finish(&(*builder)->map);
    guard_clients_builder_free(builder);
    return (struct guard_clients *)map;
}
