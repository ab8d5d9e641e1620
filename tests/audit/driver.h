/* The events of the driver; see driver.c. */
#ifndef GUARD_TESTS_AUDIT_DRIVER_H
#define GUARD_TESTS_AUDIT_DRIVER_H

#include "audit/audit.h"

/* The i-th client; hostile: with strings that hurt. */
struct audit_peer *driver_new_peer(struct audit *audit, unsigned i, bool hostile);
void driver_connect_peer(struct audit *audit, struct audit_peer *peer, unsigned i, enum guard_reason reason);
void driver_disconnect_peer(struct audit *audit, struct audit_peer *peer, enum guard_reason reason);

/* The n-th event of the stream: mostly publishes, now and then something else. */
void driver_push_one(struct audit *audit, struct audit_peer *peer, uint64_t n, bool hostile);
void driver_push_policy(struct audit *audit, enum guard_reason reason, enum audit_policy_trigger trigger);

/* Every action with every reason there is, also those that the schema does not list for it. */
void driver_push_every_kind(struct audit *audit, struct audit_peer *peer);

/* Topics, names and roles as long as they can get. */
void driver_push_giants(struct audit *audit);

/* A secret where only audit_failed_user decides whether it is seen. */
void driver_push_secrets(struct audit *audit);

#endif
