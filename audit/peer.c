/* Peers: what all events of a connection repeat, rendered once; and the summaries of its publishes. */
#include "audit/internal.h"

#include "audit/out.h"
#include "audit/watch.h"
#include "core/apart.h"
#include "core/clock.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdlib.h>

/* More than the longest pieces can take: address, two names, client id with hash, and the fixed text. */
#define PEER_TEXT_MAX (4 * (2 * AUDIT_NAME_MAX + 2) + 1024)

/* Where a peer is rendered before its final size is known. */
struct draft {
    struct audit *audit;
    struct audit_peer peer;
    struct audit_out out;
    char text[PEER_TEXT_MAX];
};

static uint32_t here(const struct draft *draft)
{
    return (uint32_t)(draft->out.at - draft->text);
}

static struct audit_span since(const struct draft *draft, uint32_t start)
{
    return (struct audit_span){start, here(draft) - start};
}

/* Writes a string and remembers where it lies and what was done to it. */
static unsigned put_field(struct draft *draft, struct audit_span *span, const char *text, enum audit_field field)
{
    uint32_t start = here(draft);
    unsigned flags = audit_put_string(&draft->out, text, strlen(text), AUDIT_NAME_MAX);
    if (flags & AUDIT_PUT_SANITIZED)
        draft->peer.sanitized |= 1U << field;
    if (flags & AUDIT_PUT_TRUNCATED)
        draft->peer.truncated |= 1U << field;
    *span = since(draft, start);
    return flags;
}

static bool is_ip(const char *address)
{
    unsigned char octets[16];
    return inet_pton(AF_INET, address, octets) == 1 || inet_pton(AF_INET6, address, octets) == 1;
}

static void render_source(struct draft *draft, const char *address)
{
    char replaced[64];
    enum audit_privacy privacy = draft->audit->set.is.privacy;
    if (!address)
        return;
    bool ip = is_ip(address);
    if (privacy == AUDIT_PRIVACY_HMAC) {
        audit_pseudonym(&draft->audit->privacy, address, strlen(address), replaced);
        address = replaced;
        ip = false;
    } else if (privacy == AUDIT_PRIVACY_TRUNCATE && audit_truncate_address(address, replaced)) {
        address = replaced;
    }
    draft->peer.has_ip = ip;
    uint32_t start = here(draft);
    if (ip)
        audit_put_literal(&draft->out, "\"source\":{\"ip\":");
    else
        audit_put_literal(&draft->out, "\"source\":{\"address\":");
    uint32_t value = here(draft);
    unsigned flags = audit_put_string(&draft->out, address, strlen(address), 255);
    if (flags & AUDIT_PUT_SANITIZED)
        draft->peer.sanitized |= 1U << AUDIT_FIELD_SOURCE_ADDRESS;
    if (flags & AUDIT_PUT_TRUNCATED)
        draft->peer.truncated |= 1U << AUDIT_FIELD_SOURCE_ADDRESS;
    draft->peer.address = since(draft, value);
    audit_put_literal(&draft->out, "}");
    draft->peer.source = since(draft, start);
}

static void render_failed_user(struct draft *draft, const char *username)
{
    char pseudonym[AUDIT_PSEUDONYM_SIZE];
    if (draft->audit->set.is.failed_user == AUDIT_FAILED_USER_FULL) {
        draft->peer.failed_user = draft->peer.user;
        draft->peer.failed_name = draft->peer.name;
        return;
    }
    if (draft->audit->set.is.failed_user == AUDIT_FAILED_USER_NONE)
        return;
    audit_pseudonym(&draft->audit->privacy, username, strlen(username), pseudonym);
    uint32_t start = here(draft);
    audit_put_literal(&draft->out, "\"name\":");
    put_field(draft, &draft->peer.failed_name, pseudonym, AUDIT_FIELD_USER_NAME);
    draft->peer.failed_user = since(draft, start);
}

static void render_user(struct draft *draft, const char *username)
{
    char pseudonym[AUDIT_PSEUDONYM_SIZE];
    const char *shown = username;
    if (!username)
        return;
    if (draft->audit->set.is.privacy == AUDIT_PRIVACY_HMAC) {
        audit_pseudonym(&draft->audit->privacy, username, strlen(username), pseudonym);
        shown = pseudonym;
    }
    uint32_t start = here(draft);
    audit_put_literal(&draft->out, "\"name\":");
    put_field(draft, &draft->peer.name, shown, AUDIT_FIELD_USER_NAME);
    draft->peer.user = since(draft, start);
    render_failed_user(draft, username);
}

/* ,"client_id_bytes":…,"client_id_sha256":"…" for one that was cut, so that two long ones stay distinguishable. */
static void put_cut_client_id(struct draft *draft, const char *client_id)
{
    unsigned char digest[AUDIT_HASH_SIZE];
    size_t length = strlen(client_id);
    audit_put_literal(&draft->out, ",\"client_id_bytes\":");
    audit_put_unsigned(&draft->out, length);
    if (EVP_Digest(client_id, length, digest, NULL, draft->audit->sha256, NULL) != 1)
        return;
    audit_put_literal(&draft->out, ",\"client_id_sha256\":\"");
    audit_put_hex(&draft->out, digest, sizeof digest);
    audit_put_literal(&draft->out, "\"");
}

static void render_client_id(struct draft *draft, const char *client_id)
{
    char pseudonym[AUDIT_PSEUDONYM_SIZE];
    if (!client_id)
        return;
    if (draft->audit->set.is.privacy == AUDIT_PRIVACY_HMAC) {
        audit_pseudonym(&draft->audit->privacy, client_id, strlen(client_id), pseudonym);
        client_id = pseudonym;
    }
    audit_put_literal(&draft->out, "\"client_id\":");
    if (put_field(draft, &draft->peer.client_id, client_id, AUDIT_FIELD_CLIENT_ID) & AUDIT_PUT_TRUNCATED)
        put_cut_client_id(draft, client_id);
    audit_put_literal(&draft->out, ",");
}

static void render_connection_id(struct draft *draft)
{
    char hex[16], *at = hex + sizeof hex;
    uint64_t number = draft->peer.connection;
    do {
        *--at = "0123456789abcdef"[number & 15];
        number >>= 4;
    } while (number);
    audit_put_literal(&draft->out, "\"connection_id\":");
    uint32_t start = here(draft);
    audit_put_literal(&draft->out, "\"");
    audit_put(&draft->out, draft->audit->chain, AUDIT_CHAIN_LENGTH);
    audit_put_literal(&draft->out, "-c");
    audit_put(&draft->out, at, (size_t)(hex + sizeof hex - at));
    audit_put_literal(&draft->out, "\"");
    draft->peer.connection_id = since(draft, start);
}

struct audit_peer *audit_peer_new(struct audit *audit, const struct audit_peer_info *info)
{
    struct draft draft; /* not cleared: only what is rendered is copied */
    draft.audit = audit;
    draft.out = (struct audit_out){draft.text, draft.text + sizeof draft.text, false};
    memset(&draft.peer, 0, sizeof draft.peer);
    draft.peer.connection = info->connection
                                ? info->connection
                                : atomic_fetch_add_explicit(&audit->connection, 1, memory_order_relaxed) + 1;
    draft.peer.listener_port = info->listener_port;
    draft.peer.transport = (uint8_t)info->transport;
    draft.peer.version = (uint8_t)info->protocol_version;
    draft.peer.websocket = info->websocket;
    audit_watch_peer(audit, &draft.peer, info);
    render_source(&draft, info->address);
    render_user(&draft, info->username);
    uint32_t start = here(&draft);
    render_client_id(&draft, info->client_id);
    render_connection_id(&draft);
    draft.peer.mqtt = since(&draft, start);
    size_t length = here(&draft);
    struct audit_peer *peer = guard_apart_alloc(sizeof *peer + length);
    if (!peer || draft.out.overflow) {
        guard_apart_free(peer);
        return NULL;
    }
    *peer = draft.peer;
    memcpy(peer->text, draft.text, length);
    return peer;
}

void audit_peer_destroy(struct audit_peer *peer)
{
    while (peer) {
        struct audit_peer *next = peer->next;
        guard_apart_free(peer);
        peer = next;
    }
}

/* ---- summaries ---- */

static void unlink_dirty(struct audit *audit, struct audit_peer *peer)
{
    *(peer->previous_dirty ? &peer->previous_dirty->next_dirty : &audit->first_dirty) = peer->next_dirty;
    *(peer->next_dirty ? &peer->next_dirty->previous_dirty : &audit->last_dirty) = peer->previous_dirty;
    peer->previous_dirty = peer->next_dirty = NULL;
}

bool audit_summary_flush(struct audit *audit, struct audit_peer *peer)
{
    if (!peer->count)
        return true;
    struct record_summary *summary = (struct record_summary *)(void *)audit_begin(
        audit, sizeof *summary, AUDIT_ACTION_MQTT_PUBLISH_SUMMARY, 0, peer->last_ns);
    if (summary) {
        summary->head.reason = GUARD_REASON_NONE;
        summary->head.qos = 0;
        summary->head.peer = peer;
        summary->count = peer->count;
        summary->bytes = peer->bytes;
        summary->first_ns = peer->first_ns;
        summary->last_ns = peer->last_ns;
        audit_commit(audit, &summary->head);
    }
    peer->count = peer->bytes = 0;
    unlink_dirty(audit, peer);
    return summary != NULL;
}

void audit_peer_free(struct audit *audit, struct audit_peer **peer_pointer)
{
    struct audit_peer *peer = *peer_pointer;
    if (!peer)
        return;
    *peer_pointer = NULL;
    audit_summary_flush(audit, peer);
    audit_peer_release(audit, peer);
}
