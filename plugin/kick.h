/*
 * Disconnecting clients. mosquitto_kick_… from inside a callback would free what the broker still uses, so kicks wait
 * for TICK; and only clients that are connected are kicked, because 2.0 frees an offline session twice.
 */
#ifndef GUARD_PLUGIN_KICK_H
#define GUARD_PLUGIN_KICK_H

#include "core/reason.h"

#include <stdbool.h>

struct guard_plugin;
struct guard_session;

/*
 * From now on the session is denied everything; it is disconnected at the next TICK. with_will: its will may still be
 * published (the token ended in good order), else not (somebody took its rights away).
 */
void guard_end_session(struct guard_plugin *plugin, struct guard_session *session, enum guard_reason reason,
                       bool with_will);

/* TICK: carries the waiting kicks out, for at most five milliseconds; the others wait for the next one. */
void guard_kicks_run(struct guard_plugin *plugin);

void guard_kicks_free(struct guard_plugin *plugin);

#endif
