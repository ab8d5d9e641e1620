/* Between the writer and the detection: what a record means to it, and its alerts as events of the same trail. */
#ifndef GUARD_AUDIT_WATCH_H
#define GUARD_AUDIT_WATCH_H

#include "audit/internal.h"

/* audit->detect and what belongs to it, if the configuration asks for it. GUARD_OK, _INVALID (the list), or _NOMEM. */
int audit_watch_init(struct audit *audit, struct guard_error *err);

/* Fills in peer->keys. The thread that makes the peer. */
void audit_watch_peer(const struct audit *audit, struct audit_peer *peer, const struct audit_peer_info *info);

/* Writer thread, for each record before its line is made. An alert is queued like an event of another thread. */
void audit_watch_record(struct audit *audit, const struct record *record);

/* Writer thread, before the chain of peers is freed: the habits of those clients outlive them. */
void audit_watch_gone(struct audit *audit, struct audit_peer *peers);

/* Writer thread: keeps what was learned, every ten minutes and (last) at the end. Failing costs nothing but that. */
void audit_watch_keep(struct audit *audit, int64_t monotonic_ns, bool last);

#endif
