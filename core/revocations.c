#include "core/revocations.h"

#include "core/serial.h"
#include "core/shard_map.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS_MAX         4096  /* CIDR blocks are searched one by one at each connect */
#define NAME_BYTES_MAX     65535 /* of a client id, user name or jti */
#define KEY_SIZE           (1 + NAME_BYTES_MAX)
#define FINGERPRINT_DIGITS 64

/* A banned block of addresses. */
struct block {
    unsigned char address[16];
    unsigned bits; /* of the IPv6 form */
    char *name, *reason;
};

struct guard_revocations {
    atomic_uint references;
    struct guard_shard_map *map; /* key: kind byte and canonical name; value: reason NUL, name as put NUL */
    size_t counts[GUARD_REVOCATION_KINDS];
    struct block *blocks;
    size_t block_count;
};

struct guard_revocations_builder {
    struct guard_revocations *base; /* what it will become; its map is NULL until then */
    struct guard_shard_builder *map;
    char key[KEY_SIZE];
};

struct guard_revocations *guard_revocations_ref(struct guard_revocations *revocations)
{
    atomic_fetch_add_explicit(&revocations->references, 1, memory_order_relaxed);
    return revocations;
}

void guard_revocations_unref(struct guard_revocations **revocations)
{
    struct guard_revocations *old = *revocations;
    *revocations = NULL;
    if (!old || atomic_fetch_sub_explicit(&old->references, 1, memory_order_acq_rel) != 1)
        return;
    guard_shard_map_unref(&old->map);
    for (size_t i = 0; i < old->block_count; i++) {
        free(old->blocks[i].name);
        free(old->blocks[i].reason);
    }
    free(old->blocks);
    free(old);
}

size_t guard_revocations_count_kind(const struct guard_revocations *revocations, enum guard_revocation_kind kind)
{
    return revocations ? revocations->counts[kind] : 0;
}

size_t guard_revocations_count(const struct guard_revocations *revocations)
{
    size_t count = 0;
    for (int kind = 0; kind < GUARD_REVOCATION_KINDS; kind++)
        count += guard_revocations_count_kind(revocations, (enum guard_revocation_kind)kind);
    return count;
}

/* An address without its zone, IPv4 in its IPv6-mapped form. */
static bool parse_address(const char *text, size_t length, unsigned char address[16], bool *is_v4)
{
    char copy[INET6_ADDRSTRLEN];
    const char *zone = memchr(text, '%', length);
    if (zone)
        length = (size_t)(zone - text);
    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    memcpy(address, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    *is_v4 = inet_pton(AF_INET, copy, address + 12) == 1;
    return *is_v4 || inet_pton(AF_INET6, copy, address) == 1;
}

/* 64 hex digits; colons, as openssl prints fingerprints, do not count. */
static size_t put_fingerprint(const char *name, size_t length, char *to)
{
    size_t digits = 0;
    for (size_t i = 0; i < length; i++) {
        if (name[i] == ':')
            continue;
        if (!isxdigit((unsigned char)name[i]) || digits == FINGERPRINT_DIGITS)
            return 0;
        to[digits++] = (char)toupper((unsigned char)name[i]);
    }
    return digits == FINGERPRINT_DIGITS ? digits : 0;
}

/* The serial number ends at the first slash; what is behind it is the issuer, slashes and all. */
static size_t put_serial(const char *name, size_t length, char *to)
{
    char serial[GUARD_SERIAL_SIZE];
    const char *slash = memchr(name, '/', length);
    if (!slash || length > NAME_BYTES_MAX || guard_serial_canonical(name, (size_t)(slash - name), serial) != GUARD_OK)
        return 0;
    size_t digits = strlen(serial), rest = length - (size_t)(slash - name);
    if (rest < 2)
        return 0;
    memcpy(to, serial, digits);
    memcpy(to + digits, slash, rest);
    return digits + rest;
}

/* The canonical form of a name behind the kind's byte; 0: not a name of that kind, else the key's length. */
static size_t make_key(enum guard_revocation_kind kind, const char *name, size_t length, char *key)
{
    size_t put;
    bool is_v4;
    key[0] = (char)kind;
    switch (kind) {
    case GUARD_BANNED_ADDRESS:
        put = parse_address(name, length, (unsigned char *)key + 1, &is_v4) ? 16 : 0;
        break;
    case GUARD_REVOKED_CERT:
        put = put_fingerprint(name, length, key + 1);
        break;
    case GUARD_REVOKED_SERIAL:
        put = put_serial(name, length, key + 1);
        break;
    default:
        put = length <= NAME_BYTES_MAX ? length : 0;
        memcpy(key + 1, name, put);
    }
    return put ? 1 + put : 0;
}

static bool in_block(const struct block *block, const unsigned char address[16])
{
    unsigned bytes = block->bits / 8, rest = block->bits % 8;
    if (memcmp(block->address, address, bytes) != 0)
        return false;
    return !rest || ((block->address[bytes] ^ address[bytes]) >> (8 - rest)) == 0;
}

static const char *find_block(const struct guard_revocations *revocations, const char *address)
{
    for (size_t i = 0; i < revocations->block_count; i++)
        if (in_block(&revocations->blocks[i], (const unsigned char *)address))
            return revocations->blocks[i].reason;
    return NULL;
}

const char *guard_revocations_find(const struct guard_revocations *revocations, enum guard_revocation_kind kind,
                                   const char *name, size_t length)
{
    char key[KEY_SIZE];
    struct guard_shard_entry entry;
    if (!revocations || !revocations->counts[kind])
        return NULL;
    size_t key_length = make_key(kind, name, length, key);
    if (!key_length)
        return NULL;
    if (guard_shard_map_find(revocations->map, key, key_length, &entry))
        return entry.value;
    return kind == GUARD_BANNED_ADDRESS ? find_block(revocations, key + 1) : NULL;
}

static bool parse_time(const char *text, int64_t *seconds)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *seconds = value;
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

bool guard_revoked_before(const struct guard_revocations *revocations, const char *username, size_t length,
                          int64_t issued_at)
{
    int64_t before;
    const char *value = guard_revocations_find(revocations, GUARD_REVOKED_BEFORE, username, length);
    return value && parse_time(value, &before) && issued_at < before;
}

static bool copy_block(const struct block *from, struct block *to)
{
    *to = *from;
    to->name = strdup(from->name);
    to->reason = strdup(from->reason);
    return to->name && to->reason;
}

static bool copy_base(struct guard_revocations *to, const struct guard_revocations *from)
{
    memcpy(to->counts, from->counts, sizeof to->counts);
    to->blocks = calloc(from->block_count ? from->block_count : 1, sizeof *to->blocks);
    for (size_t i = 0; to->blocks && i < from->block_count; i++) {
        to->block_count++;
        if (!copy_block(&from->blocks[i], &to->blocks[i]))
            return false;
    }
    return to->blocks != NULL;
}

struct guard_revocations_builder *guard_revocations_builder_new(const struct guard_revocations *base)
{
    struct guard_revocations_builder *builder = calloc(1, sizeof *builder);
    if (!builder)
        return NULL;
    builder->base = calloc(1, sizeof *builder->base);
    if (builder->base)
        atomic_init(&builder->base->references, 1);
    builder->map = guard_shard_builder_new(base ? base->map : NULL);
    if (!builder->base || !builder->map || (base && !copy_base(builder->base, base)))
        guard_revocations_builder_free(&builder);
    return builder;
}

void guard_revocations_builder_free(struct guard_revocations_builder **builder)
{
    if (!*builder)
        return;
    guard_revocations_unref(&(*builder)->base);
    if ((*builder)->map)
        guard_shard_builder_free(&(*builder)->map);
    free(*builder);
    *builder = NULL;
}

static void drop_block(struct guard_revocations *base, const char *name)
{
    for (size_t i = 0; i < base->block_count; i++) {
        if (strcmp(base->blocks[i].name, name) != 0)
            continue;
        free(base->blocks[i].name);
        free(base->blocks[i].reason);
        base->blocks[i] = base->blocks[--base->block_count];
        base->counts[GUARD_BANNED_ADDRESS]--;
        return;
    }
}

static int put_block(struct guard_revocations *base, const char *name, const char *slash, const char *reason,
                     struct guard_error *err)
{
    bool is_v4 = false;
    int64_t bits;
    struct block block = {.bits = 0};
    if (!parse_address(name, (size_t)(slash - name), block.address, &is_v4) || !parse_time(slash + 1, &bits) ||
        bits > (is_v4 ? 32 : 128))
        return guard_fail(err, GUARD_ERR_INVALID, "'%.100s' is not an address or a block (CIDR)", name);
    drop_block(base, name);
    if (base->block_count == BLOCKS_MAX)
        return guard_fail(err, GUARD_ERR_INVALID, "more than %d banned address blocks", BLOCKS_MAX);
    struct block *grown = reallocarray(base->blocks, base->block_count + 1, sizeof *grown);
    block.bits = (unsigned)bits + (is_v4 ? 96 : 0);
    block.name = strdup(name);
    block.reason = strdup(reason);
    if (grown)
        base->blocks = grown;
    if (!grown || !block.name || !block.reason) {
        free(block.name);
        free(block.reason);
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    }
    base->blocks[base->block_count++] = block;
    base->counts[GUARD_BANNED_ADDRESS]++;
    return GUARD_OK;
}

static int put_entry(struct guard_revocations_builder *builder, size_t key_length, const char *name, const char *value)
{
    struct guard_shard_entry entry;
    size_t reason = strlen(value) + 1, size = reason + strlen(name) + 1;
    bool is_new = !guard_shard_builder_find(builder->map, builder->key, key_length, &entry);
    char *packed = malloc(size);
    if (!packed)
        return GUARD_ERR_NOMEM;
    memcpy(packed, value, reason);
    memcpy(packed + reason, name, size - reason);
    int rc = guard_shard_builder_put(builder->map, builder->key, key_length, packed, size);
    free(packed);
    if (rc == GUARD_OK && is_new)
        builder->base->counts[(int)builder->key[0]]++;
    return rc;
}

int guard_revocations_builder_put(struct guard_revocations_builder *builder, enum guard_revocation_kind kind,
                                  const char *name, const char *value, struct guard_error *err)
{
    static const char *const expected[GUARD_REVOCATION_KINDS] = {
        [GUARD_REVOKED_TOKEN] = "a token id (jti)",
        [GUARD_REVOKED_CERT] = "a certificate's or key's SHA-256 (64 hex digits)",
        [GUARD_REVOKED_BEFORE] = "a user name",
        [GUARD_BANNED_ADDRESS] = "an address",
        [GUARD_BANNED_CLIENT] = "a client id",
        [GUARD_BANNED_USER] = "a user name",
        [GUARD_REVOKED_KEY] = "a key id (kid)",
        [GUARD_REVOKED_SERIAL] = "a serial number in hex, a slash and the issuer (0A1B/CN=Device CA)",
    };
    const char *slash = kind == GUARD_BANNED_ADDRESS ? strchr(name, '/') : NULL;
    int64_t seconds;
    if (slash)
        return put_block(builder->base, name, slash, value, err);
    size_t key_length = make_key(kind, name, strlen(name), builder->key);
    if (!key_length)
        return guard_fail(err, GUARD_ERR_INVALID, "'%.100s' is not %s", name, expected[kind]);
    if (kind == GUARD_REVOKED_BEFORE && !parse_time(value, &seconds))
        return guard_fail(err, GUARD_ERR_INVALID, "expected a time in Unix seconds, found '%.100s'", value);
    int rc = put_entry(builder, key_length, name, value);
    return rc == GUARD_OK ? rc : guard_fail(err, (enum guard_code)rc, "%s", guard_code_name((enum guard_code)rc));
}

int guard_revocations_builder_remove(struct guard_revocations_builder *builder, enum guard_revocation_kind kind,
                                     const char *name)
{
    if (kind == GUARD_BANNED_ADDRESS && strchr(name, '/')) {
        drop_block(builder->base, name);
        return GUARD_OK;
    }
    size_t key_length = make_key(kind, name, strlen(name), builder->key);
    int rc = key_length ? guard_shard_builder_remove(builder->map, builder->key, key_length) : GUARD_ERR_NOT_FOUND;
    if (rc == GUARD_OK)
        builder->base->counts[kind]--;
    return rc == GUARD_ERR_NOT_FOUND ? GUARD_OK : rc;
}

struct guard_revocations *guard_revocations_builder_finish(struct guard_revocations_builder **builder)
{
    struct guard_revocations *done = (*builder)->base;
    done->map = guard_shard_builder_finish(&(*builder)->map);
    (*builder)->base = NULL;
    free(*builder);
    *builder = NULL;
    if (!done->map)
        guard_revocations_unref(&done);
    return done;
}

struct each {
    bool (*visit)(void *context, enum guard_revocation_kind kind, const char *name, const char *value);
    void *context;
    bool go_on;
};

static bool visit_entry(void *context, const struct guard_shard_entry *entry)
{
    struct each *each = context;
    each->go_on = each->visit(each->context, (enum guard_revocation_kind)entry->key[0],
                              entry->value + strlen(entry->value) + 1, entry->value);
    return each->go_on;
}

void guard_revocations_each(const struct guard_revocations *revocations,
                            bool (*visit)(void *context, enum guard_revocation_kind kind, const char *name,
                                          const char *value),
                            void *context)
{
    struct each each = {visit, context, true};
    if (!revocations)
        return;
    guard_shard_map_each(revocations->map, visit_entry, &each);
    for (size_t i = 0; each.go_on && i < revocations->block_count; i++)
        each.go_on = visit(context, GUARD_BANNED_ADDRESS, revocations->blocks[i].name, revocations->blocks[i].reason);
}

static bool visit_difference(void *context, const struct guard_shard_entry *before,
                             const struct guard_shard_entry *after)
{
    struct each *each = context;
    const struct guard_shard_entry *entry = after ? after : before;
    each->go_on = each->visit(each->context, (enum guard_revocation_kind)entry->key[0],
                              entry->value + strlen(entry->value) + 1, after ? entry->value : NULL);
    return each->go_on;
}

static const struct block *find_same_block(const struct guard_revocations *revocations, const char *name)
{
    for (size_t i = 0; revocations && i < revocations->block_count; i++)
        if (strcmp(revocations->blocks[i].name, name) == 0)
            return &revocations->blocks[i];
    return NULL;
}

void guard_revocations_diff(const struct guard_revocations *from, const struct guard_revocations *to,
                            bool (*visit)(void *context, enum guard_revocation_kind kind, const char *name,
                                          const char *value),
                            void *context)
{
    struct each each = {visit, context, true};
    guard_shard_map_diff(from ? from->map : NULL, to ? to->map : NULL, visit_difference, &each);
    for (size_t i = 0; each.go_on && to && i < to->block_count; i++) {
        const struct block *twin = find_same_block(from, to->blocks[i].name);
        if (!twin || strcmp(twin->reason, to->blocks[i].reason) != 0)
            each.go_on = visit(context, GUARD_BANNED_ADDRESS, to->blocks[i].name, to->blocks[i].reason);
    }
    for (size_t i = 0; each.go_on && from && i < from->block_count; i++)
        if (!find_same_block(to, from->blocks[i].name))
            each.go_on = visit(context, GUARD_BANNED_ADDRESS, from->blocks[i].name, NULL);
}
