/* What the parts of the policy's Redis home share. Included by plugin/policy_{store,combine,image,kept,state}.c only.
 */
#ifndef GUARD_PLUGIN_POLICY_STORE_INTERNAL_H
#define GUARD_PLUGIN_POLICY_STORE_INTERNAL_H

#include "core/clients.h"
#include "core/policy_text.h"
#include "core/slab.h"
#include "plugin/background.h"
#include "plugin/plugin.h"
#include "plugin/policy_set.h"
#include "store/store.h"

#include <pthread.h>

/* A role's lines, or all of assign or default, as Redis delivered them last. */
struct guard_kept_section {
    enum guard_store_kind kind;
    char *name;
    struct guard_policy_text text;
};

struct guard_kept_policy {
    struct guard_kept_section *sections;
    size_t count, capacity;
};

struct guard_policy_store {
    pthread_mutex_t lock;                /* a file reload and a change from Redis may meet */
    struct guard_policy_text file;       /* the file's lines, in force */
    char file_digest[13];                /* of them; "" = no file */
    struct guard_kept_policy redis;      /* Redis' roles (only beside a file), assignments and defaults */
    struct guard_clients *redis_clients; /* NULL = none yet */
    struct guard_policy_set *latest;     /* what was compiled last: references of its own, never in use by the broker */
    bool delivered;                      /* Redis, or the snapshot, has */
    uint64_t version;                    /* guard:version of what is in force */
    uint64_t edits;                      /* since that version */

    struct guard_store *store; /* NULL = no redis_url */

    /* broker thread: as told last */
    struct guard_store_state state;
    bool outage;                      /* store-down was told, store-up was not */
    int64_t down_since_ns;            /* monotonic */
    enum guard_reason policy_refused; /* why the policy of a store that answers is not taken; NONE */
};

/* ---- policy_kept.c ---- */

/* Appends lines whose strings stay somebody else's: such a text is only looked at. GUARD_OK or GUARD_ERR_NOMEM. */
int guard_policy_view_line(struct guard_policy_text *view, const struct guard_policy_line *line);
int guard_policy_view_lines(struct guard_policy_text *view, const struct guard_policy_line *lines, size_t count);

struct guard_kept_section *guard_kept_find(const struct guard_kept_policy *kept, enum guard_store_kind kind,
                                           const char *name);
/* Takes the sections of an update, of roles only if asked to: GUARD_OK or GUARD_ERR_NOMEM. */
int guard_kept_take(struct guard_kept_policy *kept, const struct guard_store_update *update, bool roles);
/* The same of a whole policy, roles included; nothing is kept yet. */
int guard_kept_take_text(struct guard_kept_policy *kept, const struct guard_policy_text *text);
/* Appends all that is kept. GUARD_OK or GUARD_ERR_NOMEM. */
int guard_kept_view(const struct guard_kept_policy *kept, struct guard_policy_text *view);
void guard_kept_free(struct guard_kept_policy *kept);

/* ---- policy_combine.c: call with the lock ---- */

/*
 * Takes what the store delivered; the result goes to the broker thread. NULL when out of memory, or when the update's
 * image is of no use: then nothing changed.
 */
struct guard_policy_set *guard_policy_combine_update(struct guard_plugin *plugin,
                                                     const struct guard_store_update *update);

/* The same policy under another guard:version, or NULL. */
struct guard_policy_set *guard_policy_combine_renamed(struct guard_plugin *plugin, uint64_t version);

void guard_policy_combine_free(struct guard_policy_store *link);

/* ---- policy_image.c ---- */

/* What is saved of the policy in force: its rules as they were compiled, and with which file. */
struct guard_policy_image {
    struct acl_policy *acl; /* a reference */
    char file_digest[13];
    uint64_t file_lines;
};

/* With the lock. NULL: there is nothing to save, or no memory. guard_policy_image_free frees it, on any thread. */
struct guard_policy_image *guard_policy_combine_image(struct guard_plugin *plugin);
/* GUARD_OK, or an error. */
int guard_policy_image_write(const struct guard_policy_image *image, const struct guard_sink *sink);
void guard_policy_image_free(struct guard_policy_image *image);
/* The rules in an update's image, a reference; NULL: of another file or engine, or no image. */
struct acl_policy *guard_policy_image_load(const struct guard_policy_store *link,
                                           const struct guard_store_update *update);

/* ---- policy_state.c ---- */

/* Store thread: sends how the store stands to the broker thread, which logs, audits and closes or opens the broker. */
void guard_policy_state_send(struct guard_plugin *plugin, const struct guard_store_state *state);

#endif
