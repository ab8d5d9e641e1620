/* Whether what the store holds may be put in force, and handing it to the composition. */
#include "core/clock.h"
#include "store/store_internal.h"
#include "store/update.h"

#include <stdio.h>
#include <string.h>

/* next is in force from now on. */
static void accept(struct guard_store *store, const struct guard_content *next)
{
    struct guard_content old = store->held;
    guard_content_copy(&store->held, next);
    guard_content_free(&old);
    store->owes_full = false;
    store->state.have_policy = true;
}

/* Hands an update to the composition, with next in force after it. */
static int call_update(struct guard_store *store, const struct guard_content *next, struct guard_update *update,
                       const struct guard_store_update *stamp, struct guard_error *err)
{
    update->update.from_snapshot = stamp->from_snapshot;
    update->update.saved_at = stamp->saved_at;
    update->update.noticed_ns = stamp->noticed_ns;
    store->in_delivery = next;
    int rc = store->callbacks.update(store->callbacks.context, &update->update, err);
    store->in_delivery = NULL;
    store->state.updates += rc == GUARD_OK;
    return rc;
}

static void offer(struct guard_store *store)
{
    void *image = store->callbacks.image ? store->callbacks.image(store->callbacks.context) : NULL;
    guard_saver_offer(store->saver, &store->held, image);
}

/* Calls the composition with the difference between what is in force and next; on success next is in force. */
static int hand_over(struct guard_store *store, const struct guard_content *next,
                     const struct guard_store_update *stamp, struct guard_error *err)
{
    struct guard_update update = {0};
    int rc = guard_update_make(&update, &store->held, next, store->owes_full, store->config.prefix);
    if (rc != GUARD_OK)
        guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    bool changes = rc == GUARD_OK && guard_update_has_changes(&update);
    if (changes)
        rc = call_update(store, next, &update, stamp, err);
    guard_update_free(&update);
    if (rc != GUARD_OK) {
        store->owes_full = true;
        return rc;
    }
    accept(store, next);
    if (store->saver && changes && !stamp->from_snapshot)
        offer(store);
    return GUARD_OK;
}

/* What the admin must decide; NULL: the content may be taken. */
static const char *objection(struct guard_store *store, enum guard_reason *reason)
{
    const struct guard_content *seen = &store->seen, *held = &store->held;
    *reason = GUARD_REASON_POLICY_PARSE_ERROR;
    if (seen->incomplete)
        return "assignments or defaults cannot be read and never could be";
    if (!seen->confirm)
        store->confirm_used = 0;
    if (!store->state.have_policy)
        return NULL;
    if (seen->confirm && seen->confirm != store->confirm_used &&
        (store->emptied || seen->version < held->version || guard_content_is_empty(seen))) {
        store->confirm_used = seen->confirm;
        store->emptied = false;
        return NULL;
    }
    *reason = GUARD_REASON_POLICY_ROLLBACK;
    if (seen->version < held->version)
        return "its version went backwards: it lost data or is another store (guardctl confirm, if this is meant)";
    if (seen->version > held->version || guard_content_same_policy(seen, held))
        store->emptied = false;
    else if (guard_content_is_empty(seen) && !guard_content_is_empty(held))
        store->emptied = true;
    *reason = GUARD_REASON_POLICY_UNAVAILABLE;
    return store->emptied ? "it was emptied (guardctl confirm, if this is meant; or push a policy)" : NULL;
}

struct additions {
    struct guard_revocations_builder *builder;
    bool any, failed;
};

static bool add_addition(void *context, enum guard_revocation_kind kind, const char *name, const char *value)
{
    struct additions *additions = context;
    if (!value)
        return true;
    additions->any = true;
    additions->failed = guard_revocations_builder_put(additions->builder, kind, name, value, NULL) == GUARD_ERR_NOMEM;
    return !additions->failed;
}

/* While the policy waits for an admin, new revocations and bans bite all the same; none is lifted. */
static void hand_over_additions(struct guard_store *store, const struct guard_store_update *stamp)
{
    struct guard_error err = {0};
    struct additions additions = {.builder = guard_revocations_builder_new(store->held.revocations)};
    if (!additions.builder)
        return;
    guard_revocations_diff(store->held.revocations, store->seen.revocations, add_addition, &additions);
    if (additions.any && !additions.failed) {
        struct guard_content next;
        guard_content_copy(&next, &store->held);
        guard_revocations_unref(&next.revocations);
        next.revocations = guard_revocations_builder_finish(&additions.builder);
        if (next.revocations)
            hand_over(store, &next, stamp, &err);
        guard_content_free(&next);
    }
    guard_revocations_builder_free(&additions.builder);
}

static void set_counts(struct guard_store *store)
{
    store->state.version = store->held.version;
    store->state.roles = store->held.roles;
    store->state.rules = store->held.rules;
    store->state.clients = guard_clients_count(store->held.clients);
    store->state.revocations = guard_revocations_count(store->held.revocations);
}

void guard_store_deliver(struct guard_store *store, int64_t noticed_ns)
{
    struct guard_store_update stamp = {.noticed_ns = noticed_ns};
    struct guard_error err = {0};
    enum guard_reason reason;
    const char *text = objection(store, &reason);
    store->state.unconfirmed = text && !store->seen.incomplete;
    if (text) {
        if (store->state.have_policy)
            hand_over_additions(store, &stamp);
        guard_store_set_down(store, reason, text);
    } else if (hand_over(store, &store->seen, &stamp, &err) == GUARD_OK) {
        store->state.from_snapshot = false;
        guard_store_set_up(store);
    } else {
        guard_store_set_down(store, GUARD_REASON_POLICY_PARSE_ERROR, err.text);
    }
    set_counts(store);
    guard_store_tell(store);
}

/* With what the composition made of it; GUARD_ERR_UNSUPPORTED: that is of no use. */
static int restore(struct guard_store *store, const struct guard_snapshot *snapshot,
                   const struct guard_store_update *stamp, struct guard_error *err)
{
    struct guard_update update = {0};
    if (!snapshot->image)
        return GUARD_ERR_UNSUPPORTED;
    int rc = guard_update_restore(&update, &snapshot->base, &snapshot->content, store->config.prefix);
    if (rc == GUARD_OK) {
        update.update.image = snapshot->image;
        update.update.image_length = snapshot->image_length;
        rc = call_update(store, &snapshot->content, &update, stamp, err);
    }
    guard_update_free(&update);
    if (rc == GUARD_OK)
        accept(store, &snapshot->content);
    return rc;
}

int guard_store_deliver_snapshot(struct guard_store *store, const struct guard_snapshot *snapshot, bool *restored,
                                 struct guard_error *err)
{
    struct guard_store_update stamp = {
        .from_snapshot = true, .saved_at = snapshot->fresh_at, .noticed_ns = guard_clock_real_ns()};
    int rc = restore(store, snapshot, &stamp, err);
    *restored = rc == GUARD_OK;
    if (rc == GUARD_ERR_UNSUPPORTED)
        rc = hand_over(store, &snapshot->content, &stamp, err);
    if (rc == GUARD_OK) {
        store->state.from_snapshot = true;
        store->state.fresh_at = snapshot->fresh_at;
        set_counts(store);
    }
    return rc;
}
