/* The difference between two contents as the update callbacks take. */
#ifndef GUARD_STORE_UPDATE_H
#define GUARD_STORE_UPDATE_H

#include "store/content.h"

struct guard_update {
    struct guard_store_update update; /* points into what follows and into the contents */
    struct guard_store_section *sections;
    struct guard_policy_line *lines;
    char **places; /* one a section */
    const char **clients;
    struct guard_store_revocation *revocations;
    struct guard_store_jwks *jwks;
    size_t section_capacity, client_capacity, revocation_capacity, jwks_capacity;
    size_t section_count, client_count, revocation_count, jwks_count, line_count;
    struct guard_shard_entry *entries; /* of the sections */
    bool failed;
};

/*
 * Fills update (zeroed) with what differs between before and after; full: with all of after. Good as long as both
 * contents. GUARD_OK or GUARD_ERR_NOMEM.
 */
int guard_update_make(struct guard_update *update, const struct guard_content *before,
                      const struct guard_content *after, bool full, const char *prefix);
/*
 * The same for a snapshot whose image was made of base: all of assign, default, key sets, clients and revocations of
 * after, and the roles that differ.
 */
int guard_update_restore(struct guard_update *update, const struct guard_content *base,
                         const struct guard_content *after, const char *prefix);
void guard_update_free(struct guard_update *update);

/* Whether there is anything in it. */
bool guard_update_has_changes(const struct guard_update *update);

#endif
