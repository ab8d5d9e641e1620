/*
 * Compiled rules as octets: written to a file, and used where they were read to, without being compiled again. An image
 * is for the very engine that made it: it carries a digest of the engine's sources and the sizes of its structures, and
 * another engine refuses it.
 *
 * What is checked when one is loaded: every index and offset, so that nothing outside the image is read. That the nodes
 * form the tree they should is not checked: whoever loads an image vouches for its octets (store/snapshot.h).
 */
#ifndef GUARD_ACL_IMAGE_H
#define GUARD_ACL_IMAGE_H

#include "core/slab.h"

struct acl_policy;

/* Writes the rules, without [assign] and [default]. GUARD_OK, GUARD_ERR_NOMEM, or what the sink returned. */
int acl_policy_write(const struct acl_policy *policy, const struct guard_sink *sink);

/*
 * The policy whose image is slab->bytes[0..length), of a new generation, with empty [assign] and [default]
 * (acl_policy_edit puts them in). It, and what is edited out of it, keep references of slab. GUARD_OK;
 * GUARD_ERR_UNSUPPORTED: of another engine; GUARD_ERR_INVALID: no image; GUARD_ERR_NOMEM.
 */
int acl_policy_load(struct guard_slab *slab, size_t length, struct acl_policy **out);

#endif
