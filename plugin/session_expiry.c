/* When sessions end: a heap over those that do, the earliest first. */
#include "core/error.h"
#include "plugin/session_table.h"

#include <stdlib.h>

static void heap_set(struct guard_sessions *sessions, size_t i, struct guard_session *session)
{
    sessions->heap[i] = session;
    session->heap_index = i;
}

static void heap_settle(struct guard_sessions *sessions, size_t i)
{
    struct guard_session *session = sessions->heap[i];
    while (i && sessions->heap[(i - 1) / 2]->ends_at > session->ends_at) {
        heap_set(sessions, i, sessions->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < sessions->heap_count && sessions->heap[child + 1]->ends_at < sessions->heap[child]->ends_at)
            child++;
        if (child >= sessions->heap_count || sessions->heap[child]->ends_at >= session->ends_at)
            break;
        heap_set(sessions, i, sessions->heap[child]);
        i = child;
    }
    heap_set(sessions, i, session);
}

void guard_sessions_heap_remove(struct guard_sessions *sessions, struct guard_session *session)
{
    size_t i = session->heap_index;
    if (i == SIZE_MAX)
        return;
    session->heap_index = SIZE_MAX;
    struct guard_session *last = sessions->heap[--sessions->heap_count];
    if (last == session)
        return;
    heap_set(sessions, i, last);
    heap_settle(sessions, i);
}

static int heap_add(struct guard_sessions *sessions, struct guard_session *session)
{
    if (sessions->heap_count == sessions->heap_capacity) {
        size_t capacity = sessions->heap_capacity ? sessions->heap_capacity * 2 : 64;
        struct guard_session **grown = reallocarray(sessions->heap, capacity, sizeof *grown);
        if (!grown)
            return GUARD_ERR_NOMEM;
        sessions->heap = grown;
        sessions->heap_capacity = capacity;
    }
    heap_set(sessions, sessions->heap_count, session);
    heap_settle(sessions, sessions->heap_count++);
    return GUARD_OK;
}

int guard_sessions_set_end(struct guard_sessions *sessions, struct guard_session *session, int64_t ends_at)
{
    guard_sessions_heap_remove(sessions, session);
    guard_session_changed(session);
    session->ends_at = ends_at;
    return ends_at == GUARD_NEVER ? GUARD_OK : heap_add(sessions, session);
}

void guard_sessions_end(struct guard_sessions *sessions, struct guard_session *session)
{
    guard_sessions_set_end(sessions, session, GUARD_NEVER); /* out of the heap: no failure */
    session->ends_at = 0;
}

struct guard_session *guard_sessions_expired(struct guard_sessions *sessions, int64_t now)
{
    if (!sessions->heap_count || sessions->heap[0]->ends_at > now)
        return NULL;
    struct guard_session *session = sessions->heap[0];
    guard_sessions_heap_remove(sessions, session);
    return session;
}
