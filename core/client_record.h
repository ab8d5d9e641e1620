/*
 * One client record, packed into the value of the client table's map. Private to core/clients.c and
 * core/client_record.c.
 *
 *   uint8 flags, uint16 roles, uint16 client ids, uint16 attributes, [password NUL],
 *   roles: (int32 priority, name NUL)…, client ids: (NUL-terminated)…, attributes: (name NUL value NUL)…
 */
#ifndef GUARD_CORE_CLIENT_RECORD_H
#define GUARD_CORE_CLIENT_RECORD_H

#include "core/buffer.h"
#include "core/clients.h"

/* One client's lines, wherever they stand. */
struct guard_client_lines {
    const struct guard_policy_line *lines;
    const size_t *order; /* which of lines, in order; NULL: lines[0..count) */
    size_t count;
};

/* Memory kept from record to record. Zero-initialise; guard_buffer_free each. */
struct guard_client_scratch {
    struct guard_buffer lists[3];
};

/* Validates and packs into *out (emptied first). GUARD_OK, GUARD_ERR_INVALID (problems tell), GUARD_ERR_NOMEM. */
int guard_client_record_pack(const struct guard_client_lines *lines, struct guard_client_scratch *scratch,
                             struct guard_buffer *out, struct guard_problems *problems);

/* The record that opens nothing. */
void guard_client_record_pack_disabled(struct guard_buffer *out);

/* Whether value is what guard_client_record_pack makes: every count, text and end fits. */
bool guard_client_record_valid(const char *value, size_t length);

/* Fills all of view but the user name. */
void guard_client_record_view(const char *value, size_t length, struct guard_client_view *view);

#endif
