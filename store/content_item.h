/*
 * One key of the store on its way into content. Private to store/content_edit.c (the edit), content_hash.c (roles,
 * clients, assignments, defaults) and content_value.c (revocations, key sets, version, confirmation).
 */
#ifndef GUARD_STORE_CONTENT_ITEM_H
#define GUARD_STORE_CONTENT_ITEM_H

#include "store/content.h"

struct guard_content_item {
    struct guard_content_edit *edit;
    enum guard_key_kind kind;
    const char *name;
    const char *place; /* the whole key */
    struct guard_problems problems;
};

/* The fault itself: an error. */
void guard_item_complain(struct guard_content_item *item, const char *text);
/* What becomes of an item that was complained about: a warning, so that one fault counts once. */
void guard_item_conclude(struct guard_content_item *item, const char *text);

/* A string without control characters but tabs, in well-formed UTF-8. */
bool guard_item_is_text(const struct guard_reply *reply);

/* Puts the item's section, or removes it (value NULL), and keeps the counts. GUARD_OK or GUARD_ERR_NOMEM. */
int guard_item_set_section(struct guard_content_item *item, const char *value, size_t length);
/* The last good version of the item's section; good until the edit ends. */
bool guard_item_good_section(const struct guard_content_item *item, struct guard_shard_entry *entry);

/* Each takes the reply for its kind of key: what does not pass is told and replaced. GUARD_OK or GUARD_ERR_NOMEM. */
int guard_item_take_section(struct guard_content_item *item, const struct guard_reply *reply);
int guard_item_take_client(struct guard_content_item *item, const struct guard_reply *reply);
int guard_item_take_revocation(struct guard_content_item *item, const struct guard_reply *reply);
int guard_item_take_key_set(struct guard_content_item *item, const struct guard_reply *reply);
int guard_item_take_version(struct guard_content_item *item, const struct guard_reply *reply);
int guard_item_take_confirmation(struct guard_content_item *item, const struct guard_reply *reply);

#endif
