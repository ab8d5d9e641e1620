/* What the store tells of itself: state and problems. */
#include "core/clock.h"
#include "store/store_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TELL_NS (INT64_C(10) * 1000000000)

/* Whether anything but times differs. */
static bool differs(const struct guard_store_state *a, const struct guard_store_state *b)
{
    return a->up != b->up || a->reason != b->reason || strcmp(a->text, b->text) != 0 ||
           strcmp(a->server, b->server) != 0 || a->have_policy != b->have_policy ||
           a->from_snapshot != b->from_snapshot || a->unconfirmed != b->unconfirmed || a->expired != b->expired ||
           a->version != b->version || a->roles != b->roles || a->rules != b->rules || a->clients != b->clients ||
           a->revocations != b->revocations || a->reconnects != b->reconnects || a->updates != b->updates;
}

/* Older than the admin allows; a policy that never was the store's has no age to exceed. */
static bool is_expired(const struct guard_store *store)
{
    return !store->state.up && store->config.max_stale_s > 0 && store->state.have_policy &&
           guard_clock_now() - store->state.fresh_at > store->config.max_stale_s;
}

void guard_store_tell(struct guard_store *store)
{
    int64_t now = guard_clock_monotonic_ns();
    store->state.expired = is_expired(store);
    if (!differs(&store->state, &store->told) && store->told_at && now - store->told_at < TELL_NS)
        return;
    store->told = store->state;
    store->told_at = now;
    if (store->callbacks.state)
        store->callbacks.state(store->callbacks.context, &store->state);
}

void guard_store_set_down(struct guard_store *store, enum guard_reason reason, const char *text)
{
    store->state.up = false;
    store->state.reason = reason;
    snprintf(store->state.text, sizeof store->state.text, "%s", text);
}

void guard_store_set_up(struct guard_store *store)
{
    store->state.up = true;
    store->state.reason = GUARD_REASON_NONE;
    store->state.text[0] = '\0';
    store->state.fresh_at = guard_clock_now();
}

void guard_store_problem(struct guard_store *store, enum guard_severity severity, const char *place, const char *format,
                         ...)
{
    struct guard_problem problem = {.severity = severity, .error = {.code = GUARD_ERR_INVALID}};
    va_list args;
    snprintf(problem.error.place, sizeof problem.error.place, "%s", place);
    va_start(args, format);
    vsnprintf(problem.error.text, sizeof problem.error.text, format, args);
    va_end(args);
    if (store->callbacks.problem)
        store->callbacks.problem(store->callbacks.context, &problem);
}
